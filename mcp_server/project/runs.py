"""Selects runs from the list of a project, and finds those that wait for a person.

Effects: reads the notes of processes about their runs.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from engine.errors import InputError, NotFound
from engine.run.events import RunStatus
from engine.statefolder.owners import owners_of
from engine.statefolder.run_notes import open_questions
from engine.text.suggestions import Names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.run.state import Run
    from engine.storage.port import RunSummary

_AGO = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions that a run has to meet; an empty one is met by all."""

    states: frozenset[RunStatus] = frozenset()
    command: str = ""
    """With its slash."""
    since: datetime | None = None
    """When it was started at the earliest."""
    text: str = ""
    """Found, whatever its case, in id, command or message."""

    def __bool__(self) -> bool:
        """Whether it leaves any run out."""
        return self != RunFilter()

    def select(self, rows: Iterable[RunSummary]) -> list[RunSummary]:
        """Those of *rows* that meet all conditions."""
        return [row for row in rows if self._takes(row)]

    def _takes(self, row: RunSummary) -> bool:
        wanted = self.text.casefold()
        return (
            (not self.states or row.status in self.states)
            and (not self.command or row.command == self.command)
            and (self.since is None or row.created_at >= self.since)
            and any(wanted in text.casefold() for text in (row.id, row.command, row.message))
        )


def run_filter(
    *,
    states: Iterable[str] = (),
    command: str | None = None,
    since: str | None = None,
    text: str | None = None,
    now: datetime,
) -> RunFilter:
    """The filter for words of a user. Raises `InputError` (INVALID_ARGUMENT)."""
    return RunFilter(
        states=frozenset(map(_state, states)),
        command="" if not command else f"/{command.removeprefix('/')}",
        since=None if not since else _since(since, now),
        text=text or "",
    )


def questions_of(project: Path, rows: Iterable[RunSummary]) -> dict[str, int]:
    """The number of open questions of those of *rows* that wait for a person; at most two seconds old."""
    going = {row.id: row.owner for row in rows if row.status is RunStatus.RUNNING}
    found = open_questions(str(owners_of(project)), going.values())
    return {run: number for run, number in found.items() if run in going}


def _state(name: str) -> RunStatus:
    known = {status.value: status for status in RunStatus}
    found = known.get(name.strip().lower().replace(" ", "_").replace("-", "_"))
    if found is None:
        hint = Names(known).question(name) or f"Choose one of {', '.join(known)}."
        raise InputError(f'unknown state "{name}"', code="INVALID_ARGUMENT", hint=hint)
    return found


def _since(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise InputError(
            f'"{text}" is neither a time nor a duration',
            code="INVALID_ARGUMENT",
            hint="Write 30m, 2h, 3d or 1w, or a date such as 2026-11-29.",
        ) from None


def nothing_to_cancel(run: Run) -> NotFound:
    """The error for a request to cancel *run*, which had ended."""
    return NotFound(
        f"run {run.id} had already ended: {run.status}",
        code="NOTHING_TO_CANCEL",
        hint="`orchestrate runs` lists the runs.",
    )
