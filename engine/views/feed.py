"""A document that changes, as a snapshot and numbered patches: what a page needs to show it and to keep it up to date.

Pure. The document is a JSON object without nulls; a patch is a JSON Merge Patch. Each patch has the number that follows
the one before, so that a reader notices a gap and takes a snapshot instead. A feed remembers its newest patches only:
a reader that is further behind gets a snapshot, and so does one whose numbers come from another feed.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from engine.json.patches import patch_between

REMEMBERED = 64
"""Patches that a feed keeps for readers that ask again."""


class Patch(msgspec.Struct, frozen=True):
    """The changes that lead from the document with the number before to that with this one."""

    number: int
    changes: dict[str, Any]


class News(msgspec.Struct, frozen=True, omit_defaults=True):
    """The news for one reader: a snapshot, or patches, or nothing."""

    feed: str
    """The name of the feed: numbers of another one say nothing about it."""
    number: int
    """The number of the document after this."""
    snapshot: dict[str, Any] | None = None
    patches: tuple[Patch, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything new."""
        return self.snapshot is not None or bool(self.patches)


class Feed:
    """One document, from its first look on."""

    def __init__(self, name: str) -> None:
        """*name* differs from that of every other feed that a reader may have followed."""
        self.name = name
        self.number = 0
        """0: nothing was looked at yet."""
        self._document: dict[str, Any] = {}
        self._patches: deque[Patch] = deque(maxlen=REMEMBERED)

    def look(self, document: dict[str, Any]) -> bool:
        """Take the *document* as it is now; whether it has changed. It must not be changed afterwards."""
        changes = patch_between(self._document, document)
        if self.number and not changes:
            return False
        self.number += 1
        if self.number > 1:  # nothing can follow the document before the first
            self._patches.append(Patch(self.number, changes))
        self._document = document
        return True

    def since(self, number: int, name: str | None = None) -> News:
        """The news for a reader that has *number* of the feed *name*, by default this one; 0: it has nothing."""
        known = name in {None, self.name} and 0 < number <= self.number
        missing = self.number - number
        if not known or missing > len(self._patches):
            return News(self.name, self.number, snapshot=self._document)
        newest = list(self._patches)
        return News(self.name, self.number, patches=tuple(newest[len(newest) - missing :]))
