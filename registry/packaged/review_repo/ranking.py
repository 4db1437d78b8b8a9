"""Ranks findings on one scale, merges what has one root, and chooses what to list.

Pure. The order is total: it does not depend on the order of its input.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from registry.packaged.review_repo.findings import MODEL
from registry.packaged.review_repo.languages import Role, role_of
from registry.packaged.review_repo.meanings import KINDS, MEANINGS
from registry.packaged.review_repo.packages import package_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from registry.packaged.review_repo.findings import Finding

SEVERITY = {"critical": 10.0, "high": 7.0, "medium": 3.0, "low": 1.0}
CONFIDENCE = {"high": 1.0, "medium": 0.65, "low": 0.3}
PLACE = {Role.SOURCE: 1.0, Role.EXAMPLE: 0.12, Role.GENERATED: 0.25, Role.TEST: 0.06}
WORTH = 1.0
"""Score from which an entry is listed."""
LISTED = 20
PER_MEANING = 4
"""Listed entries of one meaning."""
NEAR = 2
"""Lines between findings of one meaning that have one root."""
FORMULA = (
    "score = severity (critical 10, high 7, medium 3, low 1) x confidence (high 1, medium 0.65, low 0.3) x kind "
    "(injection 1.2, secret 1.1, TLS and access 1, bug and CI 0.9, robustness 0.8, crypto 0.7, Docker 0.6, "
    "hygiene 0.5) x place (code and CI 1, generated code 0.25, examples 0.12, tests 0.06) x (1 + heat / 2)"
)
_PER_FILE = frozenset({"injection"})
_SINGLE_RULES = frozenset(
    {"bug", "syntax", "data-syntax", "shell-bug", "docker-bug", "workflow-bug", "unreachable", "comparison"}
)
"""Meanings so wide that only findings of one rule among them have one root."""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """A finding and the factors of its score."""

    finding: Finding
    score: float
    role: Role
    heat: float
    package: str
    tools: tuple[str, ...]
    """All tools that report it."""

    @property
    def is_guess(self) -> bool:
        """Whether nothing shows that it is more than a guess: then it does not stand for others."""
        return self.finding.confidence == "low"

    @property
    def order(self) -> tuple[object, ...]:
        """The place of this finding among all: the highest score first, then by name."""
        found = self.finding
        return (
            -self.score,
            found.file,
            found.line,
            found.meaning,
            found.rule,
            found.tool,
            found.message,
            found.fingerprint,
        )


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Findings with one root: the first stands for all."""

    places: tuple[Scored, ...]
    """In order; never empty."""

    @property
    def first(self) -> Scored:
        """The finding that stands for the entry."""
        return self.places[0]

    @property
    def kind(self) -> str:
        """Key of `KINDS`."""
        return MEANINGS[self.first.finding.meaning].kind

    @property
    def files(self) -> int:
        """How many files it is in."""
        return len({place.finding.file for place in self.places})


def rank(
    findings: Iterable[Finding],
    heat: Mapping[str, float],
    *,
    generated: frozenset[str] = frozenset(),
    packages: Sequence[str] = (),
    ages: Mapping[tuple[str, int], int] | None = None,
) -> list[Entry]:
    """All entries, the most important first; of equal ones, the line that changed last, by *ages* since the epoch."""
    scored = [_scored(finding, heat, generated, packages) for finding in findings]
    groups: dict[tuple[str, ...], list[Scored]] = defaultdict(list)
    for one in _merged(scored):
        groups[_root(one.finding)].append(one)
    entries = [
        Entry(places=tuple(sorted(group, key=lambda one: (one.is_guess, one.order)))) for group in groups.values()
    ]
    known = ages or {}
    return sorted(
        entries,
        key=lambda entry: (
            -entry.first.score,
            -known.get((entry.first.finding.file, entry.first.finding.line), 0),
            entry.first.order,
        ),
    )


def chosen(entries: Sequence[Entry]) -> list[Entry]:
    """The entries to list: worth it, at most `PER_MEANING` of one meaning, and nothing that is only a guess."""
    taken: Counter[str] = Counter()
    lines: set[tuple[str, int]] = set()
    listed: list[Entry] = []
    for entry in entries:
        found = entry.first.finding
        if (
            entry.first.score < WORTH
            or entry.first.is_guess
            or taken[found.meaning] >= PER_MEANING
            or len(listed) >= LISTED
        ):
            continue
        if (found.file, found.line) in lines:
            continue  # one line is one thing to correct
        lines.add((found.file, found.line))
        taken[found.meaning] += 1
        listed.append(entry)
    return listed


def factors(one: Scored) -> dict[str, float]:
    """The factors whose product is the score."""
    found = one.finding
    kind = MEANINGS[found.meaning].kind
    return {
        "severity": SEVERITY[found.severity],
        "confidence": CONFIDENCE[found.confidence],
        "kind": KINDS[kind],
        "place": 1.0 if kind == "ci" else PLACE[one.role],
        "heat": round(1 + one.heat / 2, 3),
    }


def _scored(finding: Finding, heat: Mapping[str, float], generated: frozenset[str], packages: Sequence[str]) -> Scored:
    role = Role.GENERATED if finding.file in generated else role_of(finding.file)
    warmth = min(1.0, max(0.0, float(heat.get(finding.file, 0.0))))
    one = Scored(
        finding=finding,
        score=0.0,
        role=role,
        heat=warmth,
        package=package_of(finding.file, packages) if packages else "",
        tools=(finding.tool,),
    )
    score = 1.0
    for value in factors(one).values():
        score *= value
    return structs.replace(one, score=round(score, 2))


def _merged(scored: Sequence[Scored]) -> list[Scored]:
    """One of those that mean the same within a few lines of a file: the best, with the tools of all."""
    places: dict[tuple[str, ...], list[Scored]] = defaultdict(list)
    for one in scored:
        found = one.finding
        places[(found.file, *_same(found))].append(one)
    merged = []
    for group in places.values():
        group.sort(key=lambda one: (one.finding.line, one.order))
        cluster: list[Scored] = []
        for one in group:
            if cluster and not _one_place(cluster, one.finding):
                merged.append(_best(cluster))
                cluster = []
            cluster.append(one)
        merged.append(_best(cluster))
    return merged


def _one_place(cluster: Sequence[Scored], finding: Finding) -> bool:
    """Whether *finding* is what others report a line or two above; one rule on two lines means two places."""
    near = NEAR if MEANINGS[finding.meaning].kind == "injection" else 0
    again = any(
        (one.finding.tool, one.finding.rule) == (finding.tool, finding.rule) and one.finding.line != finding.line
        for one in cluster
    )
    return not again and finding.line - cluster[-1].finding.line <= near


def _best(cluster: Sequence[Scored]) -> Scored:
    best = min(cluster, key=lambda one: one.order)
    return structs.replace(best, tools=tuple(sorted({tool for one in cluster for tool in one.tools})))


def _same(finding: Finding) -> tuple[str, ...]:
    """Several rules of a wide meaning on one line are several findings."""
    return (finding.meaning, finding.rule if finding.meaning in _SINGLE_RULES else "")


def _root(finding: Finding) -> tuple[str, ...]:
    """Injections are listed file by file; everything else of a scanner has one root in the whole repository."""
    kind = MEANINGS[finding.meaning].kind
    if finding.tool == MODEL:
        return (finding.meaning, finding.file, str(finding.line))
    rule = finding.rule if kind == "secret" else ""
    return (*_same(finding), rule, finding.file if kind in _PER_FILE else "")
