"""Builds the answers of `wire.py` from a run and from loaded commands.

Theory of operation. The reader is a model, which pays for every character and which acts on what it reads. So an answer
has a bound whatever the run's size, says what it leaves out, and carries nothing that could pass for an instruction or
a secret. Without the bound a run of 500 nodes would fill the model's context in a few polls.

- Views. `VIEWS` says which parts come in which view; state, progress, failures, decisions and `next` come in all.
- Bounds. Each list has a maximum and, where the rest can be fetched, a count of what was left out. Kept is what matters
  most: problems that are errors, nodes that are running or failed, outputs of the last phase. A value too large to
  include becomes a reference to a resource. An answer about 200 nodes stays below 10,000 tokens.
- Work orders. Their prompts are as long as they need to be, so they come last and fill what room is left. At least one
  goes into every answer, or a large one would never be handed out.
- Sentences last. `next` refers to the outputs and orders that made it into the answer, so it is written at the end.
- Text of others passes `shown`, or a type of `wire.py` that does the same, and secrets are masked.

`status_of` remembers in *handed* which orders it hands out. So it is called once for each answer that is sent, inside
`Engine.read`, which returns only when all that the answer shows is durable.

Effects: reads stored values, and writes large inputs of work orders to files.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.graph import most_attempts, most_cost, uncapped
from engine.run.events import Limits
from engine.runtime.observations import outputs_to_show
from engine.text import redaction
from engine.text.cut import cut
from engine.text.redaction import one_line, shown
from engine.validation.problem import Problem, Severity, grouped
from engine.views.diagram import mermaid
from engine.views.durations import milliseconds
from engine.views.folding import WHOLE_LIST_BYTES, sections, text_of
from engine.views.headline import headline
from engine.views.metrics import metrics
from engine.views.report_text import text_report
from engine.views.status import preview, snapshot
from engine.views.timeline import timeline
from engine.views.todos import LIST_BYTES, TodoOptions
from mcp_server.answers import wire
from mcp_server.answers.guidance import next_step
from mcp_server.answers.node_pages import MAX_ERROR_LENGTH, Page, nodes_of, timeline_of
from mcp_server.answers.work_orders import hand_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from engine.ids import AttemptId
    from engine.model.plan import Plan
    from engine.run.state import Run
    from engine.service import View
    from engine.storage.cache import ValueCache
    from engine.views.known import Known
    from engine.views.status import FailureLine, PhaseStatus, Snapshot
    from engine.views.todos import Todo
    from mcp_server.answers.wire import ViewName
    from mcp_server.answers.work_orders import Work
    from mcp_server.project.forecast import Forecast
    from registry.catalog import CheckedCommand

MAX_ANSWER_LENGTH = 28_000
"""Characters up to which an answer is filled with work orders: 10,000 tokens, less some room for `next`."""
MAX_VALUE_BYTES = 8 * 1024
"""Bytes of the largest value that is included in an answer."""
MAX_STOPPED = 200
MAX_REFERENCES = 50
MAX_OUTPUTS_BYTES = 16 * 1024
"""Bytes of all values that one answer includes."""
MAX_PROBLEMS = 60
"""Problems that `validate` lists, errors first."""
MAX_POINTERS = 10
"""Maximum number of places listed for a warning that stands for several."""
MAX_WARNINGS = 20
"""Warnings that are listed with a loaded command."""
MAX_FAILURES = 20
MAX_FAILURES_IN_DISPLAY = 5
"""Failures that come with hint and last output; further ones are one line each."""
MAX_LOCKS = 20
MAX_WAITS_IN_DISPLAY = 5
"""Waits for locks that the text block lists."""
MAX_DIAGRAM_NODES = 150
MAX_MESSAGE_LENGTH = 600
MAX_REPORT_LENGTH = 9_000
VIEWS: dict[ViewName, frozenset[str]] = {
    "summary": frozenset({"display"}),
    "todos": frozenset({"whole_list"}),
    "nodes": frozenset({"nodes"}),
    "outputs": frozenset({"outputs"}),
    "timeline": frozenset({"timeline"}),
    "report": frozenset({"report", "outputs"}),
}
"""The parts of each view, beside the todo list, which is short unless a view has the whole."""
LIMIT_IT = "A run needs `max_cost_usd` or `max_attempts_total`, or agents with a `maxBudgetUsd`."
"""The hint for a command that can start many model agents."""


def status_of(
    view: View,
    *,
    view_name: ViewName = "summary",
    values: ValueCache | None,
    options: TodoOptions | None = None,
    dry_run: bool = False,
    tasks: list[wire.TaskLine] | None = None,
    handed: set[AttemptId] | None = None,
    known: Known | None = None,
    wait: int = wire.SHORT_WAIT,
    page: Page = Page(),  # noqa: B008 - it does not change
) -> wire.Status:
    """A run for the wire; *values* holds its outputs, None to leave them out; *tasks* are passed on.

    *handed* are the attempts whose work orders the client has; those that this answer hands out are added. *known* is
    what it knows of each node: `display` has only what is new to it. *wait* is how many seconds one
    of its calls may take, *page* says which nodes are listed.
    """
    run = view.run
    now = snapshot(run, view.now, view.estimates, warnings=view.warnings, locks=view.locks, lists=False)
    parts = frozenset({"timeline"}) if dry_run else VIEWS[view_name]
    refs: list[str] = []
    wanted = "outputs" in parts or (now.ended and not parts.isdisjoint({"display", "whole_list"}))
    outputs = outputs_of(run, now, values, refs) if values is not None and wanted else None
    status = wire.Status(
        run_id=None if dry_run else now.id,
        command=now.command,
        state=str(now.state),
        executor=now.executor,
        worktree=run.worktree or None,
        dry_run=dry_run or None,
        started_at=now.started_at.isoformat(timespec="milliseconds"),
        elapsed_ms=milliseconds(now.elapsed),
        remaining_ms=milliseconds(now.remaining) if now.remaining is not None else None,
        message=cut(shown(now.message), MAX_MESSAGE_LENGTH) if now.message else None,
        progress=wire.ProgressCount(done=now.progress.done, total=now.progress.total, percent=now.progress.percent),
        phases=[_phase(phase) for phase in now.phases],
        outputs_left_out=(len(now.outputs) - len(outputs)) or None if outputs is not None else None,
        failures=_failures(now) or None,
        failures_left_out=max(0, len(now.failures) - MAX_FAILURES) or None,
        outputs=outputs,
        tasks=tasks,
        stop=list(view.stop[-MAX_STOPPED:]) or None,
        decisions=_decisions(now) or None,
        locks=_locks(now, every=False) or None,
        warnings=[shown(text) for text in now.warnings] or None,
        cost_usd=round(now.cost_usd, 6) or None,
        next="",
    )
    fields = {} if dry_run else _lists(view, now, parts, options or TodoOptions(batch_size=None), known)
    for part in parts & PARTS.keys():
        fields |= PARTS[part](view, now, page)
    status = status.model_copy(update=fields)
    room = MAX_ANSWER_LENGTH - len(status.text()) if view.work else 0
    work = hand_out(view, set() if handed is None else handed, room=room)
    step = next_step(now, dry_run=dry_run, refs=refs, work=work, tasks=tasks, wait=wait)
    return status.model_copy(update={**_work(work), "next": step})


def _work(work: Work) -> dict[str, Any]:
    return {
        "work": list(work.new) or None,
        "work_left_out": work.left_out or None,
        "open": list(work.open) or None,
    }


def _report(view: View) -> str:
    run = view.run
    return cut(shown(text_report(run, metrics(run, view.now), timeline(run, view.now))), MAX_REPORT_LENGTH)


def outputs_of(run: Run, now: Snapshot, values: ValueCache, refs: list[str]) -> dict[str, Any]:
    """The run's outputs: small ones whole, large ones as references, whose keys are added to *refs*.

    Those of the last phase come first; what does not fit is left out, since each is a resource of its own.
    """
    outputs: dict[str, Any] = {}
    left = MAX_OUTPUTS_BYTES
    for line in now.outputs:
        if line.size > min(MAX_VALUE_BYTES, left):
            if len(refs) >= MAX_REFERENCES:
                continue
            uri = f"orchestration://runs/{run.id}/outputs/{line.key}"
            outputs[line.key] = {"$ref": uri, "bytes": line.size}
            refs.append(line.key)
            continue
        for key, value in outputs_to_show(run, [line.key], values).items():
            left -= line.size
            outputs[key] = redaction.redact_shown(value)
    return outputs


def loaded_of(loaded: CheckedCommand, plan: Plan, options: TodoOptions | None = None) -> wire.Loaded:
    """A sound command for the wire."""
    sequential = plan.sequential_time
    saved = (sequential - plan.critical_path_time) / sequential if sequential else 0.0
    unlimited = uncapped(plan, Limits())
    excess = [Problem("UNCAPPED_FAN_OUT", Severity.WARNING, unlimited, "", LIMIT_IT)] if unlimited else []
    problems = [*excess, *grouped(loaded.problems)]
    return wire.Loaded(
        name=plan.command,
        description=plan.description,
        hash=loaded.digest,
        format=loaded.format,
        source=loaded.source,
        phases=[
            wire.LoadedPhase(id=phase.id, name=phase.name, parallel=phase.limit != 1, nodes=list(phase.nodes))
            for phase in plan.phases
        ],
        node_count=len(plan.nodes),
        most_attempts=most_attempts(plan) if any(node.template for node in plan.nodes) else None,
        most_cost_usd=most_cost(plan),
        critical_path=list(plan.critical_path),
        sequential_ms=milliseconds(sequential),
        critical_path_ms=milliseconds(plan.critical_path_time),
        speedup_percent=max(0, round(100 * saved)),
        arguments=[f"{argument.name}!" if argument.required else argument.name for argument in plan.arguments],
        problems=_problem_lines(problems[:MAX_WARNINGS]),
        problems_left_out=max(0, len(problems) - MAX_WARNINGS) or None,
        mermaid=mermaid(plan) if len(plan.nodes) <= MAX_DIAGRAM_NODES else None,
        todos=todo_write(preview(plan, options)),
    )


def estimate_of(found: Forecast) -> wire.EstimateLine:
    """A forecast for the wire."""
    return wire.EstimateLine(
        agents=found.agents,
        sequential_ms=milliseconds(found.sequential),
        expected_ms=milliseconds(found.expected),
        cost_usd=found.cost_usd,
        cost_runs=found.cost_runs or None,
        most_attempts=found.most,
    )


def validation_of(loaded: CheckedCommand, *, strict: bool = False) -> wire.Validation:
    """The errors and warnings of a command; with *strict*, warnings make it invalid too."""
    errors = loaded.errors[:MAX_PROBLEMS]
    groups = grouped(loaded.warnings)
    warnings = groups[: MAX_PROBLEMS - len(errors)]
    return wire.Validation(
        valid=not (loaded.problems if strict else loaded.errors),
        name=loaded.name,
        errors=_problem_lines(errors),
        warnings=_problem_lines(warnings),
        problems_left_out=(len(loaded.errors) - len(errors) + len(groups) - len(warnings)) or None,
    )


def _problem_lines(problems: Iterable[Any]) -> list[wire.ProblemLine]:
    """`engine.validation.Problem` values for the wire."""
    return [
        wire.ProblemLine(
            code=problem.code,
            severity="error" if str(problem.severity) == "error" else "warning",
            message=problem.message,
            pointer=problem.pointer,
            suggestion=problem.suggestion,
            place=problem.place,
            count=1 + len(problem.more) if problem.more else None,
            pointers=[other.pointer for other in problem.more[:MAX_POINTERS]] or None,
        )
        for problem in problems
    ]


def todo_write(todos: Iterable[Todo]) -> wire.TodoWrite:
    """A todo list as TodoWrite takes it."""
    return wire.TodoWrite(
        todos=[
            wire.TodoLine(content=shown(todo.content), status=todo.status, active_form=shown(todo.active_form))
            for todo in todos
        ]
    )


@lru_cache(4096)
def _phase(phase: PhaseStatus) -> wire.PhaseLine:  # most are as they were at the last look
    return wire.PhaseLine(id=phase.id, name=phase.name, state=phase.state, done=phase.done, total=phase.total)


def _failures(now: Snapshot) -> list[wire.FailureLine]:
    lines = now.failures[:MAX_FAILURES]
    return [_failure(line, short=place >= MAX_FAILURES_IN_DISPLAY) for place, line in enumerate(lines)]


def _failure(line: FailureLine, *, short: bool) -> wire.FailureLine:
    failure = line.failure
    message = (
        one_line(failure.message, limit=MAX_ERROR_LENGTH) if short else cut(shown(failure.message), MAX_MESSAGE_LENGTH)
    )
    return wire.FailureLine(
        node=line.node,
        kind=str(failure.kind),
        code=failure.code,
        message=message,
        hint=cut(shown(failure.hint), MAX_MESSAGE_LENGTH) if failure.hint and not short else None,
        last_output=shown(failure.partial)[-MAX_MESSAGE_LENGTH:] if failure.partial and not short else None,
        session=line.session,
        compensated=line.compensated,
    )


def _lists(
    view: View, now: Snapshot, parts: Collection[str], options: TodoOptions, known: Known | None
) -> dict[str, Any]:
    """The todo list for TodoWrite, and where it is displayed also as text; *known* is then brought up to date."""
    room = WHOLE_LIST_BYTES if "whole_list" in parts else LIST_BYTES
    found = sections(view.run, view.now, view.estimates, options, room=room)
    todos = todo_write(todo for section in found for todo in section.todos())
    if "display" not in parts:
        return {"todos": todos}
    if known is not None:
        knew = bool(known)
        fresh = known.learn(view.run)
        if knew:  # the text is about nodes that are new to the client
            found = sections(view.run, view.now, view.estimates, options, room=LIST_BYTES, only=fresh)
    text = shown(_display(view, now, text_of(view.run, view.now, view.estimates, options, found)))
    return {"todos": todos, "display": text or None}


def _display(view: View, now: Snapshot, nodes: str) -> str:
    """The list *nodes*, above it how an ended run went, below it what a live one waits for."""
    waits = [f"🔒 {line}" for line in now.locks if line.waits_for][:MAX_WAITS_IN_DISPLAY]
    above = headline(view.run, view.now, view.estimates) if now.ended else ""
    return "\n\n".join(part for part in (above, nodes, "\n".join(waits)) if part)


def _locks(now: Snapshot, *, every: bool) -> list[wire.LockLine]:
    """The run's own locks and all waits; with *every*, the locks that its nodes hold too."""
    lines = [line for line in now.locks if every or line.waits_for or line.node is None]
    return wire.lock_lines(lines[:MAX_LOCKS])


def _decisions(now: Snapshot) -> list[wire.DecisionLine]:
    return [
        wire.DecisionLine(node=question.node, question=redaction.redact(question.text), answers=list(question.answers))
        for question in now.questions
    ]


PARTS: dict[str, Callable[[View, Snapshot, Page], dict[str, Any]]] = {
    "nodes": lambda view, now, page: {**nodes_of(view, now, page), "locks": _locks(now, every=True) or None},
    "timeline": timeline_of,
    "report": lambda view, _now, _page: {"report": _report(view)},
}
"""The fields of each optional part; those that depend on more are built in `status_of`."""
