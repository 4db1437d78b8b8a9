"""Compiles the text of a condition to a program, by precedence climbing.

Pure. `evaluation.py` has the operations on values.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from engine.conditions.evaluation import compare, constant, named, size, truth, walk
from engine.conditions.faults import ConditionSyntaxError, short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.conditions.evaluation import Program
    from engine.json.values import Budget

MAX_DEPTH: Final = 64
"""Nesting of parentheses, brackets and `!`."""

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<operator>===|!==|==|!=|<=|>=|&&|\|\||[<>!.,()\[\]])
    |(?P<end>\Z)
    |(?P<other>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", "/": "/", '"': '"', "'": "'"}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_HINTS = {
    "===": "Write ==; it never coerces.",
    "!==": "Write !=; it never coerces.",
    "=": "Write == to compare.",
    "&": "Write &&.",
    "|": "Write ||.",
    "and": "Write &&.",
    "or": "Write ||.",
    "not": "Write !.",
    "True": "Write true.",
    "False": "Write false.",
    "None": "Write null.",
    "undefined": "Write null; a missing value is null.",
    '"': "The string does not end; write a line break in it as \\n.",
    "'": "The string does not end; write a line break in it as \\n.",
    "?": "The operator ?: is not supported; join conditions by && and ||.",
    "-": "Arithmetic is not supported, and a name has only letters, digits and _.",
    "+": "Arithmetic is not supported.",
    "*": "Arithmetic is not supported.",
    "/": "Arithmetic is not supported.",
    "%": "Arithmetic is not supported.",
    "$": "Name the context key itself, without $.",
}


class Parser:
    """Precedence climbing over the tokens of one text; every method returns a program."""

    def __init__(self, text: str, *, strict: bool = False) -> None:
        """With *strict*, a missing name, member or index is an error instead of null."""
        self.text = text
        self.strict = strict
        self.names: set[str] = set()
        self.parts = 0
        """Number of programs; each runs at most once, so this is the cost of an evaluation but for deep comparisons."""
        self.depth = 0
        self.next = 0
        self.kind = self.lexeme = ""
        self.start = 0
        self.advance()

    def advance(self) -> str:
        """Move to the next token and return the previous one."""
        left = self.lexeme
        match = _TOKEN.match(self.text, self.next)
        assert match is not None  # noqa: S101 - the last alternative takes any character, \Z the rest
        self.kind = match.lastgroup or ""
        self.lexeme = match[self.kind]
        self.start = match.start(self.kind)
        self.next = match.end()
        return left

    def fail(self, message: str | None = None, *, hint: str | None = None) -> NoReturn:
        """Refuse the current token."""
        if message is None:
            message = "The expression ends too early" if self.kind == "end" else f"Unexpected `{short(self.lexeme)}`"
        raise ConditionSyntaxError(message, self.start, hint or _HINTS.get(self.lexeme))

    def take(self, token: str) -> None:
        """Move past *token*, or refuse the current one."""
        if self.kind != "operator" or self.lexeme != token:
            self.fail(None if self.kind == "end" else f"Expected `{token}`, found `{short(self.lexeme)}`")
        self.advance()

    def at(self, token: str) -> bool:
        """Whether the current token is the operator *token*."""
        return self.lexeme == token and self.kind == "operator"

    def whole(self) -> Program:
        """The text from its first to its last token."""
        program = self.either()
        if self.kind != "end":
            self.fail()
        return program

    def nested(self, read: Callable[[], Program]) -> Program:
        """Read one level deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"More than {MAX_DEPTH} levels")
        program = read()
        self.depth -= 1
        return program

    def either(self) -> Program:
        """`a || b || …`."""
        return self.joined("||", self.both, stop=True)

    def both(self) -> Program:
        """`a && b && …`."""
        return self.joined("&&", self.comparison, stop=False)

    def joined(self, operator: str, read: Callable[[], Program], *, stop: bool) -> Program:
        """Operands joined by *operator*; the first that equals *stop* decides, and the rest is not evaluated."""
        operands = [read()]
        while self.at(operator):
            self.advance()
            operands.append(read())
        if len(operands) == 1:
            return operands[0]
        self.parts += len(operands)
        what = f"`{operator}`"

        def run(values: Mapping[str, Any], budget: Budget) -> bool:
            for operand in operands:
                value = operand(values, budget)
                if (value if value.__class__ is bool else truth(value, what)) is stop:
                    return stop
            return not stop

        return run

    def comparison(self) -> Program:
        """`a == b`, or a single operand; two comparisons in a row are refused."""
        left = self.unary()
        if not self.is_comparison():
            return left
        operator = self.advance()
        program = compare(operator, left, self.unary())
        self.parts += 1
        if self.is_comparison():
            self.fail("Two comparisons in a row", hint="Join them by &&, or put one in parentheses.")
        return program

    def is_comparison(self) -> bool:
        """Whether the current token is a comparison operator."""
        return self.lexeme in _COMPARISONS and self.kind != "string"

    def unary(self) -> Program:
        """`!a` or an operand with its members."""
        if not self.at("!"):
            return self.members()
        self.advance()
        operand = self.nested(self.unary)
        self.parts += 1
        return lambda values, budget: not truth(operand(values, budget), "`!`")

    def members(self) -> Program:
        """An operand and the chain of members and indexes behind it."""
        base = self.operand()
        steps: list[str | Program] = []
        while self.kind == "operator" and self.lexeme in {".", "["}:
            if self.advance() == ".":
                if self.kind != "name":
                    self.fail("Expected a member name after `.`" if self.kind != "end" else None)
                steps.append(self.advance())
            else:
                steps.append(self.nested(self.either))
                self.take("]")
        self.parts += len(steps)
        return walk(base, steps, strict=self.strict) if steps else base

    def operand(self) -> Program:
        """A literal, a name, `size(a)`, a list or parentheses."""
        self.parts += 1
        if self.kind == "number":
            return constant(self.number())
        if self.kind == "string":
            return constant(self.string())
        if self.kind == "name" and self.lexeme not in _HINTS and self.lexeme != "in":
            return self.named()
        if self.at("("):
            self.advance()
            program = self.nested(self.either)
            self.take(")")
            return program
        if not self.at("["):
            self.fail()
        self.advance()
        return self.listed()

    def named(self) -> Program:
        """A literal word, a call of `size`, or a context key."""
        start, name = self.start, self.advance()
        if name in _LITERALS:
            return constant(_LITERALS[name])
        if not self.at("("):
            self.names.add(name)
            return named(name) if self.strict else lambda values, _budget: values.get(name)
        if name != "size":
            raise ConditionSyntaxError(f"Unknown function `{short(name)}`", start, "The only function is size(x).")
        self.advance()
        operand = self.nested(self.either)
        self.take(")")
        return lambda values, budget: size(operand(values, budget))

    def listed(self) -> Program:
        """The items of a list literal, up to its bracket."""
        items: list[Program] = []
        while not self.at("]"):
            items.append(self.nested(self.either))
            if not self.at("]"):
                self.take(",")
        self.advance()
        return lambda values, budget: [item(values, budget) for item in items]

    def number(self) -> int | float:
        """The value of a number token."""
        if not set(self.lexeme) & set(".eE"):
            return int(self.advance())
        value = float(self.lexeme)
        if math.isinf(value):
            self.fail(f"The number `{short(self.lexeme)}` is too large")
        self.advance()
        return value

    def string(self) -> str:
        """The value of a string token."""

        def unescape(match: re.Match[str]) -> str:
            if match[1]:
                return chr(int(match[1], 16))
            if match[2] not in _ESCAPES:
                position = self.start + 1 + match.start()
                raise ConditionSyntaxError(f"Unknown escape `\\{match[2]}`", position, "Write a backslash as \\\\.")
            return _ESCAPES[match[2]]

        value = _ESCAPE.sub(unescape, self.lexeme[1:-1])
        try:  # two escapes may be the halves of one character
            value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fail("Half a surrogate pair in the string")
        self.advance()
        return value
