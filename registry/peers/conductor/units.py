"""The steps of a Conductor workflow and the values that they leave, as its texts and routes name them.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from registry.peers.report import Fields, Report

END = "$end"
_WITHOUT_OUTPUT = frozenset({"wait", "terminate"})
"""Kinds of steps whose output in Conductor has no value here."""


@dataclass(slots=True)
class Route:
    """One route of a step: where it goes, and when."""

    to: str
    when: str | None
    pointer: str


@dataclass(slots=True)
class Unit:
    """A target of routes: a step, a parallel group or a group for each item."""

    name: str
    kind: str
    key: str
    fields: Fields
    routes: list[Route]
    schema: dict[str, Any] | None = None
    """Of its output, or of one item's."""
    members: list[Unit] = field(default_factory=list)
    """Of a parallel group."""
    tolerant: bool = False
    """A parallel group that goes on if one of its members succeeds."""
    failures: str = ""
    """Context key of the failed items."""
    keyed: bool = False
    """Whether the output of a group for each item is an object."""

    def done(self) -> str:
        """The expression that is true once it has run."""
        if not self.members:
            return f"{self.key} != null"
        known = [f"{one.key} != null" for one in self.members]
        return f"({' || '.join(known)})" if self.tolerant else known[0]

    def ids(self) -> list[str]:
        """The ids of its nodes."""
        return [one.name for one in self.members] or [self.name]


class Value(msgspec.Struct, frozen=True):
    """A value that a text or a route names."""

    path: str
    """`key.member`; empty for a text that is known."""
    schema: dict[str, Any] | None = None
    text: str = ""
    unit: Unit | None = None
    sure: bool = True
    """Whether the value is there if its step has run."""


@dataclass(slots=True)
class Names:
    """Resolves the names in texts and routes."""

    units: dict[str, Unit]
    inputs: dict[str, tuple[str, dict[str, Any]]]
    """Context key and schema of each input of the workflow."""
    workflow: str
    report: Report
    local: dict[str, Value] = field(default_factory=dict)
    """Names of the item of a group for each item."""

    def find(self, parts: list[str], pointer: str, *, output: Unit | None = None) -> Value | None:
        """The value of `parts[0].parts[1]…`, in a route also of *output*; None if it was refused."""
        first = parts[0]
        if first in self.local:
            return _member(self.local[first], parts[1:])
        if first == "output" and output is not None:
            return _member(_output_of(output), parts[1:])
        if first == "workflow":
            return self._workflow(parts, pointer)
        unit = self.units.get(first)
        if unit is None:
            advice = "Name a step, a group or an input of the workflow."
            self.report.refuse(pointer, f'"{".".join(parts)[:100]}" is neither a step nor a group nor an input', advice)
            return None
        found = _of_unit(unit, parts[1:])
        if found is None:
            message = f'"{".".join(parts)[:100]}" names a part of the step\'s state that has no value here'
            self.report.refuse(pointer, message, "Name a member of its output.")
        return found

    def _workflow(self, parts: list[str], pointer: str) -> Value | None:
        if parts[1:] == ["name"]:
            return Value("", text=self.workflow)
        name = parts[2] if len(parts) > 2 and parts[1] == "input" else None  # noqa: PLR2004 - workflow.input.name
        if name is None or name not in self.inputs:
            self.report.refuse(pointer, f'"{".".join(parts)[:100]}" is not an input of the workflow', "Declare it.")
            return None
        key, schema = self.inputs[name]
        return _member(Value(key, schema), parts[3:])


def _output_of(unit: Unit) -> Value:
    if unit.kind != "for_each":
        return Value(unit.key, unit.schema, unit=unit)
    of_all = {"type": "object"} if unit.keyed else {"type": "array", "items": unit.schema or {}}
    return Value(unit.key, of_all, unit=unit)


def _of_unit(unit: Unit, rest: list[str]) -> Value | None:
    if not rest:
        return Value((unit.members[0] if unit.members else unit).key, unit=unit)
    if unit.members:
        member = next((one for one in unit.members if rest[1:2] == [one.name]), None)
        return None if member is None or rest[0] != "outputs" else _member(_output_of(member), rest[2:])
    if unit.kind == "for_each":
        if rest[0] == "errors" and unit.failures:
            return Value(unit.failures, unit=unit, sure=False)
        return _member(_output_of(unit), rest[1:]) if rest[0] == "outputs" else None
    if unit.kind in _WITHOUT_OUTPUT or rest[0] != "output":
        return None
    return _member(_output_of(unit), rest[1:])


def _member(value: Value, rest: list[str]) -> Value:
    path, schema, sure = value.path, value.schema, value.sure
    for step in rest:
        inner, required = (schema or {}).get("properties"), (schema or {}).get("required")
        sure = sure and isinstance(required, list) and step in required
        schema = inner.get(step) if isinstance(inner, dict) and isinstance(inner.get(step), dict) else None
        path = f"{path}.{step}"
    return Value(path, schema, unit=value.unit, sure=sure)
