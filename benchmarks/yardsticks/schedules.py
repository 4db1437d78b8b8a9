"""How short a run on so many places could be at best, and how long it is where nobody thinks.

Pure.
"""

from __future__ import annotations

import heapq
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.yardsticks.dags import Dag


def lower_bound(dag: Dag, places: int) -> float:
    """Seconds below which no schedule of *dag* on *places* can be.

    Take all nodes that cannot start before *head* and after which at least *tail* is left: before the first of them
    lies *head*, their work is shared by the places, and after the last one comes *tail*. The bound is the largest sum
    over all pairs; the critical path and the work by places are two of them.
    """
    best = max(map(sum, zip(dag.heads, dag.seconds, dag.tails, strict=True)), default=0.0)
    by_tail = sorted(range(len(dag)), key=lambda node: -dag.tails[node])
    for head in sorted(set(dag.heads)):
        late = [node for node in by_tail if dag.heads[node] >= head]
        work = accumulate(dag.seconds[node] for node in late)
        best = max(best, *(head + done / places + dag.tails[node] for node, done in zip(late, work, strict=True)))
    return best


def first_come(dag: Dag, places: int) -> float:
    """Seconds that *dag* takes on *places* where what is ready first starts first."""
    waiting = [len(needs) for needs in dag.needs]
    ready = [node for node, count in enumerate(waiting) if not count]
    running: list[tuple[float, int]] = []
    now = 0.0
    taken = 0
    while taken < len(ready) or running:
        while taken < len(ready) and len(running) < places:
            heapq.heappush(running, (now + dag.seconds[ready[taken]], ready[taken]))
            taken += 1
        now, ended = heapq.heappop(running)
        for user in dag.users[ended]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return now
