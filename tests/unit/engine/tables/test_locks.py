"""Granting, queueing, deadlock, reservation and expiry in the lock table, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import InternalError
from engine.ids import NodeId, OwnerId, RunId
from engine.model.policy import FailureKind, LockSpec, LockType
from engine.tables.locks import Blocker, Claim, Granted, Holder, LockOutcome, LockTable, Refused

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = OwnerId("p-1")
MINUTE = timedelta(minutes=1)


def holder(text: str) -> Holder:
    run, _, node = text.partition(":")
    return Holder(RunId(run), NodeId(node) if node else None)


def claim(name: str, *locks: str, priority: int = 0, wait: timedelta = MINUTE) -> Claim:
    """*locks* are `resource`, `resource shared` or `resource upgrade`."""
    specs = []
    for lock in locks:
        resource, _, kind = lock.partition(" ")
        specs.append(LockSpec(resource, LockType(kind or "exclusive"), priority))
    return Claim.of(holder(name), OWNER, specs, now=NOW, max_wait=wait)


def ask(
    table: LockTable, name: str, *locks: str, priority: int = 0, wait: timedelta = MINUTE, at: datetime = NOW
) -> list[LockOutcome]:
    return table.request(claim(name, *locks, priority=priority, wait=wait), at)


def granted(*names: str) -> list[LockOutcome]:
    return [Granted(holder(name)) for name in names]


def refusals(outcomes: list[LockOutcome]) -> list[tuple[str, str]]:
    return [(str(o.holder), o.failure.code) for o in outcomes if isinstance(o, Refused)]


def state(table: LockTable) -> dict[str, bool]:
    return {str(row.holder): row.granted for row in table}


def test_a_free_lock_is_granted_at_once() -> None:
    table = LockTable()
    assert ask(table, "r1:a", "database") == granted("r1:a")
    assert state(table) == {"r1:a": True}


def test_an_exclusive_lock_makes_everybody_else_wait_and_its_release_grants() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    assert ask(table, "r2:b", "database shared") == []
    assert ask(table, "r3:c", "database shared") == []
    assert table.release(holder("r1:a")) == granted("r2:b", "r3:c")


def test_readers_share() -> None:
    table = LockTable()
    assert ask(table, "r1:a", "database shared") == granted("r1:a")
    assert ask(table, "r2:b", "database shared") == granted("r2:b")
    assert ask(table, "r3:c", "database") == []


@pytest.mark.parametrize(
    ("held", "wanted", "free"),
    [
        ("database", "database.table1.row123", False),
        ("database.table1.row123", "database", False),
        ("database shared", "database.table1", False),
        ("database.table1", "database shared", False),
        ("database.table1 shared", "database shared", True),
        ("database.table1", "database.table2", True),
        ("database", "database2", True),
        ("database.table1", "database.table10", True),
        ("database upgrade", "database shared", False),
        ("database shared", "database upgrade", False),
    ],
)
def test_a_lock_covers_what_is_below_it_and_no_more(held: str, wanted: str, free: bool) -> None:  # noqa: FBT001
    table = LockTable()
    ask(table, "r1:a", held)
    assert ask(table, "r2:b", wanted) == (granted("r2:b") if free else [])


def test_one_claim_may_name_a_resource_and_parts_of_it() -> None:
    table = LockTable()
    assert ask(table, "r1:a", "database", "database.table1", "database.table1.row123") == granted("r1:a")
    ask(table, "r2:b", "database.table1 shared")
    assert table.release(holder("r1:a")) == granted("r2:b")
    assert ask(table, "r3:c", "database.table2") == granted("r3:c")


def test_a_claim_is_granted_whole_or_not_at_all() -> None:
    table = LockTable()
    ask(table, "r1:a", "cache")
    assert ask(table, "r2:b", "database", "cache") == []
    assert state(table) == {"r1:a": True, "r2:b": False}
    assert ask(table, "r3:c", "files") == granted("r3:c")


def test_what_a_run_holds_does_not_block_its_own_nodes_but_siblings_conflict() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    assert ask(table, "r1:a", "database.table1") == granted("r1:a")
    assert ask(table, "r1:b", "database") == []
    assert table.release(holder("r1:a")) == granted("r1:b")


def test_what_a_sub_command_holds_does_not_block_the_nodes_inside_it() -> None:
    table = LockTable()
    ask(table, "r1:deploy", "database")
    assert ask(table, "r1:deploy/build/compile", "database") == granted("r1:deploy/build/compile")
    assert ask(table, "r1:deploy2", "database") == []


def test_an_upgrade_waits_for_other_readers_and_passes_waiting_writers() -> None:
    table = LockTable()
    ask(table, "r1", "config shared")
    ask(table, "r2", "config shared")
    assert ask(table, "r3", "config") == []
    assert ask(table, "r1:write", "config upgrade") == []
    assert table.release(holder("r2")) == granted("r1:write")
    assert table.release_run(RunId("r1")) == granted("r3")


def test_an_upgrade_without_a_shared_lock_is_an_exclusive_one() -> None:
    table = LockTable()
    assert ask(table, "r1:write", "config upgrade") == granted("r1:write")
    assert ask(table, "r2:read", "config shared") == []


def test_two_runs_that_upgrade_each_others_shared_lock_are_a_deadlock() -> None:
    table = LockTable()
    ask(table, "r1", "config shared")
    ask(table, "r2", "config shared")
    assert ask(table, "r1:write", "config upgrade") == []
    assert refusals(ask(table, "r2:write", "config upgrade")) == [("r2:write", "DEADLOCK")]
    assert table.release_run(RunId("r2")) == granted("r1:write")


def test_higher_priority_goes_first_then_first_come() -> None:
    table = LockTable()
    ask(table, "r0:a", "database")
    ask(table, "r1:a", "database")
    ask(table, "r2:a", "database", priority=100)
    ask(table, "r3:a", "database", priority=100)
    order = []
    for name in ("r0:a", "r2:a", "r3:a"):
        order += table.release(holder(name))
    assert order == granted("r2:a", "r3:a", "r1:a")


def test_no_reader_overtakes_a_waiting_writer_of_the_same_priority() -> None:
    table = LockTable()
    ask(table, "r1:read", "database shared")
    ask(table, "r2:write", "database")
    assert ask(table, "r3:read", "database shared") == []
    assert ask(table, "r4:read", "database.table1 shared") == []
    assert ask(table, "r5:read", "database shared", priority=1) == granted("r5:read")
    table.release(holder("r5:read"))
    assert table.release(holder("r1:read")) == granted("r2:write")
    assert table.release(holder("r2:write")) == granted("r3:read", "r4:read")


def test_a_waiter_that_leaves_lets_those_behind_it_pass() -> None:
    table = LockTable()
    ask(table, "r1:read", "database shared")
    ask(table, "r2:write", "database")
    ask(table, "r3:read", "database shared")
    assert table.release(holder("r2:write")) == granted("r3:read")


def test_a_node_overtakes_the_waiter_that_waits_for_its_own_run() -> None:
    table = LockTable()
    ask(table, "r1", "database shared")
    assert ask(table, "r2:write", "database") == []
    assert ask(table, "r1:read", "database.table1 shared") == granted("r1:read")
    assert ask(table, "r3:read", "database.table1 shared") == []


def test_courtesies_that_block_each_other_in_a_ring_are_given_up_in_queue_order() -> None:
    table = LockTable()
    ask(table, "rx", "x")
    ask(table, "ry", "y")
    ask(table, "w1:n", "a", "x")
    ask(table, "w2:n", "b", "y")
    assert ask(table, "rx:n", "b") == []  # behind w2, which waits for ry
    assert ask(table, "ry:n", "a") == granted("rx:n")  # behind w1, which waits for rx, whose node is the first to pass
    assert table.release(holder("rx:n")) == []
    assert table.release(holder("rx")) == granted("w1:n")
    assert table.release(holder("w1:n")) == granted("ry:n")


def test_a_cycle_of_runs_is_refused_with_the_guides_text() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    ask(table, "r2", "file-system")
    assert ask(table, "r1:a", "file-system") == []
    outcomes = ask(table, "r2:b", "cache", "database.table1")
    assert len(outcomes) == 1
    refused = outcomes[0]
    assert isinstance(refused, Refused)
    assert refused.holder == holder("r2:b")
    assert refused.failure.kind is FailureKind.ERROR
    assert refused.failure.code == "DEADLOCK"
    assert refused.failure.message == (
        "Resource deadlock detected\n"
        "Task r2:b waiting for: database.table1 (locked by Task r1)\n"
        "Task r1:a waiting for: file-system (locked by Task r2)"
    )
    assert refused.failure.hint is not None
    assert state(table) == {"r1": True, "r2": True, "r1:a": False}


def test_the_waiter_of_lowest_priority_is_the_one_refused_and_the_others_go_on() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    ask(table, "r2", "files")
    ask(table, "r3:x", "files")
    ask(table, "r1:a", "files", priority=-1)
    outcomes = ask(table, "r2:b", "database")
    assert refusals(outcomes) == [("r1:a", "DEADLOCK")]
    assert table.release_run(RunId("r1")) == granted("r2:b")


def test_refusing_a_waiter_grants_those_who_were_behind_it() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    ask(table, "r2", "files")
    ask(table, "r1:a", "files", "cache", priority=-1)
    ask(table, "r3:c", "cache", priority=-2)
    outcomes = ask(table, "r2:b", "database")
    assert refusals(outcomes) == [("r1:a", "DEADLOCK")]
    assert outcomes[1:] == granted("r3:c")


def test_one_request_that_closes_two_cycles_breaks_both() -> None:
    table = LockTable()
    ask(table, "r1", "a")
    ask(table, "r2", "b shared")
    ask(table, "r3", "b shared")
    ask(table, "r2:x", "a", priority=-1)
    ask(table, "r3:x", "a", priority=-2)
    assert refusals(ask(table, "r1:x", "b")) == [("r2:x", "DEADLOCK"), ("r3:x", "DEADLOCK")]
    assert state(table)["r1:x"] is False


def test_waiting_for_a_node_that_works_is_no_deadlock_even_if_its_run_waits_for_us() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    ask(table, "r2:worker", "files")
    assert ask(table, "r2:b", "database") == []
    assert ask(table, "r1:a", "files") == []
    assert table.release(holder("r2:worker")) == granted("r1:a")


def test_sub_commands_of_one_run_can_deadlock() -> None:
    table = LockTable()
    ask(table, "r1:east", "database")
    ask(table, "r1:west", "files")
    assert ask(table, "r1:east/copy", "files") == []
    assert refusals(ask(table, "r1:west/copy", "database")) == [("r1:west/copy", "DEADLOCK")]


def test_granting_a_run_whose_nodes_wait_already_looks_for_the_deadlock_it_makes() -> None:
    table = LockTable()
    ask(table, "r0:z", "a")
    ask(table, "r2", "b")
    ask(table, "r1", "a")
    ask(table, "r1:x", "b")
    ask(table, "r2:x", "a")
    outcomes = table.release(holder("r0:z"))
    assert outcomes[0] == Granted(holder("r1"))
    assert refusals(outcomes) == [("r2:x", "DEADLOCK")]


def test_granting_a_sub_command_leaves_its_waiting_siblings_alone() -> None:
    table = LockTable()
    ask(table, "r0:z", "a")
    ask(table, "r1:deploy", "a")
    ask(table, "r1:other", "a")
    assert table.release(holder("r0:z")) == granted("r1:deploy")


def test_a_waiter_that_waits_for_a_run_twice_over_is_counted_once() -> None:
    table = LockTable()
    ask(table, "r1", "a")
    ask(table, "r2", "b", "c")
    ask(table, "r3", "d shared")
    ask(table, "r4", "d shared")
    ask(table, "r3:x", "b")
    ask(table, "r4:x", "c")
    ask(table, "r2:x", "a")
    refused = ask(table, "r1:x", "d")
    assert refusals(refused) == [("r1:x", "DEADLOCK")]
    assert isinstance(refused[0], Refused)
    assert len(refused[0].failure.message.splitlines()) == 4


def test_a_newcomer_of_higher_priority_waits_behind_one_and_before_others() -> None:
    table = LockTable()
    ask(table, "r0:z", "a")
    ask(table, "r1:n", "x", "a", priority=5)
    ask(table, "r2:n", "x")
    ask(table, "r3:n", "x")
    assert ask(table, "r4:n", "x", priority=3) == []
    assert table.release(holder("r1:n")) == granted("r4:n")


def test_a_waiter_that_waits_for_a_run_in_two_places_is_found_once() -> None:
    table = LockTable()
    ask(table, "r1", "a")
    ask(table, "r1:g", "b")
    ask(table, "r2", "c")
    ask(table, "r2:n", "a", "b")
    assert refusals(ask(table, "r1:g/n", "c")) == [("r1:g/n", "DEADLOCK")]


def test_a_ring_of_courtesy_with_several_ways_through_it_still_lets_one_pass() -> None:
    table = LockTable()
    ask(table, "r1", "a")
    ask(table, "w1:n", "x", "a")
    ask(table, "w2:n", "x", "y", "a")
    assert ask(table, "r1:n", "x", "y") == granted("r1:n")
    table.release(holder("r1:n"))
    assert table.release_run(RunId("r1")) == granted("w1:n")


def test_waiting_too_long_fails_with_the_holders() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    ask(table, "r2:b", "cache", "database shared", wait=timedelta(seconds=1.5))
    ask(table, "r3:c", "cache", wait=timedelta(seconds=9))
    assert table.expire(NOW + timedelta(seconds=1)) == []
    outcomes = table.expire(NOW + timedelta(seconds=1.5))
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].failure.kind is FailureKind.TIMEOUT
    assert outcomes[0].failure.code == "LOCK_TIMEOUT"
    assert outcomes[0].failure.message == "r2:b waited 1.5 s for its locks: database (locked by r1:a)"
    assert outcomes[1:] == granted("r3:c")


def test_a_late_look_at_the_clock_expires_in_order_of_deadline_and_grants_in_between() -> None:
    table = LockTable()
    ask(table, "r1:read", "database shared")
    ask(table, "r2:write", "database", wait=timedelta(seconds=1))
    ask(table, "r3:read", "database shared", wait=timedelta(seconds=2))
    outcomes = table.expire(NOW + MINUTE)
    assert refusals(outcomes) == [("r2:write", "LOCK_TIMEOUT")]
    assert outcomes[1:] == granted("r3:read")


def test_who_was_still_behind_at_its_own_deadline_gains_nothing_by_a_late_look() -> None:
    table = LockTable()
    ask(table, "r1:read", "database shared")
    ask(table, "r2:write", "database", wait=timedelta(seconds=9))
    ask(table, "r3:read", "database shared", wait=timedelta(seconds=5))
    outcomes = table.expire(NOW + MINUTE)
    assert refusals(outcomes) == [("r3:read", "LOCK_TIMEOUT"), ("r2:write", "LOCK_TIMEOUT")]
    assert state(table) == {"r1:read": True}


def test_who_would_not_wait_is_refused_at_once_and_harms_nobody() -> None:
    table = LockTable()
    ask(table, "r1", "a")
    ask(table, "r2", "b")
    ask(table, "r2:x", "a", priority=-1)
    assert refusals(ask(table, "r1:x", "b", wait=timedelta(0))) == [("r1:x", "LOCK_TIMEOUT")]
    assert state(table) == {"r1": True, "r2": True, "r2:x": False}


def test_who_would_not_wait_is_refused_for_those_ahead_of_it_as_well() -> None:
    table = LockTable()
    ask(table, "r1:a", "b")
    ask(table, "r2:b", "a", "b")
    outcomes = ask(table, "r3:c", "a", wait=timedelta(0))
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].failure.message == "r3:c waited 0 s for its locks: a (behind r2:b)"
    assert state(table) == {"r1:a": True, "r2:b": False}


def test_a_dead_run_keeps_its_locks_reserved_and_waiters_fail_at_once() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    ask(table, "r1:a", "cache")
    ask(table, "r2:b", "database.table1", "cache")
    ask(table, "r3:c", "database.table1 shared")
    outcomes = table.reserve(RunId("r1"))
    assert refusals(outcomes) == [("r2:b", "LOCK_RESERVED"), ("r3:c", "LOCK_RESERVED")]
    assert refusals(ask(table, "r4:d", "cache")) == [("r4:d", "LOCK_RESERVED")]
    assert all(row.reserved and row.granted for row in table)
    refused = outcomes[0]
    assert isinstance(refused, Refused)
    assert refused.failure.kind is FailureKind.ERROR
    assert refused.failure.message == (
        "database.table1 is reserved for run r1, whose process died before its work was undone"
    )
    assert refused.failure.hint is not None
    assert "`orchestrate resume r1`" in refused.failure.hint
    assert "`orchestrate locks --release r1`" in refused.failure.hint


def test_refusing_those_who_wait_for_a_dead_run_frees_those_behind_them() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    ask(table, "r2:b", "database", "cache")
    ask(table, "r3:c", "cache")
    outcomes = table.reserve(RunId("r1"))
    assert refusals(outcomes) == [("r2:b", "LOCK_RESERVED")]
    assert outcomes[1:] == granted("r3:c")


def test_what_a_dead_run_waited_for_is_free_for_others() -> None:
    table = LockTable()
    ask(table, "r0:a", "database shared")
    ask(table, "r1:b", "database")
    ask(table, "r2:c", "database shared")
    assert table.reserve(RunId("r1")) == granted("r2:c")
    assert table.of_run(RunId("r1")) == ()


def test_releasing_a_reserved_run_frees_its_locks() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    table.reserve(RunId("r1"))
    assert table.release_run(RunId("r1")) == []
    assert ask(table, "r2:b", "database") == granted("r2:b")


def test_a_new_owner_holds_what_was_reserved_and_others_wait_again() -> None:
    table = LockTable()
    ask(table, "r1", "database")
    table.reserve(RunId("r1"))
    table.adopt(RunId("r1"), OwnerId("p-2"))
    (row,) = table
    assert (row.owner, row.reserved, row.granted) == ("p-2", False, True)
    assert ask(table, "r2:b", "database") == []


def test_asking_again_changes_nothing_and_tells_where_one_stands() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    ask(table, "r2:b", "database")
    table.changes()
    assert ask(table, "r1:a", "database") == granted("r1:a")
    assert ask(table, "r2:b", "database") == []
    assert table.changes().stored == ()


def test_asking_again_for_a_reserved_lock_takes_it_up() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    table.reserve(RunId("r1"))
    assert ask(table, "r1:a", "database") == granted("r1:a")
    assert [row.reserved for row in table] == [False]


def test_a_second_claim_of_one_holder_on_other_locks_is_our_own_error() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    with pytest.raises(InternalError, match="r1:a already has a claim"):
        ask(table, "r1:a", "files")


def test_releasing_what_is_not_there_is_nothing() -> None:
    table = LockTable()
    assert table.release(holder("r1:a")) == []
    assert table.release_run(RunId("r1")) == []
    assert table.reserve(RunId("r1")) == []
    assert table.expire(NOW) == []
    assert table.changes().removed == ()


def test_blockers_name_the_holders_or_those_ahead() -> None:
    table = LockTable()
    ask(table, "r1:a", "b")
    ask(table, "r2:b", "a", "b")
    ask(table, "r3:c", "a")
    assert table.blockers(holder("r2:b")) == (Blocker("b", holder("r1:a"), granted=True),)
    assert table.blockers(holder("r3:c")) == (Blocker("a", holder("r2:b"), granted=False),)
    assert [str(blocker) for blocker in table.blockers(holder("r3:c"))] == ["a (behind r2:b)"]
    assert table.blockers(holder("r1:a")) == ()
    assert table.blockers(holder("nobody")) == ()


def test_changes_are_the_rows_to_write_and_are_told_once() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    ask(table, "r2:b", "database")
    assert [str(row.holder) for row in table.changes().stored] == ["r1:a", "r2:b"]
    table.release(holder("r1:a"))
    changes = table.changes()
    assert changes.removed == (holder("r1:a"),)
    assert changes.stored == (table.get(holder("r2:b")),)
    assert table.changes().stored == ()


def test_a_table_loaded_from_its_rows_goes_on_where_it_was() -> None:
    table = LockTable()
    ask(table, "r1:a", "database")
    ask(table, "r2:b", "database")
    ask(table, "r3:c", "database")
    loaded = LockTable(reversed(list(table)))
    assert loaded.changes().stored == ()
    assert ask(loaded, "r4:d", "database") == []
    assert loaded.release(holder("r1:a")) == granted("r2:b")
    assert loaded.release(holder("r2:b")) == granted("r3:c")
    assert loaded.release(holder("r3:c")) == granted("r4:d")


def test_a_claim_has_the_highest_priority_of_its_locks_and_waits_from_now() -> None:
    specs = (LockSpec("a", priority=3), LockSpec("b", priority=7))
    row = Claim.of(holder("r1:a"), OWNER, specs, now=NOW, max_wait=MINUTE)
    assert (row.priority, row.requested_at, row.deadline) == (7, NOW, NOW + MINUTE)
    assert Claim.of(holder("r1:a"), OWNER, (), now=NOW, max_wait=MINUTE).priority == 0


def test_holders_show_as_run_and_node() -> None:
    assert str(holder("r1")) == "r1"
    assert str(holder("r1:deploy/build")) == "r1:deploy/build"
