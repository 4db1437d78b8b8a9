"""A reader of a feed, as the live page is one: it applies patches to a snapshot, and notices a gap."""

from __future__ import annotations

from typing import Any

from engine.views.feed import News, Patch


class Gap(Exception):
    """Patches were missed."""


def news_of(data: dict[str, Any]) -> News:
    """News as they are sent."""
    patches = tuple(Patch(one["number"], one["changes"]) for one in data.get("patches", ()))
    return News(data["feed"], data["number"], data.get("snapshot"), patches)


class Reader:
    """The document as far as it was received."""

    def __init__(self) -> None:
        self.feed = ""
        self.number = 0
        self.document: dict[str, Any] = {}

    def take(self, news: News) -> None:
        if news.snapshot is not None:
            self.feed, self.number, self.document = news.feed, news.number, news.snapshot
        for patch in news.patches:
            if news.feed == self.feed and patch.number <= self.number:
                continue
            if news.feed != self.feed or patch.number != self.number + 1:
                raise Gap
            self.number, self.document = patch.number, merged(self.document, patch.changes)


def merged(old: object, changes: dict[str, Any]) -> dict[str, Any]:
    """*old* after a merge patch, word for word as in RFC 7396."""
    new: dict[str, Any] = dict(old) if isinstance(old, dict) else {}
    for key, value in changes.items():
        if value is None:
            new.pop(key, None)
        elif isinstance(value, dict):
            new[key] = merged(new.get(key), value)
        else:
            new[key] = value
    return new
