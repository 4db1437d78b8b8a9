"""What a v1 markdown file comes to: groups of steps, prose, and notes on what looks like steps and is none.

Pure. `outline.py` fills them, `convert.py` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.markdown.blocks import Section
    from registry.markdown.steps import Step, Time


@dataclass(slots=True)
class Group:
    """Steps that belong together: those of one list, or of headings that follow each other."""

    heading: str
    line: int
    steps: list[Step] = field(default_factory=list)
    parallel: bool = False
    """The text says that they run side by side."""
    before: bool = False
    """The text says that they come before something."""
    time: Time | None = None
    """The heading's, for all steps together."""


class Kind(Enum):
    """What a note is about."""

    LIST = "the list in line {} "
    HEADINGS = "the numbered headings from line {} on "
    CONDITIONAL = "{} "
    """A step that is done in some cases only."""


@dataclass(frozen=True, slots=True)
class Note:
    """A part of the text that is no step, though it looks like one, or one of some cases only."""

    line: int
    what: str
    kind: Kind = Kind.LIST
    lost: int = 0
    """Steps that it holds, and that no task has."""

    def __str__(self) -> str:
        return self.kind.value.format(self.line) + self.what


@dataclass(slots=True)
class Outline:
    """What a document comes to."""

    english: bool = True
    """Its words tell what is a step."""
    groups: list[Group] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    alternatives: list[Section] = field(default_factory=list)
    """Headings of steps that are done in some cases only."""
    unnumbered: list[Note] = field(default_factory=list)
    """Lists under headings of steps, but without numbers; their items are lost where the heading leaves no doubt."""

    @property
    def steps(self) -> list[Step]:
        """All steps in the order of the text."""
        return [step for group in self.groups for step in group.steps]
