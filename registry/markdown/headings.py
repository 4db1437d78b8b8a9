"""Finds the headings of a v1 markdown command that are steps: numbered ones, one family of siblings at a time.

Pure. `outline.py` reads the text under them.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from registry.markdown.lists import begins_with_verb, ends_in_steps, is_alternative, is_mode, is_passed_over
from registry.markdown.shapes import Kind, Note
from registry.markdown.steps import Step, read_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.markdown.blocks import Section

FOREIGN = "not in English, and only English words distinguish steps from other numbered lists"
_FEW = 2
"""Minimum number of numbered headings for headings to be the steps."""


class Headings:
    """The headings of a document, by the index of their section."""

    def __init__(self, sections: tuple[Section, ...], *, readable: bool, expected: bool) -> None:
        self.sections = sections
        self.readable = readable
        self.expected = expected
        self.notes: list[Note] = []
        """Notes on numbered headings that are not steps."""
        self.above, self.ends = _nesting(sections)
        self.modes = self._modes()
        numbered = self._numbered()
        worded = any(sections[place].word for place in numbered)
        self.numbered = set(numbered) if len(numbered) >= _FEW or worded else set()
        """Indexes of the headings that are steps."""
        self.counts = [0, *accumulate(place in self.numbered for place in range(len(sections)))]
        """Number of numbered headings before each section."""

    def at(self, place: int) -> tuple[str, ...]:
        """The headings at and above *place* that are not steps themselves."""
        own = () if place in self.numbered else (self.sections[place].heading,)
        return (*own, *(self.sections[one].heading for one in self.above[place] if one not in self.numbered))

    def below(self, place: int) -> range:
        """The places of the sections below the heading at *place*."""
        return range(place + 1, self.ends[place])

    def hold_numbered(self, place: int) -> bool:
        """Whether there are steps among the headings below *place*."""
        return self.counts[self.ends[place]] > self.counts[place + 1]

    def alternative(self, place: int) -> bool:
        """Whether the steps under the heading at *place* run in some cases only."""
        return any(map(is_alternative, self.at(place))) or not self.modes.isdisjoint((place, *self.above[place]))

    def _modes(self) -> frozenset[int]:
        """Indexes of headings for alternative ways to run the command."""
        families: dict[tuple[int, ...], list[int]] = {}
        for place, section in enumerate(self.sections):
            if is_mode(section.heading):
                families.setdefault(tuple(self.above[place][:1]), []).append(place)
        return frozenset(place for family in families.values() if len(family) >= _FEW for place in family)

    def _numbered(self) -> list[int]:
        """Indexes of the numbered headings that are steps; notes the others, one family of siblings at a time."""
        families: dict[tuple[int, ...], list[int]] = {}
        for place, section in enumerate(self.sections):
            if section.number:
                families.setdefault(tuple(self.above[place][:1]), []).append(place)
        found: list[int] = []
        doubtful: list[list[int]] = []
        for family in families.values():
            reason, lost = self._why_no_headings(family)
            if reason is not None:
                self._note_headings(family, reason, lost=lost)
            elif self._is_sure(family):
                found += family
            else:
                doubtful.append(family)
        if len(doubtful) == 1 and not found:
            return doubtful[0]
        for family in doubtful:
            self._note_headings(family, "begin again under a heading that does not say that they are steps", lost=True)
        return sorted(found)

    def _note_headings(self, family: list[int], reason: str, *, lost: bool) -> None:
        if len(family) >= _FEW:
            line = self.sections[family[0]].line
            self.notes.append(Note(line, reason, Kind.HEADINGS, len(family) if lost else 0))

    def _is_sure(self, family: list[int]) -> bool:
        """Whether there is more evidence than verbs that the numbered headings *family* are steps."""
        above, sections = self.above[family[0]], [self.sections[place] for place in family]
        parent = self.sections[above[0]] if above else None
        free = parent is None or parent.level <= 1 or bool(parent.number) or ends_in_steps(parent.heading)
        return (
            free or self.expected or any(section.word for section in sections) or mostly_detailed(_steps_of(sections))
        )

    def _why_no_headings(self, family: list[int]) -> tuple[str | None, bool]:
        """Why the numbered headings *family* are not steps, None if they are; and whether steps are lost with them.

        Under a heading that does not mention steps, a family has to name actions.
        """
        above = self.above[family[0]]
        for one in above:
            heading = self.sections[one].heading
            if is_passed_over(heading):
                return f'stand under "{heading}"', False
            if one in self.modes or is_alternative(heading):
                return f'are for some cases only: "{heading}"', True
        sections = [self.sections[place] for place in family]
        worded = any(section.word for section in sections)
        if not (self.readable or worded or mostly_detailed(_steps_of(sections))):
            return f"are {FOREIGN}", False
        acting = sum(begins_with_verb(section.heading) for section in sections) * 2 > len(sections)
        return (None if acting or self._is_sure(family) else "name things, not actions"), True


def mostly_detailed(steps: Sequence[Step]) -> bool:
    """Whether at least half of *steps* give an agent, a time or a dependency."""
    return sum(bool(step.agent or step.time or step.after) for step in steps) * 2 >= len(steps)


def _steps_of(sections: list[Section]) -> list[Step]:
    """The headings of *sections* as steps."""
    return [read_step(0, one.heading, [], line=one.line) for one in sections]


def _nesting(sections: tuple[Section, ...]) -> tuple[list[list[int]], list[int]]:
    """Indexes of the headings above each section, the nearest first, and the end of each section's subsections."""
    above: list[list[int]] = []
    ends = [len(sections)] * len(sections)
    stack: list[int] = []
    for place, section in enumerate(sections):
        while stack and sections[stack[-1]].level >= section.level:
            ends[stack.pop()] = place
        above.append(stack[::-1])
        if section.level:
            stack.append(place)
        else:
            ends[place] = place + 1
    return above, ends
