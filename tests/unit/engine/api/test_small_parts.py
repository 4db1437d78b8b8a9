"""Options, graphs, metrics collectors, and the names that a program imports."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine import (
    AgentFailure,
    CircuitBreaker,
    CommandDefinition,
    ContextManagerConfig,
    DAGBuilder,
    InputError,
    InvalidCommand,
    MetricsCollector,
    NotFound,
    StateError,
    TodoWriteConfig,
)
from engine.api.commands import Definition
from engine.api.metrics import REPORTS_KEPT, report_of
from engine.ids import NodeId
from registry import CommandLoader
from tests.support.definitions import command, implement_feature, node, phase, review_code
from tests.support.programs import Functions, opened, step, steps
from tests.support.runs import simulated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORK = Functions(worker=lambda context: dict.fromkeys(context.outputs, 1))
TWO = steps([step("a")], [step("b", "a")])


def invalid_command() -> InvalidCommand:
    with pytest.raises(InvalidCommand) as caught:
        DAGBuilder().build_dag({"version": "2.0.0"})
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        invalid_command(),
        NotFound("no such run", code="RUN_NOT_FOUND", hint="List the runs."),
        AgentFailure("RATE_LIMIT", "slow down", kind="timeout", hint="Wait."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_reaches_another_process_whole(error: Exception) -> None:
    for received in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert type(received) is type(error)
        assert (str(received), vars(received)) == (str(error), vars(error))


@pytest.mark.parametrize("name", sorted(engine.__all__))
def test_a_name_is_where_it_is_said_to_be(name: str) -> None:
    assert getattr(engine, name) is not None
    assert name in dir(engine)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Orchestra'"):
        engine.Orchestra  # type: ignore[attr-defined] # noqa: B018


def test_importing_the_engine_imports_nothing_of_it() -> None:
    script = (
        "import sys, engine; print([name for name in sys.modules if name.startswith(('engine.', 'registry', 'mcp'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, env=dict(os.environ)
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        (TodoWriteConfig, "batch_size", 0),
        (TodoWriteConfig, "batch_size", True),
        (TodoWriteConfig, "batch_delay", -1),
        (CircuitBreaker, "failure_threshold", 0),
        (CircuitBreaker, "reset_timeout", 0),
        (CircuitBreaker, "monitoring_period", "long"),
        (ContextManagerConfig, "max_cache_size", -1),
        (ContextManagerConfig, "eviction_policy", "fifo"),
    ],
)
def test_what_makes_no_sense_is_told_where_it_is_given(kind: Callable[..., object], option: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        kind(**{option: value})
    assert caught.value.code == "INVALID_OPTION"


def test_a_breaker_counts_in_milliseconds() -> None:
    config = CircuitBreaker(failure_threshold=3, reset_timeout=1500, monitoring_period=2500).config
    assert (config.failure_threshold, config.reset_timeout.total_seconds()) == (3, 1.5)
    assert config.monitoring_period.total_seconds() == 2.5


def test_a_graph_is_drawn_of_a_definition() -> None:
    dag = DAGBuilder().build_dag(implement_feature())
    text = dag.visualize()
    assert str(dag) == text
    assert "Phase 2: Implementation (at most 3 at once)" in text
    assert "└─  database" in text
    assert dag.visualize(format="mermaid").startswith("flowchart LR\n")
    assert dag.visualize(format="svg").startswith("<svg ")
    assert dag.nodes[0] == "architect"
    assert dict(dag.dependencies)[NodeId("unit-tests")] == ("backend", "frontend")
    assert dag.levels[1] == ["backend", "frontend", "database"]
    assert dag.critical_path[0] == "architect"
    assert (dag.sequential_time, dag.critical_path_time) == (155 * 60_000, 95 * 60_000)
    with pytest.raises(InputError):
        dag.visualize(format="png")  # type: ignore[arg-type]


def test_a_graph_is_drawn_of_a_model_with_sub_commands_and_of_what_undoes() -> None:
    inner = command(phase("x", node("p"), node("q", agent="command", task="/deepest")), name="/inner")
    deepest = command(phase("y", node("r")), name="/deepest")
    undo = {"type": "custom", "agentId": "undoer", "task": "Undo it"}
    outer = command(phase("one", node("call", agent="command", task="/inner"), node("other", compensation=undo)))
    commands: dict[str, Definition] = {"/inner": inner, "/deepest": CommandDefinition.model_validate(deepest)}
    dag = DAGBuilder(commands=commands).build_dag(CommandDefinition.model_validate(outer))
    assert dag.nodes == ("call", "call/p", "call/q", "call/q/r", "other")
    assert sorted(dag.plan.agents) == ["undoer", "worker"]


def test_a_definition_with_errors_has_no_graph() -> None:
    raw = command(phase("one", node("a", "b"), node("b", "a"), node("c", "d")))
    with pytest.raises(InvalidCommand) as caught:
        DAGBuilder().build_dag(raw)
    assert "CIRCULAR_DEPENDENCY" in str(caught.value)
    assert "UNKNOWN_DEPENDENCY" in str(caught.value)
    with pytest.raises(InvalidCommand):
        DAGBuilder().build_dag({})


def test_a_graph_is_drawn_of_what_the_loader_gave(project: Path) -> None:
    loaded = CommandLoader(project).load_sync(review_code())
    assert DAGBuilder().build_dag(loaded).nodes == DAGBuilder().build_dag(review_code()).nodes
    assert "CommandLoader().load" in (refused(DAGBuilder().build_dag, "/review-code").hint or "")


async def test_what_the_loader_gave_is_run_and_what_is_no_command_is_one_clear_error(project: Path) -> None:
    loader = CommandLoader(project)
    loaded = loader.load_sync(steps([step("a")]))
    async with opened(project, Functions(worker=lambda context: dict.fromkeys(context.outputs, 1))) as opened_engine:
        assert (await opened_engine.execute(loaded)).success
        for nothing in (None, 7, ["/made"]):
            with pytest.raises(InputError, match="a command cannot be made of"):
                await opened_engine.execute(nothing)  # type: ignore[arg-type]
            refused(loader.load_sync, nothing)
            refused(loader.validate, nothing)
            refused(DAGBuilder().build_dag, nothing)


def refused(call: Callable[[Any], object], given: object) -> InputError:
    """The error of a call that cannot make a command of what it was given."""
    with pytest.raises(InputError, match="a command cannot be made of") as caught:
        call(given)
    return caught.value


async def test_a_collector_has_what_it_was_told_to_collect(project: Path) -> None:
    full, bare = (
        MetricsCollector(),
        MetricsCollector(enable_detailed_timing=False, enable_resource_monitoring=False, enable_context_metrics=False),
    )
    with pytest.raises(StateError) as caught:
        full.get_report()
    assert caught.value.code == "NO_REPORT"
    async with opened(project, WORK) as engine_:
        engine_.set_metrics_collector(full)
        first = await engine_.execute(TWO)
        engine_.set_metrics_collector(bare)
        second = await engine_.execute(TWO)
    report = full.get_report()
    assert report == full.get_report(first.run_id) == first.metrics
    assert report.timeline is not None
    assert report.resources is not None
    assert report.resources.peak_memory > 1_000_000
    assert report.resources.peak_processes >= 1
    assert report.resources.cpu_time >= 0
    assert report.cache_hit_rate == 100
    with pytest.raises(StateError, match="while metrics were collected"):
        full.get_report(second.run_id)
    other = bare.get_report()
    assert (other.run_id, other.timeline, other.resources, other.cache_hit_rate) == (second.run_id, None, None, None)


def test_a_collector_keeps_the_newest_hundred_reports() -> None:
    collector = MetricsCollector()
    done = simulated(review_code())
    now = done.events[-1].at
    for number in range(REPORTS_KEPT + 1):
        done.run.id = f"r-{number}"  # type: ignore[assignment]
        collector.add(report_of(done.run, now))
    assert collector.get_report().run_id == f"r-{REPORTS_KEPT}"
    assert collector.get_report("r-1").run_id == "r-1"
    with pytest.raises(StateError):
        collector.get_report("r-0")


def test_the_report_is_spelled_as_the_guide_spells_it() -> None:
    done = simulated(review_code())
    report = report_of(done.run, done.events[-1].at)
    assert (report.total_duration, report.parallelism_efficiency, report.cache_hit_rate) == (1_200_000, 100.0, None)
    phase_ = report.phases[1]
    assert (phase_.name, phase_.duration, phase_.agent_count, phase_.parallel_executions, phase_.success_rate) == (
        "Reviews",
        600_000,
        2,
        2,
        100.0,
    )
    slowest = report.slowest_agents[0]
    assert (slowest.id, slowest.duration, slowest.estimated_time) == ("quality-review", 600_000, 600_000)
