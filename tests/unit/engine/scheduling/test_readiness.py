"""Which node is next, and what the others wait for, in words."""

from __future__ import annotations

from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.scheduling.readiness import available_keys, waiting_for
from engine.scheduling.saga import undo_order
from tests.support.by_hand import ByHand, calling, locks, rollback
from tests.support.definitions import command, node, phase


def words(story: ByHand, name: str) -> str | None:
    """What *name* waits for."""
    return waiting_for(story.run, story.node(name))


def test_priority_comes_before_the_remaining_path_and_that_before_file_order() -> None:
    story = ByHand(
        command(
            phase(
                "p",
                node("short"),
                node("same"),
                node("long", minutes=5),
                node("urgent", priority=9),
                node("end", "long"),
            ),
        ),
        limits=ev.Limits(max_parallelism=1),
    )
    order = []
    while story.live():
        order += story.live()
        story.succeed(order[-1])
    assert order == ["urgent", "long", "short", "same", "end"]


def test_a_waiting_node_says_for_what() -> None:
    retry = {"maxAttempts": 2}
    story = ByHand(
        command(
            phase(
                "p",
                node("locked", resources=locks("db")),
                node("asked", approval={"message": "Go on?"}),
                node("again", retryPolicy=retry, minutes=9),
                node("broken", circuitBreaker="api"),
                node("after", "again", "locked"),
                node("running", minutes=9),
                node("free"),
            ),
            phase("q", node("later")),
        ),
        limits=ev.Limits(max_parallelism=2),
    )
    story.fail("again", code="RATE_LIMIT")
    story.queue("locked")
    assert words(story, "locked") == "locks: db"
    assert words(story, "asked") == "approval: Go on?"
    assert words(story, "again") == "retry: 1 of 2 after RATE_LIMIT"
    assert words(story, "broken") == "circuit breaker: api"
    assert words(story, "after") == "again, locked"
    assert words(story, "later") == "p"
    assert words(story, "running") is None
    assert available_keys(story.run, story.node("free")) == []


def test_a_ready_node_without_a_slot_waits_for_a_free_one() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"), parallel=False)))
    assert words(story, "b") == "a free slot"
    story.cancel()
    story.stopped("a")
    assert words(story, "b") is None


def test_a_held_node_waits_for_a_decision_and_a_compensation_for_its_locks() -> None:
    story = ByHand(
        command(
            phase("p", node("a", resources=locks("db"), compensation=rollback()), node("b", "a", idempotent=False)),
        )
    )
    story.grant("a")
    story.succeed("a")
    story.crash()
    story.resume()
    assert str(words(story, "b")).startswith("a decision: ")
    story.answer("b", "fail")
    assert words(story, "a") == "locks"


def test_nodes_of_a_sub_command_that_has_not_opened_wait_for_nothing_of_their_own() -> None:
    sub = command(phase("s", node("x")), phase("t", node("y")), name="/sub")
    story = ByHand(command(phase("p", node("a"), calling("g", "/sub", "a"))), sub)
    assert (words(story, "g/x"), words(story, "g/y")) == (None, "g/s")
    story.succeed("a")
    story.succeed("g/x")
    assert words(story, "g/y") is None


def test_two_sub_commands_may_be_undone_side_by_side() -> None:
    sub = command(phase("s", node("x", compensation=rollback()), node("y", "x")), name="/sub")
    raw = command(phase("p", calling("g", "/sub"), calling("h", "/sub"), continueOnError=True))
    story = ByHand(raw, sub)
    for group in ("g", "h"):
        story.succeed(f"{group}/x")
    for group in ("g", "h"):
        story.fail(f"{group}/y", FailureKind.VALIDATION)
    assert story.live() == ["g/x", "h/x"]
    for group in ("h", "g"):
        story.succeed(f"{group}/x")
    assert (story.state(), undo_order(story.run)) == ("degraded", ())


def test_what_a_person_decides_inside_a_sub_command_that_waits_to_go_on_holds_once_it_goes_on() -> None:
    sub = command(phase("s", node("x", compensation=rollback()), node("y", "x", idempotent=False)), name="/sub")
    story = ByHand(command(phase("p", calling("g", "/sub", resources=locks("db")), continueOnError=True)), sub)
    story.grant("g")
    story.succeed("g/x")
    story.crash()
    story.resume()
    story.answer("g/y", "fail")
    assert story.undone() == []
    story.grant("g")
    assert story.undone() == ["g/x"]
    story.succeed("g/x")
    assert (story.state(), story.status("g")) == ("degraded", "failed")
