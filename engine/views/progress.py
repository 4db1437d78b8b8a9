"""The progress of a run; nodes with forEach and repeat count as one.

Pure.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from engine.ids import NodeId
from engine.run.nesting import is_inside
from engine.run.state import ZERO, NodeStatus
from engine.text.shown import clean
from engine.views.tally import OVER, tally_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from engine.run.state import NodeState, PhaseState, Run

MAX_LISTED = 5
"""Running items, and failed ones, that are listed."""
DONE = OVER | {NodeStatus.CANCELLED}
BUSY = frozenset({NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.COMPENSATING})


class Progress(msgspec.Struct, frozen=True):
    """Finished nodes of the file, of all its nodes."""

    done: int
    total: int
    part: float = 0.0
    """The finished parts of lists that are not over, together."""

    @property
    def percent(self) -> int:
        """Whole percent; 100 only if all are done."""
        return int(100 * (self.done + self.part) // self.total) if self.total else 100


def progress(run: Run) -> Progress:
    """The number of finished nodes; a cancelled one does not count."""
    lists = (run.nodes[name] for name in run.unfolded)
    under_way = [node for node in lists if not node.plan.turn and node.status not in OVER]
    part = sum(part_done(run, node) for node in sorted(under_way, key=lambda node: node.plan.index))
    return Progress(tally_of(run).over, len(run.plan.nodes), part)


def estimate_of(node: NodeState, learned: Mapping[str, float]) -> timedelta:
    """The learned duration of *node*, or else the file's estimate."""
    seconds = learned.get(node.plan.origin or node.plan.id)
    return node.plan.estimate if seconds is None else timedelta(seconds=seconds)


def node_remaining(run: Run, node: NodeState, now: datetime, learned: Mapping[str, float]) -> timedelta:
    """The remaining time of *node*; zero if it is over or overdue."""
    if node.status in DONE:
        return ZERO
    estimate = estimate_of(node, learned)
    if node.live is None:
        return estimate
    return max(ZERO, estimate - run.worked(node.live, now))


class Fold(msgspec.Struct, frozen=True):
    """The instances of one node, in numbers."""

    total: int
    settled: int
    failed: int
    running: int
    undone: int = 0
    """Those with work that was rolled back when the run stopped."""
    loop: bool = False

    @property
    def note(self) -> str:
        """`12/40, 1 failed` for a list, `iteration 2` for a loop."""
        if self.loop:
            return f"iteration {self.total}{self.rollback}"
        return f"{self.settled}/{self.total}" + (f", {self.failed} failed" if self.failed else "") + self.rollback

    @property
    def rollback(self) -> str:
        """`, 3 rolled back`; empty if none was."""
        return f", {self.undone} rolled back" if self.undone else ""


def phases_of_file(run: Run) -> list[PhaseState]:
    """The phases of the command and its sub-commands, without those of instances."""
    return run.phases[: len(run.plan.phases)]


def nodes_of_file(run: Run) -> Iterator[NodeState]:
    """The nodes of the command and its sub-commands, without instances and what is inside them."""
    return (run.nodes[node.id] for node in run.plan.nodes)


def fold_of(run: Run, node: NodeState) -> Fold | None:
    """The instances of *node*; None if it has none, or they are not known yet."""
    shape = run.unfolded.get(node.plan.id)
    if shape is None or not node.plan.inner:
        return None
    name = node.plan.id
    phases = [run.phases[index] for index in (node.plan.inner if node.plan.each is not None else node.plan.inner[-1:])]
    left = sum(phase.unsettled for phase in phases)
    failed = sum(_own(name, other) == other for other in run.failures if is_inside(other, name))
    running = sum(_own(name, other) == other for other in run.live if is_inside(other, name))
    undone = {_own(name, other) for other in _undone(run) if is_inside(other, name)}
    return Fold(shape.count, shape.count - left, failed, running, len(undone), loop=node.plan.loop is not None)


def _undone(run: Run) -> Iterator[NodeId]:
    """The nodes that were rolled back since *run* stopped."""
    over = () if run.saga is None else run.saga.order[: run.saga.next]
    return (name for name in over if run.nodes[name].status is NodeStatus.COMPENSATED)


def item_lines(run: Run, node: NodeState) -> list[str]:
    """The running and the failed items of a list, a few of each, and how many wait; what a loop has lacked so far."""
    fold, name = fold_of(run, node), node.plan.id
    if fold is None or node.status is not NodeStatus.RUNNING:
        return []
    if node.plan.loop is not None:
        lacked = run.unfolded[name].lacked
        return [clean(f"↻ until {node.plan.loop.until}: {lacked}")] if lacked else []
    live = sorted(run.live, key=lambda one: run.nodes[one].start_order)
    lines = [f"⚙️ {item_name(run, one)}" for one in _first(name, live)]
    lines += [f"❌ {item_name(run, one)}: {_reason(run, one)}" for one in _first(name, run.failures)]
    waiting = fold.total - fold.settled - fold.running
    return [*lines, *([f"⏳ {waiting} more"] if waiting > 0 else [])]


def item_name(run: Run, instance: NodeId) -> str:
    """An instance for a reader: the name of its item, or its number."""
    around, _, number = instance.rpartition("/")
    shape = run.unfolded.get(NodeId(around))
    keys = shape.keys if shape is not None else ()
    return clean(keys[int(number) - 1]) if keys else f"item {number}"


def changes_inside(run: Run, node: NodeState) -> int:
    """A number that grows with what happens to the instances of *node*; 0 if it has none."""
    fold = fold_of(run, node)
    return 0 if fold is None else fold.total + fold.settled + fold.failed + fold.undone


def part_done(run: Run, node: NodeState) -> float:
    """The part of a list that is over, from 0 to 1; 0 for any other node."""
    fold = fold_of(run, node) if node.plan.each is not None else None
    return fold.settled / fold.total if fold is not None and fold.total else 0.0


def _first(name: NodeId, others: Iterable[NodeId]) -> list[NodeId]:
    """The first instances of *name* among *others*."""
    found = dict.fromkeys(own for other in others if (own := _own(name, other)) is not None)
    return list(found)[:MAX_LISTED]


def _own(name: NodeId, other: NodeId) -> NodeId | None:
    """The instance of *name* that *other* is, or is inside; None if there is none."""
    if not is_inside(other, name):
        return None
    return NodeId(f"{name}/{other[len(name) + 1 :].partition('/')[0]}")


def _reason(run: Run, instance: NodeId) -> str:
    failure = run.nodes[instance].failure
    return clean(failure.message.splitlines()[0]) if failure is not None and failure.message else "failed"
