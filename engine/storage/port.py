"""What the runtime needs of storage: one commit for everything that belongs together, and reads.

No effects here: `sqlite.py` keeps a project's runs for ever, `memory.py` those of a simulation or a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from engine.errors import EnvironmentFault
from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import Failure
from engine.run.events import Event, RunStatus
from engine.tables.breakers import BreakerState
from engine.tables.locks import Claim, LockOutcome, LockTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LockOp: TypeAlias = Callable[[LockTable], list[LockOutcome]]
"""A change of the lock table; it runs inside the transaction, on the table as it is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerAnswer:
    """What a circuit breaker said to a node that asked."""

    run: RunId
    node: NodeId
    admitted: bool
    until: datetime | None = None
    """Not admitted: when to ask again; None while a trial is under way."""
    failure: Failure | None = None
    """Not admitted, and nobody waits: how the node fails."""


BreakerOp: TypeAlias = Callable[[BreakerState], tuple[BreakerState, BreakerAnswer | None]]
"""A change of one breaker, inside the transaction, with the answer for the node that asked."""
TableOutcome: TypeAlias = LockOutcome | BreakerAnswer
"""What a commit says to the runs of its owner about locks and breakers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One row of the list of runs; a projection kept beside the events so that listing need not fold."""

    id: RunId
    command: str
    status: RunStatus
    executor: str
    owner: OwnerId
    created_at: datetime
    ended_at: datetime | None = None
    done: int = 0
    total: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    message: str = ""
    worktree: str = ""
    """The linked git worktree that it belongs to; empty where it is that of the project that has the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionValue:
    """A persisted output that later commands of the project find in their context."""

    key: str
    digest: str
    size: int
    run: RunId
    produced_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How long a node took once; three of a node replace its estimate."""

    command: str
    node: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something another process asks of a run's owner."""

    run: RunId
    kind: str
    """`cancel`, `decide`, `granted` or `refused`."""
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """All that is made durable together, or not at all."""

    events: list[tuple[RunId, int, Event]] = field(default_factory=list)
    """Run, place of the event in the run's journal from 0, event; each follows on the one before it.

    The run has a row already, or gets it in `summaries`.
    """
    values: dict[str, bytes] = field(default_factory=dict)
    """New values: canonical JSON by digest."""
    summaries: dict[RunId, RunSummary] = field(default_factory=dict)
    lock_ops: list[LockOp] = field(default_factory=list)
    breaker_ops: list[tuple[str, BreakerOp]] = field(default_factory=list)
    """Breaker name and change, in order."""
    session: list[SessionValue] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.events or self.lock_ops or self.breaker_ops or self.summaries)


Follow: TypeAlias = Callable[[list[TableOutcome]], Batch]
"""What follows from the answers of locks and breakers; it runs inside the transaction, in the owner's loop."""


class RunUnreadable(EnvironmentFault):
    """The journal of one run is not a journal of a run; other runs are none the worse."""

    code = "RUN_UNREADABLE"

    def __init__(self, run: RunId, why: str) -> None:
        """*why* completes "the journal cannot be read"."""
        hint = "Only this run is lost. `orchestrate prune` removes it with old runs, `--keep 0` with all that ended."
        super().__init__(f"the journal of run {run} cannot be read: {why}", hint=hint)


class StateRemoved(EnvironmentFault):
    """What is open is not in its place any longer; waiting does not help."""

    code = "STATE_REMOVED"


class Storage(Protocol):
    """A project's journal, values, locks and inbox.

    Every method raises `EnvironmentFault` (DISK_FULL, READ_ONLY, DATABASE_LOCKED, CORRUPT_DATABASE, NEWER_SCHEMA,
    and `StateRemoved`) where the disk does not let it; nothing is half written then.
    """

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """Make *batch* durable; gives what locks and breakers answered to runs of *owner*.

        With *follow* the answers go there instead, and what follows from them becomes durable together with *batch*:
        asked again and again, until nothing is answered. If it raises, nothing is durable.
        Outcomes for runs of other owners are put into their inboxes in the same transaction.
        """

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """The events of *run* from place *since* on; empty where there is no such run.

        Raises `RunUnreadable` where they are not all that was written, as it was written.
        """

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """All runs, newest first."""

    async def summary(self, run: RunId) -> RunSummary | None:
        """One run."""

    def value(self, digest: str) -> bytes | None:
        """The canonical JSON of a stored value; synchronous, since decisions wait for it."""

    def last_status(self, command: str) -> RunStatus | None:
        """How the newest ended run of *command*, simulated ones aside, has ended; synchronous as `value` is."""

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId, *, ended: RunStatus | None = None) -> bool:
        """Make *new* the owner of *run* if it still is *old*'s; of two processes that try, one gets True.

        With *ended*, only if it has ended so, and it counts as pending from then on: *old* may be among those who try.

        What *old* has not read of its messages about the run is dropped: it is about a state that is gone.
        """

    async def post(self, message: Message) -> None:
        """Leave *message* for the owner of its run."""

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """Take the messages for *runs*, oldest first; each is given once."""

    async def unread(self, run: RunId) -> bool:
        """Whether there are messages for *run* that its owner has not taken yet."""

    async def claims(self) -> list[Claim]:
        """The lock table's rows."""

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """Persisted values that have not expired."""

    async def estimates(self, command: str) -> dict[str, float]:
        """Median seconds by node, for nodes with three samples or more."""

    async def remove(self, rows: Iterable[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
        """Forget the runs of *rows* with their claims, and the values that nothing refers to any more.

        Only those that are as their row says: whoever has taken one up meanwhile keeps it. Gives what is gone, and what
        that means for other claims, as `commit` does.
        """

    async def changed(self) -> bool:
        """Whether another process wrote since the last call; cheap."""

    async def close(self) -> None:
        """Flush and close; calling it twice is no error."""
