"""A run on a virtual clock: the real engine, journal and saga, with simulated work that takes no time.

Effects: an event loop of its own, in the calling thread; nothing is written, but the caller may store the result.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from engine.errors import InputError
from engine.executors.simulate import SimulateExecutor
from engine.ids import in_template
from engine.model.agent import AgentKind
from engine.model.plan import IN_PLACE, NodeKind
from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.events import WaitReason
from engine.run.state import NodeStatus
from engine.runtime.clock import EPOCH, VirtualClock, VirtualLoop
from engine.service import Engine
from engine.storage.memory import MemoryStorage
from engine.text.cut import some
from engine.text.suggestions import Names
from engine.values.arguments import bind_arguments, initial_context
from engine.values.assumptions import Assumptions, assume

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from engine.executors.port import Executor
    from engine.executors.simulate import Fault
    from engine.ids import NodeId, RunId
    from engine.model.plan import NodePlan, Plan
    from engine.run.state import AttemptRecord, NodeState, Run


_MAX_LISTED = 20
"""The most names in one hint."""


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a simulation."""

    run: Run
    events: list[ev.Event]
    values: dict[str, bytes]
    """Canonical JSON of its values, by digest."""
    lost: tuple[str, ...] = ()
    """Parts of the scenario that never happened, a sentence each."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a simulation."""

    arguments: str | Mapping[str, Any] | None = None
    limits: ev.Limits | None = None
    faults: Mapping[tuple[NodeId, int | None], Fault] = msgspec.field(default_factory=dict)
    """Failures by node and attempt number; None: every forward attempt."""
    values: Mapping[NodeId, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    """Preset outputs by node and key."""
    definition: Mapping[str, Any] | None = None
    """The command that the plan was made from, kept with the run."""
    seed: int = 0
    epoch: datetime = EPOCH
    """When the simulated run starts."""


def simulate(plan: Plan, scenario: Scenario, *, project: Path = Path()) -> Simulated:
    """Run *plan* to its end on a virtual clock; equal plans, scenarios and seeds produce equal events.

    Approvals are answered with yes. Must not be called from a running event loop: use a thread. Raises `InputError`
    (INVALID_FAULT, INVALID_VALUE) if the scenario names anything that the plan does not have.
    """
    _check_names(plan, scenario)
    made = _assumed(plan, scenario)
    if made.shown:
        what = "conditions and lists" if any(node.template for node in plan.nodes) else "skip conditions"
        warning = f"Assumed for {what}: {_listed(made.shown)}"
        plan = structs.replace(plan, warnings=(*plan.warnings, warning))
    values = {node: {**made.values.get(node, {}), **scenario.values.get(node, {})} for node in made.values}
    executor = SimulateExecutor(faults=scenario.faults, values={**scenario.values, **values})
    found: list[Simulated] = []

    async def keep() -> None:  # asyncio writes down the whole result of its main task when it restores SIGINT
        found.append(await _simulate(plan, scenario, executor, project))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(keep())
    [simulated] = found
    return structs.replace(simulated, lost=tuple(_lost(scenario, simulated.run, executor.answered)))


def _lost(scenario: Scenario, run: Run, answered: Collection[NodeId]) -> list[str]:
    """Parts of *scenario* that never took effect in *run*, whose nodes *answered* produced outputs."""
    found = []
    for (name, number), fault in scenario.faults.items():
        nodes = _named(run, name)
        records = (record for node in nodes for record in node.attempts)
        if not any(_is_due(record, number) and _is_by(record, fault) for record in records):
            which = "" if number is None else f" in attempt {number}"
            found.append(f'the failure of "{name}"{which} never happened: {_why(nodes)}')
    for name, values in scenario.values.items():
        if not any(name in {node, in_template(node)} for node in answered):
            why = _why(_named(run, name))
            found += [f'the value of "{key}" of "{name}" was never used: {why}' for key in values]
    return found


def _named(run: Run, name: NodeId) -> list[NodeState]:
    """The node *name*, or all nodes that it stands for in a template."""
    return [node for other, node in run.nodes.items() if name in {other, in_template(other)}]


def _is_due(record: AttemptRecord, number: int | None) -> bool:
    return record.role is ev.Role.FORWARD if number is None else record.number == number


def _is_by(record: AttemptRecord, fault: Fault) -> bool:
    """Whether the attempt ended as in *fault*; for a timeout, any limit counts."""
    failure = record.failure
    if failure is None or failure.kind is not fault.kind:
        return False
    return fault.kind is FailureKind.TIMEOUT or failure.code == fault.code


def _why(nodes: Sequence[NodeState]) -> str:
    if not nodes:
        return "the run had no such instance"
    node = nodes[0]
    if node.status is NodeStatus.SKIPPED:
        return f"the node was skipped{f' ({node.skip_message})' if node.skip_message else ''}"
    if not node.attempts:
        return "the node never started"
    count = len(node.attempts)
    failure = node.attempts[-1].failure
    ending = "succeeded" if failure is None else f"ended with {failure.code}"
    return f"the node had {count} attempt{'s' if count > 1 else ''}, and the last {ending}"


def _assumed(plan: Plan, scenario: Scenario) -> Assumptions:
    given, text = bind_arguments(plan, scenario.arguments)
    return assume(plan, context={**initial_context(plan, text), **given}, given=scenario.values)


def _check_names(plan: Plan, scenario: Scenario) -> None:
    """Reject a scenario with a part that could never happen, since nothing has its name."""
    nodes = {node.id: node for node in plan.with_templates()}
    for name, number in scenario.faults:
        # Undoing a sub-command is work of its own, selected by the number of its attempt.
        _working_node(plan, nodes, name, code="INVALID_FAULT", undo=number is not None)
    for name, values in scenario.values.items():
        node = _working_node(plan, nodes, name, code="INVALID_VALUE")
        keys = [output.key for output in node.outputs]
        for key in values:
            if key not in keys:
                known = f"Its outputs are {_listed(keys)}." if keys else "It declares none."
                hint = Names(keys).question(key) or known
                raise InputError(f'node "{name}" has no output "{key}"', code="INVALID_VALUE", hint=hint)


def _working_node(
    plan: Plan, nodes: Mapping[NodeId, NodePlan], name: NodeId, *, code: str, undo: bool = False
) -> NodePlan:
    node = nodes.get(name) or nodes.get(in_template(name))
    if node is None:
        hint = Names(nodes).question(name) or f"Its nodes are {_listed([*nodes])}."
        raise InputError(f'{plan.command} has no node "{name}"', code=code, hint=hint)
    if node.template is not None:
        hint = f"Name an instance, such as {name}/1, or {name}/* for all."
        raise InputError(f'"{name}" does no work itself: its instances do', code=code, hint=hint)
    if node.kind is NodeKind.SUB_COMMAND and not undo:
        inside = _listed([other.id for other in nodes.values() if other.scope == f"{node.id}/"])
        what = "has phases in place and" if node.agent == IN_PLACE else "is a sub-command, which"
        hint = f"Name a node inside it: {inside}."
        raise InputError(f'"{name}" {what} does no work itself', code=code, hint=hint)
    return node


def _listed(names: Sequence[str]) -> str:
    return some(names, _MAX_LISTED)


async def _simulate(plan: Plan, scenario: Scenario, executor: Executor, project: Path) -> Simulated:
    storage = MemoryStorage()
    clock = VirtualClock(asyncio.get_running_loop(), random.Random(scenario.seed), scenario.epoch)  # noqa: S311 - repeatable by intent
    engine = Engine(project, storage=storage, owner=None, clock=clock, executors={AgentKind.CUSTOM: executor})
    ended: asyncio.Future[Run] = asyncio.get_running_loop().create_future()

    def listen(run: Run, events: Sequence[ev.Event]) -> None:
        for event in events:
            if isinstance(event, ev.RunEnded):
                ended.set_result(run)
            if isinstance(event, ev.NodeWaiting) and event.reason is WaitReason.APPROVAL:
                engine.live_runs.send(run.id, sig.Decide(event.node, "yes"))

    engine.live_runs.listeners.append(listen)
    async with engine.serving():
        run_id: RunId = await engine.start(
            plan,
            arguments=scenario.arguments,
            executor="simulate",
            limits=scenario.limits,
            definition=scenario.definition,
        )
        run = await ended
        return Simulated(run=run, events=await storage.events(run_id), values=dict(storage.stored_values()))
