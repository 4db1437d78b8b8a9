"""Laws about every workflow: nothing of it is lost in silence, and nothing in it breaks the reader."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.validation import validate_definition
from registry.peers.convert import Converted, convert
from registry.peers.kinds import peer_of
from registry.peers.sources import Sources
from tests.unit.registry.peers.workflows import agents_of, read, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHON = read(
    """\
    name: flow
    description: Story
    provider: claude
    model: large
    effort: high
    interactive: true
    tags: [x]
    mutates_checkout: false
    worktree: {enabled: false}
    evidence_policy: {required: false}
    inputs: {mode: {required: true, description: M}, depth: {default: 3}}
    returns: say
    nodes:
      - id: look
        bash: "echo $ARGUMENTS $INPUTS_MODE"
        timeout: 9000
        retry: {max_attempts: 2, delay_ms: 1500, on_error: all}
      - id: judge
        description: D
        prompt: "Judge $look.output with $INPUTS.depth"
        depends_on: [look]
        context: fresh
        model: haiku
        effort: low
        provider: codex
        output_format: {type: object, properties: {ok: {type: boolean}, n: {type: number}}, required: [ok, n]}
        allowed_tools: [Read]
        denied_tools: [Bash]
        idle_timeout: 7000
        maxBudgetUsd: 2
        skills: [s]
        systemPrompt: You judge.
        output_type: verdict
        always_run: true
        retry: {max_attempts: 1, on_error: transient}
        hint: unknown
      - {id: gate, approval: {message: Go?}, depends_on: [judge], when: "$judge.output.ok == true"}
      - id: work
        depends_on: [gate]
        loop: {prompt: "Do it <p>OK</p>", until: OK, max_iterations: 3, fresh_context: true, gate_message: g, extra: 1}
      - id: fix
        depends_on: [gate]
        loop_group:
          max_iterations: 4
          until_bash: test -f ok
          nodes: [{id: step, bash: "echo $look.output"}]
      - {id: stop, cancel: "No $judge.output.n", depends_on: [judge], when: "$judge.output.n < 3"}
      - {id: say, script: "print(1)", runtime: uv, deps: [rich], depends_on: [work, fix], trigger_rule: one_success}
    """
)
CONDUCTOR = read(
    """\
    workflow:
      name: flow
      description: Story
      version: 1.0.0
      entry_point: a
      metadata: {k: v}
      runtime:
        provider: copilot
        default_model: gpt
        default_reasoning_effort: low
        temperature: 0.5
        max_agent_iterations: 9
        max_session_seconds: 90
        mcp_servers: {web: {command: npx, args: [y], env: {K: v}, tools: [t], timeout: 3}}
      limits: {max_iterations: 20, timeout_seconds: 99, budget_usd: 2, budget_mode: enforce}
      context: {mode: explicit}
      cost: {show_summary: true}
      input: {topic: {type: string, description: T, required: false}, more: {type: number, default: 3}}
    tools: [web__t]
    agents:
      - name: a
        description: D
        model: haiku
        prompt: "Find {{ workflow.input.topic }}"
        input: [workflow.input.topic]
        output: {files: {type: array, description: F}, n: {type: number, minimum: 1, maximum: 9}}
        system_prompt: You find.
        reasoning: {effort: high}
        retry: {max_attempts: 2, backoff: fixed, delay_seconds: 3, retry_on: [timeout]}
        timeout_seconds: 88
        max_agent_iterations: 4
        context_tier: default
        output_mode: envelope
        routes: [{to: g, when: "{{ output.n > 2 }}"}, {to: s}]
      - name: s
        type: script
        description: S
        command: python3
        args: [-c, "print('{{ a.output.n }}')"]
        env: {X: "1"}
        stdin: "{{ a.output.files | tojson }}"
        timeout: 30
        output: {done: {type: boolean}}
        routes: [{to: w, when: done}, {to: x}]
      - {name: w, type: wait, duration: 2s, reason: R, routes: [{to: s}]}
      - {name: x, type: terminate, status: failed, reason: "No {{ s.output.stdout }}", output_template: {y: z}}
      - {name: m1, prompt: one}
      - {name: m2, prompt: two}
      - {name: e, prompt: "{{ p.outputs.m1.result }}"}
    for_each:
      - name: g
        description: G
        type: for_each
        source: a.output.files
        as: file
        max_concurrent: 4
        failure_mode: continue_on_error
        key_by: file.id
        agent: {name: inner, model: opus, prompt: "Test {{ file }}", output: {ok: {type: boolean}}}
        routes: [{to: p}]
    parallel:
      - {name: p, description: P, agents: [m1, m2], failure_mode: continue_on_error, routes: [{to: e}]}
    output: {r: "{{ e.output.result }}"}
    """
)
RUNS = read(
    """\
    name: runs
    description: Story
    nodes:
      - {id: find, bash: "echo '[1]'"}
      - {id: list, prompt: l, output_format: {type: object, properties: {files: {type: array}}}}
      - id: sub
        workflow: child
        description: D
        input: $ARGUMENTS
        with: {mode: fast}
        isolation: inherit
        output_format: {}
      - id: each
        workflow: other
        depends_on: [find]
        fan_out: {items: $find.output, as: file, max_parallel: 3, join: all_success}
      - {id: all, workflow: third, depends_on: [list], fan_out: {items: $list.output.files, join: all_done}}
    """
)
CHILDREN = {
    "child": "name: child\ndescription: d\ninputs: {mode: {}}\nnodes: [{id: x, prompt: $ARGUMENTS $INPUTS.mode}]\n",
    "other": "name: other\ndescription: d\ninputs: {file: {}}\nnodes: [{id: y, prompt: $INPUTS.file}]\n",
    "third": "name: third\ndescription: d\nnodes: [{id: z, prompt: $ARGUMENTS}]\n",
}
SOURCES = Sources(workflow=lambda name: read(CHILDREN[name]) if name in CHILDREN else None)
SAMPLES = {"archon": ARCHON, "conductor": CONDUCTOR, "runs": RUNS}
Way = tuple[str | int, ...]


def ways(value: object, way: Way = ()) -> Iterator[Way]:
    """The ways to all parts of *value*."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield (*way, step)
        yield from ways(inner, (*way, step))


def at(raw: Any, way: Way) -> Any:  # noqa: ANN401 - JSON
    for step in way:
        raw = raw[step]
    return raw


def put(raw: dict[str, Any], way: Way, value: object) -> dict[str, Any]:
    raw = copy.deepcopy(raw)
    at(raw, way[:-1])[way[-1]] = value
    return raw


def without(raw: dict[str, Any], way: Way) -> dict[str, Any]:
    raw = copy.deepcopy(raw)
    del at(raw, way[:-1])[way[-1]]
    return raw


def converted(raw: dict[str, Any], name: str) -> Converted:
    return convert(raw, "archon" if name == "runs" else name, SOURCES)


def outcome(raw: dict[str, Any], name: str) -> tuple[object, ...]:
    found = converted(raw, name)
    return found.definition, found.agents, found.problems


WAYS = [(name, way) for name, raw in SAMPLES.items() for way in ways(raw)]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_are_converted(name: str) -> None:
    assert peer_of(SAMPLES[name]) == ("archon" if name == "runs" else name)
    found = converted(SAMPLES[name], name)
    assert refused(found) == []
    errors = validate_definition(found.definition, agents=agents_of(found)).errors
    assert {one.code for one in errors} <= ({"UNKNOWN_COMMAND"} if name == "runs" else set())


@pytest.mark.parametrize(("name", "way"), WAYS, ids=[".".join(map(str, (name, *way))) for name, way in WAYS])
def test_every_part_is_used_or_named(name: str, way: Way) -> None:
    """Another value, or none, changes the command, its agents or what is said about it."""
    raw = SAMPLES[name]
    value = at(raw, way)
    others: list[object] = [not value] if isinstance(value, bool) else [f"{value}1", 1, "fail_fast", "all"]
    before = outcome(raw, name)
    if name == "conductor" and (way[0] == "output" or {"cost", "output_template"} & {*way[:-1]}):
        return  # a part of something that is named as a whole
    assert outcome(without(raw, way), name) != before or any(
        outcome(put(raw, way, other), name) != before for other in others
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_an_unknown_field_is_named_wherever_it_is(name: str) -> None:
    raw = SAMPLES[name]
    free = {
        "metadata",
        "env",
        "properties",
        "cost",
        "output_format",
        "output",
        "input",
        "inputs",
        "mcp_servers",
        "ok",
        "n",
    }
    for way in [(), *ways(raw)]:
        if isinstance(at(raw, way), dict) and not free & set(map(str, way)):
            found = converted(put(raw, (*way, "zzz"), 1), name)
            pointer = "".join(f"/{step}" for step in (*way, "zzz"))
            named = {one.pointer for one in found.problems}
            assert pointer in named or "/output_template" in pointer or "/runtime/provider" in pointer, pointer


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(WAYS), JSON, st.sampled_from(WAYS), JSON)
def test_no_value_breaks_the_reader(
    first: tuple[str, Way], one: object, second: tuple[str, Way], other: object
) -> None:
    name, way = first
    raw = put(SAMPLES[name], way, one)
    if second[0] == name and second[1][: len(way)] != way:
        raw = put(raw, second[1], other)
    assert isinstance(converted(raw, name), Converted)


@given(st.text(alphabet="{}%# |ab.'\"$\\`()<\n", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    archon: list[Way] = [("nodes", 0, "bash"), ("nodes", 1, "prompt"), ("nodes", 2, "when")]
    conductor: list[Way] = [("agents", 0, "prompt"), ("agents", 1, "args", 1), ("agents", 0, "routes", 0, "when")]
    for name, places in (("archon", archon), ("conductor", conductor)):
        for way in places:
            converted(put(SAMPLES[name], way, text), name)
