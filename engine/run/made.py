"""The instances of a node, and the values that are made of theirs: a list of many outputs is never copied.

Pure. `engine/values/reading.py` makes the values when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from engine.run.events import ValueRef

if TYPE_CHECKING:
    from engine.model.policy import Merge


class Literal(NamedTuple):
    """A small value that is not stored: the number of an instance, the code of a failure."""

    value: Any


class Folded(NamedTuple):
    """Several contributions to one key, joined in order."""

    parts: tuple[tuple[Merge, Ref], ...]


class Listed(NamedTuple):
    """A list."""

    items: tuple[Ref, ...]


class Named(NamedTuple):
    """An object."""

    members: tuple[tuple[str, Ref], ...]


Ref: TypeAlias = ValueRef | Literal | Folded | Listed | Named
"""The value of a contribution: a stored one, or one made of others."""


def size_of(ref: Ref) -> int:
    """The bytes of the stored values that *ref* is made of, roughly those of its JSON."""
    if isinstance(ref, ValueRef):
        return ref.size
    if isinstance(ref, Folded):
        return sum(size_of(part) for _merge, part in ref.parts)
    if isinstance(ref, Listed):
        return 2 + sum(size_of(item) + 1 for item in ref.items)
    if isinstance(ref, Named):
        return 2 + sum(size_of(member) + len(name) + 4 for name, member in ref.members)
    return len(str(ref.value))


@dataclass(slots=True)
class Unfolded:
    """The instances of a node so far."""

    count: int
    """Items, or iterations begun."""
    own: tuple[str, ...]
    """Keys that an instance sees besides the inputs of the node: its item, if any, and its number."""
    items: tuple[ValueRef, ...] = ()
    keys: tuple[str, ...] = ()
    """Names of the items; empty if they have none."""
    lacked: str = ""
    """For a loop: the values for which its condition did not hold after the iteration before, short."""
    exhausted: int = 0
    """For a loop that ended without its condition: the iterations until then; a retry of the run allows more."""
