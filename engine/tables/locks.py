"""The project's locks as one table: the holder of each, the waiters, and the next to be granted or refused.

Pure. It reads no clock (`now` comes in), stores no row and wakes no one: the runtime loads the rows inside one
transaction, calls methods, writes `changes()` back and hands the outcomes to the runs they name.

Theory of operation
===================

**Claims.** A holder (a run, a sub-command's node, or a node) has one claim, which names all its locks and is granted
whole or not at all. So no node holds one lock and waits for another; but runs and sub-commands hold locks while a node
inside them waits.

**Conflicts.** Two locks conflict if one resource equals or covers the other and not both are shared. `ClaimIndex`
keeps, for every resource, the claims on it, and those on it or below it (the intention locks), apart by mode: a
query costs the depth of the resource and the number of conflicting claims, whatever else the table holds. A holder
never conflicts with one that encloses it: its run, or a sub-command's node around it. This alone makes `upgrade`: the
run's own shared lock does not hinder the node's, which is exclusive for everyone else. Siblings conflict like
strangers.

**Order.** Waiters stand in one queue: higher priority, then first come. A claim is granted when

1. no granted claim conflicts with it, and
2. every waiter that is ahead of it and conflicts with it could not go first in any case.

Without (2) readers would starve a writer. Under a plain "never overtake" a waiting writer would shut out the nodes of
the very run whose read lock it waits for, and neither would ever move.

**The wait-for graph.** Its vertices are claims, not runs: a node that has its locks ends by itself, so waiting for a
node is not waiting for its run, and with runs as vertices the table would report deadlocks that do not exist. Its
edges:

- hard: a waiter waits for each granted claim it conflicts with; a granted claim waits for each waiter it encloses,
  since a run or a sub-command keeps its locks until all its nodes have ended;
- courtesy: a waiter waits for each waiter ahead of it that it conflicts with.

A claim needs all its edges gone, not one of them, so a cycle of hard edges never opens by itself, and without one some
claim can proceed: a deadlock is a hard cycle. A cycle with a courtesy edge in it is not a deadlock and is resolved by
overtaking: "could not go first in any case" means that the waiter ahead reaches the overtaker along edges of both
kinds, so that both lie on such a cycle.

This is enough for progress. Follow the edges from any waiter into a strongly connected component that none leaves. If
it is a single claim, it may be granted or is at work. If it is more, some claim in it has no hard edge (hard edges
alone form no cycle), all its courtesy edges end inside, and (2) lets it pass. Nor does (2) allow more than needed:
courtesy edges lead up the queue and a node at work ends every path, so without an enclosing claim that holds while a
node in it waits, no claim overtakes.

**When to look.** Removing a claim removes edges, so only waiters that conflicted with it can become free, and one
pass over them in queue order is enough: granting one of them frees no other. New cycles and new reasons to overtake
come only with a new waiter and pass through it, so the walk starts there, against the edges; for a node of a run that
holds nothing, with no waiter behind it, it ends at once. Where an enclosing claim is granted while its nodes wait
already, they get their edges at that moment and are looked at as if they were new.

**Breaking a deadlock.** Of the shortest cycle through the new waiter, the waiter of lowest priority is refused, among
equals the youngest; and so on until no cycle is left.

**Dead runs.** `reserve` keeps what a dead run holds, because its work may have to be undone. No one can say when that
will be, so a waiter for such a lock is refused at once, with the two ways out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import structs

from engine.errors import InternalError
from engine.model.policy import Failure, FailureKind
from engine.tables.claims import Blocker, Claim, ClaimIndex, Holder, contested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta

    from engine.ids import OwnerId, RunId

__all__ = ["Blocker", "Claim", "Granted", "Holder", "LockChanges", "LockOutcome", "LockTable", "Queued", "Refused"]


class Granted(msgspec.Struct, frozen=True):
    """The holder has all its locks."""

    holder: Holder


class Refused(msgspec.Struct, frozen=True):
    """The holder's claim was removed: LOCK_TIMEOUT, LOCK_RESERVED or DEADLOCK."""

    holder: Holder
    failure: Failure


class Queued(msgspec.Struct, frozen=True):
    """The holder's request waits, until *deadline* at most; produced by `queued` for the caller that made it."""

    holder: Holder
    deadline: datetime


LockOutcome: TypeAlias = Granted | Queued | Refused


class LockChanges(msgspec.Struct, frozen=True):
    """The rows to write back, by holder; removing a row that was never stored is harmless."""

    stored: tuple[Claim, ...]
    removed: tuple[Holder, ...]


def _rank(claim: Claim) -> tuple[int, int]:
    """Place in the queue, smaller first."""
    return (-claim.priority, claim.order)


class LockTable:
    """All claims of a project.

    Methods change it in place; a caller whose transaction fails throws the table away and loads it again.
    """

    def __init__(self, claims: Iterable[Claim] = ()) -> None:
        """*claims* are the stored rows, in any order."""
        self._claims: dict[Holder, Claim] = {}
        self._granted = ClaimIndex()
        self._waiting = ClaimIndex()
        for claim in sorted(claims, key=lambda row: row.order):
            self._put(claim)
        self._last_order = max((claim.order for claim in self), default=0)
        self._changed: dict[Holder, None] = {}

    def __iter__(self) -> Iterator[Claim]:
        """All claims, granted and waiting."""
        return iter(self._claims.values())

    def get(self, holder: Holder) -> Claim | None:
        """The claim of *holder*, if it has one."""
        return self._claims.get(holder)

    def of_run(self, run: RunId) -> tuple[Claim, ...]:
        """The claims of *run* and its nodes."""
        holders = (*self._granted.runs.get(run, ()), *self._waiting.runs.get(run, ()))
        return tuple(self._claims[holder] for holder in holders)

    def queued(self, holder: Holder) -> list[LockOutcome]:
        """`Queued` for *holder* if it waits: the answer to a node's request that was not granted at once."""
        claim = self._claims.get(holder)
        return [] if claim is None or claim.granted else [Queued(holder, claim.deadline)]

    def blockers(self, holder: Holder) -> tuple[Blocker, ...]:
        """The reasons why *holder* waits: the claims that hold, or, if all is free, those ahead in the queue."""
        claim = self._claims.get(holder)
        if claim is None or claim.granted:
            return ()
        return self._blockers(claim)

    def changes(self) -> LockChanges:
        """The rows that differ from those last stored; a call starts a new list."""
        stored = tuple(self._claims[holder] for holder in self._changed if holder in self._claims)
        removed = tuple(holder for holder in self._changed if holder not in self._claims)
        self._changed = {}
        return LockChanges(stored, removed)

    def request(self, claim: Claim, now: datetime) -> list[LockOutcome]:
        """Grant, refuse or queue *claim*, which gets its order here; without an outcome for its holder, it waits.

        Asking again for what one has or waits for is harmless. Outcomes of other holders are included if *claim* closes
        a cycle.
        """
        standing = self._claims.get(claim.holder)
        if standing is not None:
            return self._ask_again(standing, claim)
        self._last_order += 1
        claim = structs.replace(claim, order=self._last_order, granted=True, reserved=False)
        held = dict.fromkeys(self._granted.conflicting(claim))
        for blocker in held:
            if self._claims[blocker].reserved:
                return [Refused(claim.holder, _reserved(claim, self._claims[blocker]))]
        if not held and not self._ahead(claim):
            return self._grant(claim)
        if held and claim.deadline <= now:  # a claim that would not wait blocks no one
            return [Refused(claim.holder, self._timed_out(claim))]
        waiter = structs.replace(claim, granted=False)
        self._replace(waiter)
        return self._entangle(claim.holder) + self._time_out(waiter, now)

    def release(self, holder: Holder) -> list[LockOutcome]:
        """Give up the locks of *holder*, or its place in the queue."""
        claim = self._claims.get(holder)
        return [] if claim is None else self._grant_waiting(self._drop([claim]))

    def release_run(self, run: RunId) -> list[LockOutcome]:
        """Give up all locks that *run* and its nodes hold, wait for or have reserved."""
        return self._grant_waiting(self._drop(self.of_run(run)))

    def reserve(self, run: RunId) -> list[LockOutcome]:
        """Keep what the dead *run* holds, drop what it waits for, and refuse the waiters for it."""
        gone = self._drop([claim for claim in self.of_run(run) if not claim.granted])
        outcomes: list[LockOutcome] = []
        for claim in self.of_run(run):
            kept = structs.replace(claim, reserved=True)
            self._replace(kept)
            for holder in dict.fromkeys(self._waiting.conflicting(kept)):
                waiter = self._claims[holder]
                outcomes.append(Refused(holder, _reserved(waiter, kept)))
                gone += self._drop([waiter])
        return outcomes + self._grant_waiting(gone)

    def adopt(self, run: RunId, owner: OwnerId) -> None:
        """Make *owner* responsible for *run*: what was reserved for it is held again."""
        for claim in self.of_run(run):
            self._replace(structs.replace(claim, owner=owner, reserved=False))

    def postpone(self, run: RunId, by: timedelta) -> list[LockOutcome]:
        """Have the waiters of *run* wait *by* longer; its clock has jumped by that much, ahead or back."""
        for claim in self.of_run(run):
            if not claim.granted:
                self._replace(
                    structs.replace(claim, requested_at=claim.requested_at + by, deadline=claim.deadline + by)
                )
        return []

    def expire(self, now: datetime, owner: OwnerId | None = None) -> list[LockOutcome]:
        """Refuse the waiters whose deadline has passed, by deadline; grant the waiters this unblocks in time.

        With *owner*, its waiters alone: only each process knows how long it was suspended itself.
        """
        outcomes: list[LockOutcome] = []
        waiters = [self._claims[holder] for holder in self._waiting.holders]
        if owner is not None:
            waiters = [claim for claim in waiters if claim.owner == owner]
        for claim in sorted(waiters, key=lambda waiter: (waiter.deadline, waiter.order)):
            outcomes += self._time_out(claim, now)
        return outcomes

    def _ask_again(self, standing: Claim, claim: Claim) -> list[LockOutcome]:
        if standing.specs != claim.specs:
            raise InternalError(f"{claim.holder} already has a claim, on other locks")
        if standing.owner != claim.owner or standing.reserved:
            self._replace(structs.replace(standing, owner=claim.owner, reserved=False))
        return [Granted(claim.holder)] if standing.granted else []

    def _ahead(self, claim: Claim) -> dict[Holder, None]:
        """The waiters before *claim* in the queue that conflict with it; it may or may not be in the queue yet."""
        rank = _rank(claim)
        return {h: None for h in self._waiting.conflicting(claim) if _rank(self._claims[h]) < rank}

    def _waiting_for(self, holder: Holder, *, courtesy: bool) -> Iterator[Holder]:
        """The edges of the wait-for graph that end at the claim of *holder*."""
        claim = self._claims[holder]
        if claim.granted:
            yield from self._waiting.conflicting(claim)
            return
        yield from (outer for outer in holder.outer() if outer in self._granted.holders)
        if courtesy:
            rank = _rank(claim)
            yield from (h for h in self._waiting.conflicting(claim) if _rank(self._claims[h]) > rank)

    def _grant(self, claim: Claim) -> list[LockOutcome]:
        self._replace(claim if claim.granted else structs.replace(claim, granted=True))
        outcomes: list[LockOutcome] = [Granted(claim.holder)]
        for holder in list(self._waiting.runs.get(claim.holder.run, ())):
            if claim.holder.encloses(holder):
                outcomes += self._entangle(holder)
        return outcomes

    def _entangle(self, holder: Holder) -> list[LockOutcome]:
        """Break the deadlocks through the waiter *holder*, and grant the waiters that may overtake because it waits."""
        outcomes: list[LockOutcome] = []
        while holder in self._waiting.holders:
            cycle = self._hard_cycle(holder)
            if not cycle:
                marks: dict[Holder, Holder] = {}
                _mark_components(holder, self._in_need_of, marks)
                return outcomes + self._grant_ready([other for other in marks if marks[other] == marks[holder]])
            victim = max((claim for claim in cycle if not claim.granted), key=_rank)
            place = cycle.index(victim)
            outcomes.append(Refused(victim.holder, _deadlock(cycle[place:] + cycle[:place])))
            outcomes += self._grant_waiting(self._drop([victim]))
        return outcomes

    def _hard_cycle(self, holder: Holder) -> list[Claim]:
        """The shortest cycle of hard edges through *holder*, each claim before the one it waits for; empty if none."""
        ways: dict[Holder, Holder] = {}
        frontier = deque([holder])
        while frontier and holder not in ways:
            current = frontier.popleft()
            for other in self._waiting_for(current, courtesy=False):
                if other not in ways:
                    ways[other] = current
                    frontier.append(other)
        if holder not in ways:
            return []
        cycle = [holder]
        while (step := ways[cycle[-1]]) != holder:
            cycle.append(step)
        return [self._claims[member] for member in cycle]

    def _in_need_of(self, holder: Holder) -> Iterator[Holder]:
        return self._waiting_for(holder, courtesy=True)

    def _grant_waiting(self, gone: Iterable[Claim]) -> list[LockOutcome]:
        """Grant what the claims in *gone* blocked."""
        return self._grant_ready({holder for claim in gone for holder in self._waiting.conflicting(claim)})

    def _grant_ready(self, candidates: Iterable[Holder]) -> list[LockOutcome]:
        """Grant those of *candidates* that rules (1) and (2) allow, in queue order."""
        outcomes: list[LockOutcome] = []
        marks: dict[Holder, Holder] = {}
        for claim in sorted((self._claims[holder] for holder in candidates), key=_rank):
            holder = claim.holder
            if holder not in self._waiting.holders or next(self._granted.conflicting(claim), None) is not None:
                continue
            ahead = self._ahead(claim)
            if ahead and holder not in marks:
                _mark_components(holder, self._in_need_of, marks)
            if all(marks.get(other) == marks[holder] for other in ahead):
                outcomes += self._grant(claim)
                marks = {}  # a grant removes edges
        return outcomes

    def _blockers(self, claim: Claim) -> tuple[Blocker, ...]:
        holders = dict.fromkeys(self._granted.conflicting(claim)) or self._ahead(claim)
        return tuple(
            Blocker(contested(claim, other), holder, other.granted)
            for holder in holders
            for other in (self._claims[holder],)
        )

    def _timed_out(self, claim: Claim) -> Failure:
        waited = (claim.deadline - claim.requested_at).total_seconds()
        awaited = ", ".join(map(str, self._blockers(claim)))
        return Failure(
            FailureKind.TIMEOUT,
            "LOCK_TIMEOUT",
            f"{claim.holder} waited {waited:g} s for its locks: {awaited}",
            hint="Raise resources.maxWaitTime, or cancel or await the run that holds them.",
        )

    def _time_out(self, claim: Claim, now: datetime) -> list[LockOutcome]:
        """Refuse *claim* if it still waits and its time is over."""
        if claim.deadline > now or claim.holder not in self._waiting.holders:
            return []
        refused = Refused(claim.holder, self._timed_out(claim))
        return [refused, *self._grant_waiting(self._drop([claim]))]

    def _put(self, claim: Claim) -> None:
        self._claims[claim.holder] = claim
        (self._granted if claim.granted else self._waiting).add(claim)

    def _replace(self, claim: Claim) -> None:
        """Store *claim*, in place of its holder's earlier one if any."""
        standing = self._claims.get(claim.holder)
        if standing is not None and standing.granted != claim.granted:
            self._waiting.remove(standing)
        self._put(claim)
        self._changed[claim.holder] = None

    def _drop(self, claims: Iterable[Claim]) -> list[Claim]:
        dropped = list(claims)
        for claim in dropped:
            del self._claims[claim.holder]
            (self._granted if claim.granted else self._waiting).remove(claim)
            self._changed[claim.holder] = None
        return dropped


def _mark_components(root: Holder, edges: Callable[[Holder], Iterator[Holder]], marks: dict[Holder, Holder]) -> None:
    """Enter into *marks* each holder that *edges* reach from *root*, with a representative of its strong component.

    Gabow's algorithm without recursion. Holders already in *marks* are skipped: components are closed.
    """
    number = {root: 0}
    unmarked = [root]
    borders = [root]  # where, among the unmarked, each of the components found so far may begin
    trail = [(root, edges(root))]
    while trail:
        vertex, following = trail[-1]
        for other in following:
            if other in marks:
                continue
            if other not in number:
                number[other] = len(number)
                unmarked.append(other)
                borders.append(other)
                trail.append((other, edges(other)))
                break
            while number[borders[-1]] > number[other]:
                borders.pop()
        else:
            trail.pop()
            if borders[-1] == vertex:
                borders.pop()
                member = None
                while member != vertex:
                    member = unmarked.pop()
                    marks[member] = vertex


def _deadlock(cycle: list[Claim]) -> Failure:
    """The failure of the first waiter of *cycle*, in which waiters and the claims they wait for alternate."""
    lines = [
        f"Task {waiter.holder} waiting for: {contested(waiter, held)} (locked by Task {held.holder})"
        for waiter, held in zip(cycle[::2], cycle[1::2], strict=True)
    ]
    return Failure(
        FailureKind.ERROR,
        "DEADLOCK",
        "\n".join(["Resource deadlock detected", *lines]),
        hint="Acquire locks in a consistent order in every command, or claim them together on one node.",
    )


def _reserved(waiter: Claim, kept: Claim) -> Failure:
    run = kept.holder.run
    return Failure(
        FailureKind.ERROR,
        "LOCK_RESERVED",
        f"{contested(waiter, kept)} is reserved for run {run}, whose process died before its work was undone",
        hint=f"Resume it (`orchestrate resume {run}`), or give up its locks (`orchestrate locks --release {run}`).",
    )
