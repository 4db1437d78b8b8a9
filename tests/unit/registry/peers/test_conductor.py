from __future__ import annotations

import pytest

from engine.conditions import ConditionError, parse
from tests.unit.registry.peers.workflows import (
    agents_of,
    checked,
    conductor,
    converted,
    differs,
    inputs_of,
    nodes_of,
    refused,
    skip_of,
)

INPUT = "input: {topic: {type: string}, depth: {type: number, default: 2}, tags: {type: array, required: false}}\n"
REVIEW = """\
- name: a
  prompt: Write about {{ workflow.input.topic }} for {{ workflow.name }}.
  output: {text: {type: string}}
- name: b
  prompt: "Review {{ a.output.text }} {{ a.output | json }}"
  output: {score: {type: number}, ok: {type: boolean}, word: {type: string}, more: {type: object}}
  routes: [{to: c, when: "WHEN"}, {to: $end}]
- {name: c, prompt: Use it.}
"""


def flow(text: str, when: str = "{{ output.ok }}") -> str:
    return text.replace("WHEN", when).replace(
        "output: {text: {type: string}}", "output: {text: {type: string}}\n  routes: [{to: b}]"
    )


def test_a_prompt_is_a_task_and_its_values_are_inputs() -> None:
    found = checked(conductor(flow(REVIEW), workflow=INPUT))
    nodes = nodes_of(found)
    assert nodes["a"]["task"].startswith("Write about {{topic}} for t.\n\nIn this text {{topic}} stands for this value")
    assert nodes["b"]["task"].startswith("Review {{a.text}} {{a}}")
    assert inputs_of(nodes["b"]) == {"a": True}
    assert nodes["a"]["context"]["outputs"][0]["schema"]["required"] == ["text"]
    assert nodes["c"]["context"]["outputs"][0]["schema"]["required"] == ["result"]
    assert nodes["b"]["dependencies"] == ["a"]
    assert found.definition["arguments"] == [
        {"name": "topic", "description": "topic", "required": True},
        {"name": "depth", "description": "depth", "default": 2},
        {"name": "tags", "description": "tags", "default": []},
    ]


@pytest.mark.parametrize(
    ("when", "output", "taken"),
    [
        ("{{ output.ok }}", {"ok": True}, True),
        ("{{ not output.ok }}", {"ok": True}, False),
        ("{{ b.output.score >= 7 and output.ok }}", {"score": 7, "ok": True}, True),
        ("{{ output.score < -1 or output.word == 'x' }}", {"score": 0, "word": "x"}, True),
        ("{{ output.word in ['a', 'b'] }}", {"word": "b"}, True),
        ("score > 3", {"score": 4}, True),
        ("word != 'x' and ok == True", {"word": "y", "ok": True}, True),
        ("{{ output.ok == true }}", {"ok": False}, False),
        ("{{ output.more.kind == 'x' }}", {"more": {"kind": "x"}}, True),
        ("{{ True }}", {}, True),
    ],
)
def test_a_route_is_a_skip_condition(when: str, output: dict[str, object], taken: bool) -> None:  # noqa: FBT001
    condition = parse(skip_of(nodes_of(checked(conductor(flow(REVIEW, when), workflow=INPUT)))["c"]))
    assert condition.evaluate({"a": {}, "b": output}) is not taken
    assert condition.evaluate({"a": {}})  # b has not run


def test_a_member_that_is_not_declared_has_to_be_there() -> None:
    node = nodes_of(checked(conductor(flow(REVIEW, "{{ output.more.kind == 'x' }}"), workflow=INPUT)))["c"]
    with pytest.raises(ConditionError):
        parse(skip_of(node)).evaluate({"b": {"more": {}}})


@pytest.mark.parametrize(
    "when",
    [
        "{{ output.word }}",
        "{{ output.score == 'x' and output.score }}",
        "{{ output.word > 'a' }}",
        "{{ output.more.kind > 3 }}",
        "{{ output.word == none }}",
        "{{ output.word == 3 }}",
        "{{ output.ok == 1 }}",
        "{{ 1 < output.score < 3 }}",
        "{{ 3 > output.score }}",
        "{{ output.word in output.more }}",
        "{{ output.word in [1] }}",
        "{{ output.word | length > 3 }}",
        "{{ output.more.length == 'x' }}",
        "{{ output.word is defined }}",
        "{{ output.score == output.score }}",
        "{{ workflow.name == 't' }}",
        "{{ context.iteration < 3 }}",
        "{{ other.output.x == 'x' }}",
        "{{ output.ok }} and {{ output.ok }}",
        "{% if output.ok %}true{% endif %}",
        "score +",
        "f(score)",
        "{{ " + "not " * 50 + "output.ok }}",
        "{{ output.word == '" + "x" * 2000 + "' }}",
    ],
)
def test_a_condition_without_an_equal_is_refused_at_its_place(when: str) -> None:
    assert "/agents/1/routes/0" in {pointer for pointer, _ in refused(conductor(flow(REVIEW, when), workflow=INPUT))}


def test_a_route_that_is_not_taken_ends_the_run() -> None:
    text = REVIEW.replace(", {to: $end}", "").replace("WHEN", "{{ output.ok }}")
    found = checked(conductor(flow(text), workflow=INPUT))
    node = nodes_of(found)["b-no-route"]
    condition = parse(skip_of(node))
    assert not condition.evaluate({"b": {"ok": False}})
    assert condition.evaluate({"b": {"ok": True}})
    assert condition.evaluate({})
    assert "--fail" in agents_of(found)[node["agentId"]].command


def test_ways_that_meet_again_are_reached_by_either() -> None:
    agents = """\
    - {name: a, prompt: a, output: {ok: {type: boolean}}, routes: [{to: b, when: "{{ output.ok }}"}, {to: c}]}
    - {name: b, prompt: b, routes: [{to: d}]}
    - {name: c, prompt: c, routes: [{to: d}]}
    - {name: d, prompt: "{% if b is defined %}{{ b.output.result }}{% endif %}"}
    """
    nodes = nodes_of(checked(conductor(agents)))
    condition = parse(skip_of(nodes["d"]))
    assert [condition.evaluate(values) for values in ({"b": 1}, {"c": 1}, {})] == [False, False, True]
    assert inputs_of(nodes["d"]) == {"b": False}
    assert set(nodes["d"]["dependencies"]) == {"b", "c"}


LOOP = """\
- {name: a, prompt: "Write.{% if b is defined %} Mind {{ b.output.notes }}{% endif %}", routes: [{to: b}]}
- name: b
  prompt: "Judge {{ a.output.result }}"
  output: {ok: {type: boolean}, notes: {type: string}}
  routes: [{to: c, when: "{{ output.ok }}"}, {to: a}]
- {name: c, prompt: "Done {{ a.output.result }}"}
"""


def test_a_way_back_is_a_repeat_until_another_way_is_taken() -> None:
    found = checked(conductor(LOOP, workflow="limits: {max_iterations: 9}\n"))
    nodes = nodes_of(found)
    loop = nodes["loop-a"]
    assert loop["repeat"]["maxIterations"] == 4
    until = parse(loop["repeat"]["until"], strict=True)
    assert [until.evaluate({"b": {"ok": ok}}) for ok in (True, False)] == [True, False]
    assert [one["key"] for one in loop["context"]["outputs"]] == ["a", "b"]
    assert inputs_of(nodes["a"]) == {"b": False}
    assert inputs_of(nodes["b"]) == {"a": True}
    assert inputs_of(nodes["c"]) == {"a": True}
    assert nodes["c"]["dependencies"] == ["loop-a"]
    assert any("at most 4 turns" in said for said in differs(found))


def test_a_loop_with_several_ends_writes_where_it_goes_on() -> None:
    agents = """\
    - name: a
      type: script
      command: poll
      routes: [{to: d, when: "exit_code == 0"}, {to: b, when: "exit_code < 9"}, {to: e}]
    - {name: b, type: wait, duration: 2s, routes: [{to: a}]}
    - {name: d, prompt: d}
    - {name: e, prompt: e}
    """
    nodes = nodes_of(checked(conductor(agents)))
    loop = nodes["loop-a"]
    assert loop["repeat"]["until"] == 'a_next != ""'
    turn = [node["id"] for phase in loop["phases"] for node in phase["agents"]]
    assert turn == ["a", "b", "a-next-0", "a-next-1", "a-next-2"]
    assert not parse(skip_of(nodes["a-next-1"])).evaluate({"a": {"exit_code": 0}})
    assert parse(skip_of(nodes["a-next-1"])).evaluate({"a": {"exit_code": 1}})
    assert not parse(skip_of(nodes["a-next-2"])).evaluate({"a": {"exit_code": 9}})
    assert not parse(skip_of(nodes["d"])).evaluate({"a_next": "d"})
    assert parse(skip_of(nodes["d"])).evaluate({"a_next": "e"})
    assert [one["key"] for one in loop["context"]["outputs"]] == ["a", "a_next"]


def test_a_loop_inside_a_loop_is_one_node_of_its_turn() -> None:
    agents = """\
    - {name: a, prompt: a, routes: [{to: b}]}
    - {name: b, prompt: b, output: {again: {type: boolean}}, routes: [{to: b, when: "{{ output.again }}"}, {to: c}]}
    - {name: c, prompt: c, output: {ok: {type: boolean}}, routes: [{to: $end, when: "{{ output.ok }}"}, {to: a}]}
    """
    nodes = nodes_of(checked(conductor(agents)))
    assert [node["id"] for phase in nodes["loop-a"]["phases"] for node in phase["agents"]] == ["a", "loop-b", "c"]
    assert nodes["c"]["dependencies"] == ["loop-b"]


@pytest.mark.parametrize(
    "agents",
    [
        # entered at two steps
        """\
        - {name: a, prompt: a, output: {ok: {type: boolean}}, routes: [{to: b, when: "{{ output.ok }}"}, {to: c}]}
        - {name: b, prompt: b, routes: [{to: c}]}
        - {name: c, prompt: c, output: {ok: {type: boolean}}, routes: [{to: b, when: "{{ output.ok }}"}, {to: $end}]}
        """,
        # nothing ends it
        "- {name: a, prompt: a, routes: [{to: b}]}\n- {name: b, prompt: b, routes: [{to: a}]}\n",
        # reads the output of a step that a turn may skip
        """\
        - name: a
          prompt: "{% if b is defined %}{{ b.output.result }}{% endif %}"
          output: {ok: {type: boolean}, end: {type: boolean}}
          routes: [{to: b, when: "{{ output.ok }}"}, {to: c}]
        - {name: b, prompt: b, routes: [{to: c}]}
        - {name: c, prompt: c, output: {ok: {type: boolean}}, routes: [{to: a, when: "{{ output.ok }}"}, {to: $end}]}
        """,
        # so does a step after the loop
        """\
        - {name: a, prompt: a, output: {ok: {type: boolean}}, routes: [{to: b, when: "{{ output.ok }}"}, {to: c}]}
        - {name: b, prompt: b, routes: [{to: c}]}
        - {name: c, prompt: c, output: {ok: {type: boolean}}, routes: [{to: a, when: "{{ output.ok }}"}, {to: d}]}
        - {name: d, prompt: "{{ b.output.result }}"}
        """,
        "- {name: a, prompt: a, routes: [{to: b}]}\n",
        "- {name: a, prompt: a}\n- {name: b, prompt: b}\n",
        "- {name: a, prompt: a, routes: [{to: $end, output: {x: y}}]}\n",
        "- {name: a, prompt: a}\n- {name: a, prompt: b}\n",
        "- {name: b, prompt: b}\n",
        "- {name: a b, prompt: b}\n",
        "- 7\n- {name: a, prompt: a}\n",
    ],
)
def test_a_flow_that_the_format_cannot_say_is_refused(agents: str) -> None:
    assert refused(conductor(agents))


GROUP = """
parallel:
  - {name: g, agents: [x, y], failure_mode: MODE, routes: [{to: z}]}
"""
MEMBERS = """\
- {name: x, prompt: x}
- {name: y, prompt: y, output: {n: {type: number}}}
- {name: z, prompt: "{{ g.outputs.x.result }} {{ g.outputs.y.n }}"}
"""


def test_a_parallel_group_is_its_members() -> None:
    found = checked(conductor(MEMBERS, GROUP.replace("MODE", "fail_fast"), entry="g"))
    nodes = nodes_of(found)
    assert nodes["z"]["dependencies"] == ["x", "y"]
    assert inputs_of(nodes["z"]) == {"x": True, "y": True}
    assert len(found.definition["phases"]) == 1
    assert any(
        "ends the others" in said for said in differs(conductor(MEMBERS, GROUP.replace("MODE", "all_or_nothing"), "g"))
    )


def test_a_group_that_tolerates_failures_is_a_phase_of_its_own() -> None:
    agents = f"- {{name: a, prompt: a, routes: [{{to: g}}]}}\n{MEMBERS}".replace("{{ g.outputs.y.n }}", "")
    found = checked(conductor(agents, GROUP.replace("MODE", "continue_on_error")))
    phases = found.definition["phases"]
    assert [[node["id"] for node in phase["agents"]] for phase in phases] == [["a"], ["x", "y"], ["g-failed", "z"]]
    assert [phase.get("continueOnError", False) for phase in phases] == [False, True, False]
    nodes = nodes_of(found)
    condition = parse(skip_of(nodes["z"]))
    assert [condition.evaluate(values) for values in ({"x": 1}, {"y": 1}, {})] == [False, False, True]
    assert not parse(skip_of(nodes["g-failed"])).evaluate({})
    assert refused(conductor(agents, GROUP.replace("MODE", "fail_fast").replace("[x, y]", "[x, q]")))
    routed = agents.replace("prompt: x}", "prompt: x, routes: [{to: z}]}")
    assert refused(conductor(routed, GROUP.replace("MODE", "fail_fast")))


EACH = """
for_each:
  - name: g
    type: for_each
    source: a.output.files
    as: file
    max_concurrent: 3
    agent:
      {prompt: "Test {{ file.path }} ({{ _index + 1 }}) of {{ workflow.input.topic }}", output: {ok: {type: boolean}}}
    routes: [{to: b}]
"""
FILES = """\
- {name: a, prompt: a, output: {files: {type: array, items: {type: object}}}, routes: [{to: g}]}
- {name: b, prompt: "{{ g.outputs }} {{ g.outputs | length }} {{ g.errors }}"}
"""


def test_a_group_for_each_item_is_a_for_each() -> None:
    assert refused(conductor(FILES, EACH, workflow=INPUT))[0][0] == "/agents/1/prompt"  # no item has an error
    found = checked(conductor(FILES.replace(" {{ g.errors }}", ""), EACH, workflow=INPUT))
    node = nodes_of(found)["g"]
    assert node["forEach"] == {"items": "a", "as": "file", "maxItems": 10_000, "maxParallelism": 3}
    assert node["context"]["inputs"] == [{"key": "a", "transform": "$.files"}, {"key": "topic"}]
    assert node["task"].startswith("Test {{file.path}} ({{number}}) of {{topic}}")
    tolerant = EACH.replace("max_concurrent: 3", "failure_mode: continue_on_error\n    key_by: file.path")
    found = checked(conductor(FILES, tolerant, workflow=INPUT))
    each = nodes_of(found)["g"]["forEach"]
    assert (each["continueOnError"], each["failures"], each["key"]) == (True, "g_failures", "$.path")
    assert any("are a list here" in said for said in differs(found))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_index + 1", "_index"),
        ("_index + 1", "_key"),
        ("workflow.input.topic", "a.output.files"),
        ("prompt:", "type: workflow, prompt:"),
        ("a.output.files", "other.output"),
        ("type: for_each", "type: agent"),
        ("{prompt:", "{name: x, description: d, session_key: k, prompt:"),
        ("agent:\n      {", "agent: 3\n    #"),
    ],
)
def test_a_group_for_each_item_that_the_format_cannot_say_is_refused(old: str, new: str) -> None:
    assert refused(conductor(FILES, EACH.replace(old, new), workflow=INPUT))


def test_a_script_is_a_program_with_its_values_filled_in() -> None:
    agents = """\
    - name: a
      type: script
      description: D
      command: python3
      args: ["-c", "print({{ workflow.input.depth }})\\n", 3]
      env: {CI: "true"}
      stdin: "{{ workflow.input.topic | tojson }}"
      timeout: 2
      output: {n: {type: number}}
      input: [workflow.input.depth]
      routes: [{to: b, when: "n > 3"}, {to: $end}]
    - {name: b, type: script, command: "true", routes: [{to: c, when: "status == 'ready'"}, {to: $end}]}
    - {name: c, type: terminate, status: failed, reason: "No: {{ a.output.stdout }}"}
    """
    found = checked(conductor(agents, workflow=INPUT))
    nodes = nodes_of(found)
    command = agents_of(found)[nodes["a"]["agentId"]].command[4:]
    assert command == (
        *("--result", "a", "--python", "--fill", "--strict", "--set", "CI=true", "--stdin", "{{topic|tojson}}"),
        *("--", "python3", "-c", "print({{depth}})", "3"),
    )
    assert nodes["a"]["timeout"] == 2000
    assert set(nodes["a"]["context"]["outputs"][0]["schema"]["required"]) == {"stdout", "stderr", "exit_code", "n"}
    assert agents_of(found)[nodes["c"]["agentId"]].command[-2:] == ("--fail", "No: {{a.stdout}}")
    with pytest.raises(ConditionError):
        parse(skip_of(nodes["c"])).evaluate({"b": {"exit_code": 0}})


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ("type: script, command: x, args: ['{{ a.output.stdout | upper }}']", "args/0"),
        ("type: script, command: x, args: ['{% if x %}']", "args/0"),
        ("type: script, command: x, args: ['{{ {1: 2} }}']", "args/0"),
        ("type: script, command: x, args: [' x']", "args/0"),
        ("type: script, command: x, args: [[1]]", "args/0"),
        ("type: script, command: x, working_dir: y", "working_dir"),
        ("type: script, command: x, timeout: soon", "timeout"),
        ("type: wait, duration: soon", "duration"),
        ("type: wait, duration: '{{ workflow.input.depth }}ms'", "duration"),
        ("type: human_gate, options: []", "type"),
        ("type: questions, source: x", "type"),
        ("type: workflow, workflow: x", "type"),
        ("type: set, value: x", "type"),
        ("type: dream, prompt: x", "type"),
        ("prompt: ''", "prompt"),
        ("prompt: $ARGUMENTS", "prompt"),
        ("prompt: '{% set x = 1 %}'", "prompt"),
        ("prompt: '{{ x.y }}'", "prompt"),
        ("prompt: '{{ workflow.input.other }}'", "prompt"),
        ("prompt: '{{ workflow.dir }}'", "prompt"),
        ("prompt: '{{ a.other }}'", "prompt"),
        ("prompt: '{{ open'", "prompt"),
        ("prompt: x, validator: {}", "validator"),
        ("prompt: x, dialog: {}", "dialog"),
        ("prompt: x, session_key: k", "session_key"),
        ("prompt: x, skills: [y]", "skills"),
        ("prompt: x, plugins: [y]", "plugins"),
        ("prompt: x, sandbox: {}", "sandbox"),
        ("prompt: x, system_prompt: '{{ y }}'", "system_prompt"),
        ("prompt: x, reasoning: {effort: '{{ y }}'}", "reasoning"),
        ("prompt: x, tools: [web]", "tools"),
        ("prompt: x, output: {y: {type: date}}", "output/y/type"),
        ("prompt: x, output: {y: {type: string, pat: z}}", "output/y/pat"),
        ("prompt: x, unknown: y", "unknown"),
        ("prompt: '${HOME} x'", "prompt"),
        ("prompt: '${HOME:-y} x'", "prompt"),
    ],
)
def test_what_the_format_cannot_say_is_refused_by_name_and_place(step: str, place: str) -> None:
    pointers = [pointer for pointer, _ in refused(conductor(f"- {{name: a, {step}}}\n", workflow=INPUT))]
    assert f"/agents/0/{place}" in pointers


def test_settings_of_a_model_are_those_of_its_agent_file() -> None:
    workflow = """\
    runtime:
      provider: claude
      default_model: claude-opus-4.5
      default_reasoning_effort: low
      max_agent_iterations: 7
      max_session_seconds: 100
      timeout: 300
      temperature: 0
      mcp_servers: {web: {command: npx, args: [x], tools: [search]}, docs: {type: http, url: "https://d"}}
    """
    agents = """\
    - name: a
      prompt: a
      system_prompt: Be strict.
      model: haiku
      reasoning: {effort: high}
      tools: [web__search, docs]
      max_agent_iterations: 3
      timeout_seconds: 200
      context_tier: long_context
      output_mode: raw
      provider: copilot
      retry: {max_attempts: 3, backoff: fixed, delay_seconds: 2, retry_on: [timeout], max_parse_recovery_attempts: 2}
      routes: [{to: b}]
    - {name: b, prompt: b, tools: [], retry: {max_attempts: 1}, routes: [{to: c}]}
    - {name: c, prompt: c, model: gpt-9}
    """
    found = checked(conductor(agents, workflow=workflow))
    nodes = nodes_of(found)
    a, b, c = (agents_of(found)[nodes[name]["agentId"]] for name in "abc")
    assert (a.model, a.effort, a.max_turns, a.prompt) == ("haiku", "high", 3, "Be strict.")
    assert a.tools == ("mcp__web__search", "mcp__docs")
    assert set(a.inline_servers) == {"web", "docs"}
    assert (b.tools, b.model, b.effort, b.max_turns) == ((), "claude-opus-4-5", "low", 7)
    assert {"mcp__web__search", "mcp__docs", "Read"} < set(c.tools or ())
    assert (c.model, nodes["a"]["timeout"], nodes["b"]["timeout"]) == (None, 200_000, 100_000)
    assert nodes["a"]["retryPolicy"] == {
        "maxAttempts": 2,
        "initialDelay": 2000,
        "backoffMultiplier": 1,
        "maxDelay": 30_000,
        "retryableErrors": ["TIMEOUT", "IDLE_TIMEOUT"],
    }
    assert "retryPolicy" not in nodes["b"]
    said = " ".join(differs(found))
    for part in ("gpt-9", "copilot", "temperature", "context cannot"):
        assert part in said


@pytest.mark.parametrize(
    ("workflow", "place"),
    [
        ("runtime: {provider: {name: openai, base_url: x}}", "runtime/provider"),
        ("runtime: {skills: [x]}", "runtime/skills"),
        ("runtime: {plugins: [x]}", "runtime/plugins"),
        ("runtime: {working_dir: x}", "runtime/working_dir"),
        ("runtime: {other: x}", "runtime/other"),
        ("context: {max_tokens: 5}", "context/max_tokens"),
        ("hooks: {}", "hooks"),
        ("instructions: [x]", "instructions"),
        ("input: {x: {type: date}}", "input/x/type"),
        ("limits: {max_iterations: 0}", "limits/max_iterations"),
    ],
)
def test_settings_of_a_workflow_that_are_not_known_are_refused(workflow: str, place: str) -> None:
    pointers = [pointer for pointer, _ in refused(conductor("- {name: a, prompt: a}\n", workflow=f"{workflow}\n"))]
    assert f"/workflow/{place}" in pointers


def test_differences_of_a_whole_workflow_are_named() -> None:
    workflow = f"""\
    description: {"x" * 250}
    version: 1.2.3
    metadata: {{a: b}}
    runtime: {{provider: {{name: copilot}}, checkpoint: {{every_agent: true}}}}
    limits: {{timeout_seconds: 60, budget_usd: 2, budget_mode: audit}}
    context: {{mode: explicit}}
    cost: {{}}
    """
    more = "output: {x: '{{ a.output.result }}'}\ntools: []\n"
    agents = '- {name: a, prompt: "{{ workflow.input.x }}", input: [workflow.input.x?]}\n'
    found = checked(conductor(agents, more, workflow=f"{workflow}input: {{x: {{type: string}}}}\n".replace("    ", "")))
    assert found.definition["phases"][0]["timeout"] == 60_000
    assert found.definition["metadata"] == {"version": "1.2.3"}
    assert inputs_of(nodes_of(found)["a"]) == {"x": False}
    said = " ".join(differs(found))
    for part in ("copilot", "time limit", "budget", "only warns", "whatever the mode", "prices", "`output`", "others"):
        assert part in said


def test_output_fields_are_a_schema() -> None:
    output = """\
    - name: a
      prompt: a
      output:
        kind: {type: string, enum: [x, y], nullable: true, description: K}
        list: {type: array, items: {type: object, properties: {p: {type: string}, q: {type: number, required: false}}}}
    """
    schema = nodes_of(checked(conductor(output)))["a"]["context"]["outputs"][0]["schema"]["properties"]
    assert schema["kind"] == {"type": ["string", "null"], "description": "K", "enum": ["x", "y", None]}
    assert schema["list"]["items"]["required"] == ["p"]


def test_jinja_stays_in_a_prompt_with_the_paths_of_the_inputs() -> None:
    agents = """\
    - name: a
      prompt: |
        {# note #}
        {% if workflow.input.depth > 1 and 'topic' != workflow.name %}Deep{% else %}Short{% endif %}
        {% for tag in workflow.input.tags %}{{ loop.index }} {{ tag | upper }} {{ tag.x }}{% endfor %}
        {{ workflow.input.topic | default('x') }} {{ workflow.input.topic.items() }}
    """
    task = nodes_of(checked(conductor(agents, workflow=INPUT)))["a"]["task"]
    assert "{% if depth > 1 and 'topic' != \"t\" %}" in task
    assert "{% for tag in tags %}{{ loop.index }} {{ tag | upper }} {{ tag.x }}{% endfor %}" in task
    assert "{{ topic | default('x') }} {{ topic.items() }}" in task
    assert "note" not in task
    assert "Jinja2 template" in task


def test_a_wait_sleeps() -> None:
    agents = """\
    - {name: a, type: wait, duration: 500ms, reason: r, routes: [{to: b}]}
    - {name: b, type: wait, duration: "{{ workflow.input.depth }}s", routes: [{to: c}]}
    - {name: c, type: terminate, status: success, reason: ok, output_template: {x: y}}
    """
    found = checked(conductor(agents, workflow=INPUT))
    words = [agents_of(found)[node["agentId"]].command[-1] for node in nodes_of(found).values()]
    assert words == ["0.5", "{{depth}}", "true"]


def test_a_workflow_is_refused_as_a_whole_if_it_is_huge() -> None:
    agents = "".join(f"- {{name: n{number}, prompt: a}}\n" for number in range(501))
    assert ("/agents", "a workflow with more than 500 steps is not converted") in refused(conductor(agents))


def test_what_is_not_a_mapping_is_refused() -> None:
    assert refused(converted("workflow: {entry_point: a, input: [x]}\nagents: {a: 1}\n"))
    assert refused(
        converted("workflow: {name: 7, entry_point: a, runtime: 3}\nagents: [{name: a, prompt: a}]\nparallel: [3]\n")
    )


def test_a_step_with_very_many_routes_is_refused() -> None:
    routes = ", ".join("{to: b, when: '{{ output.ok }}'}" for _ in range(41))
    agents = (
        f"- {{name: a, prompt: a, output: {{ok: {{type: boolean}}}}, routes: [{routes}]}}\n- {{name: b, prompt: b}}\n"
    )
    assert any("more than 40 routes" in message for _, message in refused(conductor(agents)))


def test_loops_inside_very_many_loops_are_refused() -> None:
    ok, when = "output: {ok: {type: boolean}}", "when: '{{ output.ok }}'"
    agents = "".join(
        f"- {{name: a{at}, prompt: a, {ok}, routes: [{{to: a{59 - at}, {when}}}, {{to: {then}}}]}}\n"
        if at >= 30
        else f"- {{name: a{at}, prompt: a, routes: [{{to: {then}}}]}}\n"
        for at in range(60)
        for then in [f"a{at + 1}" if at < 59 else "$end"]
    )
    assert any("inside 20 others" in message for _, message in refused(conductor(agents, entry="a0")))
