"""How far a run is, and how long it will still take."""

from __future__ import annotations

from datetime import timedelta

from engine.run import events as ev
from engine.views.outlook import remaining
from engine.views.progress import Progress, node_remaining, progress
from tests.support.by_hand import ByHand, calling, rollback
from tests.support.definitions import command, implement_feature, node, phase

MINUTE = timedelta(minutes=1)


def left(story: ByHand, **learned: float) -> timedelta | None:
    """What remains of the run."""
    return remaining(story.run, story.now, learned)


def test_nodes_that_are_over_count_and_cancelled_ones_do_not() -> None:
    story = ByHand(command(phase("p", node("a"), node("b", "a"), node("c", "b"))))
    story.succeed("a")
    assert progress(story.run) == Progress(1, 3)
    assert progress(story.run).percent == 33
    story.fail("b")
    assert progress(story.run) == Progress(2, 3)
    assert Progress(0, 0).percent == 100


def test_what_remains_is_the_critical_path_and_not_the_sum() -> None:
    assert left(ByHand(implement_feature())) == 95 * MINUTE


def test_what_remains_is_spread_over_the_slots_there_are() -> None:
    raw = command(phase("p", *(node(f"n{place}", minutes=3) for place in range(4))))
    assert left(ByHand(raw)) == 3 * MINUTE
    assert left(ByHand(raw, limits=ev.Limits(max_parallelism=2))) == 6 * MINUTE
    assert left(ByHand(command(phase("p", node("a"), node("b"), parallel=False)))) == 2 * MINUTE


def test_what_has_run_for_a_while_remains_for_less_and_an_overdue_node_for_nothing() -> None:
    story = ByHand(command(phase("p", node("a", minutes=3), node("b", "a"))))
    story.wait(minutes=2)
    assert left(story) == 2 * MINUTE
    story.wait(minutes=5)
    assert node_remaining(story.run, story.node("a"), story.now, {}) == timedelta(0)
    assert left(story) == MINUTE


def test_learned_durations_replace_the_estimates() -> None:
    assert left(ByHand(command(phase("p", node("a"), node("b", "a")))), a=600) == 11 * MINUTE


def test_a_sub_command_counts_as_long_as_what_is_inside() -> None:
    sub = command(phase("s", node("x", minutes=2), node("y", "x", minutes=3)), name="/sub")
    assert left(ByHand(command(phase("p", calling("g", "/sub"))), sub)) == 5 * MINUTE


def test_nothing_remains_of_a_run_that_is_over_and_nobody_knows_while_it_undoes_or_is_interrupted() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback()))))
    story.fail("a")
    assert left(story) is None
    story.succeed("a")
    assert left(story) == timedelta(0)
    story = ByHand(command(phase("p", node("a"))))
    story.crash()
    assert left(story) is None
