"""Claims on hierarchical resources: their holders, which of them conflict, and an index that finds those that do.

Pure. It decides nothing: `locks.py` queues, grants and refuses.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import msgspec

from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import LockSpec, LockType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Holder(msgspec.Struct, frozen=True):
    """The holder of a claim: a run, or one node of it."""

    run: RunId
    node: NodeId | None = None
    """None: the run itself, with the locks at the root of its command."""

    def __str__(self) -> str:
        """`run` or `run:node`, as failures show it."""
        return self.run if self.node is None else f"{self.run}:{self.node}"

    def outer(self) -> Iterator[Holder]:
        """The holders that would enclose this one: the sub-commands around a node, innermost first, and its run."""
        if self.node is None:
            return
        around = self.node.rpartition("/")[0]
        while around:
            yield Holder(self.run, NodeId(around))
            around = around.rpartition("/")[0]
        yield Holder(self.run)

    def encloses(self, other: Holder) -> bool:
        """Whether *other* is inside: a node of this run, or of this sub-command."""
        if self.run != other.run or other.node is None:
            return False
        return self.node is None or other.node.startswith(f"{self.node}/")


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """All locks of one holder, held or awaited; one row of the table."""

    holder: Holder
    owner: OwnerId
    """The process that is responsible for the run."""
    specs: tuple[LockSpec, ...]
    priority: int = 0
    requested_at: datetime
    deadline: datetime
    """The time at which waiting ends in LOCK_TIMEOUT."""
    order: int = 0
    """First come, first served: the table numbers each claim as it is requested."""
    granted: bool = False
    reserved: bool = False
    """Granted to a run whose owner died before its work was undone."""

    @classmethod
    def of(
        cls, holder: Holder, owner: OwnerId, specs: Iterable[LockSpec], *, now: datetime, max_wait: timedelta
    ) -> Claim:
        """A claim made *now* that may wait for *max_wait*; its priority is the highest of its locks'."""
        locks = tuple(specs)
        priority = max((spec.priority for spec in locks), default=0)
        return cls(
            holder=holder, owner=owner, specs=locks, priority=priority, requested_at=now, deadline=now + max_wait
        )


class Blocker(msgspec.Struct, frozen=True):
    """One reason why a claim waits."""

    resource: str
    """As the waiter names it."""
    holder: Holder
    granted: bool
    """False: the holder waits too, ahead in the queue."""

    def __str__(self) -> str:
        """`database (locked by r-1:migrate)`."""
        return f"{self.resource} ({'locked by' if self.granted else 'behind'} {self.holder})"


def conflicts(one: LockSpec, other: LockSpec) -> bool:
    """Whether unrelated holders cannot have both locks at once (SPEC 8)."""
    if one.type is LockType.SHARED and other.type is LockType.SHARED:
        return False
    return one.resource in _lineage(other.resource) or other.resource in _lineage(one.resource)


def contested(waiter: Claim, other: Claim) -> str:
    """The first resource of *waiter* on which *other* conflicts with it."""
    return next(mine.resource for mine in waiter.specs if any(conflicts(mine, theirs) for theirs in other.specs))


@lru_cache(maxsize=4096)
def _lineage(resource: str) -> tuple[str, ...]:
    """`a.b.c` to `a`, `a.b`, `a.b.c`."""
    parts = resource.split(".")
    return tuple(".".join(parts[: length + 1]) for length in range(len(parts)))


_Key = TypeVar("_Key")


def _take_out(groups: dict[_Key, dict[Holder, None]], key: _Key, holder: Holder) -> None:
    """Remove *holder* from its group, and the group with its last member."""
    group = groups.get(key, {})
    group.pop(holder, None)
    if not group:
        groups.pop(key, None)


def _strangers(standing: Iterable[Holder], holder: Holder) -> Iterator[Holder]:
    """Those of *standing* that neither are, nor enclose, nor are enclosed by *holder*."""
    for other in standing:
        if other.run != holder.run or not (other == holder or other.encloses(holder) or holder.encloses(other)):
            yield other


class ClaimIndex:
    """The claims by their place in the hierarchy of resources, shared and exclusive ones apart."""

    __slots__ = ("_at", "_within", "holders", "runs")

    def __init__(self) -> None:
        self.holders: dict[Holder, None] = {}
        self.runs: dict[RunId, dict[Holder, None]] = {}
        self._at: dict[tuple[str, bool], dict[Holder, None]] = {}
        self._within: dict[tuple[str, bool], dict[Holder, None]] = {}

    def add(self, claim: Claim) -> None:
        """Enter *claim*; entering it twice is harmless."""
        self.holders[claim.holder] = None
        self.runs.setdefault(claim.holder.run, {})[claim.holder] = None
        for places, place in self._places(claim):
            places.setdefault(place, {})[claim.holder] = None

    def remove(self, claim: Claim) -> None:
        """Take *claim* out."""
        del self.holders[claim.holder]
        _take_out(self.runs, claim.holder.run, claim.holder)
        for places, place in self._places(claim):
            _take_out(places, place, claim.holder)

    def conflicting(self, claim: Claim) -> Iterator[Holder]:
        """Holders whose claims conflict with *claim*; one that does so twice may come twice."""
        holder = claim.holder
        for spec in claim.specs:
            *above, resource = _lineage(spec.resource)
            for shares in (False,) if spec.type is LockType.SHARED else (False, True):
                if standing := self._within.get((resource, shares)):
                    yield from _strangers(standing, holder)
                for covering in above:
                    if standing := self._at.get((covering, shares)):
                        yield from _strangers(standing, holder)

    def _places(self, claim: Claim) -> Iterator[tuple[dict[tuple[str, bool], dict[Holder, None]], tuple[str, bool]]]:
        for spec in claim.specs:
            shares = spec.type is LockType.SHARED
            yield self._at, (spec.resource, shares)
            for covering in _lineage(spec.resource):
                yield self._within, (covering, shares)
