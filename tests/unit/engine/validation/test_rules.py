from __future__ import annotations

import json

import pytest

from engine.model.plan import MAX_NODES
from engine.text.suggestions import Names
from engine.validation import Problem, subcommands, subject, validate_definition
from tests.support.definitions import Raw, analyze_api, command, implement_feature, node, phase, review_code
from tests.unit.engine.validation.examples import AGENTS, INNER, call, locks, one, reads, validate, writes


def told(raw: Raw, code: str, *commands: Raw) -> list[Problem]:
    return [problem for problem in validate(raw, commands).problems if problem.code == code]


def only(raw: Raw, code: str, *commands: Raw) -> Problem:
    [problem] = told(raw, code, *commands)
    return problem


# --- the guide's wording ---------------------------------------------------------------------------------------------


def test_a_cycle_reads_as_in_the_guide() -> None:
    raw = one(node("frontend", "backend"), node("backend", "database"), node("database", "frontend"))
    problem = only(raw | {"name": "/my-command"}, "CIRCULAR_DEPENDENCY")
    assert problem.message == (
        "Circular dependency detected in command '/my-command'\n  frontend → backend → database → frontend"
    )
    assert problem.suggestion == (
        'Remove "backend" from the dependencies of "frontend", or let "frontend", "backend", "database" depend on a '
        "new node that produces what they share."
    )


def test_the_dependency_to_remove_is_one_without_data_flow() -> None:
    raw = one(node("frontend", "backend", context=reads("api")), node("backend", "frontend", context=writes("api")))
    problem = only(raw, "CIRCULAR_DEPENDENCY")
    assert problem.pointer == "/phases/0/agents/1/dependencies/0"
    assert problem.suggestion is not None
    assert problem.suggestion.startswith('Remove "frontend" from the dependencies of "backend",')


def test_a_node_that_depends_on_itself_is_told_simply() -> None:
    problem = only(one(node("build", "build")), "CIRCULAR_DEPENDENCY")
    assert problem.suggestion == 'Remove "build" from its own dependencies.'


def test_a_very_long_cycle_is_shortened() -> None:
    message = only(one(*(node(f"n{at}", f"n{(at + 1) % 90}") for at in range(90))), "CIRCULAR_DEPENDENCY").message
    assert " → n27 → … → n0" in message


def test_a_missing_input_reads_as_in_the_guide() -> None:
    raw = one(
        node("analyzer", context=writes("code_structure", "file_list")),
        node("reviewer", "analyzer", context=reads("analysis_results")),
    )
    assert only(raw, "INPUT_WITHOUT_PROVIDER").message == (
        'Required input "analysis_results" not found for node "reviewer"\n'
        'Available context keys: ["code_structure", "file_list"]'
    )


def test_an_unknown_agent_reads_as_in_the_guide() -> None:
    found = validate_definition(
        one(node("review", agent="code-reviewer-pro")),
        agents=["test-engineer", "architect-supreme", "senior-reviewer", "command"],
    )
    [problem] = found.errors
    assert problem.message == (
        'Agent "code-reviewer-pro" not found in agent registry\n'
        "Available agents: [\n"
        '  "architect-supreme",\n'
        '  "senior-reviewer",\n'
        '  "test-engineer"\n'
        "]"
    )
    assert problem.suggestion == 'Did you mean "senior-reviewer"?'


def test_the_agents_that_there_are_stand_at_the_first_unknown_one_only() -> None:
    raw = command(phase("work", node("a", agent="nobody"), node("b", agent="senior-revewer")))
    first, second = validate_definition(raw, agents=["senior-reviewer"]).errors
    assert "Available agents" in first.message
    assert second.message == 'Agent "senior-revewer" not found in agent registry'
    assert second.suggestion == 'Did you mean "senior-reviewer"?'


def test_many_agents_are_not_all_listed_and_none_is_an_empty_list() -> None:
    raw = one(node("review", agent="zzz"))
    many = validate_definition(raw, agents=[f"agent-{at}" for at in range(50)]).errors[0].message
    assert many.endswith('  "agent-26",\n  ...\n]')
    nobody = validate_definition(raw, agents=[]).errors[0]
    assert nobody.message.endswith("Available agents: []")
    assert nobody.suggestion == "Add a file for it to .claude/agents/."


@pytest.mark.parametrize("slip", ["senoir-reviewer", "Senior-Reviewer", "senior_reviewer", "reviewer-pro"])
def test_the_guides_common_mistakes_get_the_right_agent(slip: str) -> None:
    assert Names(sorted(AGENTS)).closest(slip) == "senior-reviewer"


def test_a_name_like_no_other_gets_no_guess() -> None:
    assert Names(sorted(AGENTS)).closest("qqq") is None
    assert Names(sorted(AGENTS)).question("qqq") is None


@pytest.mark.parametrize("raw", [review_code(), analyze_api(), implement_feature()])
def test_the_guides_commands_are_valid(raw: Raw) -> None:
    assert validate(raw).valid


# --- ids and dependencies --------------------------------------------------------------------------------------------


def test_a_second_use_of_an_id_gets_a_free_one_suggested() -> None:
    problem = only(one(node("build"), node("build-2"), node("build")), "DUPLICATE_NODE_ID")
    assert problem.suggestion == 'Rename this one, for example to "build-3".'


def test_an_unknown_dependency_suggests_the_closest_id() -> None:
    problem = only(one(node("unit-tests"), node("ship", "unit_test")), "UNKNOWN_DEPENDENCY")
    assert problem.suggestion == 'Did you mean "unit-tests"?'
    assert only(one(node("ship", "qqq")), "UNKNOWN_DEPENDENCY").suggestion == "Name a node of this or an earlier phase."


def test_each_knot_gives_one_cycle_and_the_rest_is_checked_too() -> None:
    raw = one(
        node("a1", "b1"),
        node("b1", "a1"),
        node("left", "right"),
        node("right", "left"),
        node("lost", context=reads("x")),
    )
    assert len(told(raw, "CIRCULAR_DEPENDENCY")) == 2
    assert len(told(raw, "INPUT_WITHOUT_PROVIDER")) == 1


# --- data flow -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"globalContext": {"initial": {"notes": 1}}},
        {"arguments": [{"name": "notes"}]},
    ],
)
def test_initial_values_and_arguments_provide(fields: Raw) -> None:
    assert validate(one(node("read", context=reads("notes"))) | fields).valid


@pytest.mark.parametrize(
    "item", [{"key": "notes", "required": False}, {"key": "notes", "default": 5}, {"key": "arguments"}]
)
def test_optional_inputs_defaults_and_the_argument_text_need_no_provider(item: Raw) -> None:
    assert validate(one(node("read", context={"inputs": [item]}))).valid


def test_a_provider_of_the_same_phase_counts_only_before() -> None:
    raw = one(node("make", context=writes("notes")), node("read", context=reads("notes")))
    problem = only(raw, "INPUT_WITHOUT_PROVIDER")
    assert problem.message.endswith("Available context keys: []")
    assert problem.suggestion == '"make" writes "notes": add it to the dependencies of "read".'


def test_a_node_does_not_provide_for_itself() -> None:
    problem = only(one(node("read", context=writes("notes") | reads("notes"))), "INPUT_WITHOUT_PROVIDER")
    assert problem.suggestion == (
        'Declare "notes" as an output of an earlier node, or give the input "required": false and a default.'
    )


def test_a_provider_of_a_later_phase_is_told() -> None:
    raw = command(
        phase("one", node("read", context=reads("notes"))), phase("two", node("make", context=writes("notes")))
    )
    problem = only(raw, "INPUT_WITHOUT_PROVIDER")
    assert problem.suggestion == '"make" writes "notes" in a later phase: move it before "read".'


def test_the_closest_available_key_is_suggested() -> None:
    raw = command(
        phase("one", node("make", context=writes("code_analysis"))),
        phase("two", node("read", "make", context=reads("code_anlysis"))),
        globalContext={"initial": {"seed": 1}},
    )
    problem = only(raw, "INPUT_WITHOUT_PROVIDER")
    assert problem.message.endswith('Available context keys: ["seed", "code_analysis"]')
    assert problem.suggestion == (
        'Did you mean "code_analysis"? Or declare "code_anlysis" as an output of an earlier node.'
    )


def test_available_keys_follow_dependencies_of_dependencies() -> None:
    raw = command(
        phase("zero", node("early", context=writes("k0"))),
        phase(
            "one",
            node("first", "early", context=writes("k1")),
            node("second", "first", "early", context=writes("k2")),
            node("aside", context=writes("k3")),
            node("read", "second", "first", context=reads("lost")),
        ),
    )
    assert only(raw, "INPUT_WITHOUT_PROVIDER").message.endswith('["k0", "k1", "k2"]')


def test_very_many_available_keys_are_not_all_told() -> None:
    raw = one(
        node("make", context=writes(*(f"k{at}" for at in range(60)))), node("read", "make", context=reads("lost"))
    )
    assert only(raw, "INPUT_WITHOUT_PROVIDER").message.endswith('"k49", "…"]')


def test_an_earlier_phase_provides_only_through_a_barrier_or_a_dependency() -> None:
    def raw(*needs: str, barrier: bool) -> Raw:
        return command(
            phase("one", node("make", context=writes("notes"))),
            phase("two", node("read", *needs, context=reads("notes")), barrier=barrier),
        )

    assert validate(raw(barrier=True)).valid
    assert validate(raw("make", barrier=False)).valid
    assert only(raw(barrier=False), "INPUT_WITHOUT_PROVIDER").suggestion == (
        '"make" writes "notes": add it to the dependencies of "read".'
    )


def test_nodes_behind_a_cycle_are_judged_by_what_is_certain() -> None:
    raw = one(
        node("left", "right", context=writes("made")),
        node("right", "left", context=reads("made")),
        node("after", "left", context=reads("made", "lost")),
    )
    assert only(raw, "INPUT_WITHOUT_PROVIDER").pointer == "/phases/0/agents/2/context/inputs/1/key"


def test_large_commands_are_looked_at_in_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "BLOCK", 4)
    monkeypatch.setattr(subject, "MAX_ENTRIES_KEPT", 8)
    chain = [node("n0", context=writes("k0"))]
    chain += [node(f"n{at}", f"n{at - 1}", context=writes(f"k{at}") | reads(f"k{at - 1}")) for at in range(1, 12)]
    assert validate(one(*chain)).valid
    reader = node("reader", "n5", context=reads("k0", "k5", "k9"))
    assert only(one(*chain, reader), "INPUT_WITHOUT_PROVIDER").pointer.endswith("/context/inputs/2/key")
    late = node("late", "n11", "n2", context=writes("k0"))
    found = validate(one(*chain, late))
    assert found.valid
    assert [problem.code for problem in found.warnings if problem.code == "REDUNDANT_DEPENDENCY"]


# --- output conflicts ------------------------------------------------------------------------------------------------


def test_a_conflict_names_both_nodes() -> None:
    raw = one(node("left", context=writes("notes")), node("right", context=writes("notes")))
    problem = only(raw, "OUTPUT_CONFLICT")
    assert problem.message == 'Nodes "left" and "right" both write "notes", and neither runs before the other'
    assert problem.suggestion is not None
    assert '"notes_right"' in problem.suggestion


def test_nodes_that_add_to_a_key_do_not_conflict() -> None:
    raw = one(
        node("left", context=writes("notes", merge="append")), node("right", context=writes("notes", merge="append"))
    )
    assert told(raw, "OUTPUT_CONFLICT") == []


@pytest.mark.parametrize(("first", "second"), [("append", "replace"), ("replace", "append")])
def test_one_that_replaces_conflicts_with_one_that_adds(first: str, second: str) -> None:
    raw = one(node("left", context=writes("notes", merge=first)), node("right", context=writes("notes", merge=second)))
    assert len(told(raw, "OUTPUT_CONFLICT")) == 1


def test_phases_order_writers_whatever_their_dependencies() -> None:
    raw = command(
        phase("one", node("make"), node("first", "make", context=writes("notes"))),
        phase("two", node("second", context=writes("notes"))),
    )
    assert told(raw, "OUTPUT_CONFLICT") == []


def test_writers_behind_a_cycle_are_not_judged() -> None:
    raw = one(
        node("left", "right", context=writes("notes")),
        node("right", "left", context=writes("notes")),
        node("third", context=writes("other")),
    )
    assert told(raw, "OUTPUT_CONFLICT") == []


def test_one_node_declares_an_output_once() -> None:
    problem = only(one(node("make", context=writes("notes", "notes"))), "OUTPUT_CONFLICT")
    assert problem.pointer == "/phases/0/agents/0/context/outputs/1/key"


# --- agents, expressions, compensation, times, locks -----------------------------------------------------------------


def test_the_agent_that_undoes_has_to_be_there() -> None:
    undo = {"type": "custom", "task": "Undo", "agentId": "senoir-reviewer"}
    problem = only(one(node("build", compensation=undo)), "AGENT_NOT_FOUND")
    assert problem.pointer == "/phases/0/agents/0/compensation/agentId"
    assert validate(one(node("build", compensation=undo | {"agentId": "senior-reviewer"}))).valid


@pytest.mark.parametrize(("extra", "place"), [({}, ""), ({"agentId": "command"}, "/agentId")])
def test_a_sub_command_cannot_undo(extra: Raw, place: str) -> None:
    raw = one(call("deploy", "/deploy", compensation={"type": "custom", "task": "Undo"} | extra))
    assert only(raw, "AGENT_NOT_FOUND", INNER).pointer == f"/phases/0/agents/0/compensation{place}"


def test_the_breaker_of_model_agents_is_there_without_being_configured() -> None:
    assert told(one(node("build", circuitBreaker="claude")), "UNKNOWN_BREAKER") == []


def test_an_unknown_breaker_with_nothing_near_is_to_be_configured() -> None:
    problem = only(one(node("build", circuitBreaker="api")), "UNKNOWN_BREAKER")
    assert problem.suggestion == "Configure it in .claude/orchestration.toml."


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("file_exists", "src/**/*.py", "../secret"),
        ("file_exists", "docs/..note", "/etc/passwd"),
        ("file_exists", "dist", "~/x"),
        ("file_exists", "a", "C:\\x"),
        ("command_success", "/run-tests", "rm -rf"),
        ("command_success", "run-tests", "/Run"),
        ("custom", "is_ready", "import os"),
        ("custom", "pkg.mod:check", "()"),
    ],
)
def test_each_kind_of_skip_condition_has_its_own_form(kind: str, good: str, bad: str) -> None:
    def raw(text: str) -> Raw:
        return one(node("build", skipCondition={"type": kind, "expression": text}))

    assert validate(raw(good)).valid
    assert only(raw(bad), "INVALID_EXPRESSION").suggestion is not None


def test_an_unknown_rollback_target_with_nothing_near_may_be_dropped() -> None:
    raw = one(node("build", compensation={"type": "cascade", "rollbackTo": "qqq"}))
    assert only(raw, "UNKNOWN_ROLLBACK_TARGET").suggestion == "Drop it to roll back the whole run."


@pytest.mark.parametrize("kind", ["none", "retry", "cascade"])
def test_only_what_an_agent_undoes_needs_a_task(kind: str) -> None:
    assert validate(one(node("build", compensation={"type": kind}))).valid


def test_a_timeout_is_compared_to_the_default_estimate_where_there_is_none() -> None:
    raw = one({"id": "build", "agentId": "worker", "task": "Build", "timeout": 1000})
    problem = only(raw, "TIMEOUT_NOT_ABOVE_ESTIMATE")
    assert problem.message == 'Timeout 1000ms of node "build" is not above its estimated time 60000ms, the default'


def test_root_locks_are_named_once() -> None:
    raw = one(node("build")) | {"resources": {"locks": [{"resource": "db"}, {"resource": "db"}]}}
    assert only(raw, "DUPLICATE_LOCK").pointer == "/resources/locks/1"


@pytest.mark.parametrize(
    "raw",
    [
        one(node("left", **locks("db", "files")), node("right", "left", **locks("files", "db"))),
        one(node("left", "right", **locks("db", "files")), node("right", **locks("files", "db"))),
        one(node("left", **locks("db", "files")), node("right", **locks("files", "db")), parallel=False),
        one(node("left", **locks("db", "files")), node("right", **locks("files", "db")), maxParallelism=1),
        command(phase("one", node("left", **locks("a", "b"))), phase("two", node("right", **locks("b", "a")))),
    ],
    ids=["ordered", "ordered the other way", "serial", "one at once", "phases"],
)
def test_lock_orders_matter_only_between_nodes_that_can_run_together(raw: Raw) -> None:
    assert told(raw, "LOCK_ORDER_CYCLE") == []


def test_a_serial_phase_can_run_together_with_another_one() -> None:
    raw = command(
        phase("one", node("left", **locks("a", "b")), node("other"), parallel=False),
        phase("two", node("right", **locks("b", "a")), node("more"), parallel=False, barrier=False),
    )
    assert len(told(raw, "LOCK_ORDER_CYCLE")) == 1


def test_an_opposite_order_is_told_once_for_two_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "BLOCK", 2)
    pairs = [node(f"left-{at}", **locks("a", "b")) for at in range(3)]
    pairs += [node(f"right-{at}", **locks("b", "a")) for at in range(3)]
    assert len(told(one(*pairs), "LOCK_ORDER_CYCLE")) == 1


# --- advice ----------------------------------------------------------------------------------------------------------


def test_reading_in_a_skip_condition_is_data_flow() -> None:
    skip = {"type": "context", "expression": "image.ok"}
    raw = one(node("build", context=writes("image")), node("check", "build", skipCondition=skip))
    assert not {"OVER_SERIALIZED", "UNUSED_OUTPUT"} & {problem.code for problem in validate(raw).problems}


@pytest.mark.parametrize(
    "skip", [{"type": "context", "expression": "image ="}, {"type": "file_exists", "expression": "image"}]
)
def test_other_conditions_read_nothing(skip: Raw) -> None:
    raw = one(node("build", context=writes("image")), node("check", "build", skipCondition=skip))
    assert {"OVER_SERIALIZED", "UNUSED_OUTPUT"} <= {problem.code for problem in validate(raw).problems}


def test_passthrough_reads_everything_but_ones_own() -> None:
    everything = {"passthrough": True}
    raw = one(node("build", context=writes("image")), node("check", "build", context=everything))
    assert not {"OVER_SERIALIZED", "UNUSED_OUTPUT"} & {problem.code for problem in validate(raw).problems}
    assert told(one(node("build", context=writes("image") | everything)), "UNUSED_OUTPUT")


def test_dependencies_across_phases_and_in_serial_phases_are_no_over_serialization() -> None:
    raw = command(
        phase("one", node("build")), phase("two", node("check", "build"), node("ship", "check"), parallel=False)
    )
    assert told(raw, "OVER_SERIALIZED") == []


def test_persist_keys_keep_outputs() -> None:
    raw = one(node("make", context=writes("notes"))) | {"globalContext": {"persistKeys": ["notes"]}}
    assert told(raw, "UNUSED_OUTPUT") == []


@pytest.mark.parametrize(
    ("fields", "used"),
    [
        ({"compensation": {"type": "rollback", "task": "Undo it"}}, True),
        ({"compensation": {"type": "custom", "task": "Undo it"}}, True),
        ({"compensation": {"type": "cascade"}}, True),
        ({"compensation": {"type": "retry"}}, False),
        ({"repeat": {"until": "iteration > 1"}}, True),
    ],
    ids=json.dumps,
)
def test_an_output_that_undoing_or_the_next_iteration_needs_is_used(fields: Raw, *, used: bool) -> None:
    assert bool(told(one(node("make", context=writes("notes"), **fields)), "UNUSED_OUTPUT")) is not used


def test_a_failed_validation_is_an_output_that_can_be_false() -> None:
    cascade: Raw = {"compensation": {"type": "cascade"}}
    good = {"outputs": [{"key": "good", "ttl": 60, "schema": {"type": "boolean"}}]}
    text = {"outputs": [{"key": "text", "ttl": 60, "schema": {"type": "string"}}]}
    assert told(one(node("make", context=good, **cascade)), "UNUSED_OUTPUT") == []
    assert told(one(node("make", context=text, **cascade)), "UNUSED_OUTPUT")


@pytest.mark.parametrize(("loop", "unused"), [({"until": "tried ="}, True), ({"until": "tried.done"}, False)])
def test_a_loop_over_phases_needs_what_its_condition_reads(loop: Raw, *, unused: bool) -> None:
    tried = {"outputs": [{"key": "tried", "ttl": 60}]}
    group = {"id": "loop", "task": "Try", "repeat": loop, "context": tried}
    raw = one({**group, "phases": [phase("work", node("attempt", context={"outputs": [{"key": "tried"}]}))]})
    places = [problem.pointer for problem in validate(raw).problems if problem.code == "UNUSED_OUTPUT"]
    assert ("/phases/0/agents/0/context/outputs/0" in places) is unused


@pytest.mark.parametrize("key", ["tried", "other"])
def test_a_loop_over_phases_needs_what_its_nodes_read(key: str) -> None:
    outputs = {"outputs": [{"key": "tried", "ttl": 60}]}
    inner = {"inputs": [{"key": key, "required": False}], "outputs": [{"key": "tried"}]}
    loop = {"id": "loop", "task": "Try", "repeat": {"until": "iteration > 1"}, "context": outputs}
    raw = one({**loop, "phases": [phase("work", node("attempt", context=inner))]})
    places = [problem.pointer for problem in validate(raw).problems if problem.code == "UNUSED_OUTPUT"]
    assert ("/phases/0/agents/0/context/outputs/0" in places) is (key == "other")


def test_missing_ttls_are_told_once_for_each_node() -> None:
    raw = one(node("make", context={"outputs": [{"key": "a", "ttl": 5}, {"key": "b", "persist": True}, {"key": "c"}]}))
    problem = only(raw, "MISSING_TTL")
    assert problem.message == 'Node "make" sets no ttl for "b", "c"'
    assert problem.pointer == "/phases/0/agents/0/context/outputs/1"


@pytest.mark.parametrize("name", ["a1", "b2", "x", "task1", "node-12", "T3", "ab1"])
def test_ids_that_say_nothing(name: str) -> None:
    assert told(one(node(name)), "WEAK_ID")


@pytest.mark.parametrize("name", ["db", "e2e-tests", "build", "task-list", "unit-1"])
def test_ids_that_say_something(name: str) -> None:
    assert told(one(node(name)), "WEAK_ID") == []


def test_a_weak_id_gets_one_of_its_task() -> None:
    problem = only(one(node("t1") | {"task": "Run the unit tests of all packages"}), "WEAK_ID")
    assert problem.suggestion == 'Name it after its task, such as "run-the-unit".'
    assert (
        only(one(node("t1") | {"task": "検査"}), "WEAK_ID").suggestion
        == 'Name it after its task, such as "what-it-does".'
    )


SKIP = {"type": "context", "expression": "true"}


def calling(name: str, inner: str, **fields: object) -> Raw:
    return node(name, agent="command", task=inner, context={"outputs": [{"key": "patch", "ttl": 60}], **fields})


def test_what_a_sub_command_gives_may_be_missing_where_all_that_write_it_in_there_may_be_skipped() -> None:
    writes = {"outputs": [{"key": "patch", "ttl": 60}]}
    skipped = command(phase("a", node("fix", skipCondition=SKIP, context=writes)), name="/inner")
    middle = command(phase("a", calling("call-inner", "/inner")), name="/middle")
    problem = only(one(calling("call-it", "/inner")), "PROVIDER_MAY_BE_SKIPPED", skipped)
    assert problem.pointer == "/phases/0/agents/0/context/outputs/0/key"
    assert problem.message == (
        'Output "patch" of node "call-it" is written only by "fix" of \'/inner\', which may be skipped'
    )
    deeper = only(one(calling("call-it", "/middle")), "PROVIDER_MAY_BE_SKIPPED", skipped, middle)
    assert "written only by \"call-inner\" of '/middle'" in deeper.message
    twice = one(calling("once", "/inner"), calling("again", "/inner"))
    assert len(told(twice, "PROVIDER_MAY_BE_SKIPPED", skipped)) == 2


def test_what_a_sub_command_gives_is_sure_where_another_node_an_initial_value_or_an_input_gives_it() -> None:
    writes = {"outputs": [{"key": "patch", "ttl": 60, "merge": "append"}]}
    fix = node("fix", skipCondition=SKIP, context=writes)
    second = command(phase("a", fix, node("make", context=writes)), name="/inner")
    initial = command(phase("a", fix), name="/inner", globalContext={"initial": {"patch": ""}})
    alone = command(phase("a", fix), name="/inner")
    for inner in (second, initial):
        assert told(one(calling("call-it", "/inner")), "PROVIDER_MAY_BE_SKIPPED", inner) == []
    given = one(calling("call-it", "/inner", inputs=[{"key": "patch"}])) | {"globalContext": {"initial": {"patch": ""}}}
    assert told(given, "PROVIDER_MAY_BE_SKIPPED", alone) == []


def test_a_whole_sub_command_that_may_be_skipped_is_no_sure_provider() -> None:
    inner = command(phase("a", node("fix", context={"outputs": [{"key": "patch", "ttl": 60}]})), name="/inner")
    reader = node("verify", "call-it", context={"inputs": [{"key": "patch"}]})
    raw = one(calling("call-it", "/inner") | {"skipCondition": SKIP}, reader)
    assert 'written only by "call-it"' in only(raw, "PROVIDER_MAY_BE_SKIPPED", inner).message


def test_a_deprecated_command_names_its_successor() -> None:
    raw = one(node("build")) | {"metadata": {"deprecated": True, "replacedBy": "/ship"}}
    assert only(raw, "DEPRECATED_COMMAND").suggestion == "Use /ship instead."


def needing(**requirements: object) -> Raw:
    return one(node("build")) | {"metadata": {"requirements": requirements}}


@pytest.mark.parametrize("version", ["2.1.1", "2.2.0", "3.0.0-alpha", "10.0.0"])
def test_a_command_of_a_newer_format_is_refused(version: str) -> None:
    problem = only(needing(minVersion=version), "NEEDS_NEWER_ENGINE")
    assert version in problem.message
    assert "has 2.1.0" in problem.message


@pytest.mark.parametrize("version", ["0.1.0", "1.99.0", "2.0.0", "2.0.0-beta.1", "2.0.0+build.7"])
def test_a_command_of_this_format_or_an_older_one_is_not(version: str) -> None:
    assert told(needing(minVersion=version), "NEEDS_NEWER_ENGINE") == []


def test_a_feature_that_is_not_there_is_refused_with_the_one_that_may_be_meant() -> None:
    raw = needing(features=["locks", "sub-comands", "time-travel"])
    first, second = (one for one in validate(raw).problems if one.code == "NEEDS_NEWER_ENGINE")
    assert (first.pointer, first.suggestion) == ("/metadata/requirements/features/1", 'Did you mean "sub-commands"?')
    assert "time-travel" in second.message
    assert "locks" in (second.suggestion or "")


def test_what_a_sub_command_needs_counts() -> None:
    inner = INNER | {"metadata": {"requirements": {"features": ["time-travel"]}}}
    assert "time-travel" in str(validate(one(call("deploy", "/deploy")), [inner]).errors)


def test_serial_and_small_phases_are_not_skewed() -> None:
    assert told(one(node("a"), node("b"), node("c", minutes=9), parallel=False), "SKEWED_PHASE") == []
    assert told(one(node("a"), node("c", minutes=9)), "SKEWED_PHASE") == []


# --- sub-commands ----------------------------------------------------------------------------------------------------


def test_a_sub_command_cannot_be_retried() -> None:
    raw = one(call("deploy", "/deploy", retryPolicy={"maxAttempts": 1}))
    assert only(raw, "SCHEMA", INNER).pointer == "/phases/0/agents/0/retryPolicy"


def test_an_unknown_sub_command_gets_the_closest_name() -> None:
    assert only(one(call("deploy", "/depoly")), "UNKNOWN_COMMAND", INNER).suggestion == 'Did you mean "/deploy"?'
    assert (
        only(one(call("deploy", "deploy it")), "UNKNOWN_COMMAND").suggestion == 'Write the task as "/name arguments".'
    )


def test_a_task_that_cannot_be_read_is_told_once() -> None:
    raw = one(call("deploy", "") | {"task": 5})
    assert [problem.code for problem in validate(raw, [INNER]).errors] == ["SCHEMA"]


def test_a_sub_command_that_is_no_command_is_unknown() -> None:
    assert only(one(call("deploy", "/deploy")), "UNKNOWN_COMMAND", {"name": "/deploy"}).pointer.endswith("/task")


def test_a_sub_command_of_a_sub_command_that_is_not_there_is_told() -> None:
    middle = command(phase("a", call("deep", "/nowhere")), name="/deploy")
    assert "/nowhere" in only(one(call("ship", "/deploy")), "UNKNOWN_COMMAND", middle).message


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (
            [command(phase("a", call("again", "/test")), name="/deploy")],
            "runs itself endlessly: /test → /deploy → /test",
        ),
        (
            [command(phase("a", call("again", "/deploy")), name="/deploy")],
            "runs a command that never ends: /deploy → /deploy",
        ),
    ],
)
def test_circles_of_commands_are_told_with_their_chain(inner: list[Raw], message: str) -> None:
    assert message in only(one(call("deploy", "/deploy")), "RECURSIVE_COMMAND", *inner).message


def test_calling_one_command_twice_is_no_circle() -> None:
    outer = command(phase("a", call("one", "/deploy"), call("two", "/deploy")), name="/outer")
    assert validate(one(call("out", "/outer"), call("in", "/deploy")), [INNER, outer]).valid


def test_errors_of_a_sub_command_are_told_at_its_node() -> None:
    broken = command(phase("a", node("b", "ghost"), node("c", agent="nobody")), name="/deploy")
    problem = only(one(call("ship", "/deploy")), "UNKNOWN_DEPENDENCY", broken)
    assert problem.message == (
        'Sub-command \'/deploy\' of node "ship" has 2 errors: Node "b" depends on "ghost", which does not exist'
    )
    assert problem.pointer == "/phases/0/agents/0/task"


def test_errors_deep_inside_are_told_too() -> None:
    broken = command(phase("a", node("b", "ghost")), name="/deep")
    middle = command(phase("a", call("c", "/deep")), name="/deploy")
    problem = only(one(call("ship", "/deploy")), "UNKNOWN_DEPENDENCY", middle, broken)
    assert problem.message.startswith("Sub-command '/deploy' of node \"ship\" has 1 error: Sub-command '/deep' of node")


def test_inputs_of_the_node_provide_inside() -> None:
    inner = command(phase("a", node("b", context=reads("image"))), name="/deploy")
    given = command(
        phase("x", node("make", context=writes("image"))), phase("y", call("ship", "/deploy", context=reads("image")))
    )
    assert validate(given, [inner]).valid
    assert told(one(call("ship", "/deploy")), "INPUT_WITHOUT_PROVIDER", inner)


def test_required_arguments_of_a_sub_command_are_given_by_inputs_or_text() -> None:
    inner = INNER | {"arguments": [{"name": "arguments", "required": True}, {"name": "region", "required": True}]}
    problems = told(one(call("ship", "/deploy")), "INPUT_WITHOUT_PROVIDER", inner)
    assert [problem.pointer for problem in problems] == ["/phases/0/agents/0"] * 2
    optional = {"inputs": [{"key": "other", "required": False}]}
    [problem] = told(one(call("ship", "/deploy now", context=optional)), "INPUT_WITHOUT_PROVIDER", inner)
    assert problem.pointer == "/phases/0/agents/0/context/inputs"
    region = {"inputs": [{"key": "region", "default": "eu"}]}
    assert validate(one(call("ship", "/deploy now", context=region)), [inner]).valid


def test_outputs_of_a_sub_command_may_be_initial_values_or_inputs() -> None:
    inner = INNER | {"globalContext": {"initial": {"seed": 1}}}
    context = writes("seed", "given") | {"inputs": [{"key": "given", "required": False}]}
    assert validate(one(call("ship", "/deploy", context=context)), [inner]).valid


def test_a_text_gives_the_one_required_argument_of_a_sub_command() -> None:
    wanting = INNER | {"arguments": [{"name": "stage", "required": True}]}
    assert told(one(call("ship", "/deploy live")), "INPUT_WITHOUT_PROVIDER", wanting) == []
    only(one(call("ship", "/deploy")), "INPUT_WITHOUT_PROVIDER", wanting)
    wanting["arguments"].append({"name": "colour"})
    only(one(call("ship", "/deploy live")), "INPUT_WITHOUT_PROVIDER", wanting)


def test_a_deprecated_sub_command_is_told() -> None:
    old = INNER | {"metadata": {"deprecated": True, "replacedBy": "/ship"}}
    assert only(one(call("ship", "/deploy")), "DEPRECATED_COMMAND", old).suggestion == "Use /ship instead."
    old = INNER | {"metadata": {"deprecated": True}}
    assert only(one(call("ship", "/deploy")), "DEPRECATED_COMMAND", old).suggestion is None


def test_commands_that_multiply_are_too_large() -> None:
    levels = [
        command(phase("a", *(call(f"call-{at}", f"/level-{number + 1}") for at in range(10))), name=f"/level-{number}")
        for number in range(6)
    ]
    leaf = command(phase("a", node("leaf")), name="/level-6")
    problem = only(one(call("start", "/level-0")), "TOO_MANY_NODES", *levels, leaf)
    assert f"At most {MAX_NODES} nodes" in (problem.suggestion or "")
    assert "nodes" in problem.message


def test_parsed_definitions_are_taken_as_sub_commands_too() -> None:
    calls = subcommands.SubCommands({"/deploy": INNER}, lambda _command, _given: [])
    parsed = calls.get("/deploy")
    assert parsed is not None
    found = validate_definition(one(call("ship", "/deploy")), agents=AGENTS, commands={"/deploy": parsed})
    assert found.valid
