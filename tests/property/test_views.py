"""Laws of the views: each of them can be looked at, whatever has happened to a run."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ids import OwnerId
from engine.runtime.projections import summary_of
from engine.telemetry.spans import ended_spans
from engine.views.metrics import metrics
from engine.views.node_detail import node_detail
from engine.views.report_html import html_report
from engine.views.report_text import text_report
from engine.views.short_lists import short_display
from engine.views.status import snapshot
from engine.views.timeline import timeline
from tests.property.test_scheduling import STEPS, Story
from tests.support.random_commands import random_family


def look(story: Story) -> None:
    """Look at all views of the run as it is now."""
    run, now = story.run, story.now
    numbers, chart = metrics(run, now), timeline(run, now)
    seen = snapshot(run, now)
    assert seen.todos
    assert seen.display
    assert {line.id for line in seen.nodes} >= {node.id for node in run.plan.nodes}
    assert run.plan.command in text_report(run, numbers, chart)
    assert html_report(run, numbers, chart).rstrip().endswith("</html>")
    assert all(node_detail(run, node, now, {}) for node in run.nodes.values())
    if run.ended:
        row = summary_of(run, OwnerId("me"))
        assert (row.done, row.total) == (seen.progress.done, seen.progress.total)
    followed = seen.progress, seen.phases, seen.remaining, seen.display, short_display(run, now, {})
    run.follower = None
    fresh = snapshot(run, now)
    assert followed == (fresh.progress, fresh.phases, fresh.remaining, fresh.display, short_display(run, now, {}))


@given(seed=st.integers(0, 2**64), size=st.integers(1, 4))
@settings(max_examples=40)
def test_every_view_shows_a_run_to_which_anything_has_happened(seed: int, size: int) -> None:
    dice = Random(seed)  # noqa: S311 - repeatable by intent
    story = Story(*random_family(dice, size))
    for turn in range(dice.randrange(STEPS)):
        before = len(story.events)
        if not story.run.ended:
            story.happen(dice)
        list(ended_spans(story.run, story.events[before:]))
        if turn % 5 == 0:
            look(story)
    story.finish()
    look(story)
