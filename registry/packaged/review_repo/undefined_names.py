"""Where something else than the code that is read defines names: a host, a plugin loader, a star import.

Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.packaged.review_repo.findings import Hit

_MANY_FILES = 4
_MANY_NAMES = 9


def undefined_everywhere(hits: Sequence[Hit]) -> set[str]:
    """Messages about names that many files use, or that one file lists, without defining them: something else does."""
    files: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    for hit in hits:
        if hit.meaning == "undefined":
            files.setdefault(hit.message, set()).add(hit.file)
            names.setdefault(hit.file, set()).add(hit.message)
    lists = {message for known in names.values() if len(known) >= _MANY_NAMES for message in known}
    return lists | {message for message, places in files.items() if len(places) >= _MANY_FILES}


def defining(hits: Sequence[Hit], everywhere: set[str]) -> set[str]:
    """Files in which something else defines names, and folders with many of them, such as those of plugins."""
    files = {hit.file: folder_of(hit) for hit in hits if hit.message in everywhere}
    folders = Counter(files.values())
    return files.keys() | {folder for folder, count in folders.items() if count >= _MANY_FILES}


def folder_of(hit: Hit) -> str:
    """The folder of the file, with a slash at the end."""
    return hit.file.rpartition("/")[0] + "/"
