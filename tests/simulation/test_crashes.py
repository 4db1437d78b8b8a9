"""The owner dies after any event: whoever resumes comes to an end, and does nothing twice that was done."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run.events import Role, RunStatus, WaitReason
from tests.support.by_hand import ByHand, calling, locks, rollback
from tests.support.definitions import command, implement_feature, node, phase

Faults = dict[str, int]
"""How many attempts of a node fail, from the first on; compensations counted with them."""


def drive(story: ByHand, faults: Faults, *, cancel_after: str = "") -> None:
    """Bring *story* to its end: locks are granted, approvals given, attempts named in *faults* fail."""
    for _ in range(500):
        run = story.run
        if run.ended:
            return
        live = story.live()
        if run.status is RunStatus.PENDING:
            story.grant()
        elif wait_over(story):
            continue
        elif live:
            name = live[0]
            attempt = story.node(name).live
            assert attempt is not None
            if attempt.stopping is not None:
                story.stopped(name)
            elif attempt.number <= faults.get(name, 0):
                story.fail(name)
            else:
                story.succeed(name)
            if name == cancel_after and run.stop is None:
                story.cancel()
        else:
            due = run.next_due()
            assert due is not None, "nothing runs and nothing is due"
            story.wait(seconds=max(0.0, (due - story.now).total_seconds()))
    message = "the run does not end"
    raise AssertionError(message)


def wait_over(story: ByHand) -> bool:
    """End the first wait that somebody else can end."""
    for name, state in story.run.nodes.items():
        reason = state.waiting.reason if state.waiting is not None else None
        if reason is WaitReason.LOCKS:
            story.grant(name)
        elif reason is WaitReason.APPROVAL:
            story.answer(name, "yes")
        elif reason is WaitReason.DECISION:
            story.answer(name, "retry")
        else:
            continue
        return True
    return False


SUB = command(phase("s", node("x", compensation=rollback()), node("y", "x"), node("z", "y")), name="/sub")
RETRY = {"maxAttempts": 1, "initialDelay": 1000}


def chain(root: dict[str, Any] | None = None) -> dict[str, Any]:
    """Three nodes, two of which can be undone."""
    return command(
        phase("one", node("a", compensation=rollback(), resources=locks("db"))),
        phase(
            "two", node("b", "a", compensation=rollback(), retryPolicy=RETRY), node("c", "a", approval={"message": "?"})
        ),
        phase("three", node("d", "b", "c")),
        resources=root,
    )


def going_on() -> dict[str, Any]:
    """A phase that goes on after failures, and a sub-command in it."""
    return command(
        phase(
            "p",
            calling("g", "/sub", compensation={**rollback(), "agentId": "worker"}, resources=locks("g")),
            node("h", compensation=rollback(), resources=locks("h")),
            node("k", "g", "h"),
            continueOnError=True,
        ),
        phase("q", node("last")),
    )


STORIES: dict[str, tuple[tuple[dict[str, Any], ...], Faults, str, str]] = {
    "completed": ((implement_feature(),), {}, "", "completed"),
    "completed with locks of the run": ((chain(locks("all")),), {"b": 1}, "", "completed"),
    "compensated": ((chain(),), {"d": 1}, "", "compensated"),
    "compensated with locks of the run": ((chain(locks("all")),), {"b": 2}, "", "compensated"),
    "compensation failed": ((chain(),), {"d": 1, "a": 2, "b": 3}, "", "compensation_failed"),
    "cancelled": ((chain(),), {}, "b", "cancelled"),
    "degraded": ((going_on(), SUB), {"h": 1}, "", "degraded"),
    "a sub-command failed alone": ((going_on(), SUB), {"g/y": 1}, "", "degraded"),
    "a sub-command stopped the run": (
        (command(phase("p", node("a", compensation=rollback()), calling("g", "/sub", "a"))), SUB),
        {"g/z": 1},
        "",
        "compensated",
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_run_cut_after_any_event_and_resumed_comes_to_its_end_and_repeats_nothing(name: str) -> None:
    raw, faults, cancel_after, end = STORIES[name]
    whole = ByHand(*raw)
    drive(whole, faults, cancel_after=cancel_after)
    assert whole.run.status.value == end
    journal = list(whole.events)
    for length in range(1, len(journal)):
        story = ByHand(*raw)
        story.values = whole.values
        story.events = list(journal)
        story.cut(length)
        story.now = journal[length - 1].at
        story.crash()
        assert story.run.ended
        done = successes(story)
        story.resume()
        drive(story, faults)
        assert story.run.ended, length
        assert story.run.status is not RunStatus.INTERRUPTED, length
        for node_name, role in done:
            assert successes(story).count((node_name, role)) == 1, (length, node_name)
        assert not any(state.live or state.waiting for state in story.run.nodes.values())


def successes(story: ByHand) -> list[tuple[str, Role]]:
    """What has ended well, in order."""
    return [
        (event.node, story.run.nodes[event.node].attempts[event.number - 1].role)
        for event in story.events
        if isinstance(event, ev.AttemptSucceeded)
    ]


@pytest.mark.parametrize("name", [name for name in STORIES if name != "cancelled"])
def test_a_crash_between_two_commits_does_not_change_how_a_run_ends(name: str) -> None:
    raw, faults, cancel_after, end = STORIES[name]
    whole = ByHand(*raw)
    drive(whole, faults, cancel_after=cancel_after)
    for length in whole.turns[:-1]:
        story = ByHand(*raw)
        story.events = list(whole.events)
        story.cut(length)
        story.now = whole.events[length - 1].at
        story.crash()
        story.resume()
        later = {node_name: count + lost(story, node_name) for node_name, count in faults.items()}
        drive(story, later)
        assert story.run.status.value == end, length


def lost(story: ByHand, name: str) -> int:
    """Attempts of a node that a crash took, which count as none."""
    return sum(record.lost for record in story.node(name).attempts)


def test_a_lost_attempt_of_a_node_that_is_not_idempotent_is_held_and_nothing_of_it_runs() -> None:
    story = ByHand(command(phase("p", node("a", idempotent=False), node("b"))))
    story.crash()
    story.resume()
    assert story.status("a") == "waiting"
    assert story.live() == ["b"]
    story.succeed("b")
    story.answer("a", "skip")
    assert story.run.status is RunStatus.COMPLETED


@pytest.mark.parametrize(("answer", "end"), [("retry", "completed"), ("skip", "completed"), ("fail", "compensated")])
def test_a_held_node_goes_on_as_a_person_decides(answer: str, end: str) -> None:
    story = ByHand(command(phase("p", node("a", idempotent=False, compensation=rollback()))))
    story.crash()
    story.resume()
    story.answer("a", answer)
    drive(story, {})
    assert story.run.status.value == end
    assert story.undone() == (["a"] if answer == "fail" else [])


def test_a_lost_attempt_counts_as_no_retry() -> None:
    story = ByHand(command(phase("p", node("a", retryPolicy=RETRY))))
    for _ in range(3):
        story.crash()
        story.resume()
    story.fail("a")
    story.wait(seconds=1)
    assert story.live() == ["a"]
    story.fail("a")
    assert story.run.status is RunStatus.FAILED


def test_a_compensation_that_was_running_runs_again_and_a_finished_one_does_not() -> None:
    story = ByHand(chain())
    drive_until_undoing(story)
    story.succeed("b")
    story.grant("a")
    story.crash()
    story.resume()
    story.grant("a")
    assert story.undone() == ["b", "a", "a"]
    story.succeed("a")
    assert story.run.status is RunStatus.COMPENSATED


def drive_until_undoing(story: ByHand) -> None:
    """Let `d` fail after all others have completed."""
    story.grant("a")
    for name in ("a", "b"):
        story.succeed(name)
    story.answer("c", "yes")
    story.succeed("c")
    story.fail("d")
    assert story.live() == ["b"]


def test_what_is_told_to_stop_when_the_owner_dies_is_undone_and_not_run_again() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()), node("b"))))
    story.fail("b")
    assert story.node("a").live is not None
    story.crash()
    story.resume()
    assert story.undone() == ["a"]


def test_the_time_in_which_nobody_owned_the_run_counts_against_no_limit() -> None:
    limits = ev.Limits(max_duration_seconds=600)
    story = ByHand(command(phase("p", node("a", minutes=1), timeout=300_000)), limits=limits)
    story.crash()
    story.now = story.now.replace(day=2)
    story.resume()
    story.wait(seconds=299)
    assert story.live() == ["a"]
    story.wait(seconds=1)
    stopping = story.node("a").live
    assert stopping is not None
    assert stopping.stopping is not None
    assert stopping.stopping.kind is FailureKind.TIMEOUT


def test_a_wait_for_a_retry_goes_on_after_a_crash() -> None:
    story = ByHand(command(phase("p", node("a", retryPolicy={**RETRY, "initialDelay": 10_000}))))
    story.fail("a")
    story.crash()
    story.wait(seconds=4)
    story.resume()
    assert story.live() == []
    story.wait(seconds=6)
    assert story.live() == ["a"]
