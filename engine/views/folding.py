"""A run's todo list within a number of bytes, whole or of some nodes: what each answer about a run carries.

Pure. The reader is a model that pays for each line with each turn, so a list that is too long is folded, first where
least happens: phases that have ended, then those that have not opened, the last ones first, are one line each; then
nodes of an open phase of which there is nothing to say. If there are too many phases for a line each, all that have
ended share one, and all that have not opened. Only then are nodes left out that run, and last those that ask or failed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING

from engine.run.events import WaitReason
from engine.run.state import NodeStatus
from engine.text.shown import clean
from engine.views.progress import BUSY, item_lines
from engine.views.tally import tally_of
from engine.views.todos import Todo, TodoOptions, folded_phase, heading, is_folded, line, todo_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Sized
    from datetime import datetime

    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run
    from engine.views.todos import TodoStatus

FRAME_BYTES = len('{"todos":[]}')
WHOLE_LIST_BYTES = 20_000
"""Bytes of the list where a client asks for all of it."""
FAILED = frozenset({NodeStatus.FAILED, NodeStatus.COMPENSATION_FAILED})
ASKING = frozenset({WaitReason.APPROVAL, WaitReason.DECISION})
"""Reasons to wait for a person."""
QUIET = 3
"""The urgency of a node of which there is nothing to say."""
WORDS = {
    NodeStatus.PENDING: "not started",
    NodeStatus.WAITING: "waiting",
    NodeStatus.RUNNING: "running",
    NodeStatus.COMPLETED: "completed",
    NodeStatus.SKIPPED: "skipped",
    NodeStatus.FAILED: "failed",
    NodeStatus.CANCELLED: "cancelled",
    NodeStatus.COMPENSATING: "being rolled back",
    NodeStatus.COMPENSATED: "rolled back",
    NodeStatus.COMPENSATION_FAILED: "not rolled back",
}
FAILURE = "❌ "
ICONS = {"completed": "✅ ", "in_progress": "⚙️ ", "pending": "⏳ "}


class Rest:
    """The line of a section for all nodes that it does not name, written when it is wanted."""

    __slots__ = ("_line", "_write", "status")

    def __init__(self, status: TodoStatus, write: Callable[[], str]) -> None:
        """*write* returns its text."""
        self.status = status
        self._write = write
        self._line: Todo | None = None

    def line(self) -> Todo:
        """The line."""
        if self._line is None:
            text = self._write()
            self._line = Todo(text, self.status, text)
        return self._line


@dataclass(slots=True)
class Section:
    """The part of a list about one phase: named nodes, and a line for all others."""

    number: int
    phase: PhaseState
    named: Sequence[NodeId]
    make: Callable[[NodeId], Todo]
    """The line of a node."""
    standings: Mapping[NodeStatus, Sized]
    """All nodes of the phase by their standing."""
    whole: bool = True
    """The list is about all of its nodes."""
    rest: Rest | None = None
    counted: int = 0
    """Bytes that it counts for."""
    measured: bool = True
    """They are exact."""

    @property
    def has_failed(self) -> bool:
        """Whether a node of the phase has failed."""
        return not FAILED.isdisjoint(self.standings)

    def is_busy(self, run: Run) -> bool:
        """Whether anything happens in the phase, or happened when *run* was interrupted."""
        return _is_busy(run, self.phase, self.standings)

    def todos(self) -> list[Todo]:
        """Its lines."""
        return [self.make(name) for name in self.named] + ([] if self.rest is None else [self.rest.line()])

    def size(self) -> int:
        """Bytes of its lines as JSON."""
        return sum(map(size_of, self.todos()))

    def least(self) -> int:
        """Bytes that its lines take at least."""
        return LEAST_BYTES * (len(self.named) + (self.rest is not None))


class _Room:
    """The bytes that are left, known as exactly as it takes to say whether they suffice.

    Lines take time to write, and those of a large run are thousands of which a few will be kept. So a section counts
    for as little as its lines could take, and is measured only if the list could fit.
    """

    def __init__(self, found: Iterable[Section], room: int) -> None:
        """*room* for all sections of *found*."""
        self._left = room
        self._unmeasured: list[Section] = []
        for section in found:
            self.changed(section)

    def changed(self, section: Section) -> None:
        """*section* has other lines than before."""
        least = section.least()
        self._left += section.counted - least
        section.counted = least
        if section.measured and least:
            section.measured = False
            self._unmeasured.append(section)

    def is_short(self) -> bool:
        """Whether the list does not fit."""
        while self._left >= 0 and self._unmeasured:
            section = self._unmeasured.pop()
            section.measured = True
            if section.counted:
                size = section.size()
                self._left += section.counted - size
                section.counted = size
        return self._left < 0


def sections(
    run: Run,
    now: datetime,
    learned: Mapping[str, float],
    options: TodoOptions,
    *,
    room: int,
    only: Collection[NodeId] | None = None,
) -> list[Section]:
    """The list of *run*, or of its nodes in *only*, in *room* bytes if it can be; without phases that have none."""

    @cache
    def make(name: NodeId) -> Todo:
        return todo_of(run, run.nodes[name], now, learned)

    tally = tally_of(run)
    room -= FRAME_BYTES
    inside = None if only is None else _by_phase(run, only)
    names = [phase.nodes for phase in run.plan.phases] if inside is None else inside
    phases = [run.phases[index] for index in (range(len(names)) if inside is None else sorted(inside)) if names[index]]
    most = room // LEAST_BYTES
    crowded = len(phases) > most
    groups = {group[0].plan.index: group for group in _sharing(run, phases, most)} if crowded else {}
    others = {phase.plan.index for group in groups.values() for phase in group[1:]}
    found: list[Section] = []
    for phase in phases:
        index = phase.plan.index
        if index in others:
            continue
        section = Section(tally.numbers[index], phase, names[index], make, tally.standings(index), inside is None)
        if index in groups:
            status: TodoStatus = "pending" if _is_shut(run, phase) else "completed"
            section.named, section.rest = (), _line_of(run, groups[index], status)
        elif crowded and phase.opened_at is not None and section.is_busy(run):
            _name(run, section, _with_news(run, section))
        elif crowded or is_folded(run, phase, options):
            _name(run, section, ())
        found.append(section)
    _fit(run, found, _Room(found, room))
    return found


def _by_phase(run: Run, names: Iterable[NodeId]) -> dict[int, list[NodeId]]:
    """The nodes *names* by their phase, in file order."""
    found: dict[int, list[NodeId]] = {}
    for plan in sorted((run.nodes[name].plan for name in names), key=attrgetter("index")):
        found.setdefault(plan.phase, []).append(plan.id)
    return found


def _sharing(run: Run, phases: Sequence[PhaseState], most: int) -> list[list[PhaseState]]:
    """The groups of *phases* that `_fit` would have share a line, as there is room for *most* lines, and not for each.

    Said in advance, so that a look at a large run does not make thousands of sections.
    """
    tally = tally_of(run)
    sound: list[PhaseState] = []
    unopened: list[PhaseState] = []
    under_way: set[int] = set()
    for phase in phases:
        standings = tally.standings(phase.plan.index)
        if phase.opened_at is None:
            unopened.append(phase)
        elif _is_busy(run, phase, standings):
            under_way.add(tally.numbers[phase.plan.index])
        elif FAILED.isdisjoint(standings):
            sound.append(phase)
    parts = [phase for phase in sound if tally.numbers[phase.plan.index] in under_way]
    whole = [phase for phase in sound if tally.numbers[phase.plan.index] not in under_way]
    found: list[list[PhaseState]] = []
    lines = len(phases)
    for group in (whole, parts, unopened):
        if len(group) > 1 and lines > most:
            found.append(group)
            lines -= len(group) - 1
    return found


def _fit(run: Run, found: Iterable[Section], room: _Room) -> None:
    """Fold sections until there is *room* for them."""
    ended: list[Section] = []
    unopened: list[Section] = []
    opened: list[Section] = []
    for section in found:
        group = unopened if section.phase.opened_at is None else opened if section.is_busy(run) else ended
        group.append(section)
    ended.sort(key=attrgetter("has_failed"))
    for section in (*ended, *reversed(unopened)):
        if not room.is_short():
            return
        _name(run, section, ())
        room.changed(section)
    for section in opened:
        if not room.is_short():
            return
        _name(run, section, _with_news(run, section))
        room.changed(section)
    under_way = {section.number for section in opened}
    sound = [section for section in ended if not section.has_failed]
    parts = [section for section in sound if section.number in under_way]
    whole = [section for section in sound if section.number not in under_way]
    for group in (whole, parts, unopened):
        _share(run, group, room)
    for section in reversed(opened):
        while section.named and room.is_short():
            _name(run, section, section.named[: len(section.named) // 2])
            room.changed(section)
    for group in ([section for section in ended if section.has_failed], opened):
        _share(run, group, room)


def _share(run: Run, group: list[Section], room: _Room) -> None:
    """Have all of *group* share the line of its first section if there is no *room*."""
    if len(group) < 2 or not room.is_short():  # noqa: PLR2004 - two make a group
        return
    first, *others = sorted(group, key=lambda section: section.number)
    states: set[TodoStatus] = {section.rest.status for section in group if section.rest is not None}
    status = states.pop() if len(states) == 1 else "in_progress"
    first.rest = _line_of(run, [section.phase for section in (first, *others)], status)
    room.changed(first)
    for section in others:
        section.rest = None
        room.changed(section)


def _line_of(run: Run, group: Sequence[PhaseState], status: TodoStatus) -> Rest:
    """One line for all phases of *group*: `Phases 1 to 7 (70 tasks: 69 completed, 1 skipped)`."""

    def write() -> str:
        tally = tally_of(run)
        counts = tally.counted(phase.plan.index for phase in group)
        first, last = (tally.numbers[phase.plan.index] for phase in (group[0], group[-1]))
        phases = f"Phases {first} to {last}" if last != first else f"Phase {last}, other parts"
        failure = "" if FAILED.isdisjoint(counts) else FAILURE
        return f"{failure}{phases} ({_counted({WORDS[state]: count for state, count in counts.items()})})"

    return Rest(status, write)


def _counted(counts: Mapping[str, int]) -> str:
    """`10 tasks completed`, or `10 tasks: 9 completed, 1 failed`."""
    total = sum(counts.values())
    tasks = f"{total} task{'s' if total != 1 else ''}"
    if len(counts) == 1:
        return f"{tasks} {next(iter(counts))}"
    return f"{tasks}: {', '.join(f'{count} {word}' for word, count in counts.items())}"


def _is_shut(run: Run, phase: PhaseState) -> bool:
    """Whether *phase* is still to open."""
    return phase.opened_at is None and not run.ended


def _is_busy(run: Run, phase: PhaseState, standings: Collection[NodeStatus]) -> bool:
    """Whether anything happens in *phase*, or happened when *run* was interrupted."""
    return (phase.ended_at is None and not run.ended) or not BUSY.isdisjoint(standings)


def _name(run: Run, section: Section, names: Sequence[NodeId]) -> None:
    """Name only the nodes *names* of *section*, and add a line for those that it named so far."""
    if len(names) < len(section.named):
        section.rest = _more_of_phase(run, section, names) if names else _whole_phase(run, section)
    section.named = names


def _with_news(run: Run, section: Section) -> Sequence[NodeId]:
    """The nodes of *section* that failed, ask, wait or run, in this order."""
    if not section.whole:
        nodes = sorted((run.nodes[name] for name in section.named), key=_urgency)
        return [node.plan.id for node in nodes if _urgency(node) < QUIET]
    index = section.phase.plan.index
    found = tally_of(run).standings(index)
    places = {place for state in FAILED | BUSY for place in found.get(state, ())}
    places.update(plan.index for plan in (run.nodes[name].plan for name in run.waits) if plan.phase == index)
    nodes = sorted((run.nodes[run.plan.nodes[place].id] for place in sorted(places)), key=_urgency)
    return [node.plan.id for node in nodes if _urgency(node) < QUIET]


def _urgency(node: NodeState) -> int:
    """How soon a node is named: the smaller, the sooner."""
    if node.status in FAILED:
        return 0
    if node.waiting is not None and node.waiting.reason in ASKING:
        return 1
    return QUIET - 1 if node.status in BUSY else QUIET


def _whole_phase(run: Run, section: Section) -> Rest:
    """One line for a whole phase: `Phase 1: Review (10 tasks: 9 completed, 1 failed)`."""
    phase = section.phase
    if _is_shut(run, phase):
        return Rest("pending", partial(folded_phase, run, phase, section.number))
    failed = section.has_failed

    def write() -> str:
        counts = {WORDS[state]: count for state, count in tally_of(run).counts(phase.plan.index).items()}
        return f"{FAILURE if failed else ''}Phase {section.number}: {clean(phase.plan.name)} ({_counted(counts)})"

    over = run.ended or not (failed or section.is_busy(run))
    return Rest("completed" if over else "in_progress", write)


def _more_of_phase(run: Run, section: Section, names: Iterable[NodeId]) -> Rest:
    """One line for the nodes of an open phase that are not among *names*."""
    named = {run.nodes[name].plan.index for name in names}
    found = tally_of(run).counts(section.phase.plan.index, named)

    def write() -> str:
        said = ", ".join(f"{count} {WORDS[state]}" for state, count in found.items())
        failure = "" if FAILED.isdisjoint(found) else FAILURE
        return f"{failure}Phase {section.number}: {clean(section.phase.plan.name)}, other tasks ({said})"

    over = run.ended or found.keys() <= {NodeStatus.COMPLETED, NodeStatus.SKIPPED}
    return Rest("completed" if over else "pending", write)


def text_of(
    run: Run, now: datetime, learned: Mapping[str, float], options: TodoOptions, found: Iterable[Section]
) -> str:
    """The list *found* as text: phase headings, icons, times."""
    indent = "  " if options.grouping else ""
    blocks: list[str] = []
    for section in found:
        lines = [heading(run, section.phase, section.number)] if section.named and options.grouping else []
        for node in (run.nodes[name] for name in section.named):
            lines.append(f"{indent}{line(run, node, now, learned)}")
            lines += [f"{indent}  {text}" for text in item_lines(run, node)]
        if section.rest is not None:
            rest = section.rest.line()
            shut = section.phase.opened_at is None or rest.content.startswith(FAILURE)
            lines.append(f"{indent if section.named else ''}{'' if shut else ICONS[rest.status]}{rest.content}")
        if lines:
            blocks.append("\n".join(lines))
    return ("\n\n" if options.grouping else "\n").join(blocks)


def size_of(todo: Todo) -> int:
    """Bytes of *todo* as JSON in a list."""
    line = {"content": todo.content, "status": todo.status, "activeForm": todo.active_form}
    return len(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")) + 1


LEAST_BYTES = size_of(Todo("", "pending", ""))
"""Bytes of the shortest line."""
