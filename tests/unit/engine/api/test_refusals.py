"""What a program gives and cannot be used is refused at the call that gives it, with one clear error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from engine import (
    AgentExecutor,
    CircuitBreaker,
    ContextManagerConfig,
    DAGBuilder,
    InputError,
    MetricsCollector,
    OrchestrationEngine,
    TodoWriteConfig,
    Usage,
)
from tests.support.programs import Functions, opened, step, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine import Context

ONE = steps([step("a")])
WORK = Functions(worker=lambda context: dict.fromkeys(context.outputs, 1))


async def waits(values: object) -> bool:
    return bool(values)


CALLS: list[Callable[[Any], object]] = [
    lambda engine: engine.set_circuit_breaker("api", 5),
    lambda engine: engine.set_circuit_breaker("", CircuitBreaker()),
    lambda engine: engine.set_circuit_breaker(5, CircuitBreaker()),
    lambda engine: engine.set_metrics_collector(MetricsCollector),
    lambda engine: engine.register_condition("never", 5),
    lambda engine: engine.register_condition("never", lambda: True),
    lambda engine: engine.register_condition("never", waits),
    lambda engine: engine.register_condition(5, bool),
    lambda engine: engine.configure_todo_write(enable_grouping="no"),
    lambda engine: engine.configure_context_manager(compression_enabled="no"),
    lambda engine: engine.configure_context_manager(eviction_policy=5),
    lambda _engine: TodoWriteConfig(enable_grouping=None),  # type: ignore[arg-type]
    lambda _engine: ContextManagerConfig(compression_enabled=1),  # type: ignore[arg-type]
    lambda _engine: MetricsCollector(enable_detailed_timing="no"),  # type: ignore[arg-type]
    lambda _engine: DAGBuilder(commands=["/deploy"]),  # type: ignore[arg-type]
    lambda _engine: DAGBuilder(commands={5: ONE}),  # type: ignore[dict-item]
]


class TooFew:
    """An executor whose method takes too little."""

    async def execute(self, agent_id: str) -> None:
        """Never called."""


class Unwritten(AgentExecutor):
    """An executor without a method of its own."""


class Named(AgentExecutor):
    """An executor that names as its agents whatever it is given."""

    def __init__(self, agent_ids: Any) -> None:  # noqa: ANN401
        self.agent_ids = agent_ids

    async def execute(self, agent_id: str, task: str, context: Context) -> None:
        """Never called."""


@dataclass
class Unhashable:
    """A hook that is equal to others, and so has no hash."""

    calls: int = 0

    def __call__(self, _node_id: str, _phase: str) -> None:
        self.calls += 1


def refused(call: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.code == "INVALID_OPTION"
    assert caught.value.hint
    assert caught.value.hint.endswith(".")
    return caught.value


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (None, "None"),
        ("worker", "'worker'"),
        (object(), "<object object"),
        (lambda *_arguments: None, "<function <lambda>"),
        (AgentExecutor, "the class AgentExecutor itself"),
        (Unwritten(), "Unwritten has no `execute` of its own"),  # type: ignore[abstract]
        (TooFew(), "TooFew.execute cannot be called as execute(agent_id, task, context)"),
        (Named(5), "Named.agent_ids cannot be 5"),
        (Named(("worker", 5)), "Named.agent_ids cannot be ('worker', 5)"),
        (Named(""), "Named.agent_ids cannot be ('',)"),
        (Named(b"worker"), "Named.agent_ids cannot be b'worker'"),
    ],
)
def test_what_is_no_executor_is_refused_when_it_is_set(program: Any, told: str) -> None:  # noqa: ANN401
    engine = OrchestrationEngine()
    assert told in refused(lambda: engine.set_agent_executor(program)).message


@pytest.mark.parametrize("program", [Named("worker"), Named(["worker"]), Named({"worker": 1}), Named(None), Named(())])
def test_an_executor_names_its_agents_in_any_collection(program: AgentExecutor) -> None:
    OrchestrationEngine().set_agent_executor(program)


@pytest.mark.parametrize(
    "options",
    [
        {"project": 5},
        {"executor": "gpt"},
        {"executor": None},
        {"on_node_start": 5},
        {"on_node_start": lambda _node: None},
        {"on_node_complete": lambda _node, _duration: None},
        {"on_phase_complete": lambda: None},
        {"on_todo_write": lambda _todos, _more: None},
        {"hook_timeout": "5"},
        {"hook_timeout": 0},
        {"hook_timeout": math.nan},
        {"hook_timeout": math.inf},
        {"hook_timeout": True},
        {"todo_write": {"batch_size": 5}},
        {"opener": 5},
    ],
)
def test_an_option_that_cannot_be_used_is_refused_when_the_engine_is_made(options: dict[str, Any]) -> None:
    (name,) = options
    assert name in refused(lambda: OrchestrationEngine(**options)).message


def test_a_hook_may_be_anything_that_can_be_called_with_what_it_is_given() -> None:
    silent: Any = {}.update  # written in C: it does not say what it takes
    OrchestrationEngine(on_phase_complete=silent)
    updates: list[object] = []
    OrchestrationEngine(on_node_start=print, on_todo_write=updates.append, on_node_complete=lambda *_all: None)


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_what_is_set_and_cannot_be_used_is_refused_at_once(number: int) -> None:
    refused(lambda: CALLS[number](OrchestrationEngine()))


def test_a_sub_command_that_is_none_is_refused_when_the_builder_is_made() -> None:
    with pytest.raises(InputError, match="a command cannot be made of 5"):
        DAGBuilder(commands={"/deploy": 5})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"arguments": 5}, "INVALID_OPTION"),
        ({"arguments": {5: "five"}}, "INVALID_OPTION"),
        ({"executor": "gpt"}, "INVALID_OPTION"),
        ({"executor": "simulate", "fail": "a=error"}, "INVALID_OPTION"),
        ({"executor": "simulate", "fail": [5]}, "INVALID_OPTION"),
        ({"executor": "simulate", "given": "a.a=1"}, "INVALID_OPTION"),
        ({"executor": "simulate", "seed": "1"}, "INVALID_OPTION"),
        ({"fail": ["a=error"]}, "INVALID_OPTION"),
        ({"max_parallelism": "4"}, "INVALID_LIMIT"),
        ({"max_parallelism": 1.5}, "INVALID_LIMIT"),
        ({"max_parallelism": 0}, "INVALID_LIMIT"),
        ({"max_parallelism": -1}, "INVALID_LIMIT"),
        ({"max_attempts_total": True}, "INVALID_LIMIT"),
        ({"max_cost_usd": -1}, "INVALID_LIMIT"),
        ({"max_cost_usd": math.nan}, "INVALID_LIMIT"),
        ({"max_duration_seconds": math.inf}, "INVALID_LIMIT"),
        ({"max_duration_seconds": 1e12}, "INVALID_LIMIT"),
        ({"max_duration_seconds": "60"}, "INVALID_LIMIT"),
    ],
)
async def test_a_run_that_cannot_be_made_so_is_refused_before_anything_is_written(
    project: Path, options: dict[str, Any], code: str
) -> None:
    engine = OrchestrationEngine(project)
    engine.set_agent_executor(WORK)
    with pytest.raises(InputError) as caught:
        await engine.execute(ONE, **options)
    assert caught.value.code == code
    assert not (project / ".claude" / "orchestration").exists()


async def test_limits_that_cannot_be_are_refused_for_a_run_that_is_resumed(project: Path) -> None:
    with pytest.raises(InputError) as caught:
        await OrchestrationEngine(project).resume("r-aaaaaaaaaaaa", max_parallelism=-1)
    assert caught.value.code == "INVALID_LIMIT"


async def test_a_reason_that_no_journal_can_hold_is_refused(project: Path) -> None:
    with pytest.raises(InputError) as caught:
        await OrchestrationEngine(project).cancel("r-aaaaaaaaaaaa", reason=5)  # type: ignore[arg-type]
    assert caught.value.code == "INVALID_OPTION"


async def test_a_hook_that_cannot_be_hashed_is_called(project: Path) -> None:
    hook = Unhashable()
    async with opened(project, WORK, on_node_start=hook) as engine:
        await engine.execute(ONE)
    assert hook.calls == 1


@pytest.mark.parametrize(
    "used",
    [
        5,
        Usage(cost_usd="much"),  # type: ignore[arg-type]
        Usage(cost_usd=-5),
        Usage(cost_usd=math.nan),
        Usage(input_tokens=1.5),  # type: ignore[arg-type]
        Usage(output_tokens=2**70),
    ],
)
async def test_usage_that_cannot_be_counted_costs_neither_the_work_nor_the_run(
    project: Path,
    used: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work(context: Context) -> int:
        context.usage += [used, Usage(cost_usd=0.5, output_tokens=7)]
        return 1

    async with opened(project, Functions(worker=work)) as engine:
        done = await engine.execute(ONE)
    assert done.outputs == {"a": 1}
    assert (done.metrics.cost_usd, done.metrics.output_tokens) == (0.5, 7)
    assert "is not counted" in caplog.text


@pytest.mark.parametrize(
    ("method", "arguments", "name"),
    [
        ("resume", {"run_id": None}, "run_id"),
        ("cancel", {"run_id": None}, "run_id"),
        ("decide", {"run_id": 5, "node": "a", "answer": "yes"}, "run_id"),
        ("report", {"run_id": ""}, "run_id"),
        ("decide", {"run_id": "r-1", "node": None, "answer": "yes"}, "node"),
        ("decide", {"run_id": "r-1", "node": "a", "answer": True}, "answer"),
        ("resume", {"run_id": "r-1", "failed": "no"}, "failed"),
        ("cancel", {"run_id": "r-1", "compensate": "no"}, "compensate"),
    ],
)
async def test_what_names_no_run_reaches_none_and_a_flag_is_true_or_false(
    project: Path, method: str, arguments: dict[str, Any], name: str
) -> None:
    async with opened(project, WORK) as engine:
        await engine.execute(ONE)
        with pytest.raises(InputError, match=f"{name} cannot be") as caught:
            await getattr(engine, method)(**arguments)
    assert caught.value.code == "INVALID_OPTION"
