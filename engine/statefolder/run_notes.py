"""Notes of an owner about its runs, for readers that must be quick, like a status line.

Effects: reads and replaces one small file beside the owner's record. The journal has no estimates, and to compute them
means to read a run's whole journal and to import most of the engine. A note is never needed to be right: a reader
without one leaves its parts out. Of modules it imports `os` alone.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ENDING = ".runs"
_MAX_BYTES = 100_000
_UNKNOWN = "-"
_MAX_SECONDS = 1e11
"""More than three thousand years."""


class RunNote:
    """One run under way, as of a moment."""

    __slots__ = ("asked", "at", "left", "lived", "questions", "run")

    def __init__(
        self, run: str, *, at: float, lived: float, left: float | None, questions: int = 0, asked: float = 0.0
    ) -> None:
        """*at* is in seconds since 1970, *lived* and *left* are seconds; *left* is None if there is no estimate.

        *questions* is the number of open ones, *asked* when the newest of them was asked.
        """
        self.run = run
        self.at = at
        self.lived = lived
        self.left = left
        self.questions = questions
        self.asked = asked


def write_notes(folder: Path, owner: str, notes: Iterable[RunNote]) -> None:
    """Replace the notes of *owner*, whose record is in *folder*; without *notes* there is no file. Raises OSError."""
    path = os.path.join(folder, owner + ENDING)
    lines = [
        f"{one.run} {one.at} {one.lived} {_UNKNOWN if one.left is None else one.left} {one.questions} {one.asked}\n"
        for one in notes
    ]
    if not lines:
        remove_notes(folder, owner)
        return
    new = f"{path}.new"
    _remove(new)  # what a killed writer left, or someone put there
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(lines)
    os.replace(new, path)


def remove_notes(folder: Path, owner: str) -> None:
    """Remove the notes of *owner* in *folder*, if there are any."""
    for ending in (ENDING, f"{ENDING}.new"):
        _remove(os.path.join(folder, owner + ending))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def read_notes(folder: str, owner: str) -> dict[str, RunNote]:
    """The notes of *owner* in *folder*, by run; empty if there are none that can be read."""
    try:
        opened = os.open(os.path.join(folder, owner + ENDING), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, encoding="utf-8") as file:
            return {one.run: one for line in file.read(_MAX_BYTES).splitlines() if (one := _parsed(line)) is not None}
    except (OSError, ValueError):
        return {}


def open_questions(folder: str, owners: Iterable[str]) -> dict[str, int]:
    """The number of open questions of each run of *owners* that has some, as these noted it in *folder*."""
    return {
        note.run: note.questions for name in {*owners} for note in read_notes(folder, name).values() if note.questions
    }


def _parsed(line: str) -> RunNote | None:
    words = line.split()
    if len(words) != 6:  # noqa: PLR2004 - as `write_notes` writes them
        return None
    run, at, lived, left, questions, asked = words
    try:
        until = None if left == _UNKNOWN else _seconds(left)
        return RunNote(
            run,
            at=_seconds(at),
            lived=_seconds(lived),
            left=until,
            questions=int(questions),
            asked=_seconds(asked),
        )
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """A number of seconds that a duration can have. Raises `ValueError`."""
    number = float(text)
    if not abs(number) < _MAX_SECONDS:
        raise ValueError(text)
    return number
