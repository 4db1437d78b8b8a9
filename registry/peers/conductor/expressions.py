"""Converts the conditions of Conductor's routes, `{{ output.score >= 7 and not output.done }}`, to expressions of ours.

Pure. They are read as Python expressions, of which Jinja's are nearly a part. Python coerces where we do not (the truth
of a text, `<` between a text and a number), so such a comparison is converted only if the type is declared.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.peers.conductor.units import Names, Unit, Value

_MAX_LENGTH = 2000
_MAX_DEPTH = 40
_WRAPPED = re.compile(r"\s*\{\{-?(?P<inner>(?:(?!\}\}|\{\{).)*?)-?\}\}\s*", re.DOTALL)
_OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
}
_NAMES = {"true": True, "false": False, "none": None}


class _CannotError(Exception):
    """A part of a condition has no equivalent; the text says which."""


def convert(text: str, names: Names, unit: Unit, pointer: str) -> str | None:
    """The expression for the condition *text* of a route of *unit*; None if it was refused."""
    wrapped = _WRAPPED.fullmatch(text)
    source = wrapped["inner"].strip() if wrapped is not None else text.strip()
    try:
        if wrapped is None and ("{{" in text or "{%" in text):
            raise _CannotError("it is more than one expression")  # noqa: TRY301 - one place words the refusal
        tree = _parse(source)
        return _Converter(names, unit, pointer, plain=wrapped is None).truth(tree, 0)
    except _CannotError as error:
        advice = "Compare members with a declared type by ==, !=, <, <=, >, >=, in, and, or, not."
        names.report.refuse(pointer, f'the condition "{text.strip()[:200]}" cannot be converted: {error}', advice)
        return None


def _parse(source: str) -> ast.expr:
    if len(source) > _MAX_LENGTH:
        raise _CannotError("it is too long")
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _CannotError("it is not an expression that is known here") from None


class _Converter:
    def __init__(self, names: Names, unit: Unit, pointer: str, *, plain: bool) -> None:
        self._names = names
        self._unit = unit
        self._pointer = pointer
        self._plain = plain
        """The form without braces, in which a member of the output is a name of its own."""

    def truth(self, node: ast.expr, depth: int) -> str:
        """*node* where a truth value is asked for."""
        if depth > _MAX_DEPTH:
            raise _CannotError("it is nested too deep")
        if isinstance(node, ast.BoolOp):
            joint = " && " if isinstance(node.op, ast.And) else " || "
            return f"({joint.join(self.truth(one, depth + 1) for one in node.values)})"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"!({self.truth(node.operand, depth + 1)})"
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return str(node.value).lower()
        value = self._value(node)
        if (value.schema or {}).get("type") != "boolean":
            raise _CannotError(f'"{value.path}" is not declared as a boolean')
        return self._there(value, f"{value.path} == true")

    def _compare(self, node: ast.Compare) -> str:
        operator = _OPERATORS.get(type(node.ops[0]))
        if operator is None or len(node.ops) != 1:
            raise _CannotError("its comparison is not known here")
        left, right = node.left, node.comparators[0]
        if isinstance(left, ast.Constant) and operator != "in":
            raise _CannotError("a comparison begins with the member")
        value = self._value(left)
        return self._there(value, f"{value.path} {operator} {self._constant(value, operator, right)}")

    def _constant(self, value: Value, operator: str, node: ast.expr) -> str:
        if isinstance(node, ast.Name) and node.id in _NAMES:
            node = ast.Constant(_NAMES[node.id])
        if operator == "in":
            if not isinstance(node, ast.List | ast.Tuple):
                raise _CannotError("`in` needs a list that is written out")
            if not all(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in node.elts):
                raise _CannotError("the list has something else than texts")
            return json.dumps([one.value for one in node.elts if isinstance(one, ast.Constant)], ensure_ascii=False)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            node = ast.Constant(-number) if isinstance(number, int | float) else node
        if not isinstance(node, ast.Constant):
            raise _CannotError("it compares with something else than a text, a number or a truth value")
        kind = (value.schema or {}).get("type")
        wanted = node.value
        if isinstance(wanted, str) and operator in {"==", "!="}:
            return json.dumps(wanted, ensure_ascii=False)
        if isinstance(wanted, bool):
            if kind == "boolean" and operator in {"==", "!="}:
                return str(wanted).lower()
        elif _is_number(wanted) and kind in {"number", "integer"}:
            return json.dumps(wanted)
        raise _CannotError(f'"{value.path}" is not declared with the type of what it is compared with')

    def _there(self, value: Value, condition: str) -> str:
        """The *condition*, which cannot be evaluated where the value may be missing and is, as in Conductor."""
        if value.sure and value.unit is self._unit:
            return condition
        return f"({value.path} == null && 'no {value.path}' || {condition})"

    def _value(self, node: ast.expr) -> Value:
        parts = _parts(node)
        if self._plain:
            if len(parts) > 1:
                raise _CannotError("without braces only the members of the output have names")
            parts = ["output", *parts]
        if "length" in parts or parts[-1] == "":
            raise _CannotError("a length cannot be asked for")
        found = self._names.find(parts, self._pointer, output=self._unit)
        if found is None:
            raise _CannotError("it names a value that is not there")
        if not found.path:
            raise _CannotError("it asks for something that is known before")
        return found


def _parts(node: ast.expr) -> list[str]:
    """The steps of `a.b.c`."""
    steps: list[str] = []
    while isinstance(node, ast.Attribute):
        steps.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise _CannotError("it has a part that is not known here")
    return [node.id, *reversed(steps)]


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)
