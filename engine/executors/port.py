"""The interface of executors: work orders, outcomes and heartbeats.

No effects here: this is the seam between the runtime, which decides on attempts, and the programs that make them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from engine.ids import AttemptId, NodeId, RunId
    from engine.model.agent import Agent
    from engine.model.log import LogLine
    from engine.model.policy import Failure, Usage


HERE = "here"
"""The worker of an attempt that runs in this process."""
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
"""Variables that point git to a repository wherever it is started, as set for hooks."""


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One output that the attempt has to return."""

    key: str
    schema: Mapping[str, Any] | bool | None = None
    """JSON Schema of the value, if the command declares one."""
    required: bool = True
    """False for the summary that a node without declared outputs returns."""


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
    """The outputs of the node's forward attempt; set for compensations only."""
    project: Path
    """Project root: the working directory of every agent that has no worktree."""
    worktree: Path | None = None
    """The project root inside the git worktree of an isolated agent."""
    timeout: timedelta
    """Limit of this attempt. The runtime enforces it by cancelling `execute`; executors may pass it on."""
    max_cost_usd: float | None = None
    """The rest of the run's budget; None: no limit."""
    cost_usd: float = 0.0
    """Cost of the run before this attempt, as far as agents have reported it."""
    traceparent: str = ""
    """The span of the attempt, for a program that continues its trace; empty where nothing is traced."""
    priority: int = 0
    """That of the node: among attempts that wait for a worker, higher comes first."""
    estimate: timedelta = timedelta(minutes=1)
    """Expected duration of the node; a simulation lets this much of its clock pass."""

    @property
    def folder(self) -> Path:
        """The working directory of the agent."""
        return self.worktree or self.project

    @property
    def hidden(self) -> frozenset[str]:
        """Variables withheld from the agent: git has to find its worktree, not the project."""
        return frozenset() if self.worktree is None else _LEADING


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an attempt ended: a failure, or the outputs."""

    outputs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    failure: Failure | None = None
    usage: Usage | None = None
    left: tuple[str, ...] = ()
    """Processes of the attempt that still run, a line each, for people."""
    warnings: tuple[str, ...] = ()
    """Other warnings about the attempt, a sentence each."""
    in_time: bool = False
    """Whether the outputs were complete when the attempt was stopped at its timeout: they count."""
    lost_worker: str | None = None
    """The worker that was lost before it answered; the rest of the outcome is unknown, and then does not count."""
    begun: bool = True
    """False: its agent is known not to have begun, so that there is nothing to undo."""


TIME_IS_UP = "time is up"
"""The message of the `CancelledError` that stops an attempt at its timeout, not on request."""
CLOSING = "this process ends"
"""The same for all attempts of a process that ends: its runs are interrupted, not stopped."""


class Heartbeat(Protocol):
    """How an executor reports that an attempt is alive and what it does; cheap, never raises."""

    def __call__(self, action: str | None = None, said: str = "", log: Sequence[LogLine] | None = None) -> None:
        """*action* is one short line such as "Reading src/app.py", *said* a piece of what the agent wrote.

        An empty *action* clears the previous one: no more is known than that the attempt does its task. *log* are the
        lines for the attempt's log; by default those that follow from the other two.
        """

    def started(self, worker: str, ago: timedelta = timedelta()) -> None:
        """The attempt no longer waits: *worker* runs it, since *ago*, and its timeout started then.

        Further calls change nothing.

        For executors that queue attempts (`starts_later`); others need not call it.
        """


class Executor(Protocol):
    """Makes attempts.

    Cancelling the awaited `execute` must end everything it started (processes, tasks) before the cancellation proceeds.
    A note on the `CancelledError` becomes the hint of the attempt's failure. One with `TIME_IS_UP` may be answered with
    an outcome that is `in_time`, if the outputs are complete already.
    """

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Execute *order*. Faults of an agent never raise, except cancellation: they are a `Failure`."""


def starts_later(executor: Executor | None, agent: Agent) -> bool:
    """Whether attempts of *agent* wait in a queue of *executor*, which then has a method `queues`.

    `queues(agent)` returns True if an attempt may have to wait, for a machine or for other attempts. Its timeout starts
    with `Heartbeat.started`.
    """
    queues = getattr(executor, "queues", None)
    return queues is not None and bool(queues(agent))


@runtime_checkable
class ElsewhereExecutor(Executor, Protocol):
    """Has other machines make attempts, which outlive this process there, and wait for a worker: see `starts_later`.

    `execute` for an attempt that exists already, by its id, waits for that one. An outcome with a `lost_worker` may be
    returned only when all that the worker had started for the attempt has ended, or must have. A cancellation with
    `CLOSING` may leave an attempt that cannot be ended soon: it is asked for again when its run is resumed.
    """

    async def standing(self, attempts: Collection[AttemptId]) -> Collection[AttemptId]:
        """Those of *attempts* that are queued or running on other machines, or have ended with an answer.

        Raises `EnvironmentFault` if that cannot be determined.
        """

    async def end(self, attempts: Collection[AttemptId]) -> None:
        """End *attempts*, wherever they run; returns once none is left. Raises `EnvironmentFault`."""


class Outbox(Protocol):
    """Keeps outcomes of attempts whose work cannot be repeated, until the journal has them."""

    def covers(self, agent: Agent) -> bool:
        """Whether outcomes of *agent* are kept here."""

    async def attempts(self) -> list[AttemptId]:
        """The attempts with a stored outcome."""

    async def found(self, attempts: Collection[AttemptId]) -> Mapping[AttemptId, Outcome]:
        """The stored outcomes of *attempts*."""

    def recorded(self, attempt: AttemptId) -> None:
        """Drop the outcome of *attempt*, if there is one: it is in the journal, or its run is gone."""

    async def redone(self, attempts: Collection[AttemptId]) -> list[str]:
        """Remove what was kept of the lost *attempts*, whose work was repeated; returns what was removed."""


class _NoOutbox:
    """For executors whose work can always be repeated."""

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
    """Ends orphans: processes that dead servers of a project have left running."""

    async def __call__(self, project: Path, *, lost: Collection[AttemptId] = ()) -> int:
        """Returns the number of orphans of *project* once all have ended; *lost* attempts may not keep any process."""
