"""Collects the differences between an older command file and v2, and moves fields without losing any.

Pure. `registry/dialects/nodes.py` and its siblings convert fields; this module words the differences.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from engine.text.suggestions import NEAR, same_words
from engine.validation import Problem, Severity
from registry.wording import duration

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

ALWAYS_FINE = frozenset({"$schema", "$comment"})
_EACH = 'Write `"forEach": {"items": "files", "as": "file"}` in a node that reads the list by an input.'
_AGAIN = (
    'Write `"repeat": {"until": "result.passed == true", "maxIterations": 5}`, '
    "with a condition over the node's outputs."
)
_CHOICE = "Write one node for each case, with a skipCondition that holds in all other cases."
_ORDER = "Write the order as dependencies, and what depends on a result as a skipCondition."
UNCARRIED = {
    **dict.fromkeys(("each", "for", "forEach", "foreach", "iterate", "iterateOver", "map", "matrix"), _EACH),
    **dict.fromkeys(("loop", "repeat", "until", "while"), _AGAIN),
    **dict.fromkeys(("branches", "case", "cases", "choice", "choices", "else", "switch", "then"), _CHOICE),
    **dict.fromkeys(("goto", "next", "transitions"), _ORDER),
}
"""Fields that change the work and cannot be converted, with what to write: they are errors, not notes."""
SHAPES = {"forEach": "items", "repeat": "until"}
"""Loops of v2, by the field that each must have: of another form they are those of an older file."""


MAX_NOTES = 5000
"""Maximum number of differences that are listed."""
_MAX_SLIP_LENGTH = 40


class Notes:
    """The differences found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.more = 0
        """Number of differences beyond the maximum."""
        self.older = False
        """Whether something was found that only older dialects have, so that the file is read as one."""

    def spelled(self, pointer: str, old: str, new: str, *, because: str = "", sure: bool = True) -> None:
        """*old* at *pointer* is *new* in v2; *sure* if only an older file can have it."""
        self.older = self.older or sure
        self.say("DIALECT_SPELLING", pointer, f'"{old}" is "{new}" in v2{because}', f"Write {new}.")

    def value(self, pointer: str, message: str, suggestion: str) -> None:
        """A value was rewritten; this alone does not make it an older file, since it may be a mistake in a v2 file."""
        self.say("DIALECT_VALUE", pointer, message, suggestion)

    def inferred(self, pointer: str, message: str, suggestion: str, *, older: bool = True) -> None:
        """Something that v2 requires was added."""
        self.older = self.older or older
        self.say("DIALECT_INFERRED", pointer, message, suggestion)

    def kept(self, pointer: str, old: str, new: str) -> None:
        """v2 has no such field: it stays as an `x-` field without effect."""
        self.say(
            "DIALECT_UNKNOWN_FIELD",
            pointer,
            f'"{old}" is not a field of v2; kept as "{new}", without effect',
            f"Remove it, or write {new}.",
        )

    def lost(self, pointer: str, message: str, suggestion: str) -> None:
        """An error: it changes what the command does, and v2 cannot express it."""
        self.problems.append(
            Problem(
                code="DIALECT_NOT_CARRIED",
                severity=Severity.ERROR,
                message=message,
                pointer=pointer,
                suggestion=suggestion,
            )
        )

    def say(self, code: str, pointer: str, message: str, suggestion: str) -> None:
        """One warning."""
        if len(self.problems) >= MAX_NOTES:
            self.more += 1
            return
        self.problems.append(
            Problem(code=code, severity=Severity.WARNING, message=message, pointer=pointer, suggestion=suggestion)
        )

    def finish(self) -> tuple[Problem, ...]:
        """All differences, and the number of further ones."""
        if self.more:
            message = f"{self.more} more difference{'s' if self.more != 1 else ''}"
            advice = "Run `orchestrate migrate` to rewrite the file."
            self.problems.append(
                Problem(code="DIALECT_MORE", severity=Severity.WARNING, message=message, pointer="", suggestion=advice)
            )
        return tuple(self.problems)


class Fields:
    """The fields of one object that are not yet converted."""

    def __init__(self, raw: Mapping[str, Any], pointer: str, notes: Notes) -> None:
        self.left = dict(raw)
        self.pointer = pointer
        self.notes = notes
        self._written: dict[str, str] = {}

    def at(self, name: str) -> str:
        """The pointer to field *name*, by the name that it has in the file."""
        name = self._written.get(name, name)
        return f"{self.pointer}/{name.replace('~', '~0').replace('/', '~1')}"

    def rename(self, new: str, *sure: str, habits: Iterable[str] = ()) -> None:
        """If *new* is missing, the first existing one of its older names becomes it.

        *sure* are names that only older files use; *habits* are also common mistakes in v2 files, which the validator
        reports as errors, so they are converted only if something else shows that the file is an older one.
        """
        if new in self.left:
            return
        for old in (*sure, *habits):
            if old in self.left:
                self.notes.spelled(self.at(old), old, new, sure=old in sure)
                self.left[new] = self.left.pop(old)
                self._written[new] = self._written.get(old, old)
                return

    def take(self, *names: str) -> tuple[str, Any] | None:
        """Remove and return the first existing one of *names*, with its value."""
        for name in names:
            if name in self.left:
                return name, self.left.pop(name)
        return None

    def milliseconds(self, name: str) -> None:
        """Convert the time in field *name* to whole milliseconds, if it has another form."""
        value = self.left.get(name)
        found = _milliseconds(value)
        if found is not None and found != value:
            self.notes.value(self.at(name), f'{name} is in milliseconds: "{value}" is {found}', f"Write {found}.")
            self.left[name] = found

    def keep(self, known: Collection[str]) -> dict[str, Any]:
        """The rest: known fields unchanged, misspelled ones for the validator, all others as `x-` fields."""
        result: dict[str, Any] = {}
        folded = _folded(tuple(known))
        for name, value in self.left.items():
            if name in SHAPES and name in known and not (isinstance(value, dict) and SHAPES[name] in value):
                self._keep_as_extension(result, name, value)
            elif name in known or name in ALWAYS_FINE or name.startswith("x-"):
                result[name] = value
            elif (same := folded.get(_fold(name))) is not None and same not in self.left:
                self.notes.value(self.at(name), f'"{name}" is spelled "{same}" in v2', f"Write {same}.")
                result[same] = value
            elif _is_slip(name, tuple(known)):
                result[name] = value
            else:
                self._keep_as_extension(result, name, value)
        order = [name for name in known if name in result] + [name for name in result if name not in known]
        return {name: result[name] for name in order}

    def _keep_as_extension(self, result: dict[str, Any], name: str, value: object) -> None:
        new = f"x-{name}"
        while new in self.left or new in result:
            new += "-"
        result[new] = value
        if name in UNCARRIED:
            self.notes.lost(self.at(name), f'"{name}" cannot be converted', UNCARRIED[name])
        else:
            self.notes.kept(self.at(name), name, new)


def _milliseconds(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[0-9]{1,12}", value) else duration(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _fold(name: str) -> str:
    return re.sub(r"[_\-\s]", "", name).casefold()


@cache
def _folded(known: tuple[str, ...]) -> dict[str, str]:
    """The known names by their letters only."""
    return {_fold(name): name for name in known}


@lru_cache(4096)
def _is_slip(name: str, known: tuple[str, ...]) -> bool:
    """Whether *name* is a misspelling of a known field, which the validator reports."""
    if len(name) > _MAX_SLIP_LENGTH:
        return False
    matcher = SequenceMatcher(None, b=_fold(name))
    for folded, other in _folded(known).items():
        matcher.set_seq1(folded)
        near = matcher.real_quick_ratio() >= NEAR and matcher.quick_ratio() >= NEAR and matcher.ratio() >= NEAR
        if near and same_words(name, other):
            return True
    return False
