"""A fault of one value, worded for the author of the file.

Pure. Pydantic finds the faults; this module only words them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.model.command import MAX_MILLISECONDS
from engine.text.cut import cut

DAY = 24 * 3600 * 1000
MAX_SHOWN_LENGTH = 60
_TIME = re.compile(
    r"\s*(?P<number>\d{1,9}(?:\.\d{1,6})?)\s*(?P<unit>ms|s|m|h|d)(?:ecs?|econds?|ins?|inutes?|rs?|ours?|ays?)?\s*",
    re.IGNORECASE,
)
_LENGTHS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": DAY}
_UNIT_OF = dict.fromkeys(
    ("estimatedTime", "timeout", "maxWaitTime", "initialDelay", "maxDelay", "interval"), ("milliseconds", 1)
) | dict.fromkeys(("ttl", "cacheTTL"), ("seconds", 1000))
"""The unit of each field that is a time."""


class Fault(msgspec.Struct, frozen=True):
    """One fault that pydantic found in one value."""

    kind: str
    """Pydantic's error type."""
    path: tuple[str | int, ...]
    """The place, in the file's spelling."""
    value: object
    """The value there; for a missing field, the object it is missing from."""
    context: Mapping[str, Any]
    text: str
    """Pydantic's own message."""

    @property
    def name(self) -> str:
        """The field, or the item of a list: `dependencies[2]`."""
        names = [step for step in self.path if isinstance(step, str)]
        last = self.path[-1] if self.path else ""
        if isinstance(last, int):
            return f'"{names[-1]}[{last}]"' if names else f"item {last}"
        return f'"{last}"'


FORMS: dict[str, tuple[str, str]] = {
    r"^/[a-z0-9-]+$": ("a slash followed by lower-case letters, digits and hyphens", "/review-code"),
    r"^[a-z][a-z0-9-]*$": ("lower-case letters, digits and hyphens, starting with a letter", "code-review"),
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$": ("letters, digits, hyphens, underscores and dots", "unit-tests"),
    r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$": ("a version of three numbers", "1.0.0"),
    r"^[^\s.]+(\.[^\s.]+)*$": ("names joined by dots, without spaces", "database.table1"),
}
"""The meaning of each pattern of the model, with an example."""


def sentence(fault: Fault) -> str:
    """The fault in one sentence."""
    make = _SENTENCES.get(fault.kind)
    return make(fault) if make else f"{fault.name}: {fault.text}"


def advice(fault: Fault) -> str | None:
    """The hint for a fault, if there is one."""
    value = fault.value
    if fault.kind == "missing":
        return f"Add {fault.name}."
    if fault.kind == "literal_error":
        return _nearest_choice(fault)
    if fault.kind == "string_pattern_mismatch" and isinstance(value, str):
        return _nearest_form(fault.context["pattern"], value)
    if fault.kind == "bool_type" and isinstance(value, str) and value.lower() in ("true", "false"):
        return f"Write {value.lower()} without quotes."
    if fault.kind in ("int_type", "float_type", "float_parsing") and isinstance(value, str) and value.isdecimal():
        return f"Write {value[:MAX_SHOWN_LENGTH]} without quotes."
    if fault.kind == "int_type" and isinstance(value, float):
        return f"Write {round(value)}."
    if fault.kind == "tuple_type" and isinstance(value, str):
        return f'Write ["{_cut(value)}"].'
    return _other_type(fault)


def _other_type(fault: Fault) -> str | None:
    """The hint for a number or `null` in place of a text, for `null` elsewhere, and for a time with its unit."""
    value = fault.value
    if value is None and fault.kind.endswith("_type"):
        return "Write a value, or leave the field out if it is not required."
    if fault.kind == "string_type" and isinstance(value, int | float):
        return "Put it in double quotes."
    time = _TIME.fullmatch(value) if fault.kind == "int_type" and isinstance(value, str) else None
    unit = _UNIT_OF.get(str(fault.path[-1]))
    if time is None or unit is None:
        return None
    name, length = unit
    number = float(time["number"]) * _LENGTHS[time["unit"].lower()] / length
    return f"Write {max(1, round(number))}: the field is in {name}."


def kind_of(value: object) -> str:
    """The JSON type of *value* with its article."""
    for types, word in _KINDS:
        if isinstance(value, types):
            return word
    return "null"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
)


def _must(what: str) -> Callable[[Fault], str]:
    return lambda fault: f"{fault.name} must be {what}, not {kind_of(fault.value)}"


def _range(word: str, key: str) -> Callable[[Fault], str]:
    def worded(fault: Fault) -> str:
        limit = fault.context[key]
        days = f" ({limit // DAY} days)" if limit == MAX_MILLISECONDS else ""
        return f"{fault.name} must be {word} {limit}{days}, not {_shown(fault.value)}"

    return worded


def _length(word: str, key: str) -> Callable[[Fault], str]:
    def worded(fault: Fault) -> str:
        limit = fault.context[key]
        length = len(fault.value) if isinstance(fault.value, str) else 0
        plural = "s" if limit != 1 else ""
        return f"{fault.name} must have {word} {limit} character{plural}, not {length}"

    return worded


def _form(fault: Fault) -> str:
    words, example = FORMS.get(fault.context["pattern"], (f"of the form {fault.context['pattern']}", ""))
    such = f', such as "{example}"' if example else ""
    return f"{fault.name} must be {words}{such}, not {_shown(fault.value)}"


def _choice(fault: Fault) -> str:
    choices = ", ".join(f'"{choice}"' for choice in _choices(fault))
    one = "one of " if "," in choices else ""
    return f"{fault.name} must be {one}{choices}, not {_shown(fault.value)}"


def _too_few(fault: Fault) -> str:
    what = {"phases": "phase", "agents": "node"}.get(str(fault.path[-1]), "item")
    return f"{fault.name} needs at least one {what}"


_SENTENCES: dict[str, Callable[[Fault], str]] = {
    "missing": lambda fault: f"{fault.name} is missing",
    "string_type": _must("text"),
    "int_type": _must("a whole number"),
    "float_type": _must("a number"),
    "float_parsing": _must("a number"),
    "bool_type": _must("true or false"),
    "tuple_type": _must("a list"),
    "dict_type": _must("an object"),
    "model_type": _must("an object"),
    "greater_than": _range("greater than", "gt"),
    "greater_than_equal": _range("at least", "ge"),
    "less_than_equal": _range("at most", "le"),
    "string_too_short": _length("at least", "min_length"),
    "string_too_long": _length("at most", "max_length"),
    "string_pattern_mismatch": _form,
    "literal_error": _choice,
    "too_short": _too_few,
    "finite_number": lambda fault: f"{fault.name} must be a finite number",
}


def _choices(fault: Fault) -> list[str]:
    return re.findall(r"'([^']*)'", fault.context["expected"])


def _nearest_choice(fault: Fault) -> str:
    choices = _choices(fault)
    value = fault.value if isinstance(fault.value, str) else ""
    near = difflib.get_close_matches(value.lower()[:MAX_SHOWN_LENGTH], choices, n=1)
    if near or len(choices) == 1:
        return f'Write "{(near or choices)[0]}".'
    return f"Write one of {', '.join(choices)}."


def _nearest_form(pattern: str, value: str) -> str | None:
    words, example = FORMS.get(pattern, ("", ""))
    lower = re.sub(r"[^a-z0-9]+", "-", value[:MAX_SHOWN_LENGTH].lower()).strip("-")
    for candidate in (f"/{lower}" if pattern.startswith("^/") else lower, f"{value[:MAX_SHOWN_LENGTH]}.0"):
        if words and re.fullmatch(pattern, candidate):
            return f'Write "{candidate}".'
    return f'Write something like "{example}".' if example else None


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{_cut(value)}"'
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _cut(str(value))
    return kind_of(value)


def _cut(text: str) -> str:
    return cut(text, MAX_SHOWN_LENGTH)
