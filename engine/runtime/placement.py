"""The executor of each attempt: of this process, of the client, or one that has other machines do the work.

Effects: asks executors about attempts on other machines, and ends some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.errors import EnvironmentFault
from engine.executors.port import ElsewhereExecutor, starts_later
from engine.executors.worktrees.isolated import check_isolation
from engine.ids import attempt_id
from engine.model.agent import AgentKind
from engine.run.events import Role
from engine.run.state import agent_of
from engine.runtime.resource_requests import may_claim

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from engine.executors.port import Executor
    from engine.executors.worktrees.git import Allows
    from engine.ids import AttemptId, NodeId, RunId
    from engine.model.agent import Agent
    from engine.model.plan import NodePlan
    from engine.run.state import NodeState, Run


class FleetPort(ElsewhereExecutor, Protocol):
    """An executor that takes some agents to other machines."""

    def takes(self, agent: Agent) -> bool:
        """Whether *agent* is one of them."""

    async def check(self, agents: Collection[Agent], project: Path) -> None:
        """Raise `EnvironmentFault` if *agents* could not work on *project* now."""


class Placement:
    """Which executor makes which attempts."""

    def __init__(self, executors: Mapping[AgentKind, Executor], custom: Mapping[str, Executor]) -> None:
        """*executors* by kind of agent, *custom* by agent id; both may change later."""
        self._executors = executors
        self._custom = custom
        self.fleet: FleetPort | None = None
        """The workers of other machines, if the project has any."""

    def choose(self, run: Run, agent: Agent) -> Executor | None:
        """See `attempts.Chooser`."""
        if run.executor == "simulate":
            return self._executors[AgentKind.CUSTOM]
        if agent.id in self._custom:
            return self._custom[agent.id]
        if run.executor == "host" and agent.kind.traits.needs_model:
            return None
        return self.fleet if self.fleet is not None and self.fleet.takes(agent) else self._executors[agent.kind]

    def queues(self, run: Run, node: NodePlan, role: Role) -> bool:
        """Whether attempts of *node* wait for their turn: see `scheduling.step.Queues`."""
        agent = agent_of(run, node, undo=role is Role.COMPENSATE)
        return agent is not None and starts_later(self.choose(run, agent), agent)

    def elsewhere(self, run: Run, node: NodePlan, role: Role) -> bool:
        """Whether another machine runs attempts of *node*."""
        return self._remote(run, node, role) is not None

    def _remote(self, run: Run, node: NodePlan, role: Role) -> ElsewhereExecutor | None:
        agent = agent_of(run, node, undo=role is Role.COMPENSATE)
        executor = None if agent is None else self.choose(run, agent)
        # A look at a method is a hundred times cheaper than a runtime check of the whole protocol.
        return executor if hasattr(executor, "standing") and isinstance(executor, ElsewhereExecutor) else None

    async def check(self, agents: Iterable[Agent], executor: str, project: Path, *, allows: Allows) -> None:
        """Raise `EnvironmentFault` if one of *agents*, of which *executor* runs those with a model, could not work."""
        ours = [agent for agent in agents if agent.id not in self._custom]
        if executor == "host":
            ours = [agent for agent in ours if not agent.kind.traits.needs_model]
        await check_isolation(project, ours, allows=allows)
        far = [agent for agent in ours if self.fleet is not None and self.fleet.takes(agent)]
        if self.fleet is not None and far:
            await self.fleet.check(far, project)

    async def standing(self, run: Run) -> frozenset[NodeId]:
        """The nodes of *run*, which has lost its owner, whose attempts other machines continue.

        Attempts that rely on locks are ended instead: these may be given to others before the run has them again.
        Raises `EnvironmentFault` if that is not possible: nothing is known about them then.
        """
        found: set[NodeId] = set()
        for executor, names in self._attempts(run).items():
            kept = {attempt: name for attempt, name in names.items() if not _uses_locks(run, run.nodes[name])}
            await executor.end([attempt for attempt in names if attempt not in kept])
            found.update(kept[attempt] for attempt in await executor.standing(list(kept)))
        return frozenset(found)

    async def end(self, run: Run) -> None:
        """End all attempts of *run*, which has lost its owner, on other machines. Raises `EnvironmentFault`."""
        for executor, names in self._attempts(run).items():
            await executor.end(list(names))

    def _attempts(self, run: Run) -> dict[ElsewhereExecutor, dict[AttemptId, NodeId]]:
        """The attempts of *run* that other machines may run, by executor."""
        found: dict[ElsewhereExecutor, dict[AttemptId, NodeId]] = {}
        for name, node in run.nodes.items():
            if node.live is not None and node.live.elsewhere:
                executor = self._remote(run, node.plan, node.live.role)
                if executor is None:
                    raise _no_fleet(run.id)
                found.setdefault(executor, {})[attempt_id(run.id, name, node.live.number)] = name
        return found


def _uses_locks(run: Run, node: NodeState) -> bool:
    return bool(run.plan.locks) or may_claim(run, node)


def _no_fleet(run: RunId) -> EnvironmentFault:
    return EnvironmentFault(
        f"attempts of run {run} may still run on the workers of a fleet, and no fleet is configured here",
        code="FLEET_NOT_CONFIGURED",
        hint="Set [fleet] as when the run was started, and agree to it with `orchestrate trust`.",
    )
