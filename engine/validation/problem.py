"""A problem of a command file as a value, and the report that collects them.

Pure. The other modules find the problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from engine.validation.codes import CODES, Severity

if TYPE_CHECKING:
    from engine.model.command import CommandDefinition

__all__ = ["MAX_PROBLEMS", "Problem", "Report", "Severity", "Validation", "grouped", "pointer"]

MAX_PROBLEMS = 200
"""Errors, and warnings, that one validation lists; the rest are counted."""
FEW = 3
"""Similar warnings that are listed one by one; more of them are listed as one, with their number."""

Text = str | Callable[[], str | None]
"""A text, or a function that makes it: expensive texts are only made if they will be shown."""

_NAMED = re.compile(r"\"[^\"]*\"|'[^']*'|\d+")
"""A quotation or a number in a message."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, or one possible improvement."""

    code: str
    severity: Severity
    message: str
    pointer: str = ""
    """JSON Pointer (RFC 6901) into the file, in the file's own spelling."""
    suggestion: str | None = None
    """The hint, if there is one."""
    place: str | None = field(default=None, compare=False)
    """File, line and column, as in `.claude/commands/v2/ship.json:12:7`, if there is a file."""
    more: tuple[Problem, ...] = field(default=(), compare=False)
    """Other warnings of the same code that this one stands for."""


def grouped(problems: Iterable[Problem]) -> list[Problem]:
    """*problems* for a reader: if more than `FEW` warnings say the same, the first stands for all of them.

    Two say the same if they have one code and their messages differ only in numbers and quotations.
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


class Validation(msgspec.Struct, frozen=True):
    """The result of validating one definition."""

    problems: tuple[Problem, ...]
    definition: CommandDefinition | None
    """The definition, if its shape is sound; `problems` may still hold other errors."""

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
    """Maximum number of errors, and of warnings, that are listed."""
    found: dict[Severity, list[Problem]] = field(default_factory=lambda: {weight: [] for weight in Severity})
    more: dict[Severity, int] = field(default_factory=lambda: dict.fromkeys(Severity, 0))
    """Problems beyond the limit."""

    def add(
        self, code: str, message: Text, place: str, suggestion: Text | None = None, *, severity: Severity | None = None
    ) -> None:
        """Report a problem at the JSON Pointer *place*; *severity* overrides that of the code."""
        weight = CODES[code].severity if severity is None else severity
        found = self.found[weight]
        if len(found) >= self.limit:
            self.more[weight] += 1
            return
        advice = suggestion() if callable(suggestion) else suggestion
        text = message() if callable(message) else message
        found.append(Problem(code, weight, text or "", place, advice))

    def count(self, weight: Severity) -> int:
        return len(self.found[weight]) + self.more[weight]

    def finish(self) -> tuple[Problem, ...]:
        """All problems, errors first, and a last one that counts those beyond the limit."""
        problems = [problem for found in self.found.values() for problem in found]
        errors, warnings = self.more[Severity.ERROR], self.more[Severity.WARNING]
        if errors or warnings:
            weight = Severity.ERROR if errors else Severity.WARNING
            text = f"There are more problems: {_count(errors, 'error')} and {_count(warnings, 'warning')}"
            problems.append(Problem("MORE_PROBLEMS", weight, text, "", "Correct the listed ones first."))
        return tuple(problems)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def pointer(*steps: str | int) -> str:
    """The JSON Pointer of *steps*."""
    plain = "/".join(("", *map(str, steps)))
    if "~" not in plain and plain.count("/") == len(steps):
        return plain
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
