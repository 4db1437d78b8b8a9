"""Context keys for the outputs of another program's steps, and what each output looks like.

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ARGUMENTS = "arguments"
MAX_STEPS = 500
"""Steps of one workflow, and inputs: the largest in public use has about thirty."""
_RESERVED = frozenset({ARGUMENTS, "iteration", "number", "true", "false", "null", "in", "size"})
_SUFFIXES = ("", "_members", "_list", "_items", "_done", "_next", "_failures")
"""Endings of the keys that belong to one step."""


@dataclass(slots=True)
class Step:
    """A converted step as others see it."""

    name: str
    key: str
    """Context key of its output."""
    schema: dict[str, Any] | None = None
    """Of an output that is an object; None for a text."""
    skip: str = ""
    """The expression of its skip condition."""
    sure: set[str] = field(default_factory=set)
    """Names of the steps that have completed if this one runs."""
    before: set[str] = field(default_factory=set)
    """Names of all steps that have ended when it starts."""
    read: set[str] = field(default_factory=set)
    """Members of a text in JSON that others read."""
    listed: bool = False
    """Whether a text in JSON is read as a list."""

    def declared(self, member: str) -> dict[str, Any] | None:
        """The schema of a member of its output; None for a text, or a member that is not declared."""
        properties = (self.schema or {}).get("properties")
        found = properties.get(member) if isinstance(properties, dict) else None
        return found if isinstance(found, dict) else None

    def requires(self, member: str) -> bool:
        """Whether its output always has the member."""
        required = (self.schema or {}).get("required")
        return isinstance(required, list) and member in required

    def failed(self) -> str:
        """The expression for a step that has ended without an output, and not because it was skipped."""
        return f"{self.key} == null && !({self.skip})" if self.skip else f"{self.key} == null"

    @property
    def list_key(self) -> str:
        """Context key of the list in a text in JSON."""
        return f"{self.key}_list"

    @property
    def members(self) -> str:
        """Context key of the members of a text in JSON."""
        return f"{self.key}_members"


class Keys:
    """Gives each step a key of its own that conditions can name."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        """*reserved* are keys that mean something else."""
        self._taken = {*_RESERVED, *reserved}

    def claim(self, name: str) -> str:
        """A key for *name*, near to it."""
        base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "step"
        key = (base if base[0].isalpha() else f"step_{base}")[:150]
        while any(f"{key}{suffix}" in self._taken for suffix in _SUFFIXES):
            key += "_"
        self._taken |= {f"{key}{suffix}" for suffix in _SUFFIXES}
        return key

    def take(self, key: str) -> bool:
        """Whether *key* itself is free; it is taken then."""
        if key in self._taken:
            return False
        self._taken.add(key)
        return True
