"""Chooses the files that models read in a deep review, and takes their answers.

Effects: reads files of the repository in the working directory. The models are agents of their own; `verdicts.py`
decides how much their words count.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import section
from registry.packaged.review_repo.files import Source, read_text, relist
from registry.packaged.review_repo.languages import NOT_CODE, Role
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.verdicts import (
    UNSHOWN,
    Depth,
    read_findings,
    reasons_of,
    verdicts_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from registry.packaged.review_repo.findings import Finding

FILES = 5
"""Files that models read for what scanners cannot see."""
LONGEST = 4_000
"""Lines of such a file."""
KNOWN = 20
"""Findings of scanners in it that a model learns of."""


class Shelf:
    """The files that models may speak of: those of the review."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        """*inputs* hold `structure`."""
        structure = {**section(inputs, "structure"), "changed": None}
        listing, _ = relist({"structure": structure})
        self._root: Path = listing.root
        self.sources: dict[str, Source] = {file.path: file for file in listing.files}
        self.lines = lru_cache(maxsize=64)(self._lines)

    def _lines(self, path: str) -> Sequence[str]:
        """The lines of a file; none if it is not part of the review, or not text."""
        source = self.sources.get(path)
        text = read_text(self._root, source) if source is not None else None
        return text.rstrip("\n").split("\n") if text else ()


def hot_files(inputs: Mapping[str, Any], findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The files for models to read, hottest first: shipped code that changes often, and that holds no secret.

    With `since`, of the files that changed.
    """
    structure, history = section(inputs, "structure"), section(inputs, "history")
    shelf, found = Shelf(inputs), list(findings)
    secret = {one.file for one in found if MEANINGS[one.meaning].kind in UNSHOWN}
    facts = {file["path"]: file for file in history.get("files", ())}
    hot: list[dict[str, Any]] = []
    for path in _by_heat(structure, history):
        source = shelf.sources.get(path)
        if source is None or source.role is not Role.SOURCE or source.language in (None, *NOT_CODE) or path in secret:
            continue
        lines = len(shelf.lines(path))
        if 0 < lines <= LONGEST:
            fact = facts.get(path, {})
            hot.append(
                {
                    "number": len(hot) + 1,
                    "path": path,
                    "lines": lines,
                    "changes": fact.get("changes", 0),
                    "function": fact.get("function"),
                    "line": fact.get("line"),
                    "changed": (structure.get("changed") or {}).get(path),
                    "known": _known(path, found),
                }
            )
        if len(hot) == FILES:
            break
    return hot


def _by_heat(structure: Mapping[str, Any], history: Mapping[str, Any]) -> Collection[str]:
    changed = structure.get("changed")
    if changed is None:
        return [file["path"] for file in history.get("files", ())]
    weights = section(history, "weights")
    return sorted(changed, key=lambda path: (-weights.get(path, 0.0), path))


def _known(path: str, findings: Iterable[Finding]) -> list[str]:
    here = sorted((one.line, MEANINGS[one.meaning].title) for one in findings if one.file == path)
    return [f"line {line}: {title}" for line, title in dict.fromkeys(here)][:KNOWN]


def readings(inputs: Mapping[str, Any]) -> tuple[list[Finding], int]:
    """The findings of models in the files that they read, and the number of those that have no place.

    With `since`, only those on changed lines.
    """
    said, hot = section(inputs, "readings"), inputs.get("hot") or ()
    if not said:
        return [], 0
    shelf, misplaced = Shelf(inputs), 0
    found: list[Finding] = []
    for file in hot:
        answer = said.get(str(file["number"]))
        if answer is None:
            continue
        here, odd = read_findings(file["path"], answer["findings"], shelf.lines(file["path"]))
        ranges = file.get("changed")
        found += [one for one in here if ranges is None or any(low <= one.line <= high for low, high in ranges)]
        misplaced += odd
    return found, misplaced


def depth_of(inputs: Mapping[str, Any], withheld: Iterable[tuple[str, int, str]], misplaced: int) -> Depth:
    """The work of models, from their answers and failures; *misplaced* of their findings have no place."""
    shelf, said, read = Shelf(inputs), section(inputs, "verdicts"), section(inputs, "readings")
    verdicts, odd = verdicts_of(inputs.get("claims") or (), said, shelf.lines)
    hot = {str(file["number"]): str(file["path"]) for file in inputs.get("hot") or ()}
    return Depth(
        verdicts=verdicts,
        withheld=frozenset(withheld),
        unjudged=reasons_of(inputs.get("unjudged") or ()),
        read=tuple(path for number, path in hot.items() if number in read),
        unread=reasons_of(inputs.get("unread") or ()),
        misplaced=misplaced + odd,
        cost=inputs.get("costUsd"),
    )
