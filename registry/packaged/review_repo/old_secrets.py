"""Searches old commits for secrets that the current files no longer hold: everyone with a clone can read them.

Effects: runs `git log`, and reads the current files of the repository in the working directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from registry.packaged.review_repo.facts import day
from registry.packaged.review_repo.files import READ_LIMIT, Listing, read_text
from registry.packaged.review_repo.findings import one_line
from registry.packaged.review_repo.git import git
from registry.packaged.review_repo.languages import role_of
from registry.packaged.review_repo.log import HEADER
from registry.packaged.review_repo.secrets import HINTS, find_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 20.0
COMMITS = 3_000
"""Newest commits that are searched."""
LIMIT = 32_000_000
"""Bytes of changes that are read."""
KEPT = 50
"""Places that are named; the others are counted."""
_FORMAT = "--format=%x01%h%x00%ct%x00"


class Added(msgspec.Struct, frozen=True):
    """Lines that one commit added to one file."""

    commit: str
    at: int
    path: str
    lines: tuple[str, ...]


def search(listing: Listing) -> dict[str, Any]:
    """The places of tokens and private keys in old commits, each once, the newest first; a place holds no value."""
    changes = ("--unified=0", "--no-renames", "--diff-filter=AM", "--no-color", "--no-ext-diff", "--no-textconv")
    done = git(
        listing.root,
        *("-c", "core.quotePath=false", "log", f"--max-count={COMMITS}", "--no-merges", "-p", *changes),
        *("--no-show-signature", "--no-notes", "--relative", "--src-prefix=a/", "--dst-prefix=b/"),
        *(f"-G{'|'.join(HINTS)}", _FORMAT, "HEAD", "--", listing.scope),
        seconds=SECONDS,
        limit=LIMIT,
    )
    whole = done.code == 0 and not done.timed_out and not done.truncated
    current = _Current(listing)
    seen: dict[tuple[str, str, str], dict[str, str]] = {}
    for added in parse_added(done.stdout):
        for hit in find_tokens("\n".join(added.lines), added.path, role_of(added.path)):
            line = added.lines[hit.line - 1]
            if not current.holds(added.path, line):
                place = {"commit": added.commit, "on": day(added.at), "file": added.path, "rule": hit.rule}
                seen.setdefault((added.path, hit.rule, line.strip()), place)
    places = list(seen.values())
    return {"commits": COMMITS, "places": places[:KEPT], "count": len(places), "whole": whole}


def parse_added(data: bytes) -> Iterator[Added]:
    """The added lines in the output of `git log -p` with our format."""
    for chunk in data.split(HEADER)[1:]:
        fields = chunk.split(b"\0", 2)
        if len(fields) != 3 or not fields[1].isdigit():  # noqa: PLR2004 - the fields of the format
            continue
        commit, at = fields[0].decode("ascii", "replace"), int(fields[1])
        path, lines = "", list[str]()
        for row in fields[2].decode("utf-8", "replace").split("\n"):
            if row.startswith("diff --git "):
                if path and lines:
                    yield Added(commit, at, path, tuple(lines))
                path, lines = "", []
            elif row.startswith("+++ b/") and not path:
                path = one_line(row[6:].rstrip("\t"), 400)
            elif row.startswith("+") and path:
                lines.append(row[1:])
        if path and lines:
            yield Added(commit, at, path, tuple(lines))


class _Current:
    """The lines of the current files."""

    def __init__(self, listing: Listing) -> None:
        self._root = listing.root
        self._files = {file.path: file for file in listing.files if file.size <= READ_LIMIT}
        self._lines: dict[str, frozenset[str]] = {}

    def holds(self, path: str, line: str) -> bool:
        """Whether the file still has the line: then it is a finding of its own."""
        if path not in self._lines:
            file = self._files.get(path)
            text = (read_text(self._root, file) if file is not None else None) or ""
            self._lines[path] = frozenset(row.strip() for row in text.split("\n"))
        return line.strip() in self._lines[path]
