"""Collects what becomes of another program's file: what cannot be converted, and what is different afterwards.

Pure. `Fields` makes sure that every field of the file is either used or named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.validation import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PROBLEMS = 500
"""Problems that are listed."""
NO_ADVICE = "Remove it, or write this part as a v2 command by hand."


class Report:
    """The problems found so far, with pointers into the other program's file."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.problems: list[Problem] = []
        self._once: set[str] = set()

    @property
    def has_refused(self) -> bool:
        """Whether some part was refused."""
        return any(one.severity is Severity.ERROR for one in self.problems)

    def refuse(self, pointer: str, message: str, advice: str = NO_ADVICE) -> None:
        """An error: the format cannot say this, so nothing is converted."""
        self._add("PEER_NOT_CARRIED", Severity.ERROR, pointer, message, advice)

    def differs(self, pointer: str, message: str, advice: str | None = None) -> None:
        """A warning: the command does this in another way."""
        self._add("PEER_DIFFERS", Severity.WARNING, pointer, message, advice)

    def differs_once(self, topic: str, pointer: str, message: str, advice: str | None = None) -> None:
        """The same for something that concerns the whole file: only its first place is named."""
        if topic not in self._once:
            self._once.add(topic)
            self.differs(pointer, message, advice)

    def _add(self, code: str, severity: Severity, pointer: str, message: str, advice: str | None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(code, severity, message, pointer, advice))


class Fields:
    """The fields of one mapping that are not yet used."""

    def __init__(self, raw: Mapping[str, Any], pointer: str, report: Report) -> None:
        self._left = dict(raw)
        self.pointer = pointer
        self.report = report

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def names(self) -> list[str]:
        """The names that are left."""
        return list(self._left)

    def at(self, *names: str | int) -> str:
        """The pointer to a part of this mapping."""
        return "".join((self.pointer, *(f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in names)))

    def peek(self, name: str) -> object:
        """The value of *name*, which stays."""
        return self._left.get(name)

    def put(self, name: str, value: object) -> None:
        """Give a field back, or another value for it."""
        self._left[name] = value

    def take(self, name: str) -> Any:  # noqa: ANN401 - a field of any kind
        """The value of *name*, None without one."""
        return self._left.pop(name, None)

    def text(self, name: str) -> str | None:
        """A text; anything else is refused."""
        found: str | None = self._kind(name, str, "a text")
        return found

    def flag(self, name: str) -> bool | None:
        """True or false."""
        found: bool | None = self._kind(name, bool, "true or false")
        return found

    def whole(self, name: str, *, least: int = 1, most: int | None = None) -> int | None:
        """A whole number in its range."""
        value = self.take(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= (most or value):
            return value
        if value is not None:
            bounds = f"of {least} or more" if most is None else f"from {least} to {most}"
            self.report.refuse(self.at(name), f'"{name}" is not a whole number {bounds}', "Write such a number.")
        return None

    def positive(self, name: str) -> float | None:
        """A number above 0: a time in seconds, or an amount."""
        value = self.take(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return value
        if value is not None:
            self.report.refuse(self.at(name), f'"{name}" is not a number above 0', "Write such a number.")
        return None

    def mapping(self, name: str) -> Fields | None:
        """The fields of the mapping *name*."""
        found = self._kind(name, dict, "a mapping")
        return None if found is None else Fields(found, self.at(name), self.report)

    def items(self, name: str) -> list[Any] | None:
        """A list of anything."""
        found: list[Any] | None = self._kind(name, list, "a list")
        return found

    def texts(self, name: str) -> list[str] | None:
        """A list of texts."""
        found: list[str] | None = self._kind(name, list, "a list")
        if found is None or all(isinstance(one, str) for one in found):
            return found
        self.report.refuse(self.at(name), f'"{name}" has something else than texts', "Write texts only.")
        return None

    def refuse(self, name: str, message: str, advice: str = NO_ADVICE) -> None:
        """Refuse field *name*, if it is there."""
        if name in self._left:
            del self._left[name]
            self.report.refuse(self.at(name), message, advice)

    def ignore(self, name: str, message: str) -> None:
        """Say of field *name*, if it is there, that it has no effect."""
        if name in self._left:
            del self._left[name]
            self.report.differs(self.at(name), message)

    def finish(self, *, ignored: bool = False) -> None:
        """Name every field that is left; *ignored*: the other program ignores such fields, so they change nothing."""
        for name in self.names():
            if ignored:
                self.ignore(name, f'{self.report.program} ignores "{name}", and so does the command')
            else:
                self.refuse(name, f'"{name[:80]}" is not known here')

    def _kind(self, name: str, kind: type, shown: str) -> Any:  # noqa: ANN401 - of type *kind*
        value = self.take(name)
        if value is None or isinstance(value, kind):
            return value
        self.report.refuse(self.at(name), f'"{name}" is not {shown}', f"Write {shown}.")
        return None
