"""Finds the hot spots of a repository: complex files that change often, and files that change together.

Effects: reads the git log and the files of the repository in the working directory. Only main authors are named.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import answering
from registry.packaged.review_repo.files import Listing, Source, relist
from registry.packaged.review_repo.findings import one_line
from registry.packaged.review_repo.git import git
from registry.packaged.review_repo.languages import NOT_CODE, Role, role_of
from registry.packaged.review_repo.programs import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from registry.packaged.review_repo.git import Repository

SECONDS = 90.0
"""Budget of this agent, below its node's timeout."""
COMMITS = 3_000
"""Newest commits that are read."""
HALF_LIFE_DAYS = 180.0
"""A change of this age, relative to the newest commit, has half the weight."""
WIDE_COMMIT = 40
"""A commit that touches more files (a reformat, an import) shows nothing about coupling and little about churn."""
ENOUGH_CHANGES = 10
"""From this many changes of the busiest file, scores use their whole range."""
PAIR_SUPPORT = 4
PAIR_SHARE = 0.5
TOP_FILES = 20
WEIGHED_FILES = 600
FAINT = 0.05
"""Scores below this do not matter for the ranking."""

_HEADER = b"\x01"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit of the log."""

    at: int
    """Commit time, seconds since the epoch."""
    author: str
    changes: tuple[tuple[str, int], ...]
    """Path under its current name, and number of lines added and deleted."""


@dataclass(slots=True)
class _Record:
    changes: int = 0
    weight: float = 0.0
    churn: int = 0
    last: int = 0
    authors: Counter[str] = field(default_factory=Counter)


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-hotspots`: input `structure`, output `hotspots`."""
    deadline = Deadline(SECONDS)
    repository, listing, structure = relist(inputs)
    limits: list[str] = []
    commits = list(read_log(repository, listing.scope, deadline, limits))
    if structure.get("shallow"):
        limits.append("The clone is shallow: changes before its first commit are not counted.")
    code = {file.path: file for file in listing.files if file.language and file.language not in NOT_CODE}
    records = _records(commits, code)
    files = _scored(records, code, listing, deadline)
    times = [commit.at for commit in commits]
    return {
        "hotspots": {
            "commits": len(commits),
            "since": _day(min(times)) if times else None,
            "until": _day(max(times)) if times else None,
            "authors": len({commit.author for commit in commits}),
            "files": files[:TOP_FILES],
            "weights": {entry["path"]: entry["score"] for entry in files[:WEIGHED_FILES] if entry["score"] >= FAINT},
            "coupled": coupled(commits, set(code)),
            "limits": [*limits, *listing.limits][:10],
        }
    }


def read_log(repository: Repository, scope: str, deadline: Deadline, limits: list[str]) -> Iterator[Commit]:
    """The newest commits below *scope*, following renames; reached limits are added to *limits*."""
    arguments = (
        "log",
        f"--max-count={COMMITS}",
        "--no-merges",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-show-signature",
        "--no-notes",
        "--relative",
        "-M",
        "-l400",
        "-z",
        "--format=%x01%ct%x00%aN",
        "HEAD",
        "--",
        scope,
    )
    done = git(repository.root, *arguments[:1], "--numstat", *arguments[1:], seconds=deadline.left * 0.7)
    data = done.stdout
    if done.code != 0 and not data:
        # Blobs may be missing (a partial clone): names do not need them.
        done = git(repository.root, *arguments[:1], "--name-only", *arguments[1:], seconds=deadline.left * 0.7)
        data = done.stdout
        limits.append("Line counts of old commits were not available: churn counts only commits.")
    if done.timed_out or done.truncated:
        limits.append("The log was cut at the limit of time or size: older commits are not counted.")
        data = data[: data.rfind(_HEADER)] if _HEADER in data else data
    if repository.commits > COMMITS:
        limits.append(f"Only the newest {COMMITS:,} commits were read.")
    yield from parse_log(data)


def parse_log(data: bytes) -> Iterator[Commit]:
    """The commits of `git log -z --numstat` (or `--name-only`) with our header, newest first."""
    present: dict[str, str] = {}
    for chunk in data.split(_HEADER)[1:]:
        stamp, _, rest = chunk.partition(b"\0")
        author, _, rest = rest.partition(b"\0")
        if not stamp.isdigit():
            continue
        changes = tuple(_changes(rest.lstrip(b"\n\0"), present))
        yield Commit(int(stamp), one_line(author.decode("utf-8", "replace"), 60), changes)


def _changes(data: bytes, present: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Paths and line counts of one commit; *present* maps old names to current ones and is updated by renames."""
    fields = iter(data.split(b"\0"))
    for item in fields:
        added, tab, rest = item.partition(b"\t")
        deleted, second_tab, name = rest.partition(b"\t")
        if not item.strip():
            continue
        if not (tab and second_tab):
            added, deleted, name = b"0", b"0", item.lstrip(b"\n")
        lines = int(added or 0) + int(deleted or 0) if added.isdigit() and deleted.isdigit() else 0
        if name:
            path = name.decode("utf-8", "replace")
            yield present.get(path, path), lines
            continue
        old, new = (next(fields, b"").decode("utf-8", "replace") for _ in range(2))
        current = present.get(new, new)
        present[old] = current
        yield current, lines


def _records(commits: list[Commit], code: Mapping[str, Source]) -> dict[str, _Record]:
    newest = max((commit.at for commit in commits), default=0)
    records: dict[str, _Record] = defaultdict(_Record)
    for commit in commits:
        age = (newest - commit.at) / 86_400
        weight = 0.5 ** (age / HALF_LIFE_DAYS)
        if len(commit.changes) > WIDE_COMMIT:
            weight *= WIDE_COMMIT / len(commit.changes)
        for path, lines in commit.changes:
            if path in code:
                record = records[path]
                record.changes += 1
                record.weight += weight
                record.churn += lines
                record.last = max(record.last, commit.at)
                record.authors[commit.author] += 1
    return dict(records)


def _scored(
    records: Mapping[str, _Record], code: Mapping[str, Source], listing: Listing, deadline: Deadline
) -> list[dict[str, Any]]:
    """Files by score = change x complexity, each logarithmic, 0 to 1 relative to the highest in the repository."""
    # Every file starts with one change, so a single one does not count.
    changed = [path for path in records if records[path].changes > 1]
    candidates = sorted(changed, key=lambda path: -records[path].weight)[: 3 * WEIGHED_FILES]
    size: dict[str, tuple[int, float]] = {}
    for file, text in listing.texts([code[path] for path in candidates], deadline):
        size[file.path] = complexity(text)
    top_weight = max((records[path].weight for path in size), default=0.0)
    top_complexity = max((value for _, value in size.values()), default=0.0)
    if not (top_weight and top_complexity):
        return []
    # If no file has changed often, the hottest is not hot.
    evidence = min(1.0, _log_share(max(records[path].changes for path in size), ENOUGH_CHANGES))
    scored = []
    for path, (lines, value) in size.items():
        record = records[path]
        heat = _log_share(record.weight, top_weight) * _log_share(value, top_complexity)
        score = heat * evidence * (0.4 if role_of(path) is Role.TEST else 1.0)
        author, most = record.authors.most_common(1)[0]
        scored.append(
            {
                "path": path,
                "score": round(score, 3),
                "changes": record.changes,
                "churn": record.churn,
                "authors": len(record.authors),
                "main_author": author,
                "main_share": round(100 * most / record.changes),
                "last": _day(record.last),
                "lines": lines,
                "complexity": round(value),
            }
        )
    return sorted(scored, key=lambda entry: (-entry["score"], entry["path"]))


def complexity(text: str) -> tuple[int, float]:
    """The number of non-blank lines, and the sum over them of one plus half the indentation depth.

    Indentation follows nesting in every indented language, and needs no parser.
    """
    indents = []
    for line in text.split("\n"):
        stripped = line.lstrip(" \t")
        if stripped:
            space = line[: len(line) - len(stripped)]
            indents.append(space.count("\t") * 4 + space.count(" "))
    steps = Counter(indent for indent in indents if indent)
    unit = 2 if steps and sum(count for indent, count in steps.items() if indent % 4 == 2) > len(indents) / 10 else 4  # noqa: PLR2004
    depths = [min(indent // unit, 12) for indent in indents]
    return len(depths), sum(1 + depth / 2 for depth in depths)


def coupled(commits: list[Commit], code: set[str]) -> list[dict[str, Any]]:
    """Pairs of code files that mostly change together, except a file and its tests, which should."""
    changed: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for commit in commits:
        paths = sorted({path for path, _ in commit.changes if path in code})
        if len(paths) > 1 and len(commit.changes) <= WIDE_COMMIT:
            changed.update(paths)
            pairs.update((left, right) for place, left in enumerate(paths) for right in paths[place + 1 :])
    found: list[dict[str, Any]] = []
    for (left, right), together in pairs.items():
        share = together / min(changed[left], changed[right])
        tests = (role_of(left) is Role.TEST) + (role_of(right) is Role.TEST)
        if together >= PAIR_SUPPORT and share >= PAIR_SHARE and tests == 0:
            found.append({"left": left, "right": right, "together": together, "percent": round(100 * share)})
    return sorted(found, key=lambda pair: (-pair["together"] * pair["percent"], pair["left"]))[:8]


def _log_share(value: float, top: float) -> float:
    return math.log1p(value) / math.log1p(top)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
