"""Packs the items of a list into lanes: items that ran one after the other share one, as on a machine's own timeline.

Pure. A list of hundreds is readable that way, and shows how many ran at once and where the list waited.
"""

from __future__ import annotations

import heapq
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from engine.run.state import NodeStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.run.state import NodeState, Run

MAX_LANES = 20
MAX_BLOCKS = 500
"""Blocks of a lane over the length of a run: what is closer together is drawn as one."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One item, or several without a visible gap, counted from the request for the run."""

    start: timedelta
    end: timedelta
    failed: bool
    """Whether one of them failed."""


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """Items that ran one after the other."""

    items: int
    blocks: tuple[Block, ...]


def lanes(run: Run, items: Sequence[NodeState], until: datetime) -> tuple[Lane, ...]:
    """The lanes of *items*, the first to start first; what still runs ends at *until*.

    There are at most `MAX_LANES`; items that began while all of them were taken are left out.
    """
    began = sorted((one for one in items if one.started_at is not None), key=_start)
    free: list[tuple[datetime, int]] = []
    packed: list[list[NodeState]] = []
    for one in began:
        if free and free[0][0] <= _start(one):
            lane = heapq.heappop(free)[1]
        elif len(packed) < MAX_LANES:
            lane = len(packed)
            packed.append([])
        else:
            continue
        packed[lane].append(one)
        heapq.heappush(free, (one.ended_at or until, lane))
    gap = (until - run.created_at) / MAX_BLOCKS
    return tuple(Lane(items=len(lane), blocks=tuple(_blocks(run, lane, until, gap))) for lane in packed)


def _start(item: NodeState) -> datetime:
    assert item.started_at is not None  # noqa: S101 - only items that began are packed
    return item.started_at


def _blocks(run: Run, lane: Sequence[NodeState], until: datetime, gap: timedelta) -> list[Block]:
    found: list[Block] = []
    for one in lane:
        start, end = _start(one) - run.created_at, (one.ended_at or until) - run.created_at
        failed = one.status in {NodeStatus.FAILED, NodeStatus.COMPENSATED}
        if found and start - found[-1].end <= gap and not failed and not found[-1].failed:
            start = found.pop().start
        found.append(Block(start=start, end=end, failed=failed))
    return found
