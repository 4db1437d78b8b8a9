"""What an executor is given, what it gives back, and how it says that it is alive.

No effects here: this is the seam between the runtime, which decides that an attempt exists, and the programs that do
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.ids import AttemptId, NodeId, RunId
    from engine.model.agent import Agent
    from engine.model.policy import Failure, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One output that the attempt has to answer with."""

    key: str
    schema: Mapping[str, Any] | bool | None = None
    """JSON Schema of the value, where the command declares one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOrder:
    """Everything an executor needs to do one attempt; it holds values, never references."""

    run: RunId
    node: NodeId
    attempt: AttemptId
    role: str
    """`forward` or `compensate`."""
    agent: Agent
    task: str
    """The task, `$ARGUMENTS` already replaced."""
    inputs: Mapping[str, Any]
    outputs: tuple[OutputSpec, ...]
    produced: Mapping[str, Any] = field(default_factory=dict)
    """What the node's forward attempt produced; filled for compensations only."""
    project: Path
    """Project root: the working directory of every agent."""
    timeout: timedelta
    """Limit of this attempt. The runtime enforces it by cancelling `execute`; executors may pass it on."""
    max_cost_usd: float | None = None
    """What is left of the run's budget; None: no limit."""
    estimate: timedelta = timedelta(minutes=1)
    """How long the command expects the node to take; the simulation lets this much of its clock pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended: a failure, or the outputs."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    usage: Usage | None = None


class Heartbeat(Protocol):
    """How an executor tells that an attempt is alive and what it does; cheap, never raises."""

    def __call__(self, action: str | None = None, said: str = "") -> None:
        """*action* is one short line such as "Reading src/app.py", *said* a piece of what the agent wrote."""


class Executor(Protocol):
    """Does attempts.

    Cancelling the awaited `execute` must end everything it started (processes, tasks) before the cancellation goes on.
    """

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Do *order* to its end. Raises nothing but cancellation for what an agent did: that is a `Failure`."""
