"""Finds the project around a working directory.

Effects: lists folders. It is imported before the server's first answer, so it imports little.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from engine.errors import NotFound
from engine.statefolder.links import JOURNAL, STATE

_LEFT = re.compile(rf"{STATE.name}(\.copied(-\d+)?)?|worktrees")
"""Entries that sessions leave in `.claude` of any folder that they take for a project."""


class FoundRoot(msgspec.Struct, frozen=True):
    """The root of a project."""

    root: Path
    """Resolved."""
    others: tuple[Path, ...] = ()
    """Folders between the start and the root with a journal of their own, which this project does not use."""


def find_project_root(start: Path, *, home: Path | None = None) -> Path:
    """The root of the project around *start*, as `look_for_root` finds it."""
    return look_for_root(start, home=home).root


def look_for_root(start: Path, *, home: Path | None = None) -> FoundRoot:
    """The nearest folder from *start* upwards that has `.claude` or `.git`; *start* itself if none has.

    The home directory, `/` and folders of other users do not count as projects for folders below them. A `.claude` with
    only state in it counts only if this user made it. Raises `NotFound` (PROJECT_UNKNOWN) if nothing is found
    and *start* is home or `/`.
    """
    start = start.resolve()
    highest = {(home or Path.home()).resolve(), Path(start.anchor)}
    others: list[Path] = []
    for folder in (start, *start.parents):
        if folder in highest or not _is_ours(folder):
            break
        if os.path.lexists(folder / ".git") or _is_configured(folder) or _has_own_state(folder, home):
            return FoundRoot(folder, tuple(others))
        if os.path.lexists(folder / JOURNAL):
            others.append(folder)
    if start in highest:
        raise NotFound(
            f"{start} is not a project",
            code="PROJECT_UNKNOWN",
            hint="Start in a project folder, or name one with `orchestrate --project DIR`, or CLAUDE_PROJECT_DIR in "
            "the environment of the server.",
        )
    return FoundRoot(start, tuple(other for other in others if other != start))


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _is_configured(folder: Path) -> bool:
    """Whether `.claude` exists, and is empty or holds more than the state of earlier sessions."""
    try:
        with os.scandir(folder / STATE.parent) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return False
    return not names or not all(_LEFT.fullmatch(name) for name in names)


def _has_own_state(folder: Path, home: Path | None) -> bool:
    if not os.path.lexists(folder / STATE):
        return False
    from engine.statefolder.guard import is_ours  # noqa: PLC0415 - most projects are found without it

    return is_ours(folder, home=home)
