"""Checks whether a path from git or from a file may be read, written or removed below one of our folders.

Pure. It checks only the text; the code that touches the disk checks links on the way. Git checks the paths of its own
index, but a tree object, a note on disk or another program's answer may hold any bytes.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_GITS_OWN = frozenset({".git", "git~1"})
"""Names that file systems treat as the folder of a repository, in lower case."""


def path_problem(path: bytes, *, below: bytes = b"", but: Iterable[bytes] = ()) -> str | None:
    """Why *path*, relative and with slashes, may not be used; None if it may.

    *below* is a folder, with a trailing slash, that must contain it; *but* are folders in there that it must not be, or
    be inside. All are relative to the same folder. Case is ignored, since some file systems ignore it.
    """
    text = path.decode("utf-8", "surrogateescape")
    parts = text.split("/")
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "holds control characters"
    if text.startswith("/"):
        return "is absolute"
    if ".." in parts:
        return "is outside its folder"
    if "" in parts or "." in parts:
        return "is not a plain path"
    if any(_plain(part) in _GITS_OWN for part in parts):
        return "belongs to git"
    if not path.startswith(below):
        return "is outside the project"
    if any(_is_in(path, folder) for folder in but):
        return "belongs to the engine"
    return None


def _plain(part: str) -> str:
    """*part* as seen by a file system that drops invisible characters, and trailing dots and blanks."""
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return visible.rstrip(". ").casefold()


def _is_in(path: bytes, folder: bytes) -> bool:
    one, other = (_folded(text) for text in (path, folder))
    return one == other or one.startswith(f"{other}/")


def _folded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape").rstrip("/").casefold()
