from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine.ids import OwnerId, RunId
from engine.run.events import RunStatus
from engine.storage.port import RunSummary
from mcp_server.project.forecast import COSTS_KEPT, costs_of, forecast_of, in_words
from tests.support.definitions import command, implement_feature, node, phase, plan


def row(
    cost: float, status: RunStatus = RunStatus.COMPLETED, *, name: str = "/test", executor: str = "claude"
) -> RunSummary:
    return RunSummary(
        id=RunId("r-1"),
        command=name,
        status=status,
        executor=executor,
        owner=OwnerId("o-1"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        cost_usd=cost,
    )


def test_without_earlier_runs_the_file_says_it_all() -> None:
    found = forecast_of(plan(implement_feature()), learned={}, costs=[], max_parallelism=None)
    assert (found.agents, found.sequential, found.expected) == (8, timedelta(minutes=155), timedelta(minutes=95))
    assert (found.cost_usd, found.cost_runs) == (None, 0)


def test_fewer_slots_take_longer() -> None:
    found = forecast_of(plan(implement_feature()), learned={}, costs=[], max_parallelism=1)
    assert found.expected == found.sequential


def test_what_was_learned_wins_over_the_file() -> None:
    compiled = plan(command(phase("work", node("a", minutes=10), node("b", "a", minutes=1))))
    found = forecast_of(compiled, learned={"a": 30.0, "gone": 5.0}, costs=[], max_parallelism=None)
    assert found.expected == timedelta(seconds=90)


def test_a_sub_command_is_counted_by_what_is_inside_it() -> None:
    inner = command(phase("in", node("x", minutes=2), node("y", "x", minutes=3)), name="/inner")
    calling = {"id": "call", "agentId": "command", "task": "/inner"}
    found = forecast_of(plan(command(phase("out", calling)), inner), learned={}, costs=[], max_parallelism=None)
    assert (found.agents, found.expected) == (2, timedelta(minutes=5))


def test_the_cost_is_the_median_of_whole_real_runs_of_the_command() -> None:
    rows = [
        row(3.0),
        row(9.0, RunStatus.FAILED),
        row(1.0, RunStatus.DEGRADED),
        row(50.0, executor="simulate"),
        row(70.0, name="/other"),
        row(0.0),
        row(2.0),
    ]
    costs = costs_of(rows, "/test")
    assert costs == [3.0, 1.0, 2.0]
    found = forecast_of(plan(command(phase("work", node("a")))), learned={}, costs=costs, max_parallelism=None)
    assert (found.cost_usd, found.cost_runs) == (2.0, 3)


def test_old_costs_are_forgotten() -> None:
    assert len(costs_of([row(1.0)] * 50, "/test")) == COSTS_KEPT


def test_a_forecast_is_told_in_one_line_with_the_cost_where_it_is_known() -> None:
    compiled = plan(command(phase("work", node("a", minutes=10), node("b", "a", minutes=1))))
    found = forecast_of(compiled, learned={"a": 30.0}, costs=[], max_parallelism=None)
    assert in_words(found) == "2 agents, about 2 min"
    known = forecast_of(compiled, learned={"b": 600.0}, costs=[2.4, 1.0, 3.0], max_parallelism=None)
    assert in_words(known) == "2 agents, about 20 min, about $2.40 (3 earlier runs)"
    one = forecast_of(plan(command(phase("work", node("a")))), learned={"a": 5.0}, costs=[1.0], max_parallelism=None)
    assert in_words(one) == "1 agent, about 5s, about $1.00 (1 earlier run)"


def test_the_plan_of_a_forecast_has_the_times_and_the_critical_path_that_were_learned() -> None:
    raw = command(phase("work", node("a", minutes=10), node("b", minutes=1), parallel=True))
    found = forecast_of(plan(raw), learned={"b": 1200.0}, costs=[], max_parallelism=None)
    assert found.plan.critical_path == ("b",)
    assert found.plan.critical_path_time == timedelta(minutes=20)
    assert found.plan.sequential_time == found.sequential == timedelta(minutes=30)
