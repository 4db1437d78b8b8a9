"""The words of models about a review: verdicts about the listed findings, and findings that they made by reading.

Pure. `deep.py` chooses what they are given. Their text is foreign text, as that of the repository is: it is shown,
and decides what is listed, but never what `fail-on` counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from registry.packaged.review_repo.findings import EVIDENCE, MESSAGE, MODEL, Finding, fingerprint, one_line
from registry.packaged.review_repo.meanings import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from registry.packaged.review_repo.ranking import Entry

    Lines = Callable[[str], Sequence[str]]
    """The lines of a file of the repository; none if it has no such file."""
    Key = tuple[str, int, str]
    """File, line and meaning of an entry's first finding."""

TRUE, FALSE, BY_DESIGN = "true", "false", "by design"
WORDS = 400
"""Characters of a model's reason."""
UNSHOWN = frozenset({"secret"})
"""Kinds of findings whose places no model is shown."""
OTHERS = 4
READ_AS = {"security": "read-security", "bug": "read-bug", "robustness": "read-robustness"}
"""A model's word for the kind of its finding, and the meaning."""


class Verdict(msgspec.Struct, frozen=True):
    """The word of a model about one finding."""

    word: str
    why: str
    place: str
    """Where the line is that decides it, as `path:line`."""
    line: str
    """That line, as it stands in the file."""

    @property
    def keeps(self) -> bool:
        """Whether the finding stays in the list."""
        return self.word == TRUE

    def as_object(self) -> dict[str, str]:
        """The verdict as JSON."""
        return {"verdict": self.word, "why": self.why, "place": self.place}


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """The work of models for one review."""

    verdicts: Mapping[Key, Verdict] = msgspec.field(default_factory=dict)
    withheld: frozenset[Key] = frozenset()
    """Entries that no model was shown."""
    unjudged: tuple[str, ...] = ()
    """Why entries have no verdict although they were given to a model, a clause for each reason."""
    read: tuple[str, ...] = ()
    """Files that a model has read."""
    unread: tuple[str, ...] = ()
    """Why files could not be read, a clause for each reason."""
    misplaced: int = 0
    """Statements of models about lines that are not there."""
    cost: float | None = None
    """Dollars; None if no cost was reported."""

    def verdict_of(self, entry: Entry) -> Verdict | None:
        """The word of a model about *entry*."""
        return self.verdicts.get(key_of(entry))

    def keeps(self, entry: Entry) -> bool:
        """Whether *entry* is listed: not if a model found it false, nor a model's own that no other confirmed."""
        verdict = self.verdict_of(entry)
        return entry.first.finding.tool != MODEL if verdict is None else verdict.keeps


def key_of(entry: Entry) -> Key:
    """Identifies an entry in another ranking of the same findings."""
    found = entry.first.finding
    return found.file, found.line, found.meaning


def claims_of(listed: Sequence[Entry]) -> list[dict[str, Any]]:
    """The entries for models to verify, in the order of the list; its numbers are those of the list."""
    claims = []
    for number, entry in enumerate(listed, start=1):
        if entry.kind in UNSHOWN:
            continue
        found, meaning = entry.first.finding, MEANINGS[entry.first.finding.meaning]
        others = [f"{one.finding.file}:{one.finding.line}" for one in entry.places[1 : OTHERS + 1]]
        claims.append(
            {
                "number": number,
                "file": found.file,
                "line": found.line,
                "meaning": found.meaning,
                "title": meaning.title,
                "message": found.message,
                "severity": found.severity,
                "by": f"{found.tool} {found.rule}",
                "code": found.evidence,
                "why": found.why or meaning.why,
                "reasons": list(found.reasons),
                "others": others,
            }
        )
    return claims


def verdicts_of(
    claims: Iterable[Mapping[str, Any]], said: Mapping[str, Any], lines: Lines
) -> tuple[dict[Key, Verdict], int]:
    """The verdicts that count, and the number of those that name a line which is not there."""
    found: dict[Key, Verdict] = {}
    misplaced = 0
    for claim in claims:
        answer = said.get(str(claim["number"]))
        if answer is None:
            continue
        path, number = str(answer["file"]).removeprefix("./"), int(answer["line"])
        text = lines(path)
        if not 0 < number <= len(text):
            misplaced += 1
            continue
        key = (claim["file"], claim["line"], claim["meaning"])
        shown = one_line(text[number - 1].strip(), EVIDENCE)
        found[key] = Verdict(answer["verdict"], one_line(answer["why"], WORDS), f"{path}:{number}", shown)
    return found, misplaced


def read_findings(path: str, said: Iterable[Mapping[str, Any]], lines: Sequence[str]) -> tuple[list[Finding], int]:
    """The findings of a model in the file *path*, and the number of its findings on lines that are not there."""
    found: list[Finding] = []
    misplaced = 0
    for one in said:
        number = int(one["line"])
        if not 0 < number <= len(lines):
            misplaced += 1
            continue
        meaning, line = READ_AS[one["kind"]], lines[number - 1].strip()
        found.append(
            Finding(
                tool=MODEL,
                rule=meaning,
                meaning=meaning,
                severity=one["severity"],
                confidence="medium",
                file=path,
                line=number,
                message=one_line(one["title"], MESSAGE),
                evidence=one_line(line, EVIDENCE),
                reasons=("found by reading a file that changes often",),
                fingerprint=fingerprint(meaning, path, line),
                why=one_line(one["why"], WORDS),
                fix=one_line(one["fix"], WORDS),
            )
        )
    return found, misplaced


def reasons_of(failures: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """A clause for each reason for which agents of a list failed, with their number."""
    counts: dict[str, int] = {}
    for failure in failures:
        code = one_line(str(failure.get("code") or "unknown"), 60)
        counts[code] = counts.get(code, 0) + 1
    return tuple(f"{count} by {code}" for code, count in sorted(counts.items()))
