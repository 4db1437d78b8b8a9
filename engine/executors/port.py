"""What an executor is given, what it gives back, and how it says that it is alive.

No effects here: this is the seam between the runtime, which decides that an attempt exists, and the programs that do
it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from engine.ids import AttemptId, NodeId, RunId
    from engine.model.agent import Agent
    from engine.model.policy import Failure, Usage


HERE = "here"
"""The worker of an attempt that this process does."""
_LEADING = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)
"""Variables by which git is led to a repository wherever it is started, as a hook has them."""


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One output that the attempt has to answer with."""

    key: str
    schema: Mapping[str, Any] | bool | None = None
    """JSON Schema of the value, where the command declares one."""
    required: bool = True
    """False for the text about itself that a node gives which declares no output."""


class WorkOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    produced: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What the node's forward attempt produced; filled for compensations only."""
    project: Path
    """Project root: the working directory of every agent that has no worktree."""
    worktree: Path | None = None
    """What the project's root is in the git worktree of an isolated agent."""
    timeout: timedelta
    """Limit of this attempt. The runtime enforces it by cancelling `execute`; executors may pass it on."""
    max_cost_usd: float | None = None
    """What is left of the run's budget; None: no limit."""
    estimate: timedelta = timedelta(minutes=1)
    """How long the command expects the node to take; the simulation lets this much of its clock pass."""

    @property
    def folder(self) -> Path:
        """The working directory of the agent."""
        return self.worktree or self.project

    @property
    def hidden(self) -> frozenset[str]:
        """Variables of ours that the agent is not given: git has to find its worktree, not the project."""
        return frozenset() if self.worktree is None else _LEADING


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended: a failure, or the outputs."""

    outputs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    failure: Failure | None = None
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """What the attempt has started and still runs, a line each, for people."""
    warnings: tuple[str, ...] = ()
    """What else there is to say about the attempt, a sentence each."""
    in_time: bool = False
    """The outputs had been given when the attempt was stopped for its time: they count."""


TIME_IS_UP = "time is up"
"""The message of the `CancelledError` by which an attempt is stopped for its time, and not because it is unwanted."""


class Heartbeat(Protocol):
    """How an executor tells that an attempt is alive and what it does; cheap, never raises."""

    def __call__(self, action: str | None = None, said: str = "") -> None:
        """*action* is one short line such as "Reading src/app.py", *said* a piece of what the agent wrote.

        An empty *action* takes back the one before: the attempt does its task and no more can be told.
        """

    def started(self, worker: str) -> None:
        """The attempt waits no longer: *worker* does it, and its time runs. Once said, saying it again changes nothing.

        For executors that let attempts wait (`starts_later`); what starts at once need not say it.
        """


class Executor(Protocol):
    """Does attempts.

    Cancelling the awaited `execute` must end everything it started (processes, tasks) before the cancellation goes on.
    A note on the `CancelledError` becomes the hint of the attempt's failure. One with `TIME_IS_UP` may be answered with
    an outcome that is `in_time`, where the outputs are there already.
    """

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Do *order* to its end. Raises nothing but cancellation for what an agent did: that is a `Failure`."""


def starts_later(executor: Executor | None, agent: Agent) -> bool:
    """Whether attempts of *agent* wait for their turn at *executor*, which has a method `queues` then.

    `queues(agent)` gives True where an attempt may have to wait, for a machine or for other attempts. Its time runs
    from `Heartbeat.started` on.
    """
    queues = getattr(executor, "queues", None)
    return queues is not None and bool(queues(agent))


class Outbox(Protocol):
    """Keeps how attempts ended whose work is done and cannot be done again, until the journal has it."""

    def covers(self, agent: Agent) -> bool:
        """Whether outcomes of *agent* are kept here."""

    async def attempts(self) -> list[AttemptId]:
        """The attempts that it knows of."""

    async def found(self, attempts: Collection[AttemptId]) -> Mapping[AttemptId, Outcome]:
        """How those of *attempts* ended that it knows of."""

    def recorded(self, attempt: AttemptId) -> None:
        """The end of *attempt* is in the journal, or no run has it any more; nothing, where it knows of none."""

    async def redone(self, attempts: Collection[AttemptId]) -> list[str]:
        """The work of the lost *attempts* was done again: remove what was kept of it; says what has gone."""


class _NoOutbox:
    """Of executors whose work can always be done again."""

    def covers(self, agent: Agent) -> bool:  # noqa: ARG002 -- the port's
        return False

    async def attempts(self) -> list[AttemptId]:
        return []

    async def found(self, attempts: Collection[AttemptId]) -> Mapping[AttemptId, Outcome]:  # noqa: ARG002 -- the port's
        return {}

    def recorded(self, attempt: AttemptId) -> None:
        pass

    async def redone(self, attempts: Collection[AttemptId]) -> list[str]:  # noqa: ARG002 -- the port's
        return []


NO_OUTBOX: Outbox = _NoOutbox()


class EndOrphans(Protocol):
    """Ends what dead processes of *project* have left running."""

    async def __call__(self, project: Path, *, lost: Collection[AttemptId] = ()) -> int:
        """Returns when none of it runs any more, with their number; of *lost* attempts nothing may stay."""
