from __future__ import annotations

import pytest

from engine.conditions import ConditionError, parse
from registry.peers.archon.nodes import WEEK
from registry.peers.sources import Sources
from tests.unit.registry.peers.workflows import (
    agents_of,
    archon,
    checked,
    converted,
    differs,
    inputs_of,
    nodes_of,
    refused,
    skip_of,
)

CHAIN = """\
- {id: look, bash: echo a, depends_on: []}
- id: say
  prompt: |
    Say $look.output about $ARGUMENTS.
  depends_on: [look]
"""


def test_a_prompt_is_a_task_and_its_values_are_inputs() -> None:
    found = checked(archon(CHAIN))
    node = nodes_of(found)["say"]
    assert node["task"] == (
        "Say {{look}} about {{arguments}}.\n\n"
        "In this text {{look}}, {{arguments}} stand for these values of your inputs; "
        "a value that is not there is empty."
    )
    assert inputs_of(node) == {"look": True, "arguments": True}
    assert node["dependencies"] == ["look"]
    assert node["timeout"] == WEEK
    assert node["retryPolicy"]["maxAttempts"] == 2
    assert [one["name"] for one in found.definition["arguments"]] == ["arguments"]
    assert found.definition["phases"][0]["continueOnError"] is True


def test_a_script_is_a_program_whose_output_is_a_text() -> None:
    found = checked(archon(CHAIN))
    node = nodes_of(found)["look"]
    agent = agents_of(found)[node["agentId"]]
    assert agent.command[-5:] == ("look", "--", "bash", "-c", "echo a")
    assert agent.keep_processes
    assert node["timeout"] == 120_000
    assert "retryPolicy" not in node


@pytest.mark.parametrize(
    ("rule", "runs", "skipped"),
    [
        ("all_success", [{"a": "", "b": ""}], [{}, {"a": ""}, {"b": ""}]),
        ("one_success", [{"a": ""}, {"a": "", "b": ""}], [{}]),
        ("all_done", [{}, {"a": ""}, {"a": "", "b": ""}], []),
        # b is skipped where seed says so, and has failed where it has no output otherwise
        ("none_failed_min_one_success", [{"a": "", "b": "", "seed": "b"}, {"a": "", "seed": "x"}], [{"seed": "x"}]),
        ("none_failed_min_one_success", [], [{"a": "", "seed": "b"}, {"b": "", "seed": "b"}]),
    ],
)
def test_a_join_looks_at_the_outputs_of_the_dependencies(
    rule: str, runs: list[dict[str, str]], skipped: list[dict[str, str]]
) -> None:
    nodes = f"""\
    - {{id: seed, bash: echo b}}
    - {{id: a, bash: echo a}}
    - {{id: b, bash: echo b, depends_on: [seed], when: "$seed.output == 'b'"}}
    - {{id: join, bash: echo j, depends_on: [a, b], trigger_rule: {rule}}}
    """
    node = nodes_of(checked(archon(nodes)))["join"]
    if "skipCondition" not in node:
        assert rule == "all_done"
        return
    condition = parse(skip_of(node))
    assert [condition.evaluate(values) for values in runs] == [False] * len(runs)
    assert [condition.evaluate(values) for values in skipped] == [True] * len(skipped)


JUDGED = """\
- id: judge
  prompt: Judge.
  output_format:
    type: object
    properties: {verdict: {type: string}, score: {type: number}, ok: {type: boolean}, note: {type: string}}
    required: [verdict, score, ok]
- {id: act, bash: echo, depends_on: [judge], when: "WHEN"}
"""


@pytest.mark.parametrize(
    ("when", "value", "runs"),
    [
        ("$judge.output.verdict == 'fix'", {"verdict": "fix"}, True),
        ("$judge.verdict == 'fix'", {"verdict": "skip"}, False),
        ("$judge.output.score >= 7", {"score": 7}, True),
        ("$judge.output.score == '7'", {"score": 7.0}, True),
        ("$judge.output.score < '7'", {"score": 7}, False),
        ("$judge.output.ok == true", {"ok": True}, True),
        ("$judge.output.ok != 'true'", {"ok": True}, False),
        ("$judge.output.note != 'x'", {}, True),
        ("$judge.output.ok == true && $judge.output.score > 3", {"ok": True, "score": 2}, False),
        ("$judge.output.ok == true || $judge.output.score > 3", {"ok": False, "score": 4}, True),
        ("$judge.output.verdict == 'a && b'", {"verdict": "a && b"}, True),
    ],
)
def test_a_condition_means_the_same_for_declared_types(
    when: str,
    value: dict[str, object],
    runs: bool,  # noqa: FBT001 - a value of the table
) -> None:
    node = nodes_of(checked(archon(JUDGED.replace("WHEN", when))))["act"]
    assert parse(skip_of(node)).evaluate({"judge": value}) is not runs


@pytest.mark.parametrize(
    "when",
    [
        "$judge.output == 'x'",
        "$judge.output.verdict > 'a'",
        "$judge.output.score == 'seven'",
        "$judge.output.ok == 'yes'",
        "$judge.output.note == ''",
        "$judge.output.note < 3",
        "$judge.output.other == 'x'",
        "$judge.output.verdict = 'x'",
        "$judge.verdict.deep == 'x'",
        "$other.output == 'x'",
        "$act.output == 'x'",
        "$INPUTS.mode == 'x'",
        "$judge.output.verdict == 'fix' && (1)",
        "$judge.output.verdict == 'fix'" + " " * 2000,
    ],
)
def test_a_condition_without_an_equal_is_refused_at_its_place(when: str) -> None:
    assert {pointer for pointer, _ in refused(archon(JUDGED.replace("WHEN", when)))} == {"/nodes/1/when"}


def test_a_member_of_a_text_is_read_by_the_program_that_writes_it() -> None:
    nodes = """\
    - {id: args, bash: "echo '{}'"}
    - {id: dry, bash: echo, depends_on: [args], when: "$args.output.dryRun == 'true' && $args.output.length == '3'"}
    """
    found = checked(archon(nodes))
    assert "--members" in agents_of(found)[nodes_of(found)["args"]["agentId"]].command
    condition = parse(skip_of(nodes_of(found)["dry"]))
    assert not condition.evaluate({"args": "{}", "args_members": {"dryRun": "true", "length": "3"}})
    assert condition.evaluate({"args": "{}", "args_members": {"dryRun": "false", "length": "3"}})
    assert condition.evaluate({})  # args has failed
    with pytest.raises(ConditionError):
        condition.evaluate({"args": "{}", "args_members": {}})


def test_the_output_of_a_skipped_node_is_empty_and_that_of_a_failed_one_fails_its_reader() -> None:
    nodes = """\
    - {id: seed, bash: echo b}
    - {id: maybe, bash: echo m, depends_on: [seed], when: "$seed.output == 'b'"}
    - {id: use, prompt: "Use $maybe.output", depends_on: [maybe], trigger_rule: all_done}
    """
    node = nodes_of(checked(archon(nodes)))["use"]
    assert inputs_of(node) == {"maybe": False}
    condition = parse(skip_of(node))
    assert not condition.evaluate({"seed": "b", "maybe": "m"})
    assert not condition.evaluate({"seed": "x"})
    with pytest.raises(ConditionError):
        condition.evaluate({"seed": "b"})


def test_a_condition_on_a_failed_node_fails_too() -> None:
    nodes = """\
    - {id: a, bash: echo a}
    - {id: b, bash: echo b, depends_on: [a], trigger_rule: all_done, when: "$a.output != 'x'"}
    """
    condition = parse(skip_of(nodes_of(checked(archon(nodes)))["b"]))
    assert condition.evaluate({"a": "x"})
    with pytest.raises(ConditionError):
        condition.evaluate({})


def test_variables_of_a_run_are_arguments() -> None:
    found = checked(
        archon("- {id: a, prompt: Write to $ARTIFACTS_DIR from $BASE_BRANCH in $DOCS_DIR about $CONTEXT}\n")
    )
    required = {one["name"]: one.get("required", False) for one in found.definition["arguments"]}
    assert required == {"artifacts_dir": True, "base_branch": True, "docs_dir": False, "issue_context": False}
    assert sum("the argument" in said for said in differs(found)) == 2
    assert nodes_of(found)["a"]["task"].startswith("Write to {{artifacts_dir}} from {{base_branch}} in {{docs_dir}}")


def test_declared_inputs_are_arguments() -> None:
    head = "inputs: {mode: {required: true, description: M}, base-branch: {default: main}}\n"
    nodes = """\
    - {id: a, prompt: "$INPUTS.mode $INPUTS.base-branch", when: "$INPUTS.mode == 'fast'"}
    - {id: b, bash: 'echo "$INPUTS_MODE"'}
    """
    found = checked(archon(nodes, head))
    assert found.definition["arguments"] == [
        {"name": "mode", "description": "M", "required": True},
        {"name": "base_branch_", "description": "", "default": "main", "required": False},
    ]
    assert inputs_of(nodes_of(found)["b"]) == {"mode": True}
    assert refused(archon("- {id: a, prompt: a, when: \"$INPUTS.mode == '3'\"}\n", head))


def test_a_command_is_the_text_of_its_file() -> None:
    sources = Sources(command_text=lambda name: f"Do {name} for $ARGUMENTS")
    assert nodes_of(archon("- {id: a, command: plan}\n", sources=sources))["a"]["task"].startswith("Do plan for {{")
    assert refused(archon("- {id: a, command: plan}\n"))[0][0] == "/nodes/0/command"


def test_a_named_script_is_run_by_its_file() -> None:
    def script(name: str, runtime: str) -> tuple[str, str]:
        return f".archon/scripts/{name}.{'py' if runtime == 'uv' else 'ts'}", "import os\nos.environ['ARGUMENTS']"

    nodes = """\
    - {id: a, script: count, runtime: uv, deps: [rich], timeout: 9000}
    - {id: b, script: count, runtime: bun}
    - {id: c, script: "print(1)", runtime: uv, deps: [rich]}
    - {id: d, script: "console.log(1)", runtime: bun, deps: [x]}
    """
    found = checked(archon(nodes, sources=Sources(script_file=script)))
    commands = {name: agents_of(found)[node["agentId"]].command for name, node in nodes_of(found).items()}
    assert commands["a"][-5:] == ("uv", "run", "--with", "rich", ".archon/scripts/count.py")
    assert "ARGUMENTS=arguments" in commands["a"]
    assert commands["b"][-4:] == ("bun", "--no-env-file", "run", ".archon/scripts/count.ts")
    assert commands["c"][-7:] == ("uv", "run", "--with", "rich", "python", "-c", "print(1)")
    assert commands["d"][-4:] == ("bun", "--no-env-file", "-e", "console.log(1)")
    assert refused(archon("- {id: a, script: count, runtime: bun}\n"))[0][0] == "/nodes/0/script"


def test_settings_of_a_model_are_those_of_its_agent_file() -> None:
    nodes = """\
    - id: a
      prompt: a
      model: large
      effort: minimal
      allowed_tools: [Read]
      denied_tools: [Bash]
      idle_timeout: 5000
      maxBudgetUsd: 0.5
      skills: [style]
      systemPrompt: You are strict.
      context: fresh
    - {id: b, prompt: b, model: claude-sonnet-4.5, allowed_tools: []}
    - {id: c, prompt: c, model: gpt-9, provider: codex}
    - {id: d, prompt: d}
    - {id: e, prompt: e}
    """
    found = checked(archon(nodes))
    agents = {name: agents_of(found)[node["agentId"]] for name, node in nodes_of(found).items()}
    a = agents["a"]
    assert (a.model, a.effort, a.tools, a.disallowed_tools) == ("opus", "low", ("Read",), ("Bash",))
    assert (a.max_budget_usd, a.skills, a.prompt) == (0.5, ("style",), "You are strict.")
    assert (agents["b"].model, agents["b"].tools) == ("claude-sonnet-4-5", ())
    assert agents["c"].model is None
    assert agents["d"] == agents["e"]
    assert {"Read", "Bash"} < set(agents["d"].tools or ())
    assert any('"gpt-9" is not a model of Claude Code' in said for said in differs(found))


def test_a_node_alone_after_another_continues_its_conversation_unless_it_says_fresh() -> None:
    chain = "- {id: a, prompt: a}\n- {id: b, prompt: b, depends_on: [a]%s}\n"
    assert [pointer for pointer, _ in refused(archon(chain % ""))] == ["/nodes/1"]
    checked(archon(chain % ", context: fresh"))
    assert refused(archon(chain % ", context: shared"))
    assert refused(archon(chain % ", context: {resume: a}"))
    side_by_side = "- {id: a, prompt: a}\n- {id: x, bash: x}\n- {id: b, prompt: b, depends_on: [a]}\n"
    checked(archon(side_by_side))


def test_a_loop_of_a_prompt_is_a_repeat() -> None:
    nodes = """\
    - id: work
      loop:
        prompt: "Do the next one; then <promise>DONE</promise>. Before: $LOOP_PREV_OUTPUT$LOOP_USER_INPUT"
        until: DONE
        max_iterations: 4
        fresh_context: true
    - id: judge
      output_format: {type: object, properties: {done: {type: boolean}}, required: [done]}
      loop: {prompt: Judge., until_field: done, max_iterations: 3, fresh_context: true}
    """
    nodes_by_id = nodes_of(checked(archon(nodes)))
    assert nodes_by_id["work"]["repeat"] == {"until": '"<promise>DONE</promise>" in work', "maxIterations": 4}
    assert "Before: {{work}}" in nodes_by_id["work"]["task"]
    assert "context" not in nodes_by_id["work"] or "inputs" not in nodes_by_id["work"]["context"]
    assert nodes_by_id["judge"]["repeat"] == {"until": "judge.done == true", "maxIterations": 3}


@pytest.mark.parametrize(
    ("loop", "place"),
    [
        ("prompt: a <p>X</p>, until: X, max_iterations: 3", "/nodes/0/loop"),
        ("prompt: a, until: X, max_iterations: 3, fresh_context: true", "/nodes/0/loop/until"),
        ("prompt: a, until_bash: 'true', max_iterations: 3, fresh_context: true", "/nodes/0/loop/until_bash"),
        ("prompt: a, until_field: x, max_iterations: 3, fresh_context: true", "/nodes/0/loop/until_field"),
        ("prompt: a <p>X</p>, until: X, max_iterations: 300, fresh_context: true", "/nodes/0/loop/max_iterations"),
        ("prompt: a <p>X</p>, until: X, fresh_context: true", "/nodes/0/loop/max_iterations"),
        ("prompt: a, max_iterations: 3, fresh_context: true", "/nodes/0/loop"),
        (
            "prompt: a <p>X</p>, until: X, max_iterations: 3, fresh_context: true, interactive: true, gate_message: m",
            "/nodes/0/loop/interactive",
        ),
    ],
)
def test_a_loop_that_the_format_cannot_say_is_refused(loop: str, place: str) -> None:
    assert place in [pointer for pointer, _ in refused(archon(f"- {{id: a, loop: {{{loop}}}}}\n"))]


GROUP = """\
- {id: find, bash: echo x}
- id: fix
  depends_on: [find]
  loop_group:
    max_iterations: 5
    until_bash: 'test "$ARGUMENTS" = y || grep -q $test.output ok'
    nodes:
      - {id: write, bash: "echo $find.output"}
      - {id: test, bash: echo t, depends_on: [write], when: "$write.output == 'x'", trigger_rule: all_done}
      - {id: last, bash: echo l, depends_on: [test], trigger_rule: all_done}
- {id: after, bash: "echo $fix.output", depends_on: [fix]}
"""


def test_a_group_of_nodes_is_phases_in_place_with_a_check_at_their_end() -> None:
    found = checked(archon(GROUP))
    nodes = nodes_of(found)
    fix = nodes["fix"]
    assert fix["repeat"] == {"until": "fix_done == true", "maxIterations": 5}
    assert [node["id"] for node in fix["phases"][0]["agents"]] == ["write", "test", "last", "check-turn"]
    assert [one["key"] for one in fix["context"]["outputs"]] == ["fix", "fix_done"]
    assert [one["key"] for one in nodes["last"]["context"]["outputs"]] == ["fix"]
    assert inputs_of(fix) == {"find": False, "arguments": True}
    assert "--passed" in agents_of(found)[nodes["check-turn"]["agentId"]].command
    assert inputs_of(nodes["after"]) == {"fix": True}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("until_bash: 'test", "until: DONE\n    until_bash: 'test", "/nodes/1/loop_group/until"),
        (", depends_on: [test], trigger_rule: all_done", "", "/nodes/1/loop_group/nodes"),
        ("bash: echo l", "bash: echo l, when: \"$write.output == 'x'\"", "/nodes/1/loop_group/nodes"),
        ("$test.output ok", "$LOOP_PREV_OUTPUT", "/nodes/1/loop_group/until_bash"),
        ("echo $find.output", "echo $LOOP_PREV.test.output", "/nodes/1/loop_group/nodes/0/bash"),
        ('{id: write, bash: "echo $find.output"}', "{id: write, prompt: a}", "/nodes/1/loop_group"),
        ("  loop_group:", "  model: opus\n  loop_group:", "/nodes/1/model"),
    ],
)
def test_a_group_that_the_format_cannot_say_is_refused(old: str, new: str, place: str) -> None:
    assert place in [pointer for pointer, _ in refused(archon(GROUP.replace(old, new)))]


def test_a_group_inside_a_group_reads_from_outside_of_both() -> None:
    nodes = """\
    - {id: find, bash: echo x}
    - id: outer
      depends_on: [find]
      loop_group:
        max_iterations: 2
        until_bash: "true"
        nodes:
          - id: inner
            loop_group:
              max_iterations: 2
              until_bash: "true"
              nodes: [{id: deep, bash: "echo $find.output"}]
    """
    found = nodes_of(checked(archon(nodes)))
    assert [inputs_of(found[name]) for name in ("outer", "inner", "deep")] == [{"find": False}] * 3


def test_an_approval_waits_and_a_no_ends_the_run() -> None:
    nodes = "- {id: gate, approval: {message: Go on?}}\n- {id: a, bash: a, depends_on: [gate]}\n"
    node = nodes_of(checked(archon(nodes)))["gate"]
    assert node["approval"] == {"message": "Go on?"}
    assert node["compensation"]["type"] == "cascade"
    for more in ("capture_response: true", "decisions: [{id: approve}]", "on_reject: {prompt: x}"):
        assert refused(archon(f"- {{id: gate, approval: {{message: m, {more}}}}}\n"))
    assert refused(archon("- {id: a, bash: a}\n- {id: g, approval: {message: $a.output}, depends_on: [a]}\n"))


def test_a_cancel_fails_with_its_reason() -> None:
    nodes = "- {id: a, bash: a}\n- {id: stop, cancel: 'No: $a.output', depends_on: [a]}\n"
    found = checked(archon(nodes))
    assert agents_of(found)[nodes_of(found)["stop"]["agentId"]].command[-2:] == ("--fail", "No: {{a}}")


@pytest.mark.parametrize(
    ("node", "place"),
    [
        ("prompt: a, hooks: {}", "hooks"),
        ("prompt: a, mcp: x.json", "mcp"),
        ("prompt: a, agents: {}", "agents"),
        ("prompt: a, persist_session: true", "persist_session"),
        ("prompt: a, systemPrompt: $ARGUMENTS", "systemPrompt"),
        ("prompt: a, maxBudgetUsd: lots", "maxBudgetUsd"),
        ("prompt: a, allowed_tools: [1]", "allowed_tools"),
        ("prompt: a, output_format: text", "output_format"),
        ("prompt: a, with: {}", "with"),
        ("prompt: a, trigger_rule: sometimes", "trigger_rule"),
        ("prompt: a, retry: {max_attempts: 9}", "retry/max_attempts"),
        ("prompt: '{{arguments}} $ARGUMENTS'", "prompt"),
        ("prompt: ''", "prompt"),
        ("prompt: $b.output", "prompt"),
        ("prompt: 7", "prompt"),
        ("bash: ''", "bash"),
        ('bash: "a\\x07"', "bash"),
        ("bash: a, retry: {max_attempts: 2}", "retry/on_error"),
        ("script: a b, runtime: node", "runtime"),
        ("script: 'print($ARTIFACTS_DIR, {{x}})', runtime: uv", "script"),
        ("script: print(1), runtime: uv, with: {}", "with"),
        ("include: other", "include"),
        ("workflow: other, fan_out: {items: $a.output}", "workflow"),
        (
            "loop: {prompt: a, until_field: x, max_iterations: 2, fresh_context: true}, retry: {max_attempts: 2}",
            "retry",
        ),
        ("loop: {prompt: '${iteration} <p>X</p>', until: X, max_iterations: 2, fresh_context: true}", "loop/prompt"),
        ("prompt: a, bash: b", ""),
        ("prompt: a, depends_on: [x]", "depends_on"),
        ("prompt: a, depends_on: [n]", "depends_on"),
    ],
)
def test_what_the_format_cannot_say_is_refused_by_name_and_place(node: str, place: str) -> None:
    pointers = [pointer for pointer, _ in refused(archon(f"- {{id: n, {node}}}\n"))]
    assert "/nodes/0" + (f"/{place}" if place else "") in pointers


@pytest.mark.parametrize(
    "head",
    [
        "container: {enabled: true}",
        "webSearchMode: live",
        "outcome_field: ok",
        "persist_sessions: true",
        "evidence_policy: {required: true}",
        "returns: other",
        "provider: 7",
    ],
)
def test_settings_of_a_workflow_that_are_not_known_are_refused(head: str) -> None:
    word = head.partition(":")[0]
    assert [pointer.split("/")[1] for pointer, _ in refused(archon("- {id: a, bash: a}\n", f"{head}\n"))] == [word]


def test_differences_of_a_whole_workflow_are_named() -> None:
    text = """\
    name: My Flow
    description: |
      A long story. %s
    provider: codex
    model: gpt
    modelReasoningEffort: high
    tags: [x]
    interactive: true
    requires: [github]
    evidence_policy: {required: false}
    returns: a
    unknown: 1
    nodes:
      - id: a
        bash: a
        description: D
        output_type: plan
        always_run: true
        model: opus
        retry: {max_attempts: 1, on_error: all}
      - {id: b, prompt: b, retry: {max_attempts: 3, delay_ms: 2000}}
    """
    found = checked(converted(text % ("x" * 250)))
    definition = found.definition
    assert definition["name"] == "/my-flow"
    assert len(definition["description"]) == 200
    assert definition["metadata"] == {"tags": ["x"]}
    assert definition["resources"]["locks"][0]["resource"] == "archon.checkout"
    assert nodes_of(found)["b"]["retryPolicy"]["maxDelay"] == 16_000
    said = " ".join(differs(found))
    for part in ("worktree", "codex", "GitHub", "unknown", "no file", "degraded", "without a model"):
        assert part in said


def test_a_workflow_is_refused_as_a_whole_if_it_is_huge() -> None:
    nodes = "".join(f"- {{id: n{number}, bash: a}}\n" for number in range(501))
    assert [pointer for pointer, _ in refused(archon(nodes))] == ["/nodes"]


@pytest.mark.parametrize(
    "nodes",
    [
        "- {id: a, bash: a}\n- {id: a, bash: b}\n",
        "- {id: a, bash: a}\n- {id: b}\n",
        "- {bash: a}\n",
        "- {id: '', bash: a}\n",
        "- {id: 7, bash: a}\n",
    ],
)
def test_a_node_needs_an_id_of_its_own(nodes: str) -> None:
    assert refused(archon(nodes))


def test_conditions_made_of_conditions_stay_short_or_are_refused() -> None:
    nodes = "".join(
        f"- {{id: n{at}, bash: a, depends_on: [{', '.join(f'n{one}' for one in range(at))}],"
        " trigger_rule: none_failed_min_one_success}\n"
        for at in range(60)
    )
    found = archon(nodes)
    assert "/nodes/20" in {pointer for pointer, _ in refused(found)}
    assert all(len(skip_of(node)) <= 4000 for node in nodes_of(found).values() if "skipCondition" in node)
