"""The result of reading a v1 markdown file: groups of steps, prose, and notes on lists that only look like steps.

Pure. `outline.py` fills them, `convert.py` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from registry.markdown.blocks import Item, Section
    from registry.markdown.steps import Step, Time


@dataclass(slots=True)
class Group:
    """Steps that belong together: those of one list, or of headings that follow each other."""

    heading: str
    line: int
    steps: list[Step] = field(default_factory=list)
    waiting: list[Item] = field(default_factory=list)
    """Items for some cases only that wait for the first step."""
    parallel: bool = False
    """Whether the text says that they run in parallel."""
    before: bool = False
    """Whether the text says that they come before something."""
    time: Time | None = None
    """The heading's time, for all steps together."""


class Kind(Enum):
    """The subject of a note."""

    LIST = "the list in line {} "
    HEADINGS = "the numbered headings from line {} on "
    CONDITIONAL = "{} "
    """A step for some cases only."""


class Note(msgspec.Struct, frozen=True):
    """A part of the text that looks like a step but is not one, or a step for some cases only."""

    line: int
    what: str
    kind: Kind = Kind.LIST
    lost: int = 0
    """Number of its steps that no task includes."""

    def __str__(self) -> str:
        return self.kind.value.format(self.line) + self.what


@dataclass(slots=True)
class Outline:
    """The parts of a document."""

    english: bool = True
    """Whether its words can distinguish steps."""
    groups: list[Group] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    alternatives: list[Section] = field(default_factory=list)
    """Headings of steps for some cases only."""
    unnumbered: list[Note] = field(default_factory=list)
    """Lists under headings of steps, but without numbers; their items are lost if the heading leaves no doubt."""

    @property
    def steps(self) -> list[Step]:
        """All steps in the order of the text."""
        return [step for group in self.groups for step in group.steps]
