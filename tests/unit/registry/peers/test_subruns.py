from __future__ import annotations

import pytest

from engine.validation import validate_definition
from registry.peers.convert import Converted, convert
from registry.peers.sources import Sources
from tests.unit.registry.peers.workflows import agents_of, archon, differs, inputs_of, nodes_of, read, refused

CHILDREN = {
    "probe": """\
        name: Probe
        description: d
        inputs: {depth: {required: true}, item-name: {}}
        nodes:
          - {id: look, bash: 'echo "$ARGUMENTS" > $ARTIFACTS_DIR/x'}
          - {id: verdict, prompt: "$look.output", depends_on: [look]}
        """,
    "quiet": """\
        name: quiet
        description: d
        inputs: {file: {}}
        returns: a
        nodes: [{id: a, prompt: Read $INPUTS.file}, {id: b, bash: b}]
        """,
    "two": "name: two\ndescription: d\nnodes: [{id: a, bash: a}, {id: b, bash: b}]\n",
    "itself": "name: itself\ndescription: d\nnodes: [{id: a, workflow: itself}]\n",
    "scored": """\
        name: scored
        description: d
        nodes:
          - id: score
            prompt: p
            output_format: {type: object, properties: {n: {type: number}}, required: [n]}
        """,
}
SOURCES = Sources(workflow=lambda name: read(CHILDREN[name]) if name in CHILDREN else None)
LIST = """\
- id: find
  prompt: Find.
  output_format: {type: object, properties: {files: {type: array}, word: {type: string}}, required: [files]}
"""


def flow(nodes: str) -> Converted:
    return archon(nodes, sources=SOURCES)


def valid(found: Converted) -> Converted:
    """*found*, which is a valid command beside those that it runs."""
    assert refused(found) == []
    children = [convert(read(text), "archon", SOURCES) for text in CHILDREN.values()]
    commands = {child.definition["name"]: child.definition for child in children}
    agents = {name: agent for one in (found, *children) for name, agent in agents_of(one).items()}
    errors = validate_definition(found.definition, agents=agents, commands=commands).errors
    assert [(one.code, one.message) for one in errors] == []
    return found


def test_another_workflow_is_a_sub_command() -> None:
    nodes = """\
    - {id: sub, workflow: probe, input: $ARGUMENTS}
    - {id: after, prompt: "$sub.output", depends_on: [sub]}
    """
    found = flow(nodes.replace("input: $ARGUMENTS", "input: $ARGUMENTS, with: {depth: 3}"))
    valid(found)
    sub = nodes_of(found)["sub"]
    assert (sub["agentId"], sub["task"]) == ("command", "/probe")
    assert inputs_of(sub) == {"depth": True, "arguments": True, "artifacts_dir": True}
    assert [one["key"] for one in sub["context"]["outputs"]] == ["verdict"]
    assert inputs_of(nodes_of(found)["after"]) == {"verdict": True}
    assert found.definition["globalContext"] == {"initial": {"depth": 3}}
    assert any("folder and an id of its own" in said for said in differs(found))


def test_a_fan_out_is_a_for_each_over_a_declared_list() -> None:
    nodes = f"{LIST}- {{id: each, workflow: probe, depends_on: [find], with: {{depth: 1}}, fan_out: FAN}}\n"
    found = valid(flow(nodes.replace("FAN", "{items: $find.output.files, max_parallel: 2, join: all_success}")))
    node = nodes_of(found)["each"]
    assert node["forEach"] == {"items": "find", "as": "arguments", "maxItems": 10_000, "maxParallelism": 2}
    assert {"key": "find", "transform": "$.files"} in node["context"]["inputs"]
    tolerant = valid(flow(nodes.replace("FAN", "{items: '[1, 2]'}")))
    each = nodes_of(tolerant)["each"]["forEach"]
    assert (each["items"], each["maxParallelism"], each["continueOnError"]) == ("verdict_items", 5, True)
    assert tolerant.definition["globalContext"]["initial"]["verdict_items"] == [1, 2]


def test_a_list_that_a_script_prints_is_read_by_its_starter() -> None:
    nodes = """\
    - {id: find, bash: "echo '[1]'"}
    - {id: each, workflow: quiet, depends_on: [find], fan_out: {items: $find.output, as: file}}
    """
    found = valid(flow(nodes))
    assert nodes_of(found)["each"]["forEach"]["as"] == "file"
    assert "--list" in agents_of(found)[nodes_of(found)["find"]["agentId"]].command


def test_members_of_a_result_are_those_of_its_schema() -> None:
    nodes = """\
    - {id: sub, workflow: scored}
    - {id: after, bash: a, depends_on: [sub], when: "$sub.output.n > 3"}
    """
    assert nodes_of(valid(flow(nodes)))["after"]["skipCondition"]["expression"] == "score == null || !(score.n > 3)"


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ("workflow: other", "workflow"),
        ("workflow: two", "workflow"),
        ("workflow: itself", "workflow"),
        ("workflow: probe", ""),
        ("workflow: probe, with: {depth: 1}, input: a $ARGUMENTS", "input"),
        ("workflow: probe, with: {depth: $find.output.word}", "with/depth"),
        ("workflow: probe, with: {width: 1}", "with/width"),
        ("workflow: probe, with: {depth: 1}, isolation: worktree", "isolation"),
        ("workflow: probe, with: {depth: 1}, retry: {max_attempts: 1}", "retry"),
        ("workflow: probe, with: {depth: 1}, fan_out: {items: $find.output.word}", "fan_out/items"),
        ("workflow: probe, with: {depth: 1}, fan_out: {items: $find.output}", "fan_out/items"),
        ("workflow: probe, with: {depth: 1}, fan_out: {items: $none.output}", "fan_out/items"),
        ("workflow: probe, with: {depth: 1}, fan_out: {items: a b}", "fan_out/items"),
        ("workflow: probe, with: {depth: 1}, fan_out: {items: '[]', as: item-name}", "fan_out/as"),
        ("workflow: quiet, fan_out: {items: '[]', as: other}", "fan_out/as"),
        ("workflow: quiet, fan_out: {items: '[]', join: first_success}", "fan_out/join"),
    ],
)
def test_a_run_of_another_workflow_that_the_format_cannot_say_is_refused(node: str, place: str) -> None:
    found = flow(f"{LIST}- {{id: n, {node}, depends_on: [find]}}\n")
    assert "/nodes/1" + (f"/{place}" if place else "") in [pointer for pointer, _ in refused(found)]


def test_two_results_of_one_name_are_refused() -> None:
    assert refused(flow("- {id: verdict, bash: a}\n- {id: b, workflow: probe, with: {depth: 1}}\n"))
    assert refused(flow("- {id: a, workflow: quiet}\n- {id: b, workflow: quiet}\n"))


def test_an_input_that_is_not_read_is_named() -> None:
    found = valid(flow("- {id: a, workflow: quiet, input: text, description: D, output_format: {}}\n"))
    assert any("does not read its input" in said for said in differs(found))


def test_another_workflow_can_be_run_in_a_group() -> None:
    nodes = """\
    - id: g
      loop_group:
        max_iterations: 2
        until_bash: "true"
        nodes: [{id: a, workflow: probe, input: $USER_MESSAGE, with: {depth: 2}}]
    """
    found = nodes_of(flow(nodes))
    assert inputs_of(found["g"]) == {"depth": True, "arguments": True, "artifacts_dir": True}
