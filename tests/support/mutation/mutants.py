"""Policy with one thing wrong in it: the mutants of a function, made of its syntax tree.

Effects: reads the sources of the modules, and changes a function of them in this process.
"""

from __future__ import annotations
import __future__

import ast
import copy
import importlib
import inspect
from collections import Counter
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FunctionType

MODULES = ("admission", "budget", "readiness", "retry", "saga", "decide", "losses", "outcomes", "succession")
"""The rooms that decide what is started, tried again, stopped and undone."""
CHOSEN = 300
_SUB_COMMAND = "plan.kind is NodeKind.SUB_COMMAND"
_BEHIND = "index > phase.index and run.phases[index].plan.barrier and (index not in passed)"
ALWAYS = frozenset(
    {
        "admission._open: if phase.opened_at is None → if True",
        f"succession._behind: {_BEHIND} → index > phase.index and index not in passed",
        f"admission._admit: {_SUB_COMMAND} and node.started_at is None → {_SUB_COMMAND}",
        "outcomes.attempt_ended: failure is not None or late → late",
    }
)
"""They concern what gets destroyed, and were once noticed by no test."""

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function."""

    module: str
    function: str
    name: str
    """Module, function, what stands there and what does instead; the same as long as the code is."""
    tree: ast.FunctionDef

    def apply(self) -> None:
        """Have every caller in this process run the changed function."""
        module = importlib.import_module(f"engine.scheduling.{self.module}")
        body = ast.fix_missing_locations(ast.Module([self.tree], []))
        code = compile(body, f"<{self.name}>", "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
        made: dict[str, FunctionType] = {}
        exec(code, vars(module), made)  # noqa: S102 - our own source with one thing changed
        attrgetter(self.function)(module).__code__ = made[self.tree.name].__code__


def chosen() -> list[Mutant]:
    """Of all mutants `CHOSEN`, the same ones wherever other code changes; those of `ALWAYS` are among them."""
    return sorted(everything(), key=lambda one: (one.name not in ALWAYS, blake2b(one.name.encode()).digest()))[:CHOSEN]


def unchanged() -> Mutant:
    """No mutant at all: with it every test passes, or a survivor says nothing."""
    one = chosen()[0]
    source = inspect.getsource(attrgetter(one.function)(importlib.import_module(f"engine.scheduling.{one.module}")))
    function = ast.parse(dedent(source)).body[0]
    assert isinstance(function, ast.FunctionDef)
    return Mutant(one.module, one.function, "nothing", function)


@cache
def everything() -> tuple[Mutant, ...]:
    """All mutants of all modules."""
    return tuple(_everything())


def _everything() -> Iterator[Mutant]:
    for module in MODULES:
        try:
            source = inspect.getsource(importlib.import_module(f"engine.scheduling.{module}"))
        except ModuleNotFoundError:
            continue
        for statement in ast.parse(source).body:
            inside = statement.body if isinstance(statement, ast.ClassDef) else [statement]
            prefix = f"{statement.name}." if isinstance(statement, ast.ClassDef) else ""
            for function in inside:
                if isinstance(function, ast.FunctionDef):
                    yield from _of(module, f"{prefix}{function.name}", function)


def _of(module: str, path: str, function: ast.FunctionDef) -> Iterator[Mutant]:
    seen: Counter[str] = Counter()
    for place, node in enumerate(ast.walk(function)):
        for number, other in enumerate(_others(node)):
            before, after = (_text(one) for one in (node, other))
            name = f"{module}.{path}: {before} → {after}"
            seen[name] += 1
            name += f" ({seen[name]})" if seen[name] > 1 else ""
            tree = copy.deepcopy(function)
            target = list(ast.walk(tree))[place]
            _replace(tree, target, list(_others(target))[number])
            yield Mutant(module, path, name, tree)


def _text(node: ast.AST) -> str:
    """What stands there, in one line."""
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    text = " ".join(ast.unparse(node).split())
    return f"{text[:100]}…" if len(text) > 100 else text


def _replace(tree: ast.AST, target: ast.AST, other: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, other)
            elif isinstance(value, list) and any(item is target for item in value):
                value[:] = [other if item is target else item for item in value]


def _others(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of *node*."""
    match node:
        case ast.Compare(left, [operator], right) if type(operator) in _OPPOSITE:
            yield ast.Compare(left, [_OPPOSITE[type(operator)]()], right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
            for place in range(len(values)):
                rest = [*values[:place], *values[place + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(operator, rest)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.IfExp(_, body, orelse):
            yield from (body, orelse)
        case ast.If(_, body, orelse):
            yield from (ast.If(ast.Constant(value), body, orelse) for value in (True, False))
        case ast.Expr(ast.Call()):
            yield ast.Pass()
        case ast.BinOp(left, ast.Add() | ast.Sub() as operator, right):
            yield ast.BinOp(left, ast.Sub() if isinstance(operator, ast.Add) else ast.Add(), right)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.comprehension(target, iterable, conditions) if conditions:
            yield ast.comprehension(target, iterable, [], 0)
        case _:
            pass
