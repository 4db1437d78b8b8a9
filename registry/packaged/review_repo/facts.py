"""Facts of a project's history: hot files, their owners, how many people know them, what changes together.

Pure: takes commits, newest first, and the code files of today.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.languages import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.packaged.review_repo.log import Commit

HALF_LIFE_DAYS = 180.0
"""A change of this age, relative to the newest commit, has half the weight."""
WIDE_COMMIT = 40
"""A commit that touches more files (a reformat, an import) shows nothing about coupling and little about churn."""
ENOUGH_CHANGES = 10
"""From this many changes of the busiest file, heat uses its whole range."""
SILENT_DAYS = 365
"""After this long without a commit, relative to the newest, a person counts as gone silent."""
PAIR_SUPPORT = 4
PAIR_SHARE = 0.5
FAINT = 0.05
"""Heat below this does not matter for the ranking."""
KNOWS = 0.75
"""Share of the highest degree of authorship from which a person knows a file (Avelino et al., 2016)."""
DAY = 86_400


@dataclass(slots=True)
class Record:
    """The changes of one file in the log."""

    changes: int = 0
    weight: float = 0.0
    last: int = 0
    authors: Counter[str] = field(default_factory=Counter)
    first: str = ""
    """The author of its oldest change in the log."""


def records_of(commits: Sequence[Commit], code: Mapping[str, Role]) -> dict[str, Record]:
    """The record of each code file that the log names; bots count for changes, not as authors."""
    newest = max((commit.at for commit in commits), default=0)
    records: dict[str, Record] = defaultdict(Record)
    for commit in commits:
        weight = 0.5 ** ((newest - commit.at) / DAY / HALF_LIFE_DAYS) * min(
            1.0, WIDE_COMMIT / max(1, len(commit.paths))
        )
        for path in commit.paths:
            if path in code:
                record = records[path]
                record.changes += 1
                record.weight += weight
                record.last = max(record.last, commit.at)
                if not commit.by_bot:
                    record.authors[commit.author] += 1
                    record.first = commit.author
    return dict(records)


def heat_of(
    records: Mapping[str, Record], complexity: Mapping[str, float], code: Mapping[str, Role]
) -> dict[str, float]:
    """Heat of each file with a complexity, 0 to 1: recent changes x complexity, each logarithmic."""
    changed = [path for path in complexity if records[path].changes > 1]
    top_weight = max((records[path].weight for path in changed), default=0.0)
    top_complexity = max((complexity[path] for path in changed), default=0.0)
    if not (top_weight and top_complexity):
        return {}
    evidence = min(1.0, _log_share(max(records[path].changes for path in changed), ENOUGH_CHANGES))
    return {
        path: round(
            _log_share(records[path].weight, top_weight)
            * _log_share(complexity[path], top_complexity)
            * evidence
            * (0.4 if code[path] is Role.TEST else 1.0),
            3,
        )
        for path in changed
    }


def nesting(text: str) -> float:
    """The sum over the non-blank lines of *text* of one plus half the depth of indentation; needs no parser."""
    total, unit = 0.0, 4
    two = four = 0
    indents = []
    for line in text.split("\n"):
        stripped = line.lstrip(" \t")
        if not stripped:
            continue
        space = line[: len(line) - len(stripped)]
        indent = space.count("\t") * 4 + space.count(" ")
        indents.append(indent)
        if indent:
            two += indent % 4 == 2  # noqa: PLR2004 - half a step of four
            four += 1
    if two > four / 10:
        unit = 2
    for indent in indents:
        total += 1 + min(indent // unit, 12) / 2
    return total


def people_of(commits: Sequence[Commit]) -> dict[str, int]:
    """The time of each person's newest commit; bots are none."""
    people: dict[str, int] = {}
    for commit in commits:
        if not commit.by_bot:
            people[commit.author] = max(people.get(commit.author, 0), commit.at)
    return people


def knowers_of(record: Record) -> list[str]:
    """Those who know a file, the most first, by their degree of authorship."""
    total = sum(record.authors.values())
    degree = {
        author: 3.293 + 1.098 * (author == record.first) + 0.164 * count - 0.321 * math.log1p(total - count)
        for author, count in record.authors.items()
    }
    most = max(degree.values(), default=0.0)
    knowing = [author for author, value in degree.items() if value >= KNOWS * most]
    return sorted(knowing, key=lambda author: (-degree[author], author))


def truck_factor(records: Mapping[str, Record]) -> tuple[int, list[str]]:
    """The least number of people without whom more than half of the files have no one who knows them, and who."""
    known = {path: set(knowers_of(record)) for path, record in records.items() if record.authors}
    total, gone = len(known), []
    while known and sum(bool(people) for people in known.values()) * 2 >= total:
        counts = Counter(author for people in known.values() for author in people)
        if not counts:
            break
        most = min(counts, key=lambda author: (-counts[author], author))
        gone.append(most)
        for people in known.values():
            people.discard(most)
    return len(gone), gone


def orphaned(records: Mapping[str, Record], people: Mapping[str, int], newest: int) -> tuple[int, int]:
    """How many files have only silent people who know them, of how many."""
    known = [knowers_of(record) for record in records.values() if record.authors]
    return sum(all(is_silent(people[author], newest) for author in names) for names in known), len(known)


def is_silent(last: int, newest: int) -> bool:
    """Whether a person's last commit is too long ago."""
    return newest - last > SILENT_DAYS * DAY


def tested_share(commits: Sequence[Commit], code: Mapping[str, Role]) -> tuple[int, int]:
    """How many commits of the last year that change shipped code also change tests, of how many."""
    newest = max((commit.at for commit in commits), default=0)
    with_tests = total = 0
    for commit in commits:
        roles = {code[path] for path in commit.paths if path in code}
        if Role.SOURCE in roles and newest - commit.at <= SILENT_DAYS * DAY and not commit.by_bot:
            total += 1
            with_tests += Role.TEST in roles
    return with_tests, total


def coupled(commits: Sequence[Commit], code: Mapping[str, Role]) -> list[dict[str, Any]]:
    """Pairs of code files that mostly change together, except a file and its tests, which should."""
    changed: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for commit in commits:
        paths = sorted({path for path in commit.paths if code.get(path, Role.TEST) not in (Role.TEST, Role.GENERATED)})
        if len(paths) > 1 and len(commit.paths) <= WIDE_COMMIT:
            changed.update(paths)
            pairs.update((left, right) for place, left in enumerate(paths) for right in paths[place + 1 :])
    found: list[dict[str, Any]] = []
    for (left, right), together in pairs.items():
        share = together / min(changed[left], changed[right])
        if together >= PAIR_SUPPORT and share >= PAIR_SHARE:
            found.append({"left": left, "right": right, "together": together, "percent": round(100 * share)})
    return sorted(found, key=lambda pair: (-pair["together"] * pair["percent"], pair["left"], pair["right"]))[:6]


def day(seconds: int) -> str:
    """The date of *seconds* since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _log_share(value: float, top: float) -> float:
    return math.log1p(value) / math.log1p(top)
