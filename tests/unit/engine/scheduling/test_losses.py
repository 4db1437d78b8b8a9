"""Attempts that are lost with their worker, and those that other machines continue for a new owner."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import InternalError, StateError
from engine.ids import NodeId
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.reducer import apply
from engine.scheduling.losses import MAX_WORKERS
from engine.views.status import snapshot
from engine.views.timeline import timeline
from tests.support.by_hand import HEIR, ByHand, all_queue, calling, locks, rollback
from tests.support.definitions import command, node, phase

RETRIES = {"maxAttempts": 2, "initialDelay": 0}


def far(*nodes: dict[str, object], **fields: object) -> ByHand:
    """A run of one phase whose nodes run on other machines, and have begun there."""
    story = ByHand(command(phase("p", *nodes, **fields)), queues=all_queue, elsewhere=all_queue)
    for name in story.live():
        story.began(name)
    return story


def lost(story: ByHand, name: str) -> list[tuple[bool, str]]:
    return [(record.lost, record.lost_worker) for record in story.node(name).attempts]


def test_what_was_lost_with_its_worker_runs_again_and_counts_as_no_retry() -> None:
    story = far(node("a", retryPolicy=RETRIES))
    assert [type(event).__name__ for event in story.lose("a", "w-7")] == [
        "AttemptLost",
        "NodeReady",
        "AttemptScheduled",
    ]
    assert lost(story, "a") == [(True, "w-7"), (False, "")]
    assert (story.number("a"), story.node("a").retries) == (2, 0)
    row = timeline(story.run, story.now + timedelta(minutes=1)).phases[0].rows[0]
    assert [span.note for span in row.spans if span.kind.value == "wait"] == ["a worker"]


def test_what_must_not_be_repeated_waits_for_a_person_who_hears_of_the_worker() -> None:
    story = far(node("a", idempotent=False))
    story.lose("a", "w-7")
    assert snapshot(story.run, story.now).nodes[0].waiting_for == (
        "a decision: its attempt was lost with the worker w-7 and it is not idempotent: retry, skip or fail"
    )
    for _ in range(MAX_WORKERS):  # a person may say so as often as they like
        story.answer("a", "retry")
        story.lose("a")
    assert (story.status("a"), story.node("a").workers_lost) == ("waiting", 1)


def test_what_a_person_skips_gives_its_locks_back_and_needs_them_again_to_be_undone() -> None:
    held = node("a", idempotent=False, resources=locks("db"), compensation=rollback())
    story = far(held, node("b", "a"))
    story.grant("a")
    story.lose("a")
    story.answer("a", "skip")
    assert not story.node("a").locked
    story.fail("b")
    assert (story.live(), [node.plan.id for node in story.run.nodes.values() if node.waiting]) == ([], ["a"])
    story.grant("a")
    assert story.live() == ["a"]


def test_a_node_that_takes_its_workers_down_fails_after_the_third_whatever_its_policy_retries() -> None:
    story = far(node("a", retryPolicy=RETRIES))
    for worker in ("w-1", "w-2"):
        story.lose("a", worker)
    assert story.status("a") == "running"
    story.lose("a", "w-3")
    failure = story.node("a").failure
    assert failure is not None
    assert (failure.code, failure.message) == (
        "WORKER_LOST",
        'Node "a" was running on each of 3 workers that were lost in a row, the last one w-3',
    )
    assert (story.state(), len(story.node("a").attempts)) == ("failed", MAX_WORKERS)


def test_a_policy_may_name_the_loss_of_workers() -> None:
    story = far(node("a", retryPolicy={**RETRIES, "retryableErrors": ["WORKER_LOST"]}))
    for _ in range(MAX_WORKERS):
        story.lose("a")
    assert (story.status("a"), story.number("a")) == ("running", MAX_WORKERS + 1)


def test_workers_are_counted_in_a_row_and_crashes_of_the_owner_are_none() -> None:
    story = far(node("a", compensation=rollback()), node("b", "a"))
    story.lose("a")
    story.lose("a")
    story.crash()
    story.resume()
    assert (story.node("a").workers_lost, lost(story, "a")[2]) == (2, (True, ""))
    story.succeed("a")
    assert story.node("a").workers_lost == 0
    for _ in range(MAX_WORKERS):
        story.lose("b")
    assert (story.node("b").workers_lost, story.live()) == (0, ["a"])  # undone, since b has failed


def test_undoing_is_lost_and_made_again_and_fails_like_everything_else() -> None:
    story = far(node("a", compensation=rollback()), node("b", "a"))
    story.succeed("a")
    story.fail("b")
    story.lose("a")
    assert (story.status("a"), story.number("a")) == ("compensating", 3)
    story.lose("a")
    story.lose("a")
    assert (story.status("a"), story.state()) == ("compensation_failed", "compensation_failed")


def test_what_was_told_to_end_has_ended_when_its_worker_is_lost() -> None:
    story = far(node("a"))
    story.cancel()
    story.lose("a")
    assert (story.status("a"), story.state()) == ("cancelled", "cancelled")


def test_a_worker_is_lost_once_with_an_attempt() -> None:
    story = far(node("a"), node("b"))
    story.lose("a")
    with pytest.raises(StateError, match="has already ended"):
        story.send(sig.LoseAttempt(NodeId("a"), 1, "w-1"))
    story.succeed("a")
    story.succeed("b")
    with pytest.raises(StateError, match="has already ended"):
        story.send(sig.LoseAttempt(NodeId("a"), 2, "w-1"))


def test_a_resumed_run_names_what_other_machines_continue_and_loses_the_rest() -> None:
    story = far(node("a"), node("b"), node("c", "a"))
    story.crash()
    events = story.resume(standing=["a", "nowhere"])
    assert events[0] == ev.RunResumed(story.now, HEIR, None, (NodeId("a"),))
    assert (lost(story, "a"), lost(story, "b")) == ([(False, "")], [(True, ""), (False, "")])
    assert (story.number("a"), story.number("b")) == (1, 2)
    story.succeed("a")
    assert story.live() == ["b", "c"]


def test_what_goes_on_elsewhere_keeps_the_time_that_it_had() -> None:
    story = far(node("a", timeout=60_000))
    story.now += timedelta(seconds=40)
    story.crash()
    story.now += timedelta(hours=1)
    story.resume(standing=["a"])
    assert story.run.next_due() == story.now + timedelta(seconds=20)
    story.wait(seconds=19)
    assert story.status("a") == "running"
    assert [type(event) for event in story.wait(seconds=1)] == [ev.AttemptStopping]


def test_what_was_told_to_end_is_waited_for_where_it_still_runs() -> None:
    story = far(node("a"), node("b"))
    story.cancel()
    story.crash()
    story.resume(standing=["a"])
    assert (story.live(), story.status("b")) == (["a"], "cancelled")
    story.stopped("a")
    assert story.state() == "cancelled"


def test_an_outcome_that_was_kept_here_counts_more_than_what_stands_elsewhere() -> None:
    story = far(node("a"))
    story.crash()
    events = story.send(
        sig.Resume(HEIR, reports=(sig.ReportOutcome(NodeId("a"), 1),), standing=frozenset({NodeId("a")}))
    )
    assert isinstance(events[0], ev.RunResumed)
    assert (events[0].standing, story.state()) == ((), "completed")


def test_what_goes_on_inside_a_sub_command_counts_there_when_that_continues() -> None:
    sub = command(phase("s", node("x"), node("y", "x")), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub"))), sub, queues=all_queue, elsewhere=all_queue)
    assert [record.elsewhere for name in ("g", "g/x") for record in story.node(name).attempts] == [False, True]
    story.crash()
    story.resume(standing=["g/x"])
    story.began("g/x")
    story.succeed("g/x")
    story.succeed("g/y")
    assert story.state() == "completed"


def test_only_what_was_live_can_be_named_as_going_on() -> None:
    story = far(node("a"), node("b", "a"))
    story.crash()
    with pytest.raises(InternalError, match="RunResumed cannot happen now"):
        apply(story.run, ev.RunResumed(story.now, HEIR, None, (NodeId("b"),)))


def test_a_node_that_no_machine_has_begun_waits_for_a_worker() -> None:
    story = ByHand(command(phase("p", node("a"))), queues=all_queue, elsewhere=all_queue)
    assert snapshot(story.run, story.now).todos[0].content == "Do a (waiting for a worker)"
