"""Says why a path that came from git or from a file may not be read, written or removed below a folder of ours.

Pure. It looks at the text alone; links on the way are for whoever touches the disk. Git checks the paths of its own
index, but a tree object, a note on the disk or another program's answer may hold any bytes.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_GITS_OWN = frozenset({".git", "git~1"})
"""What file systems take for the folder of a repository, in lower case."""


def path_problem(path: bytes, *, below: bytes = b"", but: Iterable[bytes] = ()) -> str | None:
    """Why *path*, relative and with slashes, may not be used; None where it may.

    *below* is a folder with a slash at its end that it has to lie in, *but* folders in there that it must not be, or
    lie in. All are relative to the same folder. Case does not count, since some file systems do not know it.
    """
    text = path.decode("utf-8", "surrogateescape")
    parts = text.split("/")
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "holds control characters"
    if text.startswith("/"):
        return "is absolute"
    if ".." in parts:
        return "leads out of its folder"
    if "" in parts or "." in parts:
        return "is not a plain path"
    if any(_plain(part) in _GITS_OWN for part in parts):
        return "belongs to git"
    if not path.startswith(below):
        return "lies outside of the project"
    if any(_is_in(path, folder) for folder in but):
        return "belongs to the engine"
    return None


def _plain(part: str) -> str:
    """*part* as a file system may see it that drops invisible characters, and dots and blanks at the end."""
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return visible.rstrip(". ").casefold()


def _is_in(path: bytes, folder: bytes) -> bool:
    one, other = (_folded(text) for text in (path, folder))
    return one == other or one.startswith(f"{other}/")


def _folded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape").rstrip("/").casefold()
