"""Folding: what is no journal, what is not legal, and what a run remembers of its context."""

from __future__ import annotations

import pytest

from engine.errors import InternalError
from engine.ids import NodeId, OwnerId
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run.lookup import keys_at, parts_at
from engine.run.reducer import apply, fold
from engine.values.reading import value_of
from tests.support.by_hand import NOON, ByHand, comparable
from tests.support.definitions import command, node, phase

A = NodeId("a")
BROKEN = Failure(FailureKind.ERROR, "BROKEN", "it broke")


def test_nothing_and_a_journal_without_its_beginning_fold_to_nothing() -> None:
    for events, text in (([], "empty"), ([ev.RunStarted(NOON)], "starts with RunCreated")):
        with pytest.raises(InternalError, match=text):
            fold(events)


ILLEGAL: tuple[ev.Event, ...] = (
    ev.AttemptSucceeded(NOON, A, 2),
    ev.AttemptFailed(NOON, A, 2, BROKEN),
    ev.AttemptStopping(NOON, A, 2, BROKEN),
    ev.AttemptRenewed(NOON, A, 2, NOON),
    ev.AttemptWarned(NOON, A, 2, "changed"),
    ev.NodeSkipped(NOON, A, "no"),
    ev.CompensationFailed(NOON, A, BROKEN),
    ev.RunResumed(NOON, OwnerId("o-2")),
    ev.RunEnded(NOON, ev.RunStatus.COMPENSATED),
    ev.RunEnded(NOON, ev.RunStatus.RUNNING),
    ev.PhaseOpened(NOON, -1),
    ev.PhaseOpened(NOON, 9),
    ev.PhaseEnded(NOON, 9),
    ev.SagaStarted(NOON, (NodeId("nowhere"),)),
    ev.NodeReady(NOON, NodeId("nowhere")),
)


@pytest.mark.parametrize("event", ILLEGAL, ids=[f"{type(event).__name__}-{at}" for at, event in enumerate(ILLEGAL)])
def test_an_event_that_is_not_legal_is_refused_before_anything_is_changed(event: ev.Event) -> None:
    story = ByHand(command(phase("p", node("a"))))
    before = comparable(fold(story.events))
    with pytest.raises(InternalError):
        apply(story.run, event)
    assert comparable(story.run) == before


def test_a_phase_that_opens_with_all_its_nodes_settled_can_end() -> None:
    story = ByHand(command(phase("p", node("a")), phase("q", node("b"))))
    apply(story.run, ev.NodeSkipped(NOON, NodeId("b"), "no"))
    apply(story.run, ev.PhaseOpened(NOON, 1))
    assert list(story.run.drained) == [1]


def test_a_value_is_seen_as_it_was_at_a_version() -> None:
    appending = {"outputs": [{"key": "k", "merge": "append"}, {"key": "other"}]}
    story = ByHand(
        command(phase("p", node("a", context=appending), node("b", "a", context=appending))), initial={"k": 0}
    )
    versions = [story.run.version]
    for place, name in enumerate(("a", "b"), start=1):
        story.succeed(name, k=place)
        versions.append(story.run.version)
    assert [len(parts_at(story.run, "k", version)) for version in (0, *versions)] == [0, 1, 2, 3]
    assert keys_at(story.run, "", 0) == []
    assert keys_at(story.run, "", versions[-1]) == ["k"]


def test_a_value_that_is_replaced_is_gone_with_all_its_parts() -> None:
    gives = {"outputs": [{"key": "k"}]}
    story = ByHand(command(phase("p", node("a", context=gives))), initial={"k": 0})
    story.succeed("a", k=1)
    assert [value_of(part.ref, story.values.get) for part in parts_at(story.run, "k", story.run.version)] == [1]
