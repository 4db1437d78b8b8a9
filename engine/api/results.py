"""The result of a run for a Python program: states, outputs, failures, todos, metrics. Times are milliseconds.

Effects: reads stored values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.runtime.observations import outputs_to_show
from engine.scheduling.readiness import standing
from engine.views.durations import milliseconds
from engine.views.status import FailureLine, failures, snapshot
from engine.views.timeline import work_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.api.metrics import MetricsReport
    from engine.ids import RunId
    from engine.run.state import NodeState, Run
    from engine.service import View
    from engine.storage.cache import ValueCache
    from engine.views.todos import Todo, TodoOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """The outcome of one node, or its current status."""

    status: NodeStatus
    """`completed`, `skipped`, `failed`, … as a string."""
    success: bool
    """Whether it did its work, or had none to do."""
    duration: int
    """Milliseconds in its attempts."""
    attempts: int
    error: str | None = None
    """Code and message of its failure, or why it was skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The outcome of a run."""

    run_id: RunId
    command: str
    status: RunStatus
    """`completed`, `degraded`, `failed`, `compensated`, … as a string."""
    message: str
    """The reason for its end; empty if all went well."""
    outputs: Mapping[str, Any]
    """Every key that the run itself produced, the most relevant first."""
    nodes: Mapping[str, NodeResult]
    failures: tuple[FailureLine, ...]
    todos: tuple[Todo, ...]
    """The todo list at the end."""
    display: str
    """The same list as text."""
    metrics: MetricsReport

    @property
    def success(self) -> bool:
        """Whether every node completed or was skipped."""
        return self.status is RunStatus.COMPLETED


def run_result(view: View, values: ValueCache, options: TodoOptions, report: MetricsReport) -> RunResult:
    """The result of the run in *view*."""
    run = view.run
    shown = snapshot(run, view.now, view.estimates, options)
    return RunResult(
        run_id=run.id,
        command=run.plan.command,
        status=run.status,
        message=run.message,
        outputs=outputs_to_show(run, [line.key for line in shown.outputs], values),
        nodes={name: node_result(run, node, view.now) for name, node in run.nodes.items()},
        failures=failures(run),
        todos=shown.todos,
        display=shown.display,
        metrics=report,
    )


def node_result(run: Run, node: NodeState, now: datetime) -> NodeResult:
    """The status of *node*; a live attempt counts up to *now*."""
    failure = node.compensation_failure or node.failure
    return NodeResult(
        status=standing(node),
        success=node.status in {NodeStatus.COMPLETED, NodeStatus.SKIPPED},
        duration=milliseconds(work_of(run, node, now)),
        attempts=len(node.forward),
        error=f"{failure.code}: {failure.message}" if failure is not None else node.skip_message,
    )
