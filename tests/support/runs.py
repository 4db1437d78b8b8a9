"""Simulated runs in tests: from a raw command to what happened, in one call."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.executors.simulate import parse_fault, parse_value, values_by_node
from engine.run import events as ev
from engine.run.events import Role
from engine.simulation import Scenario, Simulated, simulate
from tests.support.definitions import plan

if TYPE_CHECKING:
    from pathlib import Path

    from engine.run.events import Limits


def simulated(
    raw: dict[str, Any],
    *,
    fail: tuple[str, ...] = (),
    given: tuple[str, ...] = (),
    limits: Limits | None = None,
    arguments: str | dict[str, Any] | None = None,
    seed: int = 0,
    project: Path | None = None,
) -> Simulated:
    """Simulate *raw*; *fail* and *given* are spelled as `--fail` and `--set`."""
    scenario = Scenario(
        arguments=arguments,
        limits=limits,
        faults=dict(parse_fault(text) for text in fail),
        values=values_by_node(parse_value(text) for text in given),
        seed=seed,
    )
    compiled = plan(raw)
    return simulate(compiled, scenario) if project is None else simulate(compiled, scenario, project=project)


def starts(done: Simulated, role: Role = Role.FORWARD) -> list[tuple[str, float]]:
    """Node and second of each attempt of *role*, in order."""
    begin = done.run.created_at
    return [
        (str(event.node), (event.at - begin).total_seconds())
        for event in done.events
        if isinstance(event, ev.AttemptScheduled) and event.role is role
    ]


def undone(done: Simulated) -> list[str]:
    """Nodes in the order in which they were undone."""
    return [node for node, _second in starts(done, Role.COMPENSATE)]


def states(done: Simulated) -> dict[str, str]:
    """End state by node."""
    return {str(name): node.status.value for name, node in done.run.nodes.items()}


def duration(done: Simulated) -> timedelta:
    """From the first event to the last."""
    return done.events[-1].at - done.events[0].at
