"""The ranking of all that a review has found, as the report and the models of a deep review get it.

Effects: asks git when the lines at its head were changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from registry.packaged.review_repo.answer import section
from registry.packaged.review_repo.blame import ages_of
from registry.packaged.review_repo.findings import from_object
from registry.packaged.review_repo.ranking import Entry, chosen, rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry.packaged.review_repo.findings import Finding

AGENTS = {
    "code": "Scanners of code",
    "automation": "Scanners of scripts, workflows and containers",
    "text": "Secrets and data files",
}
"""The scanning agents by their outputs, as the report names them."""


class Ranked(msgspec.Struct, frozen=True):
    """All entries, and what they were made of."""

    structure: Mapping[str, Any]
    history: Mapping[str, Any]
    scans: Mapping[str, Mapping[str, Any]]
    """The outputs of the scanning agents by name, empty for one that failed."""
    entries: list[Entry]
    first: list[Entry]
    """Those at its head that are worth a place in the list."""
    ages: Mapping[tuple[str, int], int]
    """When lines were last changed, since the epoch."""


def found_by_scanners(inputs: Mapping[str, Any]) -> list[Finding]:
    """The findings of all scanning agents."""
    return [from_object(item) for name in AGENTS for item in section(inputs, name).get("findings", ())]


def ranked(inputs: Mapping[str, Any], more: Iterable[Finding] = ()) -> Ranked:
    """The ranking of what the scanning agents found, and of *more*."""
    structure, history = section(inputs, "structure"), section(inputs, "history")
    scans = {name: section(inputs, name) for name in AGENTS}
    found = [*found_by_scanners(inputs), *more]
    heat = section(history, "weights")
    settings: dict[str, Any] = {
        "generated": frozenset(structure.get("generated", ())),
        "packages": structure.get("packages", ()),
    }
    entries = rank(found, heat, **settings)
    ages: dict[tuple[str, int], int] = {}
    if structure.get("commits"):
        marks = scans["text"].get("todos", {}).get("places", [])
        lines = [(entry.first.finding.file, entry.first.finding.line) for entry in chosen(entries)]
        ages = ages_of(Path.cwd(), [*lines, *((mark["file"], mark["line"]) for mark in marks)])
        entries = rank(found, heat, ages=ages, **settings)
    return Ranked(structure, history, scans, entries, chosen(entries), ages)
