"""Finds the steps of a v1 markdown command: its lists and headings that are steps, and the prose around them.

Pure. `convert.py` determines the order, agents and times of the result.

Theory of operation
===================

**The problem.** A v1 command is text for people. Its authors number steps, but also rules, output formats, examples and
options. Taking a list of rules for steps would run nonsense; missing the steps would drop the work.

**Headings or lists.** If headings are numbered ("## 1. Build", "**Step 2: Test**"), they are the steps, or, if they are
called phases, they hold lists of steps; lists elsewhere then do not count (`headings.py`). Otherwise the numbered lists
are the steps, except those under headings such as "Rules" or "Output format", and those that read as rules, names or
questions (`lists.py`). Agents, times and dependencies are stronger evidence than words: a list in which they are given
is a list of steps unless the text announces something else.

**Two passes.** The strict pass wants lists that name actions. If none does, a lenient pass accepts lists of titles, and
any list if the title of the file marks it as a command. So a weak list counts only in a file without strong ones.

**One list in pieces.** Text between two lists whose numbers continue belongs to the last step before it, and the
verdict on the first piece holds for the rest.

**Conditional steps.** A step for some cases only is not run as a node: it is appended to the details of the step before
it, and at the start of a list to the step after it, marked "Before this". Its agent decides.

**Invariant.** Nothing is lost: every line is in a step, in its details or in the prose, and a note reports every list
and heading that looks like steps but is not one, with its line and the number of steps lost with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import structs

from registry.markdown.blocks import is_bold_line, plain
from registry.markdown.headings import FOREIGN, Headings, mostly_detailed
from registry.markdown.language import is_english
from registry.markdown.lists import (
    NAMES,
    NO_ACTION,
    begins_with_verb,
    ends_in_steps,
    is_aftermath,
    is_alternative,
    is_before,
    is_conditional,
    is_limited,
    is_passed_over,
    is_process,
    says_parallel,
    says_steps,
    why_announced_otherwise,
    why_no_steps,
)
from registry.markdown.shapes import Group, Kind, Note, Outline
from registry.markdown.steps import Step, agents_named, read_heading_time, read_step

if TYPE_CHECKING:
    from registry.markdown.blocks import Block, Document, Item, Section

_PHASES = frozenset({"phase", "stage", "part"})
_UNSURE = frozenset({NAMES, NO_ACTION})
"""Reasons that do not rule out that a list holds steps."""
_FEW = 2
"""Minimum number of steps of a phase."""


def outline_of(document: Document) -> Outline:
    """The steps and the prose of *document*.

    A list has to name actions, unless none does: then one of titles is enough, and any list if the title of the file
    marks it as a command.
    """
    strict = _Reading(document, lenient=False)
    outline = strict.read()
    return outline if strict.says_actions else _Reading(document, lenient=True).read()


class _Reading:
    """One pass over the sections of a document."""

    def __init__(self, document: Document, *, lenient: bool) -> None:
        self.outline = Outline(english=is_english(document.sections))
        self.sections = document.sections
        self.lenient = lenient
        self.expected = expected = lenient and document.title.startswith("/")
        self.readable = self.outline.english
        """Whether words can distinguish steps."""
        self.says_actions = False
        """Whether words have identified some step."""
        self.headings = Headings(document.sections, readable=self.readable, expected=expected)
        self.outline.notes += self.headings.notes

    def read(self) -> Outline:
        place = 0
        while place < len(self.sections):
            if place in self.headings.numbered:
                below = range(0) if self.headings.hold_numbered(place) else self.headings.below(place)
                self._heading(place, below)
                place += 1 + len(below)
            else:
                self._section(place)
                place += 1
        self.outline.groups = [group for group in self.outline.groups if group.steps]
        if all(group.before for group in self.outline.groups):
            for group in self.outline.groups:
                self.outline.notes.append(Note(group.steps[0].line, "comes before steps that do not exist"))
            self.outline.groups = []
        return self.outline

    # --- headings ----------------------------------------------------------------------------------------------------

    def _heading(self, place: int, below: range) -> None:
        """A numbered heading with the sections *below* it that are its own."""
        section = self.sections[place]
        if is_limited(section.heading):
            self._limited(section.heading, section.line, self.outline)
        heading_time, heading = read_heading_time(section.heading)
        inside = Outline()
        for one in [place, *below]:
            self._lists(one, inside)
        steps = inside.steps
        apart = len(steps) >= _FEW or not any(block.items and not block.numbered for block in section.blocks)
        if steps and ((section.word in _PHASES and apart) or mostly_detailed(steps)):
            agent = self._agent_of(section)
            for step in steps:
                step.agent = step.agent or agent
            groups = [group for group in inside.groups if group.steps]
            merged = Group(_tidy(heading) or section.heading, section.line, steps, time=heading_time)
            merged.parallel = says_parallel(section.heading) or all(group.parallel for group in groups)
            self.outline.groups.append(merged)
            self.outline.prose += inside.prose
            self.outline.notes += inside.notes
        elif self.headings.hold_numbered(place):
            self._prose(section, section.blocks, self.outline)
        else:
            self._heading_step(place, below)

    def _heading_step(self, place: int, below: range) -> None:
        """The heading itself is the step."""
        section = self.sections[place]
        lines = [line for block in section.blocks for line in (*block.raw.split("\n"), "")]
        for one in below:
            inner = self.sections[one]
            lines += [f"{'#' * min(inner.level, 6)} {inner.heading}", ""]
            lines += [line for block in inner.blocks for line in (*block.raw.split("\n"), "")]
        number = int(section.number) if section.number.isdecimal() else 0
        step = read_step(number, section.heading, lines, line=section.line)
        last = self.outline.groups[-1] if self.outline.groups else None
        parents = self.headings.above[place]
        parent = self.sections[parents[0]].heading if parents else ""
        alone = section.word in _PHASES
        if is_alternative(section.heading) and last is not None and last.steps:
            self._attach(last.steps[-1], f"{section.heading}\n{step.details}", section.line)
        elif alone or last is None or last.heading != (parent or "Steps"):
            group = Group(section.heading if alone else parent or "Steps", section.line, [step])
            group.parallel = says_parallel(parent)
            self.outline.groups.append(group)
        else:
            last.steps.append(step)

    @staticmethod
    def _agent_of(section: Section) -> str | None:
        """The agent that a paragraph of the heading names for all its steps."""
        for block in section.blocks:
            if block.paragraph:
                step = read_step(0, "", block.raw.split("\n"), line=block.line)
                named = agents_named(block.raw)
                if step.agent or len(named) == 1:
                    return step.agent or named[0]
        return None

    # --- lists -------------------------------------------------------------------------------------------------------

    def _section(self, place: int) -> None:
        """A section whose heading is not a step."""
        section = self.sections[place]
        if not self.headings.numbered:
            self._lists(place, self.outline)
            return
        apart = "is not part of the numbered headings"
        if self.headings.alternative(place):
            apart = f'is done in some cases only: "{section.heading}"'
        lead_in = ""
        for block in section.blocks:
            if block.numbered and len(block.items) > 1:
                reason = self._why_not(block, lead_in, section, self.headings.at(place))
                lost = 0 if reason else len(block.items)
                self.outline.notes.append(Note(block.line, reason or apart, lost=lost))
            elif block.items and not self.headings.hold_numbered(place):
                self._note_unnumbered(place, block)
            lead_in = block.raw if block.paragraph else ""
        self._prose(section, section.blocks, self.outline)

    def _note_unnumbered(self, place: int, block: Block) -> None:
        """Note a list without numbers: under a heading of steps, its author may have meant it as steps."""
        headings = self.headings.at(place)
        if block.items and not block.numbered and not is_passed_over(headings[0]):
            lost = len(block.items) if any(map(is_process, headings)) else 0
            if lost or says_steps(headings[0]):
                self.outline.unnumbered.append(Note(block.line, "has no numbers", lost=lost))

    def _lists(self, place: int, into: Outline) -> None:
        """The lists of steps of one section, and its prose."""
        section, headings = self.sections[place], self.headings.at(place)
        time, heading = read_heading_time(section.heading)
        group = Group(_tidy(heading) or section.heading, section.line, time=time)
        group.parallel = says_parallel(section.heading)
        alternative = self.headings.alternative(place)
        prose: list[Block] = []
        between: list[Block] = []
        """Blocks after the last list: details of its last step if the list continues."""
        lead_in = label = ""
        before: Block | None = None
        verdict: str | None = None
        """Why the list *before* is not a list of steps."""
        for at, block in enumerate(section.blocks):
            continued = before is not None and _continues(block, before)
            goes_on = continued and verdict is None and bool(group.steps or group.waiting)
            reason: str | None = None
            lost = 0
            if goes_on:
                _append(group.steps, between)
            elif continued and verdict is not None:
                reason = verdict
                lost = len(block.items) if reason in _UNSURE else 0
            elif alternative and block.numbered:
                into.alternatives.append(section)
                reason, lost = f'is done in some cases only: "{section.heading}"', len(block.items)
            elif section.number and group.steps and block.numbered and label:
                reason, lost = f'begins again under "{label}"', len(block.items)
            else:
                whole = _whole(section.blocks, at)
                reason = self._why_not(whole, lead_in, section, (label, *headings) if label else headings)
                lost = len(block.items) if reason in _UNSURE else 0
            if reason is None:
                if not goes_on:
                    prose += between
                    group.parallel = group.parallel or not block.numbered or says_parallel(lead_in)
                    group.before = is_before(section.heading) or is_before(plain(lead_in))
                between = []
                self._take(group, block.items, into)
            else:
                if block.numbered and reason:
                    into.notes.append(Note(block.line, reason, lost=lost))
                elif place not in self.headings.numbered and not group.steps:
                    self._note_unnumbered(place, block)
                (between if group.steps else prose).append(block)
            if block.numbered:
                before, verdict = block, reason
            lead_in = block.raw if block.paragraph else ""
            label = plain(lead_in).rstrip(" :") if is_bold_line(lead_in) else label
        self._prose(section, [*prose, *between], into)
        into.groups.append(group)

    def _why_not(self, block: Block, lead_in: str, section: Section, headings: tuple[str, ...]) -> str | None:
        """Why *block* is not a list of steps; None if it is one, empty if it is not a list."""
        if not block.items:
            return ""
        steps = [read_step(item.number, item.text, item.details, line=item.line) for item in block.items]
        if all(map(_is_for_some_cases, block.items, steps)):
            return "has only steps for some cases"
        if not block.numbered:
            named = len(steps) > 1 and all(step.agent and "-" in step.agent for step in steps)
            acting = sum(begins_with_verb(step.head) for step in steps) * 2 > len(steps)
            said = ends_in_steps(section.heading) or says_parallel(section.heading) or says_parallel(lead_in)
            return why_announced_otherwise(lead_in, headings) if named and (acting or said) else ""
        if any(step.time or step.after for step in steps) or mostly_detailed(steps):
            return why_announced_otherwise(lead_in, headings)
        if not self.readable:
            return f"is {FOREIGN}"
        if is_aftermath(section.heading):
            return f'stands under "{section.heading}"'
        reason = why_no_steps(block, lead_in, section, headings=headings, expected=self.expected, lenient=self.lenient)
        self.says_actions = self.says_actions or reason is None
        return reason

    def _take(self, group: Group, items: tuple[Item, ...], into: Outline) -> None:
        """Add the steps of one list; those for some cases only go to a step beside them, as `_conditional` reports."""
        for item in items:
            step = read_step(item.number, item.text, item.details, line=item.line)
            if _is_for_some_cases(item, step):
                if group.steps:
                    into.notes.append(_conditional(item.text, item.line))
                    _append_text(group.steps[-1], _source(item))
                else:
                    group.waiting.append(item)
                continue
            if group.waiting:
                into.notes += [_conditional(one.text, one.line, first=True) for one in group.waiting]
                step.details = "\n".join(filter(None, ("Before this:", *map(_source, group.waiting), step.details)))
                group.waiting.clear()
            if is_limited(item.text) or is_conditional(item):
                self._limited(item.text, item.line, into)
            group.steps.append(step)

    def _attach(self, step: Step, text: str, line: int) -> None:
        self.outline.notes.append(_conditional(text.split("\n", 1)[0], line))
        _append_text(step, text)

    @staticmethod
    def _limited(text: str, line: int, into: Outline) -> None:
        what = f'"{plain(text)[:80]}" is limited to some cases only; its agent decides'
        into.notes.append(Note(line, what, Kind.CONDITIONAL))

    @staticmethod
    def _prose(section: Section, blocks: list[Block], into: Outline) -> None:
        texts = [block.raw for block in blocks if block.raw.strip()]
        if texts:
            heading = [f"{'#' * min(section.level, 6)} {section.heading}"] if section.heading else []
            into.prose += [*heading, *texts]


def _is_for_some_cases(item: Item, step: Step) -> bool:
    """Whether *item*, read as *step*, does not become a node."""
    return is_conditional(item) and not (step.agent or step.after)


def _conditional(text: str, line: int, *, first: bool = False) -> Note:
    """The note on a step for some cases only, attached to the step before it, or the *first* to the one after it."""
    taker = "step after it, to do first" if first else "step before it"
    return Note(
        line, f'"{plain(text)[:80]}" is done in some cases only; it is attached to the {taker}', Kind.CONDITIONAL
    )


def _continues(block: Block, before: Block) -> bool:
    """Whether the numbers of *block* continue those of *before*."""
    return block.numbered and block.items[0].number == before.items[-1].number + 1


def _whole(blocks: list[Block], at: int) -> Block:
    """The list at index *at* with those that continue it."""
    last = blocks[at]
    items = last.items
    for block in blocks[at + 1 :] if last.numbered else []:
        if block.numbered:
            if not _continues(block, last):
                break
            last, items = block, items + block.items
    return structs.replace(blocks[at], items=items)


def _tidy(heading: str) -> str:
    """*heading* without brackets and separators left over from a time."""
    return re.sub(r"[(\[]\s*[)\]]", "", heading).strip(" :,-\u2013\u2014")


def _source(item: Item) -> str:
    return "\n".join((item.text, *item.details))


def _append(steps: list[Step], blocks: list[Block]) -> None:
    """Add *blocks* to the details of the last step."""
    for block in blocks:
        _append_text(steps[-1], block.raw)


def _append_text(step: Step, text: str) -> None:
    step.details = "\n".join(filter(None, (step.details, text)))
