"""Converts a `when` of Archon to an expression of ours.

Pure. Archon compares texts: `$x.output.n == '5'` holds for the number 5 too. Ours compare values, so the type of what
is compared has to be declared. A value that is not there fails an Archon node, and so it does here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.peers.archon.scope import Reader
    from registry.peers.keys import Step

_ATOM = re.compile(
    r"(?:\$INPUTS\.(?P<input>[A-Za-z_][\w-]*)"
    r"|\$(?P<node>[A-Za-z_][\w-]*)\.(?P<first>[A-Za-z_]\w*)(?:\.(?P<second>[A-Za-z_]\w*))?)"
    r"\s*(?P<operator>==|!=|<=|>=|<|>)\s*"
    r"(?:'(?P<quoted>[^']*)'|(?P<bare>-?\d+(?:\.\d+)?|true|false))",
    re.ASCII,
)
_MAX_LENGTH = 2000
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d*[1-9])?")
"""A number as JavaScript writes it."""


def convert(text: str, reader: Reader, pointer: str) -> str | None:
    """The expression that is true when the node runs; None if it was refused."""
    if len(text) > _MAX_LENGTH:
        reader.report.refuse(pointer, f"a condition has at most {_MAX_LENGTH} characters", "Shorten it.")
        return None
    clauses: list[str] = []
    for clause in _split(text.strip(), "||"):
        atoms = [_atom(atom, reader, pointer) for atom in _split(clause, "&&")]
        if None in atoms:
            return None
        clauses.append(" && ".join(str(atom) for atom in atoms))
    return " || ".join(clauses)


def _split(text: str, separator: str) -> list[str]:
    """The parts of *text* between separators outside of single quotes."""
    parts, inside = [""], False
    at = 0
    while at < len(text):
        if not inside and text.startswith(separator, at):
            parts.append("")
            at += len(separator)
            continue
        inside = inside != (text[at] == "'")
        parts[-1] += text[at]
        at += 1
    return [part.strip() for part in parts]


def _atom(text: str, reader: Reader, pointer: str) -> str | None:
    found = _ATOM.fullmatch(text)
    if found is None:
        advice = "Write $node.output or $node.output.field, an operator, and a text in single quotes or a number."
        reader.report.refuse(pointer, f'Archon cannot read the condition "{text[:200]}", and skips the node', advice)
        return None
    wanted = found["quoted"] if found["quoted"] is not None else found["bare"]
    if found["input"] is not None:
        return _input(found["input"], found["operator"], wanted, reader, pointer)
    member = found["second"] if found["first"] == "output" else found["first"]
    if found["first"] != "output" and found["second"] is not None:
        reader.report.refuse(pointer, f'Archon cannot read the condition "{text[:200]}", and skips the node')
        return None
    step = reader.step_of(found["node"], pointer)
    if step is None:
        return None
    if found["node"] not in reader.scope.steps:
        reader.scope.pass_in(step.key if member is None or step.schema is not None else step.members, required=False)
    if member is None:
        return _whole(step, found["operator"], wanted, reader, pointer)
    compared = _member(step, member, found["operator"], wanted, is_sure=step.name in reader.step.sure)
    if compared is None:
        message = f'the condition "{text[:200]}" compares a value whose type the output_format does not declare as fit'
        reader.report.refuse(pointer, message, "Declare the member as string, number or boolean, and compare it so.")
    return compared


def _whole(step: Step, operator: str, wanted: str, reader: Reader, pointer: str) -> str | None:
    """A comparison of a whole text: that of a skipped node is empty, and a failed one fails this one."""
    if step.schema is not None or wanted == "" or operator not in {"==", "!="}:
        message = f'a condition on the whole output of node "{step.name}" cannot be converted'
        reader.report.refuse(pointer, message, "Compare a member, or a text with == or !=.")
        return None
    compared = f"{step.key} {operator} {json.dumps(wanted, ensure_ascii=False)}"
    is_sure = step.name in reader.step.sure or step.name not in reader.scope.steps
    return compared if is_sure else f"({fault(step.failed(), step.name)} || {compared})"


def _member(step: Step, member: str, operator: str, wanted: str, *, is_sure: bool) -> str | None:
    """A comparison of a member: where the node has none, it cannot be evaluated."""
    if step.schema is None:
        step.read.add(member)
        compared = _compare(_path(step.members, member), "string", operator, wanted)
        return None if compared is None else f"({lost(step.members, member)} || {compared})"
    optional = not step.requires(member) and (wanted == "" or operator not in {"==", "!="})
    kind = None if optional else _kind(step.declared(member))
    compared = _compare(_path(step.key, member), kind, operator, wanted)
    if compared is None or is_sure:
        return compared
    return f"({step.key} == null && 'no {step.key}' || {compared})"


def fault(condition: str, name: str) -> str:
    """An expression that is never true, and cannot be evaluated if *condition* holds: the node then fails."""
    return f"{condition} && '{name} has failed'"


def lost(key: str, member: str) -> str:
    """An expression that is never true, and cannot be evaluated if the value of *key* has no such member."""
    return f"{_path(key, member)} == null && 'no {member}'"


def _path(key: str, member: str) -> str:
    """The member, also if its name would be the length of an object."""
    return f'{key}["{member}"]' if member == "length" else f"{key}.{member}"


def _input(name: str, operator: str, wanted: str, reader: Reader, pointer: str) -> str | None:
    key = reader.scope.arguments.declared.get(name)
    if key is None:
        reader.report.refuse(pointer, f'"$INPUTS.{name}" is not among the inputs of the workflow', "Declare it.")
        return None
    if operator not in {"==", "!="} or wanted in {"", "true", "false", "null"} or _NUMBER.fullmatch(wanted):
        message = f'the condition on "$INPUTS.{name}" cannot be converted: the input has no type'
        reader.report.refuse(pointer, message, "Compare it with a text by == or !=.")
        return None
    reader.scope.pass_in(key, required=False)
    return f"{key} {operator} {json.dumps(wanted, ensure_ascii=False)}"


def _kind(declared: object) -> str | None:
    """The type of a member: string, number or boolean, None without one of these."""
    if not isinstance(declared, dict):
        return None
    kind, values = declared.get("type"), declared.get("enum")
    if kind is None and isinstance(values, list) and values and all(isinstance(one, str) for one in values):
        return "string"
    return {"string": "string", "number": "number", "integer": "number", "boolean": "boolean"}.get(str(kind))


def _compare(path: str, kind: str | None, operator: str, wanted: str) -> str | None:
    equality = operator in {"==", "!="}
    if kind == "string":
        return f"{path} {operator} {json.dumps(wanted, ensure_ascii=False)}" if equality else None
    if kind == "number":
        return f"{path} {operator} {wanted}" if _NUMBER.fullmatch(wanted) else None
    if kind == "boolean":
        return f"{path} {operator} {wanted}" if equality and wanted in {"true", "false"} else None
    return None
