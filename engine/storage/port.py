"""The storage that the runtime needs: one commit for everything that belongs together, and reads.

No effects here: `sqlite.py` keeps a project's runs forever, `memory.py` those of a simulation or a test.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from engine.errors import EnvironmentFault
from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import Failure
from engine.run.events import Event, RunStatus
from engine.tables.breakers import BreakerState
from engine.tables.locks import Claim, LockOutcome, LockTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LockOp: TypeAlias = Callable[[LockTable], list[LockOutcome]]
"""A change of the lock table; runs inside the transaction, on the table as it is then."""


class BreakerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a circuit breaker to a node."""

    run: RunId
    node: NodeId
    admitted: bool
    until: datetime | None = None
    """Not admitted: when to ask again; None while a trial is under way."""
    failure: Failure | None = None
    """Not admitted, and the node does not wait: its failure."""


BreakerOp: TypeAlias = Callable[[BreakerState], tuple[BreakerState, BreakerAnswer | None]]
"""A change of one breaker, inside the transaction, with the answer for the node that asked."""
TableOutcome: TypeAlias = LockOutcome | BreakerAnswer
"""The answers of a commit to runs of its owner, from locks and breakers."""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
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
    """The linked git worktree that it belongs to; empty if it is the one of the project that holds the journal."""
    idle: timedelta = timedelta()
    """How long it did not live so far, as it had no owner or the clock jumped; see ADR-018."""

    def lived(self, now: datetime) -> timedelta:
        """How long it was under way, until *now* if it has not ended."""
        return (self.ended_at or now) - self.created_at - self.idle


class SessionValue(msgspec.Struct, frozen=True, kw_only=True):
    """A persisted output that later commands of the project find in their context."""

    key: str
    digest: str
    size: int
    run: RunId
    produced_at: datetime
    expires_at: datetime | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measured duration of a node; their median replaces its estimate."""

    command: str
    node: str
    seconds: float


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request of another process to a run's owner."""

    run: RunId
    kind: str
    """`cancel`, `decide`, `granted` or `refused`."""
    payload: Mapping[str, Any] = msgspec.field(default_factory=dict)


SHORT, SHORT_BYTES = 500, 2**16
"""The most events with samples, and bytes of values, of a short batch."""


class Batch(msgspec.Struct):
    """Everything that is made durable together, or not at all."""

    events: list[tuple[RunId, int, Event]] = msgspec.field(default_factory=list)
    """Run, place of the event in the run's journal from 0, event; without gaps.

    The run has a row already, or gets it in `summaries`.
    """
    values: dict[str, bytes] = msgspec.field(default_factory=dict)
    """New values: canonical JSON by digest."""
    summaries: dict[RunId, RunSummary] = msgspec.field(default_factory=dict)
    lock_ops: list[LockOp] = msgspec.field(default_factory=list)
    breaker_ops: list[tuple[str, BreakerOp]] = msgspec.field(default_factory=list)
    """Breaker name and change, in order."""
    session: list[SessionValue] = msgspec.field(default_factory=list)
    samples: list[Sample] = msgspec.field(default_factory=list)

    @property
    def is_short(self) -> bool:
        """Whether writing it takes little time beside waiting for the disk."""
        return len(self.events) + len(self.samples) <= SHORT and sum(map(len, self.values.values())) <= SHORT_BYTES

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.events or self.lock_ops or self.breaker_ops or self.summaries)


Follow: TypeAlias = Callable[[list[TableOutcome]], Batch]
"""Decides what follows from answers of locks and breakers; runs inside the transaction, in the owner's loop."""


class RunUnreadable(EnvironmentFault):
    """The journal of a run is damaged; other runs are not affected."""

    code = "RUN_UNREADABLE"

    def __init__(self, run: RunId, why: str) -> None:
        """*why* completes "the journal cannot be read"."""
        hint = "Only this run is lost. `orchestrate prune` removes it with old runs, `--keep 0` with all ended ones."
        super().__init__(f"the journal of run {run} cannot be read: {why}", hint=hint)


class StateRemoved(EnvironmentFault):
    """The open database is no longer in its place; waiting does not help."""

    code = "STATE_REMOVED"


class Storage(Protocol):
    """A project's journal, values, locks and inbox.

    Every method raises `EnvironmentFault` (DISK_FULL, READ_ONLY, DATABASE_LOCKED, CORRUPT_DATABASE, NEWER_SCHEMA,
    and `StateRemoved`) if the disk does not permit it; nothing is half written then.
    """

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """Make *batch* durable; returns the answers of locks and breakers to runs of *owner*.

        With *follow* the answers go there instead, and the batch it returns becomes durable together with *batch*; this
        repeats until there are no answers. If it raises, nothing is durable.
        Outcomes for runs of other owners are put into their inboxes in the same transaction.
        """

    async def events(self, run: RunId, since: int = 0) -> list[Event]:
        """The events of *run* from place *since* on; empty for an unknown run.

        Raises `RunUnreadable` if they are incomplete or changed.
        """

    async def summaries(self, limit: int | None = None) -> list[RunSummary]:
        """All runs, newest first."""

    async def summary(self, run: RunId) -> RunSummary | None:
        """One run."""

    def value(self, digest: str) -> bytes | None:
        """The canonical JSON of a stored value; synchronous, because decisions wait for it."""

    def last_status(self, command: str) -> RunStatus | None:
        """The status of the newest ended run of *command*, except simulated ones; synchronous like `value`."""

    async def take_over(self, run: RunId, old: OwnerId, new: OwnerId, *, ended: RunStatus | None = None) -> bool:
        """Make *new* the owner of *run* if *old* still is; of two processes that try, one gets True.

        With *ended*, only if it has ended so; it is pending from then on, which decides even if *old* itself tries.

        Unread messages to *old* about the run are dropped: they concern a state that is gone.
        """

    async def post(self, message: Message) -> None:
        """Leave *message* for the owner of its run."""

    async def inbox(self, runs: Sequence[RunId]) -> list[Message]:
        """Take the messages for *runs*, oldest first; each is returned once."""

    async def unread(self, run: RunId) -> bool:
        """Whether there are messages for *run* that its owner has not read yet."""

    async def claims(self) -> list[Claim]:
        """The lock table's rows."""

    async def session_values(self, now: datetime) -> list[SessionValue]:
        """Persisted values that have not expired."""

    async def estimates(self, command: str) -> dict[str, float]:
        """Median seconds by node, for nodes that have been measured."""

    async def remove(self, rows: Iterable[RunSummary], owner: OwnerId) -> tuple[list[RunId], list[LockOutcome]]:
        """Remove the runs of *rows* with their claims, and the values that nothing refers to anymore.

        Only those that are still as their row says: a run resumed meanwhile stays. Returns the removed runs, and the
        outcomes for other claims, as `commit` does.
        """

    async def changed(self) -> bool:
        """Whether another process wrote since the last call; cheap."""

    async def close(self) -> None:
        """Flush and close; calling it twice is harmless."""
