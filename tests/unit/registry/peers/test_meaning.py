"""Meanings of the other programs that their files do not spell out: kept, or named as a difference."""

from __future__ import annotations

import pytest

from engine.conditions import ConditionError, parse
from registry.peers.sources import Sources
from tests.unit.registry.peers.workflows import (
    agents_of,
    archon,
    checked,
    conductor,
    differs,
    inputs_of,
    nodes_of,
    read,
    refused,
    skip_of,
)


def phases(nodes: str) -> list[list[str]]:
    return [[node["id"] for node in phase["agents"]] for phase in checked(archon(nodes)).definition["phases"]]


def test_a_layer_of_archon_begins_when_the_one_before_has_ended() -> None:
    gate = "- {id: gate, approval: {message: Deploy?}}\n- {id: build, bash: b}\n"
    assert phases(gate + "- {id: deploy, bash: d, depends_on: [build]}\n") == [["gate", "build"], ["deploy"]]
    assert phases(gate + "- {id: deploy, bash: d, depends_on: [build, gate]}\n") == [["gate", "build", "deploy"]]
    diamond = "- {id: a, bash: a}\n- {id: b, bash: b, depends_on: [a]}\n- {id: c, bash: c, depends_on: [a]}\n"
    assert phases(diamond + "- {id: d, bash: d, depends_on: [b]}\n") == [["a", "b", "c"], ["d"]]
    found = archon(diamond + "- {id: d, bash: d, depends_on: [b]}\n")
    assert [phase["id"] for phase in found.definition["phases"]] == ["main", "main-2"]
    assert all(phase["continueOnError"] for phase in found.definition["phases"])
    assert found.pointers["/phases/1/agents/0"] == "/nodes/3"


def test_layers_are_kept_inside_a_group_too() -> None:
    nodes = """\
    - id: g
      loop_group:
        max_iterations: 2
        until_bash: "true"
        nodes:
          - {id: a, bash: a}
          - {id: b, bash: b}
          - {id: c, bash: c, depends_on: [a]}
          - {id: d, bash: d, depends_on: [b, c]}
    """
    found = checked(archon(nodes))
    inner = nodes_of(found)["g"]["phases"]
    assert [[node["id"] for node in phase["agents"]] for phase in inner] == [["a", "b"], ["c", "d", "check-turn"]]
    assert any("ends the turn at once" in said for said in differs(found))


def test_a_node_that_is_no_mapping_is_refused_at_its_place() -> None:
    assert refused(archon("- text\n- {id: a, bash: a}\n- 7\n")) == [
        ("/nodes/0", "this is not a mapping"),
        ("/nodes/2", "this is not a mapping"),
    ]
    group = "- {id: g, loop_group: {max_iterations: 2, until_bash: x, nodes: [{id: a, bash: a}, x]}}\n"
    assert ("/nodes/0/loop_group/nodes/1", "this is not a mapping") in refused(archon(group))


def test_a_member_that_a_script_did_not_write_fails_its_reader() -> None:
    nodes = """\
    - {id: a, bash: "echo '{}'"}
    - {id: b, prompt: "Use $a.output.name", depends_on: [a]}
    - {id: c, prompt: "Go on", depends_on: [a], context: fresh}
    """
    nodes_by_id = nodes_of(checked(archon(nodes)))
    condition = parse(skip_of(nodes_by_id["b"]))
    assert not condition.evaluate({"a": "{}", "a_members": {"name": ""}})
    assert condition.evaluate({})  # a has failed
    with pytest.raises(ConditionError):
        condition.evaluate({"a": "no JSON", "a_members": {}})
    assert not parse(skip_of(nodes_by_id["c"])).evaluate({"a": "no JSON", "a_members": {}})


def test_only_outputs_are_put_into_a_reason_and_a_question() -> None:
    nodes = "- {id: a, bash: a}\n- {id: stop, cancel: 'No $ARGUMENTS: $a.output', depends_on: [a]}\n"
    found = checked(archon(nodes))
    assert agents_of(found)[nodes_of(found)["stop"]["agentId"]].command[-1] == "No $ARGUMENTS: {{a}}"
    assert found.definition["arguments"] == []
    gate = nodes_of(checked(archon("- {id: g, approval: {message: 'Deploy $BASE_BRANCH?'}}\n")))["g"]
    assert gate["approval"]["message"] == "Deploy $BASE_BRANCH?"


def test_the_name_of_a_variable_ends_where_archon_ends_it() -> None:
    task = nodes_of(checked(archon("- {id: a, prompt: $CONTEXT_FILE $CONTEXT. $BASE_BRANCHES}\n")))["a"]["task"]
    assert task.startswith("$CONTEXT_FILE {{issue_context}}. {{base_branch}}ES")


def test_the_folder_of_the_logs_reaches_a_script() -> None:
    found = checked(archon("- {id: a, bash: 'ls ${LOG_DIR}'}\n"))
    assert inputs_of(nodes_of(found)["a"]) == {"log_dir": True}
    assert "LOG_DIR=log_dir" in agents_of(found)[nodes_of(found)["a"]["agentId"]].command
    assert found.definition["arguments"][0]["required"]


@pytest.mark.parametrize("script", ["fetch@v1", "fetch:all", "a=1"])
def test_a_script_without_a_sign_of_code_is_the_name_of_one(script: str) -> None:
    found = refused(archon(f"- {{id: a, script: '{script}', runtime: uv}}\n"))
    assert found == [("/nodes/0/script", f'the project has no script "{script}"')]


@pytest.mark.parametrize(
    "script",
    ["x=$(case $1 in a) echo;; esac; echo $x.output)", "echo $((1 << n)); echo $x.output; echo '$ARTIFACTS_DIR'"],
)
def test_a_value_where_the_quotes_of_a_script_are_not_known_is_refused(script: str) -> None:
    nodes = f"- {{id: x, bash: x}}\n- id: a\n  depends_on: [x]\n  bash: |\n    {script}\n"
    found = refused(archon(nodes))
    assert {pointer for pointer, _ in found} == {"/nodes/1/bash"}
    assert all("its quotes are not known" in message for _, message in found)


def test_another_provider_does_not_continue_a_conversation() -> None:
    chain = "- {id: a, prompt: a%s}\n- {id: b, prompt: b, depends_on: [a]%s}\n"
    checked(archon(chain % (", provider: codex", ", provider: claude")))
    checked(archon(chain % ("", ", provider: pi"), "provider: codex\n"))
    assert refused(archon(chain % ("", ", provider: claude"), "provider: claude\n"))
    assert refused(archon(chain % ("", ", provider: codex")))  # the default may be the same


CHILD = """\
name: child
description: d
nodes:
  - {id: seed, bash: s}
  - {id: maybe, bash: m, depends_on: [seed], when: "$seed.output == 'x'"}
  - {id: last, bash: l, depends_on: [maybe]%s}
"""


@pytest.mark.parametrize(
    ("more", "sure"),
    [("", False), (", trigger_rule: all_done", True), (", trigger_rule: one_success", False)],
)
def test_a_result_that_may_be_skipped_is_refused(more: str, sure: bool) -> None:  # noqa: FBT001 - a value of the table
    sources = Sources(workflow=lambda name: read(CHILD % more) if name == "child" else None)
    found = refused(archon("- {id: a, workflow: child}\n", sources=sources))
    assert [pointer for pointer, _ in found] == ([] if sure else ["/nodes/0/workflow"])


def test_the_difference_of_a_signal_in_the_output_is_named() -> None:
    loop = "- {id: a, loop: {prompt: 'Do <p>OK</p>', until: OK, max_iterations: 3, fresh_context: true}}\n"
    assert any("the tag stays in the output" in said for said in differs(archon(loop)))


def test_an_optional_field_may_be_missing() -> None:
    agents = """\
    - name: a
      prompt: a
      output: {x: {type: string}, y: {type: string, required: false}}
      routes: [{to: b}]
    - {name: b, prompt: "{{ a.output.x }} {{ a.output.y }}", routes: [{to: c}]}
    - {name: c, prompt: "{% if a.output.y is defined %}{{ a.output.y }}{% endif %}"}
    """
    nodes = nodes_of(checked(conductor(agents)))
    assert nodes["a"]["context"]["outputs"][0]["schema"]["required"] == ["x"]
    condition = parse(skip_of(nodes["b"]))
    assert not condition.evaluate({"a": {"x": "1", "y": ""}})
    with pytest.raises(ConditionError):
        condition.evaluate({"a": {"x": "1"}})
    assert "skipCondition" not in nodes["c"]


def test_a_member_that_a_prompt_names_has_to_be_there() -> None:
    agents = """\
    - {name: a, type: script, command: x, routes: [{to: b, when: "exit_code == 0"}, {to: $end}]}
    - {name: b, prompt: "Attempt {{ a.output.attempt }}"}
    """
    condition = parse(skip_of(nodes_of(checked(conductor(agents)))["b"]))
    assert condition.evaluate({"a": {"exit_code": 1}})
    assert not condition.evaluate({"a": {"exit_code": 0, "attempt": 1}})
    with pytest.raises(ConditionError):
        condition.evaluate({"a": {"exit_code": 0}})


EACH = """
for_each:
  - {name: g, type: for_each, source: a.output.files, as: file%s, agent: {prompt: "Test {{ file.path }}"}}
"""
FILES = "- {name: a, prompt: a, output: {files: {type: array%s}}, routes: [{to: g}]}\n"


def test_a_member_that_an_item_may_lack_is_named() -> None:
    found = checked(conductor(FILES % "", EACH % ""))
    assert any("a member that an item does not have" in said for said in differs(found))
    items = ", items: {type: object, properties: {path: {type: string}}}"
    assert not any("an item does not have" in said for said in differs(checked(conductor(FILES % items, EACH % ""))))


@pytest.mark.parametrize(("key_by", "key"), [("id", "$.id"), ("file.id", "$.id"), ("a.b", "$.a.b"), ("file", "$.file")])
def test_the_key_of_an_item_is_a_path_in_it(key_by: str, key: str) -> None:
    found = checked(conductor(FILES % "", EACH % f", key_by: {key_by}"))
    assert nodes_of(found)["g"]["forEach"]["key"] == key
    said = " ".join(differs(found))
    assert "with that of another item, fails here" in said
    assert ("as in Conductor's guide" in said) == (key_by == "file.id")


def test_a_key_that_is_no_path_is_refused() -> None:
    found = refused(conductor(FILES % "", EACH % ", key_by: 'a[0]'"))
    assert [pointer for pointer, _ in found] == ["/for_each/0/key_by"]


def test_a_short_time_of_an_agent_stays_short() -> None:
    node = nodes_of(checked(conductor("- {name: a, prompt: a, timeout_seconds: 20}\n")))["a"]
    assert (node["timeout"], node["estimatedTime"]) == (20_000, 6_666)


@pytest.mark.parametrize("duration", ["0s", "25h", "0"])
def test_a_pause_without_length_or_of_more_than_a_day_is_refused(duration: str) -> None:
    found = refused(conductor(f"- {{name: a, type: wait, duration: {duration}}}\n"))
    assert [pointer for pointer, _ in found] == ["/agents/0/duration"]


def test_a_pause_that_cannot_be_slept_fails() -> None:
    found = checked(conductor("- {name: a, type: wait, duration: 2s}\n"))
    command = agents_of(found)[nodes_of(found)["a"]["agentId"]].command
    assert command[4:] == ("--text", "a", "--fill", "--", "sleep", "2")


@pytest.mark.parametrize("name", ["w", "t"])
def test_the_output_of_a_pause_or_an_end_is_refused(name: str) -> None:
    agents = f"""\
    - {{name: w, type: wait, duration: 2s, routes: [{{to: b}}]}}
    - {{name: b, prompt: "{{{{ {name}.output.waited_seconds }}}}", routes: [{{to: t}}]}}
    - {{name: t, type: terminate, status: success, reason: r}}
    """
    assert [pointer for pointer, _ in refused(conductor(agents, entry="w"))] == ["/agents/1/prompt"]


def test_a_condition_without_braces_knows_only_members_of_the_output() -> None:
    agents = """\
    - {name: a, prompt: a, output: {n: {type: number}}, routes: [{to: b, when: "output.n > 3"}, {to: $end}]}
    - {name: b, prompt: b}
    """
    found = refused(conductor(agents))
    assert found[0][0] == "/agents/0/routes/0"
    assert "without braces only the members of the output have names" in found[0][1]


def test_the_words_of_an_input_with_a_type_are_named() -> None:
    typed = "input: {n: {type: number, default: 1}}\n"
    found = checked(conductor("- {name: a, prompt: 'a {{ workflow.input.n }}'}\n", workflow=typed))
    assert any("here a word is a text" in said for said in differs(found))
    found = conductor("- {name: a, prompt: a}\n", workflow="input: {n: {type: string}}\n")
    assert not any("here a word is a text" in said for said in differs(found))


def test_values_become_a_part_of_a_script_in_another_language() -> None:
    nodes = """\
    - {id: a, bash: echo a}
    - {id: maybe, bash: m, depends_on: [a], when: "$a.output == 'x'"}
    - id: b
      depends_on: [a, maybe]
      trigger_rule: all_done
      runtime: uv
      script: |
        print($a.output.n, "$maybe.output", "$ARTIFACTS_DIR", "$ARGUMENTS $INPUTS.x $CONTEXT")
    """
    found = checked(archon(nodes))
    command = agents_of(found)[nodes_of(found)["b"]["agentId"]].command
    code = 'print({{a_members.n}}, "{{maybe}}", "{{artifacts_dir}}", "$ARGUMENTS $INPUTS.x $CONTEXT")'
    assert command[-1] == code
    assert command[command.index("--fill") :][:3] == ("--fill", "--optional", "maybe")
    assert inputs_of(nodes_of(found)["b"])["maybe"] is False
    assert any("can run as code" in said for said in differs(found))


def test_a_variable_after_a_backslash_in_quotes_is_put_in_as_archon_puts_it_in() -> None:
    found = checked(archon("- {id: a, bash: 'echo \"in \\$ARTIFACTS_DIR.\"'}\n"))
    command = agents_of(found)[nodes_of(found)["a"]["agentId"]].command
    assert command[-1] == 'echo "in \\\\${ARTIFACTS_DIR}."'
    plain = "- {id: x, bash: x}\n- {id: a, bash: 'echo \\$ARTIFACTS_DIR', depends_on: [x]}\n"
    assert [pointer for pointer, _ in refused(archon(plain))] == ["/nodes/1/bash"]
    value = "- {id: x, bash: x}\n- {id: a, bash: 'echo \"\\$x.output\"', depends_on: [x]}\n"
    assert [pointer for pointer, _ in refused(archon(value))] == ["/nodes/1/bash"]


def test_what_follows_from_a_refusal_is_not_refused_again() -> None:
    agents = """\
    - {name: a, type: set, value: x, routes: [{to: b, when: "{{ output.flag }}"}, {to: $end}]}
    - {name: b, prompt: b}
    """
    assert [pointer for pointer, _ in refused(conductor(agents))] == ["/agents/0/type"]


def test_values_with_names_that_differ_in_case_have_variables_of_their_own() -> None:
    nodes = """\
    - {id: A, bash: echo 1}
    - {id: a, bash: echo 2}
    - {id: c, bash: "echo $A.output $a.output $NODE_A", depends_on: [A, a]}
    """
    found = checked(archon(nodes))
    command = agents_of(found)[nodes_of(found)["c"]["agentId"]].command
    assert command[-1] == 'echo "${NODE_A_}" "${NODE_A__}" $NODE_A'


def test_inputs_with_one_variable_are_refused() -> None:
    head = "inputs: {a-b: {default: 1}, a_b: {default: 2}}\n"
    assert [pointer for pointer, _ in refused(archon("- {id: a, bash: x}\n", head))] == ["/inputs/a_b"]


def test_a_number_without_end_is_refused() -> None:
    agents = """\
    - {name: a, prompt: a, output: {n: {type: number}}, routes: [{to: b, when: "{{ output.n < 1e999 }}"}, {to: $end}]}
    - {name: b, prompt: b}
    """
    assert [pointer for pointer, _ in refused(conductor(agents))] == ["/agents/0/routes/0"]
