"""News of a run for people who are not watching: it asks, a node failed although it goes on, it is over.

Pure, from events and the folded run. Nothing else is news: of many failures only the first one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.run import events as ev
from engine.run.events import WaitReason
from engine.text.cut import cut
from engine.text.redaction import redact
from engine.text.shown import clean
from engine.views.headline import headline
from engine.views.status import questions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import Run

MAX_LENGTH = 500
"""Characters of one text."""
_ASK = frozenset({WaitReason.APPROVAL, WaitReason.DECISION})


class NewsKind(StrEnum):
    """The occasion of a notification."""

    QUESTION = "question"
    FAILURE = "failure"
    END = "end"


class News(NamedTuple):
    """One occasion."""

    kind: NewsKind
    at: datetime
    text: str
    """One line for a person."""
    node: NodeId | None = None
    answers: tuple[str, ...] = ()
    """The possible answers to a question."""
    message: str = ""
    """The question, the failure, or the message of a run that is over."""
    code: str = ""
    """The code of the failure."""


def news(run: Run, events: Sequence[ev.Event]) -> list[News]:
    """The news in *events*, the newest of *run*; a failure at the end of a run is its end only."""
    over = any(isinstance(event, ev.RunEnded | ev.RunInterrupted) for event in events)
    found = [_of(run, event, over=over) for event in events]
    return [one for one in found if one is not None]


def _of(run: Run, event: ev.Event, *, over: bool) -> News | None:
    match event:
        case ev.NodeWaiting(reason=reason, node=node) if reason in _ASK and not over:
            return _question(run, node, event.at)
        case ev.NodeFailed(node=node, failure=failure) if not over and run.failures[:1] == [node]:
            message = _line(failure.message)
            text = _line(f"{run.plan.command}: {node} failed: {message}")
            return News(NewsKind.FAILURE, event.at, text, node, message=message, code=_line(failure.code))
        case ev.RunEnded():
            return News(NewsKind.END, event.at, _line(headline(run, event.at, {})), message=_line(run.message))
        case ev.RunInterrupted(reason=reason) if reason:  # it lacks something, and the user is to provide it
            text = _line(f"{run.plan.command} was interrupted: {reason}")
            return News(NewsKind.END, event.at, text, message=_line(reason))
        case _:
            return None


def _question(run: Run, node: NodeId, at: datetime) -> News | None:
    asked = next((one for one in questions(run) if one.node == node), None)
    if asked is None:  # it has been answered already
        return None
    message = _line(asked.text)
    text = _line(f"{run.plan.command} asks about {node}: {message}")
    return News(NewsKind.QUESTION, at, text, node, answers=asked.answers, message=message)


def body_of(run: Run, one: News, project: str) -> dict[str, Any]:
    """*one* as JSON data, for programs and web hooks; *project* is its root. Chat services show `text` as it is."""
    body: dict[str, Any] = {
        "text": one.text,
        "event": one.kind.value,
        "run": run.id,
        "command": clean(run.plan.command),
        "project": project,
        "state": run.status.value,
        "at": one.at.isoformat(timespec="milliseconds"),
        "message": one.message,
        "seconds": round(run.lived(run.created_at, one.at).total_seconds(), 3),
        "costUsd": round(run.cost_usd, 6),
    }
    if one.node is not None:
        body["node"] = one.node
    if one.code:
        body["code"] = one.code
    if one.answers:
        body["answers"] = list(one.answers)
        body["answerWith"] = f"orchestrate decide {run.id} {one.node} {'|'.join(one.answers)}"
    return body


def _line(text: str) -> str:
    return cut(" ".join(clean(redact(text)).split()), MAX_LENGTH)
