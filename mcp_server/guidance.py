"""The sentence that tells a model what to do with a run now, and the line that a user sees meanwhile.

Pure. Texts only; nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.gerunds import active_form
from engine.redaction import redact
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.views.durations import about
from engine.views.todos import subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.ids import NodeId
    from engine.run.state import Run
    from engine.views.status import Snapshot

LONGEST_LINE = 200
"""Characters of a progress message that Claude Code shows."""
SHOW = (
    'Show the user todos with TodoWrite if you have that tool; if you have TaskCreate, call status with view="todos" '
    "and make the calls in tasks; else print display"
)
MAKE_CALLS = "Make the calls in tasks: create with TaskCreate, update with TaskUpdate and the taskId of its task"


def next_step(
    now: Snapshot, *, dry_run: bool = False, refs: Sequence[str] = (), work: int = 0, tasks: bool = False
) -> str:
    """What the model should do now.

    *refs* are keys of outputs too large to be told, *work* counts work orders, *tasks*: calls of the Task tools are
    told.
    """
    if dry_run:
        return "Nothing was run: tell the user this predicted timeline, and call run without dry_run to start it."
    if now.questions:
        nodes = ", ".join(question.node for question in now.questions)
        return (
            f"Ask the user the questions in decisions ({nodes}), then call report with run_id={now.id} and decisions."
        )
    if work:
        each = "all of them at once, in one message" if work > 1 else "now"
        return (
            f"{MAKE_CALLS if tasks else SHOW}. Start the subagent of each entry of work with your Agent tool ({each}): "
            "subagent_type, description, prompt and isolation as given. As each one ends, call report with "
            f"run_id={now.id} and results=[{{attempt, outputs}}], or {{attempt, failure}} if it failed."
        )
    if not now.ended:
        undoing = " The run is being rolled back." if now.state is RunStatus.COMPENSATING else ""
        show, view = (MAKE_CALLS, 'view="todos", ') if tasks else (SHOW, "")
        return f"{show}; then call status with run_id={now.id}, {view}wait_seconds=60.{undoing}"
    return f"{MAKE_CALLS}. {_after_the_end(now, refs)}" if tasks else _after_the_end(now, refs)


def _after_the_end(now: Snapshot, refs: Sequence[str]) -> str:
    state = now.state
    if state in {RunStatus.COMPLETED, RunStatus.DEGRADED}:
        where = f" (large ones by reading their $ref as a resource: {', '.join(refs[:5])})" if refs else ""
        what = f"Present the outputs to the user{where}" if now.outputs else "Tell the user that the run has completed"
        if now.executor == "simulate":
            what += ", and say that it was a simulation and nothing was really done"
        return what + ("; name the failures too." if state is RunStatus.DEGRADED else ".")
    if state is RunStatus.INTERRUPTED:
        return f"Ask the user whether to go on: resume with run_id={now.id} continues, cancel undoes what was done."
    if state is RunStatus.FAILED:
        return f"Tell the user what failed; when its cause is gone, resume with run_id={now.id} and failed=true."
    if state is RunStatus.COMPENSATION_FAILED:
        return "Tell the user what failed and which nodes could not be undone: that needs a person's hand."
    if state is RunStatus.COMPENSATED:
        return "Tell the user what failed and that everything done was undone; a new run starts afresh."
    return "Tell the user that the run was cancelled and what was undone."


def progress_line(now: Snapshot, run: Run, actions: Mapping[NodeId, str]) -> str:
    """One line under 200 characters: `Phase 2/3 Parallel Reviews · 3/6 · Reviewing security… · ~6 min left`."""
    parts = [_phase(run), f"{now.progress.done}/{now.progress.total}", _doing(now, run, actions)]
    if not now.ended and now.remaining:
        parts.append(f"{about(now.remaining)} left")
    line = " · ".join(part for part in parts if part)
    return line if len(line) < LONGEST_LINE else line[: LONGEST_LINE - 2] + "…"


def _phase(run: Run) -> str:
    top = [phase for phase in run.phases if phase.plan.group is None]
    if run.ended:
        return f"{run.plan.command} {run.status}"
    opened = [number for number, phase in enumerate(top, start=1) if phase.opened_at is not None]
    if not opened:
        return f"{run.plan.command} is waiting to start"
    number = opened[-1]
    return f"Phase {number}/{len(top)} {_short(top[number - 1].plan.name, 40)}"


def _doing(now: Snapshot, run: Run, actions: Mapping[NodeId, str]) -> str:
    if run.status is RunStatus.COMPENSATING:
        return "rolling back"
    if now.questions:
        return f"waiting for your answer: {_short(now.questions[0].text, 60)}"
    if not now.running:
        locks = [line for lock in now.locks for line in lock.waits_for]
        nodes = [line.waiting_for for line in now.nodes if line.state is NodeStatus.WAITING and line.waiting_for]
        waiting = locks or nodes
        return f"waiting for {_short(waiting[0], 80)}" if waiting else ""
    first = now.running[-1]
    told = actions.get(first) or active_form(subject(run, run.nodes[first]))
    more = f" (+{len(now.running) - 1})" if len(now.running) > 1 else ""
    return _short(told, 80) + more


def _short(text: str, limit: int) -> str:
    line = " ".join(redact(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
