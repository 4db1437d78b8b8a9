from __future__ import annotations

from datetime import timedelta

from engine.ids import NodeId
from engine.model.policy import Usage
from engine.run import signals as sig
from engine.views.headline import headline
from tests.support.by_hand import RUN, ByHand, rollback
from tests.support.definitions import command, node, phase

TWO = command(phase("p", node("a", minutes=4), node("b"), continueOnError=True))


def line(story: ByHand) -> str:
    return headline(story.run, story.now, {})


def test_a_live_run_says_for_how_long_it_runs_and_what_is_left() -> None:
    story = ByHand(TWO)
    story.now += timedelta(minutes=1)
    story.succeed("b")
    assert line(story) == f"⚙️ /test running for 1.0 min · 1/2 · ~3 min left · run {RUN}"


def test_failures_that_a_run_went_on_after_are_counted() -> None:
    story = ByHand(TWO)
    story.fail("b")
    story.now += timedelta(seconds=30)
    story.send(sig.ReportOutcome(NodeId("a"), 1, usage=Usage(cost_usd=0.125)))
    assert line(story) == f"⚠️ /test degraded in 30.0s · 2/2 · 1 failed · $0.12 · run {RUN}"


def test_each_end_has_its_mark() -> None:
    undone = command(phase("p", node("a", compensation=rollback()), node("b", "a")))
    story = ByHand(undone)
    story.succeed("a")
    story.fail("b")
    assert line(story).startswith("↩️ /test compensating for")
    story.fail("a")
    assert line(story).startswith("❌ /test compensation failed in")
    cancelled = ByHand(TWO)
    cancelled.cancel()
    cancelled.stopped("a")
    cancelled.stopped("b")
    assert line(cancelled).startswith("🚫 /test cancelled in")
    interrupted = ByHand(TWO, executor="simulate")
    interrupted.crash()
    assert line(interrupted) == f"⏸️ /test interrupted in 0.0s · 0/2 · simulated · run {RUN}"
