from __future__ import annotations

from datetime import timedelta

from engine.ids import NodeId
from engine.model.policy import Usage
from engine.run import signals as sig
from engine.views.headline import headline
from engine.views.metrics import metrics
from engine.views.status import snapshot
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


def test_time_in_which_nobody_went_on_with_a_run_is_no_time_of_the_run() -> None:
    story = ByHand(TWO)
    story.wait(minutes=1)
    story.succeed("b")
    story.crash()
    story.now += timedelta(minutes=12)
    assert line(story).startswith("⏸️ /test interrupted in 1.0 min")
    story.resume()
    story.wait(minutes=1)
    assert line(story).startswith("⚙️ /test running for 2.0 min")
    assert metrics(story.run, story.now).phases[0].duration == timedelta(minutes=2)
    story.fail("a")
    story.now += timedelta(hours=3)
    story.resume(failed=True)
    story.wait(minutes=1)
    story.succeed("a")
    assert line(story).startswith("✅ /test completed in 3.0 min")
    found = metrics(story.run, story.now)
    assert (found.total, found.best) == (timedelta(minutes=3), timedelta(minutes=2))
    assert found.phases[0].duration == timedelta(minutes=1), "it was opened anew"
    now = snapshot(story.run, story.now)
    assert now.elapsed == timedelta(minutes=3)
