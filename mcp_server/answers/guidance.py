"""The sentences that guide a model through a run, and the line that the user sees in the meantime.

Pure. Texts only; nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.plan import IN_PLACE, SUB_COMMAND
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.text.cut import cut, some
from engine.text.gerunds import active_form
from engine.text.redaction import redact
from engine.text.shown import clean
from engine.views.durations import about
from engine.views.status import first_wait
from engine.views.todos import subject
from mcp_server.answers.wire import SHORT_WAIT
from mcp_server.answers.work_orders import Work

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.ids import NodeId
    from engine.run.state import Run
    from engine.views.status import Snapshot
    from mcp_server.answers.wire import InterruptedLine

MAX_LINE_LENGTH = 200
"""Characters of a progress message; Claude Code shows no more."""
MAX_NAMES_LISTED = 5
SHOW = (
    'Show the user todos with TodoWrite if you have that tool; if you have TaskCreate, call status with view="todos" '
    "and make the calls in tasks; else print display."
)
BY_PHASE = "With TodoWrite or TaskCreate use until: phase instead, and update your list once for each answer."
MAKE_CALLS = "Make the calls in tasks: create with TaskCreate, update with TaskUpdate and the taskId of its task."
STOP = "Stop the subagents of the attempts in stop: their results are no longer needed."
SIMULATED = "it was a simulation and no work was done"

ESC_CANCELS = "Esc cancels the run"
ESC_LEAVES = "Esc leaves the run going"
"""Behind the line of a call that waits, in Claude Code, which shows nothing of the call's end after Esc."""
CANCEL_UNHEARD = (
    "Process {process}, which runs it, has not answered the request to cancel: it hangs or is stopped. The request "
    "stays in place. Ask the user whether to end that process (`kill -KILL {process}`), then cancel again."
)
CANCEL_PENDING = "Cancellation was requested; agents that are still running end first."


def next_step(
    now: Snapshot,
    *,
    dry_run: bool = False,
    refs: Sequence[str] = (),
    work: Work | None = None,
    tasks: Sequence[object] | None = None,
    wait: int = SHORT_WAIT,
) -> str:
    """Instructions for the model's next step.

    *refs* are the keys of outputs that are too large to include, *work* is the client's own work, *tasks* are calls
    of the Task tools, None if the client did not ask for them, *wait* is how many seconds a call of it may take.
    """
    if dry_run:
        return "Nothing was run: show the user this predicted timeline, and call run without dry_run to start it."
    work = work or Work()
    said = [STOP] if work.stop else []
    if tasks:
        said.append(MAKE_CALLS)
    if now.ended:
        return " ".join([*said, _after_the_end(now, refs)])
    if tasks is None and (work.new or not now.questions):
        said.append(SHOW)
    if work.new:
        said += _start(now, work)
    if now.questions:
        nodes = ", ".join(question.node for question in now.questions)
        said.append(
            f"Ask the user the questions in decisions ({nodes}), then call report with run_id={now.id} and decisions."
        )
    if work.new or work.open:
        which = "" if work.new else " of the attempts in open"
        said.append(
            f"As each subagent{which} ends, call report with run_id={now.id} and results=[{{attempt, outputs}}], or "
            "{attempt, failure} if it failed."
        )
    if not (work.new or now.questions):
        until = "Until then" if work.open else "Then"
        if tasks is None:
            said += [f'{until} call status with run_id={now.id}, until="end", wait_seconds={wait}.', BY_PHASE]
        else:
            said.append(f'{until} call status with run_id={now.id}, view="todos", until="phase", wait_seconds={wait}.')
    if now.state is RunStatus.COMPENSATING:
        said.append("The run is being rolled back.")
    return " ".join(said)


def _start(now: Snapshot, work: Work) -> list[str]:
    each = "all of them at once, in one message" if len(work.new) > 1 else "now"
    start = (
        f"Start the subagent of each entry of work with your Agent tool ({each}): subagent_type, description, prompt "
        "and isolation as given; or do it yourself if you have no such tool."
    )
    more = f"Then call status with run_id={now.id} for the rest of the work ({work.left_out} more)."
    return [start, more] if work.left_out else [start]


def _after_the_end(now: Snapshot, refs: Sequence[str]) -> str:
    state = now.state
    if state in {RunStatus.COMPLETED, RunStatus.DEGRADED}:
        where = f" (large ones by reading their $ref as a resource: {', '.join(refs[:5])})" if refs else ""
        what = f"Present the outputs to the user{where}" if now.outputs else "Report to the user that the run completed"
        if now.executor == "simulate":
            what += f", and say that {SIMULATED}"
        return what + ("; name the failures too." if state is RunStatus.DEGRADED else ".")
    if now.executor == "simulate":
        return f"Report to the user how the run ended and why, and say that {SIMULATED}; to try again, call run."
    if state is RunStatus.INTERRUPTED:
        return f"Ask the user whether to continue: resume with run_id={now.id} continues, cancel undoes what was done."
    if state is RunStatus.FAILED:
        again = f"That repeats {_names(now.redo)}." if now.redo else ""
        resume = (
            f"Report to the user what failed; once that is fixed, call resume with run_id={now.id} and failed=true."
        )
        return f"{resume} {again}".rstrip()
    if state is RunStatus.COMPENSATION_FAILED:
        return f"Report to the user what failed{_effects(now)}; what could not be undone has to be undone by hand."
    if state is RunStatus.COMPENSATED:
        return f"Report to the user what failed{_effects(now)}; a new run starts from the beginning."
    return f"Report to the user that the run was cancelled{_effects(now)}."


def left_behind(lines: Sequence[InterruptedLine]) -> str:
    """Advice about runs that earlier sessions left."""
    runs = ", ".join(f"{line.run_id} of {line.command} ({line.done}/{line.total} done)" for line in lines)
    return f"Ask the user about an earlier run that was interrupted: {runs}; resume continues it, cancel undoes it."


def _names(nodes: Sequence[NodeId]) -> str:
    """*nodes* for a sentence; of many only the first."""
    return some(nodes, MAX_NAMES_LISTED)


def _effects(now: Snapshot) -> str:
    """Whose work was undone, could not be undone, or stays; a sub-command is represented by the nodes in it."""
    said = ""
    for state, became in _BECAME.items():
        names = [line.id for line in now.nodes if line.state is state and line.agent not in {SUB_COMMAND, IN_PLACE}]
        if names:
            said += f", that what {_names(names)} did {became}"
    return said


_BECAME = {
    NodeStatus.COMPENSATED: "was undone",
    NodeStatus.COMPENSATION_FAILED: "could not be undone",
    NodeStatus.COMPLETED: "stays",
}


def progress_line(now: Snapshot, run: Run, actions: Mapping[NodeId, str], note: str = "") -> str:
    """A line below 200 characters: `Phase 2/3 Parallel Reviews · 3/6 · Reviewing security… · ~6 min left`.

    *note* is added to that of a live run, and never cut off.
    """
    parts = [_phase(run), f"{now.progress.done}/{now.progress.total}", _doing(now, run, actions)]
    if not now.ended and now.remaining:
        parts.append(f"{about(now.remaining)} left")
    end = f" · {note}" if note and not now.ended else ""
    return cut(" · ".join(part for part in parts if part), MAX_LINE_LENGTH - 1 - len(end)) + end


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
        waiting = locks[0] if locks else first_wait(run)
        return f"waiting for {_short(waiting, 80)}" if waiting else ""
    first = now.running[-1]
    action = actions.get(first) or active_form(subject(run, run.nodes[first]))
    more = f" (+{len(now.running) - 1})" if len(now.running) > 1 else ""
    return _short(action, 80) + more


def _short(text: str, limit: int) -> str:
    return cut(clean(redact(text)), limit)
