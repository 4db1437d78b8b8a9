"""The laws of the lock table, against a model that knows no index, no queue and no shortcut.

The model is the set of rows. Every outcome is replayed on it, in the order in which it was given, and must be lawful
there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import LockSpec, LockType
from engine.tables.locks import Claim, Granted, Holder, LockOutcome, LockTable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNERS = [OwnerId("p-1"), OwnerId("p-2")]
RUNS = [RunId(f"r{n}") for n in range(4)]
NODES = [None, NodeId("a"), NodeId("b"), NodeId("g"), NodeId("g/x"), NodeId("g/y"), NodeId("g2")]
RESOURCES = ["db", "db.t1", "db.t1.row", "db.t2", "dbx", "fs"]

CROWD = 16
"""Claims in a crowded table; the model takes all paths between them."""

Rows = dict[Holder, Claim]

holders = st.builds(Holder, st.sampled_from(RUNS), st.sampled_from(NODES))
specs = st.lists(
    st.builds(LockSpec, st.sampled_from(RESOURCES), st.sampled_from(LockType)), min_size=1, max_size=3
).map(tuple)


def inside(outer: Holder, inner: Holder) -> bool:
    if outer.run != inner.run or outer == inner or inner.node is None:
        return False
    return outer.node is None or inner.node.split("/")[: len(outer.node.split("/"))] == outer.node.split("/")


def conflict(one: Claim, other: Claim) -> bool:
    """From the words of SPEC 8, path by path."""
    mine, theirs = one.holder, other.holder
    if mine == theirs or inside(mine, theirs) or inside(theirs, mine):
        return False
    for left in one.specs:
        for right in other.specs:
            a, b = left.resource.split("."), right.resource.split(".")
            common = min(len(a), len(b))
            if a[:common] == b[:common] and {left.type, right.type} != {LockType.SHARED}:
                return True
    return False


def later(claim: Claim) -> tuple[int, int]:
    return (-claim.priority, claim.order)


def graph(rows: Rows, *, courtesy: bool) -> nx.DiGraph[Holder]:
    """Who waits for whom."""
    found: nx.DiGraph[Holder] = nx.DiGraph()
    found.add_nodes_from(rows)
    for one in rows.values():
        for other in rows.values():
            if one.granted:
                edge = not other.granted and inside(one.holder, other.holder)
            else:
                edge = conflict(one, other) and (other.granted or (courtesy and later(other) < later(one)))
            if edge:
                found.add_edge(one.holder, other.holder)
    return found


def may_be_granted(rows: Rows, claim: Claim, waits: nx.DiGraph[Holder] | None = None) -> bool:
    if any(other.granted and conflict(claim, other) for other in rows.values()):
        return False
    ahead = [o for o in rows.values() if not o.granted and later(o) < later(claim) and conflict(claim, o)]
    if not ahead:
        return True
    reaching = nx.ancestors(graph(rows, courtesy=True) if waits is None else waits, claim.holder)
    return all(other.holder in reaching for other in ahead)


def stuck(rows: Rows) -> set[Holder]:
    """Who waits for ever, found by letting everybody work who can: no search for cycles, no queue."""
    left = dict(rows)
    while True:
        done = [
            claim.holder
            for claim in left.values()
            if (claim.granted and not any(not o.granted and inside(claim.holder, o.holder) for o in left.values()))
            or (not claim.granted and not any(o.granted and conflict(claim, o) for o in left.values()))
        ]
        if not done:
            return set(left)
        for holder in done:
            del left[holder]


def check_deadlock(rows: Rows, refused: Refused) -> None:
    """The victim is the last waiter of a cycle of hard edges, and the text is such a cycle."""
    assert refused.holder in stuck(rows)
    cycles = [cycle for cycle in nx.simple_cycles(graph(rows, courtesy=False)) if refused.holder in cycle]
    assert any(
        max((rows[h] for h in cycle if not rows[h].granted), key=later).holder == refused.holder for cycle in cycles
    )
    title, *lines = refused.failure.message.splitlines()
    assert title == "Resource deadlock detected"
    by_name = {str(holder): claim for holder, claim in rows.items()}
    told = []
    for line in lines:
        match = re.fullmatch(r"Task (\S+) waiting for: (\S+) \(locked by Task (\S+)\)", line)
        assert match is not None
        waiter, resource, held = match.groups()
        assert not by_name[waiter].granted
        assert by_name[held].granted
        wanted = tuple(spec for spec in by_name[waiter].specs if spec.resource == resource)
        assert conflict(structs.replace(by_name[waiter], specs=wanted), by_name[held])
        told.append((by_name[waiter].holder, by_name[held].holder))
    assert told[0][0] == refused.holder
    for (_, held_by), (waiter_next, _) in zip(told, told[1:] + told[:1], strict=True):
        assert inside(held_by, waiter_next)


def replay(rows: Rows, outcomes: list[LockOutcome], now: datetime) -> None:
    """Check each outcome against *rows* as they are at that moment, and carry it out there."""
    for outcome in outcomes:
        claim = rows[outcome.holder]
        assert not claim.granted
        if isinstance(outcome, Granted):
            assert may_be_granted(rows, claim)
            rows[outcome.holder] = structs.replace(claim, granted=True)
            continue
        assert isinstance(outcome, Refused)
        if outcome.failure.code == "DEADLOCK":
            check_deadlock(rows, outcome)
        elif outcome.failure.code == "LOCK_TIMEOUT":
            assert claim.deadline <= now
            named = [o for o in rows.values() if conflict(claim, o) and str(o.holder) in outcome.failure.message]
            assert named
        else:
            assert outcome.failure.code == "LOCK_RESERVED"
            in_the_way = [o for o in rows.values() if o.reserved and conflict(claim, o)]
            assert any(o.holder.run in outcome.failure.message for o in in_the_way)
        del rows[outcome.holder]


class LockTableMachine(RuleBasedStateMachine):
    """Runs and nodes that ask, end, die, come back and lose patience, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LockTable()
        self.rows: Rows = {}
        self.stored: Rows = {}
        self.now = NOW

    @rule(
        holder=holders,
        wanted=specs,
        priority=st.integers(0, 2),
        wait=st.integers(0, 20),
        owner=st.sampled_from(OWNERS),
    )
    def request(self, holder: Holder, wanted: tuple[LockSpec, ...], priority: int, wait: int, owner: OwnerId) -> None:
        standing = self.rows.get(holder)
        if standing is not None:
            again = structs.replace(standing, owner=owner)
            assert self.table.request(again, self.now) == ([Granted(holder)] if standing.granted else [])
            self.rows[holder] = structs.replace(again, reserved=False)
            return
        deadline = self.now + timedelta(seconds=wait)
        claim = Claim(
            holder=holder, owner=owner, specs=wanted, priority=priority, requested_at=self.now, deadline=deadline
        )
        outcomes = self.table.request(claim, self.now)
        order = max((row.order for row in self.rows.values()), default=0) + 1
        self.rows[holder] = structs.replace(claim, order=order)
        replay(self.rows, outcomes, self.now)
        if holder in self.rows:
            got = self.table.get(holder)
            assert got is not None
            assert got.order >= order
            self.rows[holder] = structs.replace(self.rows[holder], order=got.order)

    @rule(holder=holders)
    def release(self, holder: Holder) -> None:
        outcomes = self.table.release(holder)
        self.rows.pop(holder, None)
        replay(self.rows, outcomes, self.now)

    @rule(run=st.sampled_from(RUNS))
    def release_run(self, run: RunId) -> None:
        outcomes = self.table.release_run(run)
        self.rows = {holder: row for holder, row in self.rows.items() if holder.run != run}
        replay(self.rows, outcomes, self.now)
        assert self.table.of_run(run) == ()

    @rule(run=st.sampled_from(RUNS))
    def reserve(self, run: RunId) -> None:
        outcomes = self.table.reserve(run)
        for holder, row in list(self.rows.items()):
            if holder.run == run and row.granted:
                self.rows[holder] = structs.replace(row, reserved=True)
            elif holder.run == run:
                del self.rows[holder]
        replay(self.rows, outcomes, self.now)

    @rule(run=st.sampled_from(RUNS), owner=st.sampled_from(OWNERS))
    def adopt(self, run: RunId, owner: OwnerId) -> None:
        self.table.adopt(run, owner)
        for holder, row in self.rows.items():
            if holder.run == run:
                self.rows[holder] = structs.replace(row, owner=owner, reserved=False)

    @rule(seconds=st.integers(0, 15))
    def expire(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        due = min((row.deadline for row in self.rows.values() if not row.granted), default=None)
        outcomes = self.table.expire(self.now)
        assert bool(outcomes) == (due is not None and due <= self.now)
        replay(self.rows, outcomes, self.now)
        assert all(row.granted or row.deadline > self.now for row in self.rows.values())

    @rule()
    def reload(self) -> None:
        """Another process goes on with what was written back."""
        self.write_back()
        self.table = LockTable(self.stored.values())

    def write_back(self) -> None:
        changes = self.table.changes()
        for holder in changes.removed:
            self.stored.pop(holder, None)
        for row in changes.stored:
            self.stored[row.holder] = row

    @invariant()
    def the_table_is_what_its_outcomes_said(self) -> None:
        assert {row.holder: row for row in self.table} == self.rows

    @invariant()
    def what_was_written_back_is_the_table(self) -> None:
        self.write_back()
        assert self.stored == self.rows

    @invariant()
    def nobody_shares_what_is_exclusive(self) -> None:
        had = [row for row in self.rows.values() if row.granted]
        assert not any(conflict(one, other) for one, other in combinations(had, 2))

    @invariant()
    def no_waiter_is_forgotten(self) -> None:
        waits = graph(self.rows, courtesy=True)
        assert not any(may_be_granted(self.rows, row, waits) for row in self.rows.values() if not row.granted)

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        assert stuck(self.rows) == set()

    @invariant()
    def nobody_waits_for_the_dead(self) -> None:
        kept = [row for row in self.rows.values() if row.reserved]
        assert all(row.granted for row in kept)
        assert not any(conflict(row, one) for row in self.rows.values() if not row.granted for one in kept)

    @invariant()
    def every_waiter_is_told_why(self) -> None:
        for holder, row in self.rows.items():
            blockers = self.table.blockers(holder)
            assert bool(blockers) != row.granted
            assert all(conflict(row, self.rows[blocker.holder]) for blocker in blockers)

    def teardown(self) -> None:
        """When those at work end one by one, all the others get their locks in the end, and nothing is left."""
        while self.rows:
            at_work = [
                row.holder
                for row in self.rows.values()
                if row.granted and not any(not o.granted and inside(row.holder, o.holder) for o in self.rows.values())
            ]
            assert at_work
            self.release(at_work[0])
            self.the_table_is_what_its_outcomes_said()
            self.no_waiter_is_forgotten()
        assert ask_everything(self.table, self.now) == [Granted(Holder(RunId("last")))]


class Crowd:
    """A crowded table: the same rules and laws, drawn with the weights of a busy project instead of evenly."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.machine = LockTableMachine()

    def step(self) -> None:
        pick, machine = self.random, self.machine
        dice = pick.random() if len(machine.rows) < CROWD else 0.75
        if dice < 0.7:
            self.ask()
        elif dice < 0.85:
            machine.release(pick.choice([*machine.rows, Holder(RUNS[0])]))
        elif dice < 0.95:
            machine.expire(pick.randrange(12))
        else:
            run = pick.choice(RUNS)
            deeds: list[Callable[[], None]] = [
                machine.reload,
                partial(machine.release_run, run),
                partial(machine.reserve, run),
                partial(self.die, run),
            ]
            pick.choice(deeds)()
        self.check()

    def ask(self) -> None:
        """Runs begin by what they hold throughout, on one resource; their nodes then want others."""
        pick, rows = self.random, self.machine.rows
        run = pick.choice(RUNS)
        begun = any(holder.run == run for holder in rows)
        holder = Holder(run, pick.choice(NODES if begun else [None, NodeId("g")]))
        kinds = [LockType.EXCLUSIVE, LockType.SHARED, LockType.SHARED, LockType.UPGRADE]
        count = pick.choice([1, 1, 2, 3]) if begun else 1
        wanted = tuple(LockSpec(pick.choice(RESOURCES), pick.choice(kinds)) for _ in range(count))
        wait = pick.choice([0, 10, 20, 30, 40, 50, 60])
        self.machine.request(holder, wanted, pick.randrange(3), wait, OWNERS[0])

    def die(self, run: RunId) -> None:
        self.machine.reserve(run)
        self.check()
        self.machine.adopt(run, OWNERS[1])

    def check(self) -> None:
        for law in LAWS:
            law(self.machine)


LAWS = (
    LockTableMachine.the_table_is_what_its_outcomes_said,
    LockTableMachine.what_was_written_back_is_the_table,
    LockTableMachine.nobody_shares_what_is_exclusive,
    LockTableMachine.no_waiter_is_forgotten,
    LockTableMachine.nobody_waits_for_ever,
    LockTableMachine.nobody_waits_for_the_dead,
    LockTableMachine.every_waiter_is_told_why,
)


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=True))
def test_the_laws_hold_where_many_wait(random: Random) -> None:
    crowd = Crowd(random)
    for _ in range(80):
        crowd.step()
    crowd.machine.teardown()


def ask_everything(table: LockTable, now: datetime) -> list[LockOutcome]:
    everything = tuple(LockSpec(resource) for resource in RESOURCES)
    return table.request(
        Claim(holder=Holder(RunId("last")), owner=OWNERS[0], specs=everything, requested_at=now, deadline=now), now
    )


LockTableMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_every_outcome_is_lawful_in_any_interleaving = LockTableMachine.TestCase


@settings(deadline=None)
@given(st.lists(st.tuples(specs, st.integers(0, 1)), min_size=2, max_size=12), st.data())
def test_among_nodes_that_hold_and_never_wait_nobody_is_overtaken(
    wants: list[tuple[tuple[LockSpec, ...], int]], data: st.DataObject
) -> None:
    table = LockTable()
    granted: list[Claim] = []
    asked: list[Claim] = []

    def note(outcomes: list[LockOutcome]) -> None:
        for outcome in outcomes:
            assert isinstance(outcome, Granted)
            claim = table.get(outcome.holder)
            assert claim is not None
            waiting = [row for row in table if not row.granted or row.holder in later_in(outcomes, outcome)]
            assert not any(conflict(claim, row) and later(row) < later(claim) for row in waiting)
            granted.append(claim)

    def later_in(outcomes: list[LockOutcome], outcome: LockOutcome) -> set[Holder]:
        return {other.holder for other in outcomes[outcomes.index(outcome) + 1 :]}

    for number, (wanted, priority) in enumerate(wants):
        holder = Holder(RunId(f"r{number}"), NodeId("n"))
        claim = Claim(
            holder=holder,
            owner=OWNERS[0],
            specs=wanted,
            priority=priority,
            requested_at=NOW,
            deadline=datetime.max.replace(tzinfo=UTC),
        )
        asked.append(claim)
        note(table.request(claim, NOW))
        if data.draw(st.booleans()):
            had = [row.holder for row in table if row.granted]
            note(table.release(data.draw(st.sampled_from(had))))
    while had := [row.holder for row in table if row.granted]:
        note(table.release(data.draw(st.sampled_from(had))))
    assert {claim.holder for claim in granted} == {claim.holder for claim in asked}
