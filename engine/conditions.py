"""Skip conditions: a small boolean language over context values, parsed once and evaluated many times.

Pure. It reaches nothing but the values it is given; when a condition is consulted and what follows is the scheduler's.

The language (SPEC 6), loosest first: ``||``, ``&&``, one comparison (``== != < <= > >= in``), ``!``, then ``a.b``,
``a[0]``, ``a["k"]``, ``size(a)``, parentheses, numbers, strings, ``true false null`` and list literals.

- A name, member or index that is not there is null. ``.length`` of a list, a string or an object (one without a key of
  that name) is its size; an index below zero counts from the end, as in a transform.
- Nothing is coerced. ``==`` between different types is false and ``!=`` true; 1 equals 1.0 and never true; lists and
  objects are compared deeply. ``<`` and its sisters know two numbers or two strings and are false for anything else.
- ``x in y`` looks for an item of a list, a key of an object or a part of a string, and is false for any other *y*.
- ``!``, ``&&``, ``||`` and the whole condition want booleans. Null counts as false there, because a missing value is
  null: ``!report.ok`` is true while there is no report. Anything else is a `ConditionError`.

Limits: 4,096 characters, 64 levels, 10,000 steps. Chains (``a && b && …``, ``a.b.c…``) are flat, so that no expression
within these limits comes near Python's recursion limit, neither here nor in evaluation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from engine.errors import InputError
from engine.jsonvalue import Budget, BudgetExceeded, is_number, same_json

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LENGTH: Final = 4096
"""Characters of an expression."""
MAX_DEPTH: Final = 64
"""Parentheses, brackets and `!` inside each other."""
MAX_STEPS: Final = 10_000
"""Parts of the expression plus values compared inside lists and objects."""

Program = Callable[[Mapping[str, Any], Budget], Any]
"""A compiled part of an expression; gives its value."""


class ConditionSyntaxError(InputError):
    """Text that is no condition."""

    code = "INVALID_EXPRESSION"

    def __init__(self, message: str, position: int, hint: str | None = None) -> None:
        """*position* is the offset in the text, from 0; the message counts columns from 1."""
        super().__init__(f"{message} at column {position + 1}", hint=hint)
        self.position = position


class ConditionError(InputError):
    """A condition that these values give no answer to; it neither skips nor runs a node."""

    code = "CONDITION_ERROR"


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition; equal, hashed and pickled by its text."""

    text: str
    """The expression as it was written."""
    names: frozenset[str] = field(compare=False)
    """The context keys it reads."""
    _program: Program = field(compare=False, repr=False)
    _steps: int = field(compare=False, repr=False)

    def evaluate(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds for the JSON *values*; raises `ConditionError`."""
        try:
            result = self._program(values, Budget(self._steps))
        except BudgetExceeded:
            message = f"The condition `{_short(self.text)}` takes more than {MAX_STEPS:,} steps"
            raise ConditionError(message, hint="Compare smaller values, or put the answer into an output.") from None
        return result if result is True else _truth(result, "A condition")

    def __reduce__(self) -> tuple[Callable[[str], Condition], tuple[str]]:
        """Pickle as text: programs are closures."""
        return parse, (self.text,)


def parse(text: str) -> Condition:
    """Parse a condition; raises `ConditionSyntaxError`."""
    if len(text) > MAX_LENGTH:
        message = f"The expression has {len(text):,} characters, more than {MAX_LENGTH:,}"
        raise ConditionSyntaxError(message, MAX_LENGTH)
    parser = _Parser(text)
    program = parser.whole()
    return Condition(text, frozenset(parser.names), program, MAX_STEPS - parser.parts)


# --- reading ---------------------------------------------------------------------------------------------------------

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
    "===": "Write ==; it never coerces here.",
    "!==": "Write !=; it never coerces here.",
    "=": "Write == to compare.",
    "&": "Write &&.",
    "|": "Write ||.",
    "and": "Write &&.",
    "or": "Write ||.",
    "not": "Write !.",
    "True": "Write true.",
    "False": "Write false.",
    "None": "Write null.",
    "undefined": "Write null; what is not there is null.",
    '"': "The string does not end; a line break in it is written \\n.",
    "'": "The string does not end; a line break in it is written \\n.",
    "?": "There is no ?: here; join conditions by && and ||.",
    "-": "There is no arithmetic here, and a name has letters, digits and _ only.",
    "+": "There is no arithmetic here.",
    "*": "There is no arithmetic here.",
    "/": "There is no arithmetic here.",
    "%": "There is no arithmetic here.",
    "$": "Name the context key itself, without $.",
}


class _Parser:
    """Precedence climbing over the tokens of one text; every method gives a program."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self.parts = 0
        """Programs made; each runs at most once, so this is what evaluation costs beside comparing deep values."""
        self.depth = 0
        self.next = 0
        self.kind = self.lexeme = ""
        self.start = 0
        self.advance()

    def advance(self) -> str:
        """Step to the next token and give back the one left behind."""
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
            message = "The expression ends too early" if self.kind == "end" else f"Unexpected `{_short(self.lexeme)}`"
        raise ConditionSyntaxError(message, self.start, hint or _HINTS.get(self.lexeme))

    def take(self, token: str) -> None:
        """Step over *token*, or refuse what stands there."""
        if self.kind != "operator" or self.lexeme != token:
            self.fail(None if self.kind == "end" else f"Expected `{token}`, found `{_short(self.lexeme)}`")
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
        """Operands joined by *operator*; the first that is *stop* decides, and the rest is not evaluated."""
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
                if (value if value.__class__ is bool else _truth(value, what)) is stop:
                    return stop
            return not stop

        return run

    def comparison(self) -> Program:
        """`a == b`, or no comparison at all; two in a row are refused."""
        left = self.unary()
        if not self.is_comparison():
            return left
        operator = self.advance()
        program = _compare(operator, left, self.unary())
        self.parts += 1
        if self.is_comparison():
            self.fail("Two comparisons in a row", hint="Join them by &&, or put one in parentheses.")
        return program

    def is_comparison(self) -> bool:
        """Whether a comparison operator stands here."""
        return self.lexeme in _COMPARISONS and self.kind != "string"

    def unary(self) -> Program:
        """`!a` or an operand with its members."""
        if not self.at("!"):
            return self.members()
        self.advance()
        operand = self.nested(self.unary)
        self.parts += 1
        return lambda values, budget: not _truth(operand(values, budget), "`!`")

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
        return _walk(base, steps) if steps else base

    def operand(self) -> Program:
        """A literal, a name, `size(a)`, a list or parentheses."""
        self.parts += 1
        if self.kind == "number":
            return _constant(self.number())
        if self.kind == "string":
            return _constant(self.string())
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
            return _constant(_LITERALS[name])
        if not self.at("("):
            self.names.add(name)
            return lambda values, _budget: values.get(name)
        if name != "size":
            raise ConditionSyntaxError(f"There is no function `{_short(name)}`", start, "The only one is size(x).")
        self.advance()
        operand = self.nested(self.either)
        self.take(")")
        return lambda values, budget: _size(operand(values, budget))

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
            self.fail(f"The number `{_short(self.lexeme)}` is too large")
        self.advance()
        return value

    def string(self) -> str:
        """The value of a string token."""

        def unescape(match: re.Match[str]) -> str:
            if match[1]:
                return chr(int(match[1], 16))
            if match[2] not in _ESCAPES:
                position = self.start + 1 + match.start()
                raise ConditionSyntaxError(f"Unknown escape `\\{match[2]}`", position, "A backslash is written \\\\.")
            return _ESCAPES[match[2]]

        value = _ESCAPE.sub(unescape, self.lexeme[1:-1])
        try:  # two escapes may be the halves of one character
            value = value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fail("Half a surrogate pair in the string")
        self.advance()
        return value


# --- evaluating ------------------------------------------------------------------------------------------------------


def _constant(value: object) -> Program:
    return lambda _values, _budget: value


def _truth(value: object, what: str) -> bool:
    """A boolean operand, null counting as false."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    message = f"{what} needs true or false, not {_kind(value)}"
    raise ConditionError(message, hint="Compare the value: nothing counts as true by itself.")


def _walk(base: Program, steps: Sequence[str | Program]) -> Program:
    """Follow members and indexes from *base*; null as soon as one is not there."""

    def run(values: Mapping[str, Any], budget: Budget) -> object:
        value = base(values, budget)
        for step in steps:
            value = _member(value, step) if step.__class__ is str else _index(value, step(values, budget))  # type: ignore[operator]
        return value

    return run


def _member(value: object, name: str) -> object:
    """`value.name`."""
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if name == "length" and isinstance(value, Mapping | str | list | tuple):
        return len(value)
    return None


def _index(value: object, key: object) -> object:
    """`value[key]`; a float names a place where it is whole."""
    if isinstance(value, Mapping):
        return value.get(key) if isinstance(key, str) else None
    if not isinstance(value, list | tuple) or not is_number(key):
        return None
    place = int(key) if math.isfinite(key) and key == int(key) else len(value)  # type: ignore[call-overload, arg-type]
    return value[place] if -len(value) <= place < len(value) else None


def _size(value: object) -> int | None:
    """`size(value)`; null of null."""
    if value is None:
        return None
    if isinstance(value, Mapping | str | list | tuple):
        return len(value)
    message = f"size() needs a list, a string or an object, not {_kind(value)}"
    raise ConditionError(message)


def _compare(operator: str, left: Program, right: Program) -> Program:
    """The program of one comparison."""
    if operator == "==":
        return lambda values, budget: _same(left(values, budget), right(values, budget), budget)
    if operator == "!=":
        return lambda values, budget: not _same(left(values, budget), right(values, budget), budget)
    if operator == "in":
        return lambda values, budget: _contains(right(values, budget), left(values, budget), budget)
    order = _ORDERS[operator]

    def run(values: Mapping[str, Any], budget: Budget) -> bool:
        one, other = left(values, budget), right(values, budget)
        comparable = (is_number(one) and is_number(other)) or (isinstance(one, str) and isinstance(other, str))
        return comparable and order(one, other)

    return run


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


def _same(one: object, other: object, budget: Budget) -> bool:
    """Equality, quick for what comparisons are mostly about."""
    if one is None or one.__class__ is bool:
        return one is other
    return same_json(one, other, budget)


def _contains(container: object, item: object, budget: Budget) -> bool:
    """`item in container`."""
    if isinstance(container, list | tuple):
        for candidate in container:
            budget.spend()
            if _same(candidate, item, budget):
                return True
        return False
    return isinstance(item, str) and isinstance(container, str | Mapping) and item in container


def _kind(value: object) -> str:
    """How a message names the type of *value*; never its content, which may be a secret."""
    if isinstance(value, str):
        return "a string"
    if is_number(value):
        return "a number"
    if isinstance(value, bool):
        return "a boolean"
    return "an object" if isinstance(value, Mapping) else "a list"


def _short(text: str) -> str:
    """*text*, cut for a message."""
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one place
