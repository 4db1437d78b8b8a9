from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.conditions import parse
from engine.graph import compile_plan
from engine.validation import Severity, validate_definition
from registry.catalog import Catalog
from registry.dialects.conditions import translate
from registry.dialects.migrate import Migration, migrate
from registry.dialects.notes import MAX_NOTES

ROOT = Path(__file__).parents[4]
DATA = ROOT / "tests" / "data"
FILES = ["review-all.dialect.json", "deploy-service.dialect.json"]


def read(name: str) -> dict[str, Any]:
    raw = json.loads((DATA / name).read_text(encoding="utf-8"))
    assert isinstance(raw, dict)
    return raw


def command(*nodes: object, **phase: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any kind
    """An older file: its phase has no id."""
    return {
        "version": "2.0.0",
        "name": "/x",
        "description": "X",
        "phases": [{"name": "Main", "agents": [*nodes], **phase}],
    }


def work(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any kind
    return {"id": "work", "agentId": "claude", "task": "Work", **fields}


def only(migration: Migration) -> dict[str, Any]:
    node = migration.definition["phases"][0]["agents"][0]
    assert isinstance(node, dict)
    return node


def carried(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any kind
    """The node `work` with *fields*, carried over."""
    return only(migrate(command(work(**fields))))


def told(migration: Migration) -> set[tuple[str, str]]:
    return {(problem.code, problem.pointer) for problem in migration.problems}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_carried_over_and_has_no_errors_but_unknown_agents(name: str) -> None:
    loaded = Catalog(ROOT).load(f"tests/data/{name}")
    assert loaded.format == "dialect"
    assert {problem.code for problem in loaded.errors} <= {"AGENT_NOT_FOUND"}


@pytest.mark.parametrize("name", FILES)
def test_a_carried_over_file_is_v2_when_it_is_written_and_read_again(name: str, tmp_path: Path) -> None:
    first = Catalog(ROOT).load(f"tests/data/{name}")
    (tmp_path / "written.json").write_text(json.dumps(first.raw, indent=2), encoding="utf-8")
    again = Catalog(tmp_path, custom_agents=Catalog(ROOT).agents().agents).load("written.json")
    assert again.format == "json"
    assert again.digest == first.digest
    checked = [problem for problem in first.problems if not problem.code.startswith("DIALECT_")]
    assert [(one.code, one.pointer) for one in again.problems] == [(one.code, one.pointer) for one in checked]


@pytest.mark.parametrize("name", FILES)
def test_every_scalar_of_a_real_file_is_still_there(name: str) -> None:
    kept = json.dumps(migrate(read(name)).definition)

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, str) and " " in value and "===" not in value and "2 min" not in value:
            assert json.dumps(value)[1:-1] in kept or value in {"scan image", "database main", "deploy, service"}

    raw = read(name)
    for phase in raw["phases"]:
        phase.pop("dependsOn", None)
    raw["metadata"].pop("changelog", None)
    walk(raw)


def test_a_real_file_becomes_a_plan(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path, custom_agents={"codebase-analyzer", *Catalog(ROOT).agents().agents})
    plan = compile_plan(catalog.bundle(catalog.load(read("review-all.dialect.json"))))
    assert plan.critical_path_time.total_seconds() == 1020
    assert plan.initial["analyzer_input"]["scope"] == "full"


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".claude" / "commands" / "v2").rglob("*.json")), ids=lambda path: path.stem
)
def test_a_v2_file_is_left_as_it_is_without_a_word(path: Path) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    migration = migrate(raw)
    assert migration.definition is raw
    assert (migration.changed, migration.problems) == (False, ())


@pytest.mark.parametrize(
    "slip",
    [
        {"version": "1.0.0"},
        {"name": "hello"},
        {"notes": "mine"},
        {"phases": [{"id": "a", "name": "A", "agents": [work(dependsOn=["b"], timeout="5m", dependancies=[])]}]},
        {"phases": [{"id": "a", "name": "A", "agents": [work(type="x", description="y")]}]},
    ],
)
def test_slips_in_a_v2_file_are_left_to_the_validator(slip: dict[str, Any]) -> None:
    raw = {**command(work(), id="main"), **slip}
    assert not migrate(raw).changed


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "claude", "description": "Do it"}, {"agentId": "claude", "task": "Do it"}),
        ({"name": "claude", "description": "Do it"}, {"agentId": "claude", "task": "Do it"}),
        (
            {"type": "agent", "name": "claude", "prompt": "Do it"},
            {"agentId": "claude", "task": "Do it", "x-type": "agent"},
        ),
        ({"agent": "claude", "name": "Do the work", "x-a": 1}, {"agentId": "claude", "task": "Do the work", "x-a": 1}),
        (
            {"agent": {"id": "claude"}, "task": ["Do", "it"]},
            {"agentId": "claude", "task": "Do\nit", "x-agent": {"id": "claude"}},
        ),
        (
            {"agentId": "claude", "task": "Do it", "name": "Title"},
            {"agentId": "claude", "task": "Do it", "x-name": "Title"},
        ),
    ],
)
def test_agent_and_task_are_found_under_their_older_names(node: dict[str, Any], expected: dict[str, Any]) -> None:
    assert only(migrate(command({"id": "work", **node}))) == {"id": "work", **expected}


def test_every_difference_is_told_with_its_place_and_the_v2_spelling() -> None:
    migration = migrate(command({"id": "a", "type": "claude", "description": "Do it", "retry": {"maxAttempts": 2}}))
    assert told(migration) == {
        ("DIALECT_INFERRED", "/phases/0/id"),
        ("DIALECT_SPELLING", "/phases/0/agents/0/type"),
        ("DIALECT_SPELLING", "/phases/0/agents/0/description"),
        ("DIALECT_SPELLING", "/phases/0/agents/0/retry"),
    }
    assert {problem.suggestion for problem in migration.problems} == {
        'Write "id": "main".',
        "Write agentId.",
        "Write task.",
        "Write retryPolicy.",
    }
    assert all(problem.severity is Severity.WARNING for problem in migration.problems)


def test_a_place_inside_a_renamed_field_is_that_of_the_file() -> None:
    migration = migrate(command(work(retry={"maxAttempts": 2, "delay": 5})))
    assert ("DIALECT_SPELLING", "/phases/0/agents/0/retry/delay") in told(migration)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "work-hard"),
        (7, "7"),
        ("scan image", "scan-image"),
        ("a.b_C-1", "a.b_C-1"),
    ],
)
def test_node_ids_are_made_fit(given: object, expected: str) -> None:
    node = {"agentId": "claude", "task": "Work hard", **({} if given is None else {"id": given})}
    assert only(migrate(command(node)))["id"] == expected


def test_ids_that_are_made_up_take_none_that_is_there() -> None:
    nodes = [{"agentId": "claude", "task": "Work"}, {"agentId": "claude", "task": "Work"}, work(id="work")]
    agents = migrate(command(*nodes)).definition["phases"][0]["agents"]
    assert [node["id"] for node in agents] == ["work-2", "work-3", "work"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("first", ["first"]),
        (None, []),
        ([{"nodeId": "first"}, {"id": "second"}, 3], ["first", "second", "3"]),
        (["scan image"], ["scan-image"]),
        ([["x"]], [["x"]]),
    ],
)
def test_dependencies_become_a_list_of_ids(given: object, expected: list[object]) -> None:
    assert carried(dependencies=given)["dependencies"] == expected
    assert carried(dependsOn=["first"])["dependencies"] == ["first"]


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (3, {"maxAttempts": 3}),
        (True, {"maxAttempts": 1}),
        ({"attempts": 2, "backoff": "exponential-backoff"}, {"maxAttempts": 2, "strategy": "exponential"}),
        (
            {"maxAttempts": 2, "backoff": "fixed", "delay": "5s"},
            {"maxAttempts": 2, "strategy": "exponential", "backoffMultiplier": 1, "initialDelay": 5000},
        ),
        (
            {"maxRetries": 2, "backoff": {"type": "linear", "delay": 10.0}},
            {"maxAttempts": 2, "strategy": "linear", "initialDelay": 10},
        ),
        ({"strategy": "linear", "enabled": True}, {"maxAttempts": 3, "strategy": "linear"}),
        (
            {"maxAttempts": 2, "retryOn": ["X"], "jitter": True},
            {"maxAttempts": 2, "retryableErrors": ["X"], "x-jitter": True},
        ),
        ("often", "often"),
    ],
)
def test_retries_become_a_retry_policy(retry: object, expected: object) -> None:
    assert carried(retry=retry)["retryPolicy"] == expected


@pytest.mark.parametrize("retry", [0, False, {"enabled": False}, {"maxAttempts": 0}])
def test_no_retry_is_said_by_leaving_the_policy_out(retry: object) -> None:
    node = carried(retry=retry)
    assert "retryPolicy" not in node
    assert node["x-retryPolicy"] == retry


@pytest.mark.parametrize(
    ("fields", "expression"),
    [
        ({"conditional": "context.a === 'x'"}, "!(a == 'x')"),
        ({"conditional": {"condition": "a !== 1", "reason": "Because"}}, "!(a != 1)"),
        ({"conditional": {"type": "context", "expression": "a === 1", "skipMessage": "Because"}}, "a == 1"),
        ({"conditional": {"skipIf": "a"}}, "a"),
        ({"condition": "${ a && b }"}, "!(a && b)"),
        ({"when": "{{ a or not b }}"}, "!(a ||  ! b)"),
        ({"skipIf": "a?.b === undefined"}, "a.b == null"),
        ({"skipCondition": "a === 1"}, "a == 1"),
        ({"skipCondition": {"type": "context", "expression": "a === '==='"}}, "a == '==='"),
        ({"if": True}, "!(true)"),
        ({"skipCondition": {"type": "context", "expression": "a and b"}}, "a && b"),
        ({"runIf": "names.includes('x')"}, "!(('x' in names))"),
        ({"skipIf": "a", "when": "b"}, "(a) || (!(b))"),
    ],
)
def test_conditions_become_skip_conditions(fields: dict[str, Any], expression: str) -> None:
    condition = carried(**fields)["skipCondition"]
    assert " ".join(condition["expression"].split()) == " ".join(expression.split())
    assert condition["type"] == "context"
    parse(condition["expression"])


def test_the_message_and_other_fields_of_a_condition_are_kept() -> None:
    condition = carried(conditional={"condition": "a", "reason": "Because", "else": "skip"})["skipCondition"]
    assert condition == {"type": "context", "expression": "!(a)", "skipMessage": "Because", "x-else": "skip"}
    assert carried(conditional={"type": "fileExists", "expression": "a.txt"})["skipCondition"]["type"] == "file_exists"


@pytest.mark.parametrize(
    "value",
    ["if the moon is full", {"type": "lunar", "expression": "a"}, {}, 5, {"type": "file_exists", "if": "a.txt"}],
)
def test_a_condition_that_v2_cannot_evaluate_is_an_error(value: object) -> None:
    migration = migrate(command(work(conditional=value)))
    (problem,) = [problem for problem in migration.problems if problem.severity is Severity.ERROR]
    assert (problem.code, problem.pointer) == ("DIALECT_NOT_CARRIED", "/phases/0/agents/0/conditional")
    assert only(migration)["x-conditional"] == value


def test_a_second_condition_of_another_kind_is_an_error() -> None:
    migration = migrate(command(work(skipIf="a", skipCondition={"type": "file_exists", "expression": "x"})))
    assert ("DIALECT_NOT_CARRIED", "/phases/0/agents/0/skipIf") in told(migration)


def test_a_conditional_that_only_says_yes_is_a_note() -> None:
    assert carried(conditional=True)["x-conditional"] is True


def test_translation_leaves_strings_alone() -> None:
    assert translate("context.a === 'context.b === c and d'") == "a == 'context.b === c and d'"
    assert translate('context.get("a") != None') == "a != null"
    assert translate("x.context.y") == "x.context.y"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Undo it", {"type": "rollback", "description": "Undo it"}),
        ({"description": "Undo it"}, {"type": "rollback", "description": "Undo it"}),
        ({"action": "Undo it"}, {"type": "custom", "task": "Undo it"}),
        ({"rollbackTo": "first"}, {"type": "cascade", "rollbackTo": "first"}),
        ({}, {"type": "none"}),
        ({"strategy": "retry", "on": "failure"}, {"type": "retry", "compensateOn": ["error"]}),
        ({"type": "none", "compensateOn": ["cancelled", 5]}, {"type": "none", "compensateOn": ["cancel", 5]}),
        (["x"], ["x"]),
    ],
)
def test_compensations_get_a_type(given: object, expected: object) -> None:
    assert carried(compensation=given)["compensation"] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"resources": {"locks": [{"resourceId": "db", "type": "read"}]}},
            {"locks": [{"resource": "db", "type": "shared"}]},
        ),
        (
            {"resources": {"locks": [{"resourceId": "db", "lockType": "EXCLUSIVE"}]}},
            {"locks": [{"resource": "db", "type": "exclusive"}]},
        ),
        ({"locks": ["db"]}, {"locks": [{"resource": "db"}]}),
        ({"resources": ["my db.x"]}, {"locks": [{"resource": "my-db.x"}]}),
        (
            {"resources": {"locks": [{"resourceId": "db", "timeout": "2 min", "priority": "high"}, 5]}},
            {"locks": [{"resource": "db", "priority": 50}, 5], "maxWaitTime": 120_000},
        ),
        (
            {"resources": {"maxWait": "10s", "cpu": 2, "locks": "db"}},
            {"maxWaitTime": 10_000, "locks": "db", "x-cpu": 2},
        ),
        ({"resources": "db"}, "db"),
    ],
)
def test_locks_are_named_as_in_v2(fields: dict[str, Any], expected: object) -> None:
    assert carried(**fields)["resources"] == expected


def test_a_breaker_with_its_own_thresholds_is_an_error() -> None:
    migration = migrate(command(work(circuitBreaker={"name": "api", "failureThreshold": 3})))
    assert ("DIALECT_NOT_CARRIED", "/phases/0/agents/0/circuitBreaker") in told(migration)
    assert only(migration)["circuitBreaker"] == "api"
    assert only(migration)["x-circuitBreaker"]["failureThreshold"] == 3


def test_parameters_become_values_that_the_node_reads() -> None:
    migration = migrate(
        command(work(input={"depth": 2}, config={"a": 1}, options=[], context={"inputs": [{"key": "k"}]}))
    )
    node = only(migration)
    assert node["context"]["inputs"] == [{"key": "k"}, {"key": "work_input"}, {"key": "work_config"}]
    assert migration.definition["globalContext"] == {"initial": {"work_input": {"depth": 2}, "work_config": {"a": 1}}}
    assert node["x-options"] == []


def test_parameters_join_the_values_that_are_there() -> None:
    raw = {**command(work(input={"depth": 2})), "globalContext": {"initial": {"a": 1}}}
    assert migrate(raw).definition["globalContext"]["initial"] == {"a": 1, "work_input": {"depth": 2}}


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (
            {"inputs": [{"name": "a", "optional": True, "fallback": 1}]},
            {"inputs": [{"key": "a", "required": False, "default": 1}]},
        ),
        (
            {"inputs": {"a": {"required": True}, "b": 1}},
            {"inputs": [{"key": "a", "required": True}, {"key": "b", "x-value": 1}]},
        ),
        ({"inputs": [5], "outputs": [5]}, {"inputs": [5], "outputs": [5]}),
        ({"inputs": 5}, {"inputs": 5}),
        ({"outputs": "a"}, {"outputs": [{"key": "a"}]}),
        ({"outputs": [{"key": "a", "ttl": "1h"}]}, {"outputs": [{"key": "a", "ttl": 3600}]}),
        ({"outputs": [{"key": "a", "ttl": 60.0}]}, {"outputs": [{"key": "a", "ttl": 60}]}),
        ({"outputs": [{"key": "a", "ttl": 0}]}, {"outputs": [{"key": "a", "x-ttl": 0}]}),
        ({"outputs": [{"key": "a", "schema": "Report"}]}, {"outputs": [{"key": "a", "x-schema": "Report"}]}),
        (
            {"outputs": [{"key": "a", "type": "string", "description": "Words", "persistent": True}]},
            {"outputs": [{"key": "a", "persist": True, "schema": {"type": "string", "description": "Words"}}]},
        ),
        ({"produces": ["a"], "consumes": [{"key": "b"}]}, {"inputs": [{"key": "b"}], "outputs": [{"key": "a"}]}),
        ([{"key": "a"}], {"inputs": [{"key": "a"}]}),
        ("all", "all"),
    ],
)
def test_inputs_and_outputs_become_objects(context: object, expected: object) -> None:
    assert carried(context=context)["context"] == expected


def test_inputs_and_outputs_beside_the_context_move_into_it() -> None:
    assert carried(outputs=["a"], passthrough=True)["context"] == {"outputs": [{"key": "a"}], "passthrough": True}


def test_a_plain_input_is_required_where_somebody_provides_it_and_an_argument_where_nobody_does() -> None:
    writer = work(id="writer", context={"outputs": [{"key": "found"}]})
    reader = work(id="reader", context={"inputs": ["found", "given", "maybe?"]}, dependencies=["writer"])
    definition = migrate(command(writer, reader)).definition
    inputs = definition["phases"][0]["agents"][1]["context"]["inputs"]
    assert inputs == [{"key": "found"}, {"key": "given", "required": False}, {"key": "maybe", "required": False}]
    assert definition["arguments"] == [{"name": "given", "required": False}]


def test_a_reader_of_the_same_phase_runs_after_the_writer() -> None:
    writer = work(id="writer", context={"outputs": [{"key": "found"}]})
    between = work(id="between", dependencies=["writer"])
    reader = work(id="reader", context={"inputs": ["found"]})
    late = work(id="late", context={"inputs": ["found"]}, dependencies=["between"])
    agents = migrate(command(writer, between, reader, late)).definition["phases"][0]["agents"]
    assert [node.get("dependencies", []) for node in agents] == [[], ["writer"], ["writer"], ["between"]]


def test_the_nodes_of_a_sequence_run_in_file_order() -> None:
    first, second, third = (work(id=name) for name in ("first", "second", "third"))
    third["dependencies"] = ["second"]
    phase = migrate(command(first, second, third, sequential=True)).definition["phases"][0]
    assert phase["parallel"] is False
    assert [node.get("dependencies", []) for node in phase["agents"]] == [[], ["first"], ["second"]]


def test_nothing_is_added_to_a_phase_that_has_an_order_of_its_own() -> None:
    first, second = work(id="first", dependencies=["second"]), work(id="second")
    phase = migrate(command(first, second, sequential=True)).definition["phases"][0]
    assert [node.get("dependencies", []) for node in phase["agents"]] == [["second"], []]


def test_a_dependency_on_a_phase_is_one_on_its_last_nodes() -> None:
    raw = command(work(id="a"), work(id="b", dependencies=["a"]), work(id="c"))
    raw["phases"].append({"id": "next", "name": "Next", "agents": [work(id="d", dependencies=["Main", "a"])]})
    assert migrate(raw).definition["phases"][1]["agents"][0]["dependencies"] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sequential": True}, {"parallel": False}),
        ({"sequential": False}, {"parallel": True}),
        ({"mode": "serial"}, {"parallel": False}),
        ({"type": "parallel"}, {"parallel": True}),
        ({"parallelism": {"enabled": True, "maxConcurrent": 2}}, {"parallel": True, "maxParallelism": 2}),
        ({"parallelism": {"enabled": False, "strategy": "x"}}, {"parallel": False, "x-parallelism-strategy": "x"}),
        ({"parallelism": 3}, {"maxParallelism": 3}),
        ({"parallelism": False}, {"parallel": False}),
        ({"maxConcurrent": 3}, {"maxParallelism": 3}),
        ({"maxParallelism": 0}, {"x-maxParallelism": 0}),
        ({"failFast": False}, {"continueOnError": True}),
        ({"onError": "continue"}, {"continueOnError": True}),
        ({"onFailure": "stop"}, {"continueOnError": False}),
        ({"continueOnFailure": True}, {"continueOnError": True}),
        ({"timeout": "10 min"}, {"timeout": 600_000}),
        ({"estimatedTime": 5}, {"x-estimatedTime": 5}),
        ({"estimatedDuration": 5}, {"x-estimatedDuration": 5}),
    ],
)
def test_a_phase_says_the_same_in_v2(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    phase = migrate(command(work(), **fields)).definition["phases"][0]
    assert {name: value for name, value in phase.items() if name not in {"id", "name", "agents"}} == expected


@pytest.mark.parametrize(
    ("phase", "identity", "name"),
    [
        ({"id": "Phase One"}, "phase-one", "Main"),
        ({"id": 1}, "phase-1", "Main"),
        ({"id": "my-phase", "name": None}, "my-phase", None),
    ],
)
def test_phase_ids_are_made_fit(phase: dict[str, Any], identity: str, name: str | None) -> None:
    found = migrate({**command(work(retry=1), **phase)}).definition["phases"][0]
    assert found["id"] == identity
    assert found["name"] == (name or "My Phase")


def test_phases_without_id_and_name_are_counted() -> None:
    raw = {
        **command(),
        "phases": [{"agents": [work()]}, {"name": "Same", "agents": []}, {"name": "Same", "agents": []}, 5],
    }
    phases = migrate(raw).definition["phases"]
    assert [phase["id"] for phase in phases[:3]] == ["phase-1", "same", "same-2"]
    assert phases[3] == 5


def test_what_a_phase_says_for_all_nodes_is_told_to_each() -> None:
    raw = command(work(), work(id="other", retry=1), "no node", retry=2, skipIf="a", sequential=True, resources=["db"])
    agents = migrate(raw).definition["phases"][0]["agents"]
    assert [node["retryPolicy"]["maxAttempts"] for node in agents[:2]] == [2, 1]
    assert [node["skipCondition"]["expression"] for node in agents[:2]] == ["a", "a"]
    assert [node["resources"] for node in agents[:2]] == [{"locks": [{"resource": "db"}]}] * 2


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"resources": ["db"]}, "resources"),
        ({"compensation": "Undo"}, "compensation"),
        ({"conditional": "when we like"}, "conditional"),
        ({"dependsOn": ["Later"]}, "dependsOn"),
    ],
)
def test_what_a_phase_cannot_say_in_v2_is_an_error(fields: dict[str, Any], word: str) -> None:
    migration = migrate(command(work(), work(id="other"), **fields))
    assert ("DIALECT_NOT_CARRIED", f"/phases/0/{word}") in told(migration)


def test_a_dependency_on_an_earlier_phase_says_nothing_new() -> None:
    raw = command(work())
    raw["phases"].append({"name": "Next", "dependsOn": "Main", "agents": [work(id="b")]})
    migration = migrate(raw)
    assert not [problem for problem in migration.problems if problem.severity is Severity.ERROR]
    assert migration.definition["phases"][1]["x-dependsOn"] == "Main"


def test_agents_and_phases_as_objects_become_lists() -> None:
    raw = {
        **command(),
        "phases": {"main": {"name": "Main", "agents": {"work": {"type": "claude", "description": "Work"}}}},
    }
    phase = migrate(raw).definition["phases"][0]
    assert (phase["id"], phase["agents"][0]["id"]) == ("main", "work")


def test_phases_are_found_one_level_deeper() -> None:
    inner = {"phases": command(work())["phases"], "mode": "fast"}
    definition = migrate({"version": "2.0.0", "name": "/x", "description": "X", "workflow": inner}).definition
    assert definition["phases"][0]["id"] == "main"
    assert definition["x-mode"] == "fast"


def test_nodes_without_a_phase_get_one() -> None:
    raw = {"version": "2.0.0", "name": "/x", "description": "X", "steps": [{"type": "claude", "description": "Work"}]}
    definition = migrate(raw).definition
    assert definition["phases"][0]["id"] == "main"
    assert validate_definition(definition, agents={"claude"}).errors == ()


def test_what_a_command_says_for_all_is_told_to_each() -> None:
    raw = command(work(), work(id="other", retry=1))
    raw |= {"retry": 3, "timeout": "1 h", "maxConcurrency": 4, "continueOnError": True, "estimatedTime": 5}
    definition = migrate(raw).definition
    phase = definition["phases"][0]
    assert (phase["timeout"], phase["maxParallelism"], phase["continueOnError"]) == (3_600_000, 4, True)
    assert [node["retryPolicy"]["maxAttempts"] for node in phase["agents"]] == [3, 1]
    assert definition["x-estimatedTime"] == 5
    nested = migrate({**command(work()), "parallelism": {"maxConcurrent": 2}}).definition["phases"][0]
    assert nested["maxParallelism"] == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"version": "2.0"}, {"version": "2.0.0"}),
        ({"version": "1.0.0"}, {"version": "2.0.0"}),
        ({"name": "My Command"}, {"name": "/my-command"}),
        ({"description": None}, {"description": "/x"}),
        ({"description": "word " * 100}, {"x-description": "word " * 100}),
        ({"arguments": ["a"]}, {"arguments": [{"name": "a"}]}),
        (
            {"arguments": {"a": {"required": True}, "b": 2}},
            {"arguments": [{"name": "a", "required": True}, {"name": "b", "default": 2}]},
        ),
        ({"arguments": [5]}, {"arguments": [5]}),
        ({"context": {"a": 1}}, {"globalContext": {"initial": {"a": 1}}}),
        (
            {"globalContext": {"initial": {"a": 1}, "cacheTtl": 5}},
            {"globalContext": {"initial": {"a": 1}, "cacheTTL": 5}},
        ),
        ({"globalContext": 5}, {"globalContext": 5}),
        ({"metadata": 5}, {"metadata": 5}),
        ({"resources": {"locks": [{"resourceId": "db"}]}}, {"resources": {"locks": [{"resource": "db"}]}}),
        ({"pattern": "Saga", "$comment": "c", "x-own": 1}, {"x-pattern": "Saga", "$comment": "c", "x-own": 1}),
        ({"x-pattern": 1, "pattern": 2}, {"x-pattern": 1, "x-pattern-": 2}),
        ({"global_context": {"initial": {}}}, {"globalContext": {"initial": {}}}),
        ({"descripton": "slip"}, {"descripton": "slip"}),
    ],
)
def test_a_command_says_the_same_in_v2(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    raw = {**command(work()), **fields}
    raw = {name: value for name, value in raw.items() if value is not None}
    definition = migrate(raw).definition
    assert {name: definition[name] for name in expected} == expected
    assert len(definition["description"]) <= 200


# --- agents and work in two lists ------------------------------------------------------------------------------------

CREW = [
    {"id": "ada", "name": "Ada", "type": "writer-agent"},
    {"id": "bob", "name": "Bob", "agentType": "checker-agent"},
]
JOBS = [
    {"id": "draft-text", "name": "Draft the text", "agentId": "ada"},
    {"id": "draft-table", "description": "Draft the table", "assignedTo": "ada"},
    {"id": "check-both", "task": "Check both", "agent": "bob", "dependsOn": ["draft-text", "draft-table"]},
]


def two_lists(agents: object, jobs: object, word: str = "tasks", **fields: object) -> dict[str, Any]:
    return {"name": "Report", "description": "Writes it", "agents": agents, word: jobs, **fields}


@pytest.mark.parametrize("word", ["tasks", "steps", "nodes"])
def test_agents_and_work_in_two_lists_are_joined_by_their_ids(word: str) -> None:
    migration = migrate(two_lists(CREW, JOBS, word))
    (phase,) = migration.definition["phases"]
    assert [(node["id"], node["agentId"], node["task"], node.get("dependencies", [])) for node in phase["agents"]] == [
        ("draft-text", "writer-agent", "Draft the text", []),
        ("draft-table", "writer-agent", "Draft the table", []),
        ("check-both", "checker-agent", "Check both", ["draft-text", "draft-table"]),
    ]
    assert not any(name.startswith("x-") for name in migration.definition)
    assert ("DIALECT_VALUE", f"/{word}") in told(migration)
    assert validate_definition(migration.definition, agents={"writer-agent", "checker-agent"}).errors == ()


def test_a_phase_with_two_lists_is_joined_too() -> None:
    migration = migrate({"name": "r", "description": "R", "phases": [{"name": "Main", "agents": CREW, "tasks": JOBS}]})
    (phase,) = migration.definition["phases"]
    assert [node["agentId"] for node in phase["agents"]] == ["writer-agent", "writer-agent", "checker-agent"]


def test_an_agent_that_says_no_kind_is_the_agent_of_its_id() -> None:
    migration = migrate(two_lists([{"id": "ada"}], [{"id": "draft", "task": "Draft", "agentId": "ada"}]))
    assert only(migration)["agentId"] == "ada"


@pytest.mark.parametrize(
    ("agents", "jobs", "why"),
    [
        ([{"name": "Ada"}], [{"id": "a", "agentId": "Ada"}], "agent 1 has no id"),
        (["ada"], [{"id": "a", "agentId": "ada"}], "agent 1 has no id"),
        ([CREW[0], CREW[0]], JOBS[:2], 'two agents have the id "ada"'),
        ([CREW[0], CREW[1]], JOBS[:2], 'agent "bob" has none of the tasks'),
        ([CREW[0]], [{"id": "a", "name": "A"}], '"a" of tasks does not name an agent'),
        ([CREW[0]], [{"id": "a", "agentId": "eve"}], '"a" of tasks names the agent "eve", which is not among'),
        ([CREW[0]], ["a"], "entry 1 of tasks is not an object"),
        ([{**CREW[0], "dependencies": ["bob"]}], JOBS[:1], "agent \"ada\" has 'dependencies', which belongs to a task"),
    ],
)
def test_what_cannot_be_joined_is_an_error_that_says_why(agents: object, jobs: object, why: str) -> None:
    lost = [problem for problem in migrate(two_lists(agents, jobs)).problems if problem.code == "DIALECT_NOT_CARRIED"]
    assert any(why in problem.message for problem in lost)
    assert {problem.pointer for problem in lost} == {"/tasks"}


@pytest.mark.parametrize("version", [None, "1.0", 1, 1.5, "v1.2.3", "0.9", "2", "v2.0"])
def test_a_missing_and_an_older_version_are_treated_alike(version: object) -> None:
    raw = two_lists(CREW, JOBS) | ({} if version is None else {"version": version})
    migration = migrate(raw)
    assert migration.definition["version"] == "2.0.0"
    assert ("DIALECT_VALUE", "/version") in told(migration)


@pytest.mark.parametrize("version", ["2.1.0", "3.0.0", "two", "1.x"])
def test_a_newer_or_odd_version_is_left_to_the_validator(version: str) -> None:
    assert migrate(two_lists(CREW, JOBS, version=version)).definition["version"] == version


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"version": "1.2"}, {"version": "1.2.0"}),
        ({"version": 3}, {"version": "3.0.0"}),
        ({"tags": "a, b"}, {"tags": ["a", "b"]}),
        ({"author": {"name": "Ann"}}, {"author": "Ann", "x-author": {"name": "Ann"}}),
        ({"authors": ["Ann", "Bob"]}, {"author": "Ann, Bob", "x-author": ["Ann", "Bob"]}),
        ({"visibility": "internal"}, {"x-visibility": "internal"}),
        ({"changelog": "First"}, {"changelog": ["First"]}),
        ({"changelog": {"1.0": "First"}}, {"changelog": ["1.0: First"]}),
        (
            {"changelog": [{"version": "1.0", "date": "May", "changes": ["a", "b"]}, 5]},
            {"changelog": ["1.0 (May): a; b", "5"]},
        ),
        ({"changelog": 5}, {"changelog": 5}),
        ({"examples": ["/x a", {"command": "/x b"}]}, {"examples": [{"command": "/x a"}, {"command": "/x b"}]}),
        ({"requirements": ["git"]}, {"x-requirements": ["git"]}),
        ({"createdDate": "2025"}, {"x-createdDate": "2025"}),
    ],
)
def test_metadata_says_the_same_in_v2(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert migrate({**command(work()), "metadata": fields}).definition["metadata"] == expected


def test_metadata_beside_the_phases_moves_into_it() -> None:
    definition = migrate({**command(work()), "author": "Ann", "tags": ["a"]}).definition
    assert definition["metadata"] == {"author": "Ann", "tags": ["a"]}
    assert "author" not in definition


def test_differences_without_end_are_counted() -> None:
    raw = command(*({"id": f"n{number}", "type": "claude", "description": "Work"} for number in range(MAX_NOTES)))
    problems = migrate(raw).problems
    assert len(problems) == MAX_NOTES + 1
    assert problems[-1].message == f"{2 * MAX_NOTES + 1 - MAX_NOTES} more differences"


def test_a_very_long_unknown_name_is_kept_without_being_compared() -> None:
    assert migrate({**command(work()), "a" * 500: 1}).definition["x-" + "a" * 500] == 1


def test_two_nodes_of_one_id_in_a_sequence_do_not_wait_for_themselves() -> None:
    phase = migrate(command(work(), work(), sequential=True)).definition["phases"][0]
    assert [node.get("dependencies", []) for node in phase["agents"]] == [[], []]


def test_an_unknown_strategy_is_left_to_the_validator() -> None:
    assert carried(retry={"maxAttempts": 1, "strategy": "whenever"})["retryPolicy"]["strategy"] == "whenever"


def test_a_breaker_without_a_name_is_only_a_note() -> None:
    node = carried(circuitBreaker={"failureThreshold": 3})
    assert "circuitBreaker" not in node
