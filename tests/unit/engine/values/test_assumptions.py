"""A simulation makes up what lets the flow go on, says so, and refuses what never came to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.executors.simulate import parse_fault, parse_value, values_by_node
from engine.ids import NodeId
from engine.run.state import NodeStatus
from engine.simulation import Scenario, Simulated, simulate
from tests.support.definitions import command, in_place, node, phase, plan

if TYPE_CHECKING:
    from tests.support.definitions import Raw

COUNTS: dict[str, Any] = {
    "type": "object",
    "required": ["files"],
    "properties": {"files": {"type": "integer", "minimum": 0}},
}


def skips(expression: str) -> dict[str, str]:
    return {"type": "context", "expression": expression, "skipMessage": "not needed"}


def writes(key: str, schema: object = None) -> dict[str, Any]:
    return {"outputs": [{"key": key} | ({} if schema is None else {"schema": schema})]}


def run(*conditions: str, schema: object = None, scenario: Scenario | None = None, **fields: Any) -> Simulated:  # noqa: ANN401
    """A node that writes `found`, and behind it a node for each condition."""
    followers = [node(f"node-{at}", "look", skipCondition=skips(text)) for at, text in enumerate(conditions)]
    raw = command(phase("work", node("look", context=writes("found", schema), **fields), *followers))
    return simulate(plan(raw), scenario or Scenario())


def skipped(done: Simulated) -> list[str]:
    return [name for name, state in done.run.nodes.items() if state.status is NodeStatus.SKIPPED]


def assumed(done: Simulated) -> list[str]:
    return [text for text in done.run.plan.warnings if text.startswith("Assumed for skip conditions")]


@pytest.mark.parametrize(
    ("condition", "schema"),
    [
        ("found.files == 0", COUNTS),
        ("found.files < 10", COUNTS),
        ("found.files <= 41 || found.files > 99", COUNTS),
        ("found.other == 0", {**COUNTS, "properties": {**COUNTS["properties"], "other": {"type": "integer"}}}),
        ("!found.ok", None),
        ('found != "bug"', None),
        ("found != 'bug'", {"enum": ["none", "bug"]}),
        ('found == "none"', {"enum": ["none", "bug"]}),
        ("found.length == 0", {"type": "array", "items": {"type": "string"}}),
        ("size(found) == 0", {"type": "array"}),
        ('found["a b"].c != true', None),
        ("found", {"type": "boolean"}),
        ('!("x" in found)', None),
    ],
)  # fmt: skip
def test_no_node_is_skipped_by_a_made_up_value_and_what_was_assumed_is_said(condition: str, schema: object) -> None:
    done = run(condition, schema=schema)
    assert skipped(done) == []
    assert done.run.status == "completed"
    assert [text.count("look.found") > 0 for text in assumed(done)] == [True]


def test_several_conditions_on_one_value_are_served_together() -> None:
    done = run("found.files == 0", "found.open == 0", "found.open > 5")
    assert skipped(done) == []
    assert assumed(done) == ["Assumed for skip conditions: look.found.files = 1, look.found.open = 1"]


def test_where_conditions_contradict_each_other_as_few_nodes_as_possible_are_skipped() -> None:
    assert len(skipped(run("found == 1", "found != 1", "found != 1"))) == 1


def test_a_condition_that_cannot_be_met_is_left_as_it_is() -> None:
    assert skipped(run("found == found")) == ["node-0"]


def test_a_value_that_was_set_is_not_changed() -> None:
    values = values_by_node([parse_value('look.found={"files": 0}')])
    done = run("found.files == 0", schema=COUNTS, scenario=Scenario(values=values))
    assert skipped(done) == ["node-0"]
    assert assumed(done) == []


def test_what_no_condition_reads_is_made_up_without_a_word() -> None:
    assert assumed(run()) == []


def test_a_made_up_value_never_fails_a_check() -> None:
    undo = {"type": "cascade", "rollbackTo": "look", "compensateOn": ["validation"]}
    assert run("found", compensation=undo).run.status == "completed"


def test_a_condition_on_arguments_and_initial_values_counts_them() -> None:
    raw = command(
        phase(
            "work", node("look", context=writes("found")), node("act", "look", skipCondition=skips("found == wanted"))
        ),
        globalContext={"initial": {"wanted": 1}},
    )
    assert skipped(simulate(plan(raw), Scenario())) == []


def sub_command(condition: str, *, inside: bool) -> Simulated:
    """A value of one level that a condition of another reads."""
    giving = node("look", context=writes("found", COUNTS))
    acting = node("act", *([] if inside else ["call"]), skipCondition=skips(condition))
    if inside:
        inner = command(phase("work", acting), name="/inner")
        call = node("call", "look", agent="command", context={"inputs": [{"key": "found"}]})
        outer = command(phase("work", giving, {**call, "task": "/inner"}))
    else:
        inner = command(phase("work", giving), name="/inner")
        call = node("call", agent="command", context={"outputs": [{"key": "found"}]})
        outer = command(phase("work", {**call, "task": "/inner"}, acting))
    return simulate(plan(outer, inner), Scenario())


@pytest.mark.parametrize("inside", [True, False], ids=["read inside", "read outside"])
def test_values_are_followed_into_sub_commands_and_out_of_them(*, inside: bool) -> None:
    done = sub_command("found.files == 0", inside=inside)
    assert skipped(done) == []
    assert "files = 1" in assumed(done)[0]


# --- what never came to pass -----------------------------------------------------------------------------------------


def test_an_output_of_an_items_phases_is_followed_to_its_writer() -> None:
    """It has one key inside of the item and outside of it."""
    look = node("look", context=writes("faults", {"type": "array"}))
    mend = node("mend", "look", skipCondition=skips("faults.length == 0"), context={"inputs": [{"key": "faults"}]})
    pages = in_place("pages", phase("work", look, mend), context={"inputs": [{"key": "files"}], **writes("faults")})
    files = node("list", context=writes("files", {"type": "array"}))
    raw = command(phase("one", files, pages | {"dependencies": ["list"], "forEach": {"items": "files"}}))
    done = simulate(plan(raw), Scenario())
    assert skipped(done) == []
    assert any("pages/*/look.faults" in text for text in done.run.plan.warnings)


def test_a_node_is_not_skipped_by_what_it_writes_itself() -> None:
    """A loop until the tests pass is not skipped because they do so in the end."""
    passed = {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}
    loop = {"repeat": {"until": "report.ok"}, "skipCondition": skips("report.ok"), "dependencies": ["look"]}
    mend = in_place(
        "mend", phase("work", node("test", context=writes("report", passed))), context=writes("report", passed)
    )
    done = simulate(
        plan(command(phase("one", node("look", context=writes("report", passed)), mend | loop))), Scenario()
    )
    assert skipped(done) == []
    assert "mend/1/test" in done.run.nodes


def scenario(*faults: str, values: tuple[str, ...] = ()) -> Scenario:
    return Scenario(faults=dict(map(parse_fault, faults)), values=values_by_node(map(parse_value, values)))


def lost(raw: Raw, asked: Scenario) -> list[str]:
    return list(simulate(plan(raw), asked).lost)


TWO = command(
    phase(
        "work", node("one", context=writes("a")), node("two", "one", context=writes("b"), skipCondition=skips("true"))
    )
)


def test_what_came_to_pass_is_no_loss() -> None:
    policy = {"maxAttempts": 1, "strategy": "immediate"}
    raw = command(phase("work", node("one", context=writes("a"), retryPolicy=policy), node("two", "one")))
    assert lost(raw, scenario("one:1=error/BUSY", "two=timeout", values=("one.a=1",))) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (scenario("two=error"), ['the failure of "two" never happened: the node was skipped (not needed)']),
        (scenario("one:2=error"), ['the failure of "one" in attempt 2 never happened: the node had 1 attempt']),
        (scenario("one:7=timeout"), ['the failure of "one" in attempt 7 never happened: the node had 1 attempt']),
        (scenario(values=("two.b=1",)), ['the value of "b" of "two" was never used: the node was skipped (not']),
        (
            scenario("one=error", values=("one.a=1",)),
            ['the value of "a" of "one" was never used: the node had 1 attempt, and the last ended with AGENT_ERROR'],
        ),
        (scenario("one=error", "two=error"), ['the failure of "two" never happened: the node never started']),
    ],
)  # fmt: skip
def test_what_never_came_to_pass_is_told_with_the_reason(asked: Scenario, told: list[str]) -> None:
    found = lost(TWO, asked)
    assert len(found) == len(told)
    assert all(text.startswith(start) for text, start in zip(found, told, strict=True))


def test_a_value_that_failed_a_check_was_given() -> None:
    undo = {"type": "cascade", "rollbackTo": "one", "compensateOn": ["validation"]}
    raw = command(phase("work", node("one", context=writes("ok"), compensation=undo)))
    assert lost(raw, scenario(values=("one.ok=false",))) == []


def test_a_condition_inside_a_sub_command_reads_what_the_run_begins_with() -> None:
    acting = node("act", "look", skipCondition=skips("found.files == 0 && wanted == 1"))
    inner = command(phase("work", node("look", context=writes("found", COUNTS)), acting), name="/inner")
    call = {**node("call", agent="command", context={"inputs": [{"key": "wanted"}]}), "task": "/inner"}
    outer = command(phase("work", call), globalContext={"initial": {"wanted": 1}})
    assert skipped(simulate(plan(outer, inner), Scenario())) == []


def test_a_fault_of_an_undoing_that_came_is_no_loss() -> None:
    undo = {"type": "rollback", "task": "Undo it"}
    raw = command(phase("work", node("one", compensation=undo), node("two", "one")))
    assert lost(raw, scenario("two=error", "one:2=error/STUCK")) == []
    assert NodeId("one") in simulate(plan(raw), scenario("two=error")).run.nodes
