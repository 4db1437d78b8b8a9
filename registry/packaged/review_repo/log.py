"""The commits of a repository, as `git log --raw` writes them, with each person under one name.

Pure. Renamed files are followed to their current name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from registry.packaged.review_repo.findings import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HEADER = b"\x01"
FORMAT = "--format=%x01%ct%x00%aN%x00%aE"
"""Commit time, and the author's name and address after `.mailmap`."""
_FIELDS = 3
_BOT = re.compile(
    r"\[bot\]|\bbot$|^(dependabot|renovate|greenkeeper|snyk|github[ -]actions?|pre-commit[ -]ci|weblate|crowdin|mergify"
    r"|allcontributors|semantic-release|transifex|travis|circleci|codecov|imgbot|pyup|depfu)\b|(bot|noreply\+ci)@|-bot@",
    re.IGNORECASE,
)


class Commit(msgspec.Struct, frozen=True):
    """One commit of the log."""

    at: int
    """Commit time, seconds since the epoch."""
    author: str
    email: str
    paths: tuple[str, ...]
    """Changed paths under their current names."""

    @property
    def by_bot(self) -> bool:
        """Whether a program wrote it."""
        return _BOT.search(self.author) is not None or _BOT.search(self.email) is not None


def parse_log(data: bytes) -> Iterator[Commit]:
    """The commits of `git log -z --raw` with our `FORMAT`, newest first."""
    present: dict[str, str] = {}
    for chunk in data.split(HEADER)[1:]:
        fields = chunk.split(b"\0")
        if len(fields) < _FIELDS or not fields[0].isdigit():
            continue
        author, email = (fields[place].strip().decode("utf-8", "replace") for place in (1, 2))
        yield Commit(int(fields[0]), one_line(author, 60), email.lower()[:200], tuple(_paths(fields[3:], present)))


def _paths(fields: Sequence[bytes], present: dict[str, str]) -> Iterator[str]:
    """Paths of one commit; *present* maps old names to current ones and is updated by renames."""
    places = iter(fields)
    for item in places:
        entry = item.lstrip(b"\n")
        if not entry.startswith(b":"):
            continue
        status = entry.rsplit(b" ", 1)[-1][:1]
        path = next(places, b"").decode("utf-8", "replace")
        if status in (b"R", b"C"):
            new = next(places, b"").decode("utf-8", "replace")
            current = present.get(new, new)
            if status == b"R":
                present[path] = current
            yield current
        elif path:
            yield present.get(path, path)


def with_one_name(commits: Iterable[Commit]) -> list[Commit]:
    """*commits* with each person under the newest of their names: the same address, or name but for case, is one."""
    known = list(commits)
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        while parents.setdefault(key, key) != key:
            parents[key] = key = parents[parents[key]]
        return key

    for commit in known:
        first, *others = _keys(commit)
        for other in others:
            parents[root(other)] = root(first)
    names: dict[str, str] = {}
    for commit in known:  # newest first
        names.setdefault(root(_keys(commit)[0]), commit.author)
    return [structs.replace(commit, author=names[root(_keys(commit)[0])]) for commit in known]


def _keys(commit: Commit) -> list[str]:
    """Keys of the author of *commit*."""
    return [
        f"name {' '.join(commit.author.casefold().split())}",
        *([f"address {commit.email}"] if commit.email else []),
    ]
