"""Skip conditions: a small boolean language over context values, parsed once and evaluated many times.

Pure. It reads only the values passed to it; the scheduler decides when to evaluate a condition, and what follows.

The language (SPEC 6), loosest first: ``||``, ``&&``, one comparison (``== != < <= > >= in``), ``!``, then ``a.b``,
``a[0]``, ``a["k"]``, ``size(a)``, parentheses, numbers, strings, ``true false null`` and list literals.

- A missing name, member or index is null. ``.length`` of a list, a string or an object (one without a key of that name)
is its size; an index below zero counts from the end, as in a transform. - Nothing is coerced. ``==`` between different
types is false and ``!=`` true; 1 equals 1.0 and never true; lists and objects are compared deeply. ``<``, ``<=``, ``>``
and ``>=`` compare two numbers or two strings, and are false otherwise. - ``x in y`` looks for an item of a list, a key
of an object or a part of a string, and is false for any other *y*. - ``!``, ``&&``, ``||`` and the whole condition need
booleans. Null counts as false there, because a missing value is null: ``!report.ok`` is true without a report. Anything
else is a `ConditionError`.

Limits: 4,096 characters, 64 levels, 10,000 steps. Chains (``a && b && …``, ``a.b.c…``) are flat, so that no expression
within these limits comes near Python's recursion limit, neither here nor in evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from engine.conditions.evaluation import Program, truth
from engine.conditions.faults import ConditionError, ConditionSyntaxError, short
from engine.conditions.parser import Parser
from engine.json.values import Budget, BudgetExceeded

__all__ = ["Condition", "ConditionError", "ConditionSyntaxError", "parse"]

MAX_LENGTH: Final = 4096
"""Characters of an expression."""
MAX_STEPS: Final = 10_000
"""Parts of the expression, plus values compared inside lists and objects."""


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
            message = f"The condition `{short(self.text)}` takes more than {MAX_STEPS:,} steps"
            raise ConditionError(message, hint="Compare smaller values, or compute the answer in a node.") from None
        return result if result is True else truth(result, "A condition")

    def __reduce__(self) -> tuple[Callable[[str], Condition], tuple[str]]:
        """Pickle as text: programs are closures."""
        return parse, (self.text,)


@lru_cache(maxsize=1024)
def parse(text: str, *, strict: bool = False) -> Condition:
    """Parse a condition; raises `ConditionSyntaxError`.

    With *strict*, a missing name, member or index is a `ConditionError` when it is evaluated, instead of null.
    """
    if len(text) > MAX_LENGTH:
        message = f"The expression has {len(text):,} characters, more than {MAX_LENGTH:,}"
        raise ConditionSyntaxError(message, MAX_LENGTH)
    parser = Parser(text, strict=strict)
    program = parser.whole()
    return Condition(text, frozenset(parser.names), program, MAX_STEPS - parser.parts)
