"""Types, ranges and forms: what the model refuses, in the file's own spelling, and a model of the rest.

Pure. The rules of the other modules, over several fields, run on what this one could read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.model.command import CommandDefinition, Node, Part, Phase
from engine.validation.codes import Severity
from engine.validation.fields import check_fields, fields_of, spelled
from engine.validation.problem import pointer
from engine.validation.wording import Fault, advice, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.validation.problem import Report

UNREADABLE = "unreadable--stand-in"
"""Stands for a required name that could not be read; rules about names skip it."""
STAND_INS: dict[tuple[type[Part], str], str] = {
    (CommandDefinition, "version"): "2.0.0",
    (CommandDefinition, "name"): f"/{UNREADABLE}",
    (CommandDefinition, "description"): UNREADABLE,
    (Phase, "id"): UNREADABLE,
    (Phase, "name"): UNREADABLE,
    (Node, "id"): UNREADABLE,
    (Node, "agentId"): UNREADABLE,
    (Node, "task"): UNREADABLE,
}
MAX_NAME_LENGTH = 200
DROPPED = object()
"""Stands in a list for an item that could not be read, until it is removed."""

Step = str | int


@dataclass(slots=True)
class Shape:
    """The readable part of a file."""

    definition: CommandDefinition | None
    """None if nothing could be read."""
    sound: bool
    """Whether the whole file has the shape of a command."""
    places: dict[tuple[Step, ...], list[int]] = field(default_factory=dict)
    """For lists with items left out: the file's indices of the remaining ones."""
    name: str = ""
    """The command's name as written in the file, valid or not."""
    slips: dict[tuple[Step, ...], str] = field(default_factory=dict)
    """The file's spelling of fields that were corrected."""
    base: tuple[Step, ...] = ()
    """The path to the part that paths are counted from."""

    def inside(self, *steps: Step) -> Shape:
        """The same file, with paths counted from *steps*."""
        return replace(self, base=(*self.base, *steps))

    def pointer(self, *steps: Step) -> str:
        """The JSON Pointer into the file of *steps* into the definition."""
        if not self.places and not self.slips:
            return pointer(*self.base, *steps)
        way: list[Step] = []
        for step in (*self.base, *steps):
            places = self.places.get(tuple(way)) if self.places else None
            way.append(places[step] if places is not None and isinstance(step, int) else step)
        return pointer(*spelled(tuple(way), self.slips))


def read_shape(raw: object, report: Report) -> Shape:
    """Report every fault in the shape of *raw*, and read as much of it as possible."""
    if not isinstance(raw, Mapping):
        report.add("SCHEMA", "A command must be a JSON object", "", "Begin the file with { and end it with }.")
        return Shape(None, sound=False)
    known = report.count(Severity.ERROR)
    corrected, slips = check_fields(raw, report)
    sound = report.count(Severity.ERROR) == known
    name = str(corrected.get("name", ""))[:MAX_NAME_LENGTH]
    faults: list[Fault] = []
    definition = None
    try:
        definition = CommandDefinition.model_validate(corrected)
    except ValidationError as error:
        faults += _faults(error, corrected)
    faults += _idle(corrected, ())
    if not faults:
        return Shape(definition, sound=sound, name=name, slips=slips)
    for fault in faults:
        place = pointer(*spelled(fault.path, slips))
        report.add("SCHEMA", partial(sentence, fault), place, partial(advice, fault))
    pruned, places = _prune(corrected, faults)
    try:
        definition = CommandDefinition.model_validate(pruned)
    except ValidationError:
        return Shape(None, sound=False, name=name)
    return Shape(definition, sound=False, places=places, name=name, slips=slips)


def _faults(error: ValidationError, raw: Mapping[str, Any]) -> Iterable[Fault]:
    seen: set[tuple[Step, ...]] = set()
    for item in error.errors(include_url=False, include_input=False):
        path, value = _follow(raw, item["loc"], missing=item["type"] == "missing")
        if item["type"] == "too_short" and value:
            continue  # pydantic does not count items that it has refused already
        if path not in seen:  # each arm of a union reports its own fault
            seen.add(path)
            yield Fault(kind=item["type"], path=path, value=value, context=item.get("ctx", {}), text=item["msg"])


def _idle(part: Mapping[str, Any], path: tuple[Step, ...]) -> Iterable[Fault]:
    """The nodes in the phases of *part*, at *path*, with neither an agent nor phases in place."""
    for at, phase in enumerate(_list(part.get("phases"))):
        for place, node in enumerate(_list(phase.get("agents")) if isinstance(phase, Mapping) else ()):
            here = (*path, "phases", at, "agents", place)
            if isinstance(node, Mapping):
                if "agentId" not in node and "phases" not in node:
                    yield Fault(kind="missing", path=(*here, "agentId"), value=node, context={}, text="")
                yield from _idle(node, here)


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _follow(raw: object, loc: tuple[Step, ...], *, missing: bool) -> tuple[tuple[Step, ...], object]:
    """The part of *loc* that is a path in *raw* (pydantic adds names of its own), and the value there."""
    path: list[Step] = []
    value = raw
    for place, step in enumerate(loc):
        inner = _step(value, step)
        if inner is DROPPED:
            if missing and place == len(loc) - 1:
                path.append(step)
            break
        value = inner
        path.append(step)
    return tuple(path), value


def _step(value: object, step: Step) -> Any:  # noqa: ANN401 - JSON
    """The value at *step* in *value*, or DROPPED if there is none."""
    if isinstance(value, Mapping):
        return value.get(step, DROPPED)
    if isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
        return value[step]
    return DROPPED


def _prune(raw: Mapping[str, Any], faults: Iterable[Fault]) -> tuple[dict[str, Any], dict[tuple[Step, ...], list[int]]]:
    """*raw* without the smallest parts that hold the *faults*, and the old indices of shortened lists."""
    copy = dict(raw)
    copied: set[tuple[Step, ...]] = {()}
    shortened: dict[tuple[Step, ...], list[Any]] = {}
    for fault in faults:
        cut = _cut(fault.path)
        if cut is None:
            continue
        path, stand_in = cut
        parent = _copy_down(copy, path[:-1], copied)
        last = path[-1]
        if stand_in is not None:
            parent[last] = stand_in if stand_in != UNREADABLE else _own_name(path)
        elif isinstance(last, int) and isinstance(parent, list):
            parent[last] = DROPPED
            shortened[path[:-1]] = parent
        else:
            parent.pop(last, None)
    places = {}
    for path, items in shortened.items():
        places[path] = [at for at, item in enumerate(items) if item is not DROPPED]
        items[:] = [item for item in items if item is not DROPPED]
    return copy, places


def _cut(path: tuple[Step, ...]) -> tuple[tuple[Step, ...], str | None] | None:
    """The deepest part along *path* that can be left out or replaced by a stand-in."""
    model: type[Part] | None = CommandDefinition
    best: tuple[tuple[Step, ...], str | None] | None = None
    for depth, step in enumerate(path, start=1):
        here = path[:depth]
        if isinstance(step, int):
            best = (here, None)
            continue
        if model is None:
            break
        stand_in = STAND_INS.get((model, step))
        if stand_in is not None:
            best = (here, stand_in)
        elif not _required(model, step):
            best = (here, None)
        model = fields_of(model).get(step)
    return best


def _required(model: type[Part], name: str) -> bool:
    return any(info.is_required() for key, info in model.model_fields.items() if (info.alias or key) == name)


def _own_name(path: tuple[Step, ...]) -> str:
    """A stand-in unique to its place: two nodes without an id are not two nodes with the same id."""
    return "-".join((UNREADABLE, *(str(step) for step in path if isinstance(step, int))))


def _copy_down(root: dict[str, Any], path: tuple[Step, ...], copied: set[tuple[Step, ...]]) -> Any:  # noqa: ANN401
    """The container at *path* in *root*, with every container on the way copied once."""
    container: Any = root
    for depth, step in enumerate(path, start=1):
        here = path[:depth]
        inner = _step(container, step)
        if inner is DROPPED:  # by an earlier fault
            return {}
        if here not in copied:
            inner = dict(inner) if isinstance(inner, Mapping) else list(inner)
            container[step] = inner
            copied.add(here)
        container = inner
    return container
