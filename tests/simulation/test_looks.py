"""Views that follow a run show after every event what a look at all of it shows, whatever goes wrong in its world."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.run.reducer import apply, create
from engine.run.run_events import APPLY
from engine.storage.codec import decode_event
from engine.views.known import Known
from tests.support.looking import agree, agree_on_news
from tests.support.world.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ids import NodeId
    from engine.run import events as ev
    from engine.run.state import Run
    from engine.views.known import Mark

pytestmark = pytest.mark.worlds
WORLDS = 25
EVERY_NIGHT = 400


def follow(events: Sequence[ev.Event], chance: random.Random) -> None:
    """Look at a run after each event, and at another only now and then."""
    first = events[0]
    often, seldom = create(first), create(first)  # type: ignore[arg-type]
    clients: list[tuple[Run, Known, dict[NodeId, Mark]]] = [(often, Known(), {}), (seldom, Known(), {})]
    names = [node.id for node in often.plan.nodes]
    learned: dict[str, float] = {}
    for event in events[1:]:
        apply(often, event)
        apply(seldom, event)
        if chance.random() < 0.05:  # a run of the same command has ended
            learned = {name: chance.uniform(0, 100) for name in names if chance.random() < 0.5}
        late = timedelta(seconds=chance.choice((0, 1, 60)))
        agree(often, learned, late)
        agree_on_news(*clients[0])
        if chance.random() < 0.2:
            agree(seldom, learned, late)
            agree_on_news(*clients[1])


def follow_world(seed: int) -> None:
    """Play a world and follow each of its runs."""
    world = World(seed)
    world.play()
    for record in world.audit.records.values():
        follow([decode_event(*data) for data in record.log], random.Random(seed))  # noqa: S311 - not a secret


@pytest.mark.parametrize("seed", range(WORLDS))
def test_views_that_follow_agree_with_a_look_at_everything_after_every_event(seed: int) -> None:
    follow_world(seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(WORLDS, EVERY_NIGHT))
def test_views_that_follow_agree_in_hundreds_of_worlds(seed: int) -> None:
    follow_world(seed)


def test_every_event_that_changes_nodes_without_naming_them_is_followed() -> None:
    """Those that change nothing but the run and its phases are the others."""
    from engine.views.tally import WIDE  # noqa: PLC0415

    quiet = {"RunStarted", "PhaseOpened", "PhaseEnded", "RunStopping", "SagaStarted", "ClockJumped"}
    assert {kind.__name__ for kind in APPLY} == quiet | {kind.__name__ for kind in WIDE}
