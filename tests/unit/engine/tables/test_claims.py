"""Who encloses whom, which locks conflict, and the index that finds conflicts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import LockSpec, LockType
from engine.tables.claims import Claim, ClaimIndex, Holder, conflicts, contested

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SHARED = LockType.SHARED


def holder(run: str, node: str | None = None) -> Holder:
    return Holder(RunId(run), None if node is None else NodeId(node))


def claim(who: Holder, *specs: LockSpec) -> Claim:
    return Claim(holder=who, owner=OwnerId("p"), specs=specs, requested_at=NOW, deadline=NOW)


def test_the_holders_around_a_node_are_its_sub_commands_and_its_run() -> None:
    assert list(holder("r1", "deploy/build/compile").outer()) == [
        holder("r1", "deploy/build"),
        holder("r1", "deploy"),
        holder("r1"),
    ]
    assert list(holder("r1").outer()) == []


@pytest.mark.parametrize(
    ("outer", "inner", "encloses"),
    [
        (holder("r1"), holder("r1", "a"), True),
        (holder("r1", "a"), holder("r1", "a/b/c"), True),
        (holder("r1", "a"), holder("r1", "ab"), False),
        (holder("r1", "a"), holder("r1"), False),
        (holder("r1", "a"), holder("r1", "a"), False),
        (holder("r1"), holder("r1"), False),
        (holder("r1"), holder("r2", "a"), False),
    ],
)
def test_a_holder_encloses_the_nodes_inside_it(outer: Holder, inner: Holder, *, encloses: bool) -> None:
    assert outer.encloses(inner) is encloses


def test_locks_conflict_where_one_covers_the_other_and_one_does_not_share() -> None:
    assert conflicts(LockSpec("a.b"), LockSpec("a.b", SHARED))
    assert conflicts(LockSpec("a"), LockSpec("a.b.c", SHARED))
    assert conflicts(LockSpec("a.b.c", LockType.UPGRADE), LockSpec("a", SHARED))
    assert not conflicts(LockSpec("a", SHARED), LockSpec("a.b", SHARED))
    assert not conflicts(LockSpec("a.b"), LockSpec("a.c"))
    assert not conflicts(LockSpec("a"), LockSpec("ab"))


def test_the_contested_resource_is_named_as_the_waiter_names_it() -> None:
    waiter = claim(holder("r1"), LockSpec("cache"), LockSpec("a.b"))
    assert contested(waiter, claim(holder("r2"), LockSpec("x"), LockSpec("a"))) == "a.b"


def test_the_index_finds_conflicts_above_and_below_and_forgets_what_is_removed() -> None:
    index = ClaimIndex()
    above = claim(holder("r1"), LockSpec("a"))
    below = claim(holder("r2"), LockSpec("a.b.c"), LockSpec("a.b", SHARED))
    reader = claim(holder("r3"), LockSpec("a.b", SHARED))
    for row in (above, below, reader):
        index.add(row)
    writer = claim(holder("r4"), LockSpec("a.b"))
    assert set(index.conflicting(writer)) == {holder("r1"), holder("r2"), holder("r3")}
    assert set(index.conflicting(claim(holder("r4"), LockSpec("a.b", SHARED)))) == {holder("r1"), holder("r2")}
    for row in (above, below, reader):
        index.remove(row)
    assert list(index.conflicting(writer)) == []
    assert not index.holders
    assert not index.runs


def test_a_claim_that_names_one_resource_twice_is_entered_and_removed_whole() -> None:
    index = ClaimIndex()
    twice = claim(holder("r1"), LockSpec("a"), LockSpec("a"))
    index.add(twice)
    index.remove(twice)
    assert list(index.conflicting(claim(holder("r2"), LockSpec("a")))) == []
