"""Hints have one style: a sentence with a capital at its start and a full stop, or a question mark, at its end."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for room in ("engine", "registry", "mcp_server") for path in (ROOT / room).rglob("*.py"))
KEYWORDS = {"hint", "client_hint", "suggestion"}
"""Arguments that hold a hint; in `report.add` of a validation rule it is the fourth one."""
HINT_OF_ADD = 3


def hints(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg in KEYWORDS)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "add":
                yield from node.args[HINT_OF_ADD : HINT_OF_ADD + 1]
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "hint" for target in node.targets):
            yield node.value


def sentences(hint: ast.expr) -> Iterator[tuple[int, str, str]]:
    """Line, start and end of each text that *hint* can be; a start or end that is not literal is empty."""
    match hint:
        case ast.Constant(value=str(text)):
            yield hint.lineno, text, text
        case ast.JoinedStr(values=[first, *_, last]):
            start, end = (str(part.value) if isinstance(part, ast.Constant) else "" for part in (first, last))
            yield hint.lineno, start, end or ("{…}" if start[:1].isalpha() else "")
        case ast.IfExp():
            yield from (*sentences(hint.body), *sentences(hint.orelse))
        case ast.BoolOp():
            for value in hint.values:
                yield from sentences(value)
        case ast.Lambda():
            yield from sentences(hint.body)
        case _:
            pass


def faults(source: str) -> list[str]:
    return [
        f"line {line}: {start!r} … {end!r}"
        for hint in hints(ast.parse(source))
        for line, start, end in sentences(hint)
        if start[:1].islower() or (end.strip() and end.rstrip()[-1] not in ".?!")
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_hint_is_a_sentence(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "call",
    [
        'E("…", hint="name it.")',
        'E(hint=f"Name {it}")',
        'report.add("A", "b", "/", x or "Name it")',
        'hint = "name it."',
    ],
)
def test_a_hint_of_another_style_is_found(call: str) -> None:
    assert faults(call)
