"""What can be wrong with a command file, as a value, and the collection of all of it.

Pure. Finding problems is the other modules'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.validation.codes import CODES, Severity

if TYPE_CHECKING:
    from engine.model.command import CommandDefinition

__all__ = ["MAX_PROBLEMS", "Problem", "Report", "Severity", "Validation", "grouped", "pointer"]

MAX_PROBLEMS = 200
"""Errors, and warnings, that one validation tells; the rest is counted."""
FEW = 3
"""Warnings of one code that are told one by one; more of them are one, with their number."""

Text = str | Callable[[], str | None]
"""A text, or how to make it: what is dear to word is worded only if it will be told."""

_NAMED = re.compile(r"\"[^\"]*\"|'[^']*'|\d+")
"""What a message names: a quotation or a number."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or could be better."""

    code: str
    severity: Severity
    message: str
    pointer: str = ""
    """JSON Pointer (RFC 6901) into the file, in the file's own spelling."""
    suggestion: str | None = None
    """What to do about it, where that can be said."""
    place: str | None = field(default=None, compare=False)
    """File, line and column, as in `.claude/commands/v2/ship.json:12:7`, where there is a file."""
    more: tuple[Problem, ...] = field(default=(), compare=False)
    """Other warnings of the same code that this one stands for."""


def grouped(problems: Iterable[Problem]) -> list[Problem]:
    """*problems* for a reader: where more than three warnings say the same, the first stands for all of them.

    The same is a code and a message but for its numbers and what it quotes. What else differs has to be read.
    """
    alike: dict[str, list[Problem]] = {}
    for problem in problems:
        said = f"{problem.code} {_NAMED.sub('', problem.message)}"
        key = said if problem.severity is Severity.WARNING else f"{len(alike)} {said}"
        alike.setdefault(key, []).append(problem)
    return [
        one
        for group in alike.values()
        for one in ([replace(group[0], more=tuple(group[1:]))] if len(group) > FEW else group)
    ]


@dataclass(frozen=True, slots=True)
class Validation:
    """What is to be said about one definition."""

    problems: tuple[Problem, ...]
    definition: CommandDefinition | None
    """The definition, where its shape is sound: other errors may still stand in `problems`."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    @property
    def valid(self) -> bool:
        """Whether the command can run: warnings do not count."""
        return not self.errors


@dataclass(slots=True)
class Report:
    """The problems found so far."""

    limit: int = MAX_PROBLEMS
    """Most errors, and most warnings, that are told."""
    found: dict[Severity, list[Problem]] = field(default_factory=lambda: {weight: [] for weight in Severity})
    more: dict[Severity, int] = field(default_factory=lambda: dict.fromkeys(Severity, 0))
    """Problems beyond the limit."""

    def add(
        self, code: str, message: Text, place: str, suggestion: Text | None = None, *, severity: Severity | None = None
    ) -> None:
        """Tell a problem at the JSON Pointer *place*; *severity* where it is not the code's own."""
        weight = CODES[code].severity if severity is None else severity
        told = self.found[weight]
        if len(told) >= self.limit:
            self.more[weight] += 1
            return
        advice = suggestion() if callable(suggestion) else suggestion
        text = message() if callable(message) else message
        told.append(Problem(code, weight, text or "", place, advice))

    def count(self, weight: Severity) -> int:
        return len(self.found[weight]) + self.more[weight]

    def finish(self) -> tuple[Problem, ...]:
        """All problems, errors first, and one that says how many are not told."""
        problems = [problem for told in self.found.values() for problem in told]
        errors, warnings = self.more[Severity.ERROR], self.more[Severity.WARNING]
        if errors or warnings:
            weight = Severity.ERROR if errors else Severity.WARNING
            text = f"There are more problems: {errors} errors and {warnings} warnings"
            problems.append(Problem("MORE_PROBLEMS", weight, text, "", "Correct the ones told here first"))
        return tuple(problems)


def pointer(*steps: str | int) -> str:
    """The JSON Pointer of *steps*."""
    plain = "/".join(("", *map(str, steps)))
    if "~" not in plain and plain.count("/") == len(steps):
        return plain
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
