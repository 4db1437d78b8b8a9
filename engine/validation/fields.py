"""Unknown fields: misspelled known fields are errors, all others warnings (SPEC 1).

Pure. The known fields are read from the models, so that the two cannot differ. `shape.py` checks values.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

from engine.model.command import CommandDefinition, Node, Part, Phase
from engine.text.suggestions import NEAR, fold, same_words
from engine.validation.codes import Severity
from engine.validation.problem import pointer

if TYPE_CHECKING:
    from engine.validation.problem import Report

_UNKNOWN: Any = object()
SHORTEST_PREFIX = 5

HABITS: dict[type[Part], dict[str, str]] = {
    Node: {"dependsOn": "dependencies", "depends_on": "dependencies", "needs": "dependencies", "agent": "agentId"},
    Phase: {"nodes": "agents", "tasks": "agents", "steps": "agents", "concurrency": "maxParallelism"},
}
"""Names of fields in other tools: ignoring these would silently run a different graph than intended."""


@cache
def fields_of(model: type[Part]) -> dict[str, type[Part] | None]:
    """The fields of *model* as files spell them, and the model inside each, if any."""
    return {(info.alias or name): next(_parts(info.annotation), None) for name, info in model.model_fields.items()}


Path = tuple[str | int, ...]


def check_fields(raw: Mapping[str, Any], report: Report) -> tuple[Mapping[str, Any], dict[Path, str]]:
    """Report unknown fields; returns *raw* with misspellings corrected, so that the intended fields are checked too.

    The second result is the file's spelling of each corrected field, by its place after correction.
    """
    walk = _Walk(report)
    return walk.part(raw, CommandDefinition, ()), walk.slips


def _parts(annotation: object) -> Any:  # noqa: ANN401 - an iterator of models
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def spelled(path: Path, slips: Mapping[Path, str]) -> Path:
    """*path* as the file spells it."""
    if not slips:
        return path
    return tuple(slips.get(path[: depth + 1], step) for depth, step in enumerate(path))


@dataclass(slots=True)
class _Walk:
    """One walk through a file."""

    report: Report
    slips: dict[Path, str] = field(default_factory=dict)

    def part(self, raw: Mapping[str, Any], model: type[Part], place: Path) -> Mapping[str, Any]:
        """*raw* with misspellings corrected; *raw* itself if there are none, which saves copying most files."""
        known = fields_of(model)
        changed: dict[str, Any] = {}
        unknown = []
        for name, value in raw.items():
            inner = known.get(name, _UNKNOWN)
            if inner is _UNKNOWN:
                if not _is_note(name):
                    unknown.append(name)
            elif inner is not None:
                other = self.inside(value, inner, (*place, name))
                if other is not value:
                    changed[name] = other
        for name in unknown:
            meant = _meant(name, model)
            _report(name, meant, model, spelled(place, self.slips), self.report)
            if meant is not None and meant not in raw and meant not in changed:
                self.slips[*place, meant] = name
                inner = known[meant]
                changed[meant] = raw[name] if inner is None else self.inside(raw[name], inner, (*place, meant))
        return {**raw, **changed} if changed else raw

    def inside(self, value: object, model: type[Part], place: Path) -> object:
        """A part, or a list of parts, corrected; anything else is left for the model to refuse."""
        if isinstance(value, Mapping):
            return self.part(value, model, place)
        if not isinstance(value, list | tuple):
            return value
        same = True
        items = []
        for at, item in enumerate(value):
            other = self.part(item, model, (*place, at)) if isinstance(item, Mapping) else item
            same = same and other is item
            items.append(other)
        return value if same else items


def _is_note(name: object) -> bool:
    return isinstance(name, str) and (name in ("$schema", "$comment") or name.startswith("x-"))


def _meant(name: object, model: type[Part]) -> str | None:
    """The field of *model* that *name* misspells, if any."""
    if not isinstance(name, str):
        return None
    habit = HABITS.get(model, {}).get(name)
    if habit is not None:
        return habit
    wanted = fold(name)
    known = {fold(name): name for name in fields_of(model)}
    if wanted in known:
        return known[wanted]
    longer = [other for folded, other in known.items() if len(wanted) >= SHORTEST_PREFIX and folded.startswith(wanted)]
    if len(longer) == 1:
        return longer[0]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=NEAR)
    return next((known[folded] for folded in near if same_words(name, known[folded])), None)


def _report(name: object, meant: str | None, model: type[Part], place: Path, report: Report) -> None:
    shown = str(name)[:100]
    where = pointer(*place, str(name))
    if meant is not None:
        report.add(
            "UNKNOWN_FIELD", f'Unknown field "{shown}"; did you mean "{meant}"?', where, f'Rename it to "{meant}".'
        )
        return
    homes = [word for word, other in _HOMES.items() if other is not model and name in fields_of(other)]
    advice = f'"{shown}" belongs to {homes[0]}.' if homes else 'Remove it, or start its name with "x-".'
    report.add("UNKNOWN_FIELD", f'Unknown field "{shown}" is ignored', where, advice, severity=Severity.WARNING)


def _homes() -> dict[str, type[Part]]:
    found: dict[str, type[Part]] = {"the command itself": CommandDefinition}
    waiting: list[type[Part]] = [CommandDefinition]
    while waiting:
        for name, inner in fields_of(waiting.pop()).items():
            if inner is not None and inner not in found.values():
                found[f'"{name}"'] = inner
                waiting.append(inner)
    return found


_HOMES = _homes()
"""The models by the words that say where they belong."""
