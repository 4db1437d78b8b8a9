"""Orders for executors, with everything filled in that a test does not speak of.

Effects: none, but for `alive_with`, which reads the process table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from engine.executors.port import OutputSpec, WorkOrder
from engine.executors.subprocesses.process_tags import TAG_VARIABLE, tag_of
from engine.ids import AttemptId, NodeId, RunId
from engine.model.agent import Agent
from engine.model.log import LogLine


def order_for(
    agent: Agent,
    *,
    project: Path,
    inputs: Mapping[str, Any] | None = None,
    outputs: tuple[OutputSpec, ...] = (OutputSpec(key="n"),),
    node: str = "check",
    number: int = 1,
    role: str = "forward",
    produced: Mapping[str, Any] | None = None,
    task: str = "Check the thing",
    estimate: timedelta = timedelta(0),
    max_cost_usd: float | None = None,
) -> WorkOrder:
    """An order of the run `r-1`."""
    return WorkOrder(
        run=RunId("r-1"),
        node=NodeId(node),
        attempt=AttemptId(f"r-1:{node}#{number}"),
        role=role,
        agent=agent,
        task=task,
        inputs=inputs or {},
        outputs=outputs,
        produced=produced or {},
        project=project,
        timeout=timedelta(minutes=1),
        estimate=estimate,
        max_cost_usd=max_cost_usd,
    )


class Beats:
    """A heartbeat that remembers."""

    def __init__(self, listen: Callable[[str | None, str], object] = lambda _action, _said: None) -> None:
        """*listen* is told each sign of life."""
        self._listen = listen
        self.actions: list[str] = []
        self.count = 0
        self.said = ""
        self.workers: list[str] = []
        self.ages: list[timedelta] = []
        self.log: list[LogLine] = []

    def started(self, worker: str, ago: timedelta = timedelta()) -> None:
        self.workers.append(worker)
        self.ages.append(ago)

    def __call__(self, action: str | None = None, said: str = "", log: Sequence[LogLine] | None = None) -> None:
        self.log += log or ()
        self.count += 1
        self.said += said
        if action is not None:
            self.actions.append(action)
        self._listen(action, said)


def alive_with(order: WorkOrder) -> list[psutil.Process]:
    """The live processes that carry the mark of *order*, looked up without any code of ours."""
    mark = tag_of(order.attempt, order.project)
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().get(TAG_VARIABLE, "") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
