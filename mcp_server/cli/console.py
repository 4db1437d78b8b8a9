"""The output of the command line: the live tree of a run, tables, problems and errors.

Effects: writes to the terminal. Results go to stdout, everything else to stderr; all of it is readable without colour.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from engine.run.state import NodeStatus
from engine.scheduling.readiness import standing
from engine.text.cut import some
from engine.text.redaction import one_line
from engine.text.shown import clean, escaped, printable, within
from engine.views.durations import took
from engine.views.headline import headline
from engine.views.progress import phases_of_file
from engine.views.status import failures
from engine.views.todos import line, subject
from mcp_server.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from engine.errors import OrchestrationError
    from engine.ids import NodeId
    from engine.run.state import NodeState, PhaseState, Run
    from engine.service import View
    from engine.storage.port import RunSummary
    from engine.validation import Problem

results = terminal.results
"""Output for results."""
notes = terminal.notes
"""Output for everything else."""
_STYLES = {
    NodeStatus.COMPLETED: "green",
    NodeStatus.SKIPPED: "dim",
    NodeStatus.RUNNING: "bold",
    NodeStatus.FAILED: "red",
    NodeStatus.COMPENSATION_FAILED: "red",
    NodeStatus.CANCELLED: "dim",
    NodeStatus.COMPENSATING: "yellow",
    NodeStatus.COMPENSATED: "yellow",
}
MAX_ACTION_LENGTH = 60
MAX_PLACES = 3
"""Number of places that one line names."""
INSET = "     "
"""Indentation of the further lines of a text of others, so that none can pass for a line of ours."""
FRAMES = 8
"""Frames per second of a live run."""


def tree(view: View, spinner: Spinner | None = None, *, rows: int | None = None) -> Tree:
    """A run as a tree of phases and nodes, where it can be within *rows*: see `_folded`."""
    root = Tree(Text(headline(view.run, view.now, view.estimates)), guide_style="dim")
    phases = phases_of_file(view.run)
    folded = set[int]() if rows is None else _folded(view.run, phases, rows)
    number = 0
    for phase in phases:
        if phase.plan.group is None:
            number += 1
        label = f"Phase {number}: {clean(phase.plan.name)}"
        if phase.plan.index in folded:
            total = len(phase.plan.nodes)
            root.add(Text(f"{label} ({total - phase.unsettled}/{total})", style=_phase_style(phase)))
            continue
        branch = root.add(Text(label, style=_phase_style(phase)))
        for name in phase.plan.nodes:
            branch.add(_node(view, view.run.nodes[name], spinner))
    for lock in view.locks:
        if lock.waits_for:
            root.add(Text(clean(f"🔒 {lock}"), style="yellow"))
    return root


def _folded(run: Run, phases: Sequence[PhaseState], rows: int) -> set[int]:
    """The phases to show without their nodes, so that what is at work is in view: over ones, then the last to come."""
    busy = {run.nodes[name].plan.phase for name in (*run.undoing, *run.waits, *run.live)}
    over = [phase for phase in phases if phase.ended_at is not None and phase.plan.index not in busy]
    to_come = [phase for phase in reversed(phases) if phase.opened_at is None]
    surplus = 1 + sum(1 + len(phase.plan.nodes) for phase in phases) - rows
    found: set[int] = set()
    for phase in (*over, *to_come):
        if surplus <= 0:
            break
        found.add(phase.plan.index)
        surplus -= len(phase.plan.nodes)
    return found


def _phase_style(phase: PhaseState) -> str:
    if phase.ended_at is not None:
        return "green"
    return "bold" if phase.opened_at is not None else "dim"


def _node(view: View, node: NodeState, spinner: Spinner | None) -> Text | Group | Table:
    text = Text(line(view.run, node, view.now, view.estimates), style=_STYLES.get(standing(node), ""))
    if standing(node) is not NodeStatus.RUNNING or node.live is None or view.run.ended:
        return text
    shown: Text = Text(line(view.run, node, view.now, view.estimates), style="bold")
    shown.append(f"  {took(view.run.worked(node.live, view.now))}", style="cyan")
    action = view.actions.get(node.plan.id)
    if action:
        cut = one_line(action, limit=MAX_ACTION_LENGTH)
        shown.append(f"  {cut}", style="dim")
    if spinner is None:
        return shown
    row = Table.grid(padding=(0, 1))
    row.add_row(spinner, shown)
    return row


class Frame(NamedTuple):
    """The display of a run at one moment: unlike the run itself it does not change."""

    tree: Tree | None
    """The whole run, for a terminal."""
    changes: Sequence[tuple[NodeId, NodeStatus, str]]
    """Nodes that have changed, each with its line, for any other output."""


class LiveTree:
    """Shows a run live if stderr is a terminal that can be drawn on; otherwise prints a line for each change of a node.

    A live run is ahead of its journal: call `frame` inside `Engine.read`, and `show` on what that returns.
    """

    def __init__(self) -> None:
        self._spinner = Spinner("dots")
        self._tree = Tree("")
        self._live: Live | None = None
        self._seen: dict[str, NodeStatus] = {}
        self._drawn = float("-inf")

    def __enter__(self) -> Self:
        """Start to show, below the present output: a display that was stopped would overwrite what came after it."""
        if notes.is_terminal and not notes.is_dumb_terminal:
            self._live = Live(
                console=notes,
                refresh_per_second=FRAMES,
                transient=True,
                get_renderable=lambda: self._tree,
                redirect_stdout=False,
            )
            self._live.start()
        return self

    def frame(self, view: View, *, last: bool) -> Frame | None:
        """The frame for *view*; None if there was one just now, and this is not the *last*."""
        if self._live is None:
            changes = [
                (name, standing(node), line(view.run, node, view.now, view.estimates))
                for name, node in view.run.nodes.items()
                if standing(node) is not self._seen.get(name, NodeStatus.PENDING)
            ]
            return Frame(None, changes)
        now = notes.get_time()
        if not last and now - self._drawn < 1 / FRAMES:
            return None
        self._drawn = now
        return Frame(tree(view, self._spinner, rows=None if last else notes.height), ())

    def show(self, frame: Frame) -> None:
        """Show *frame*, which is durable."""
        if frame.tree is not None:
            self._tree = frame.tree
        for name, status, text in frame.changes:
            self._seen[name] = status
            notes.print(Text(text), soft_wrap=True)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Leave the last state on the screen, unless there was an error."""
        if self._live is not None:
            last, self._tree = self._tree, Tree("", hide_root=True)
            self._live.stop()  # it draws once more, in full: of a tree higher than the screen the top would stay there
            if error is None:
                notes.print(last)


def failure_lines(run: Run) -> Iterable[str]:
    """Lines about each node that failed: the reason, a hint, the last output of its agent.

    For a failure of the run itself only code and hint: the run's message says the rest.
    """
    for failed in failures(run):
        failure = failed.failure
        if failed.node is None:
            yield f"❌ {clean(run.plan.command)}: {clean(failure.code)}"
            if failure.hint:
                yield f"   hint: {within(failure.hint, INSET)}"
            continue
        node = run.nodes[failed.node]
        if failure is not node.failure:
            continue  # the message of the run says how undoing failed
        undone = {
            NodeStatus.COMPENSATED: " (rolled back)",
            NodeStatus.COMPENSATION_FAILED: " (rollback failed)",
        }.get(node.status, "")
        yield f"❌ {subject(run, node)}{undone}\n   {clean(failure.code)}: {within(failure.message, INSET)}".rstrip()
        if failure.hint:
            yield f"   hint: {within(failure.hint, INSET)}"
        if failed.session:
            yield f"   transcript: claude --resume {failed.session}"
        if failure.partial:
            from engine.views.report_text import last_lines  # noqa: PLC0415 - brings the drawing of timelines

            yield "   last output:"
            yield from (f"     {text}" for text in last_lines(failure.partial))


def repeats_failures(run: Run) -> bool:
    """Whether the message of *run* says no more than the lines of its failures."""
    messages = {f'Node "{one.node}" failed: {one.failure.message}' for one in failures(run) if one.node is not None}
    return not run.message or run.message in messages


def print_error(error: OrchestrationError) -> None:
    """Print an error: code, message, place, hint, and validation problems one by one."""
    problems: Sequence[Problem] = getattr(error, "problems", ())
    _say(notes, ("error", "red"), f" {error.code}: {within(error.message, INSET)}")
    if error.pointer:
        _say(notes, f"  at {clean(error.pointer)}")
    print_problems(problems, notes)
    if error.hint:
        _say(notes, f"hint: {within(error.hint, INSET)}")


def print_problems(problems: Iterable[Problem], console: Console = results) -> None:
    """Print validation problems, each with code, place and suggestion; equal ones once, with their number."""
    from engine.validation import grouped  # noqa: PLC0415 - problems exist only if validation was imported already

    for problem in grouped(problems):
        style = "red" if problem.severity == "error" else "yellow"
        times = f" ({1 + len(problem.more)} times)" if problem.more else ""
        place = (f"  {clean(problem.pointer)}", "dim") if problem.pointer else ""
        _say(console, (problem.severity, style), f" {problem.code}{times}: {within(problem.message, INSET)}", place)
        if problem.place:
            _say(console, f"  at {clean(problem.place)}")
        also = [other.place or other.pointer for other in problem.more]
        if also:
            _say(console, f"  also at {clean(some(also, MAX_PLACES))}")
        if problem.suggestion:
            _say(console, f"  hint: {within(problem.suggestion, INSET)}")


def _say(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print one line of *parts*, some of them with a style, which a terminal may wrap."""
    console.print(Text.assemble(*parts), soft_wrap=True)


def print_text(text: str) -> None:
    """Print a result that is Markdown: rendered on a terminal, unchanged otherwise."""
    if results.is_terminal:
        from mcp_server.cli.rendered import Rendered  # noqa: PLC0415 - a quarter of the start-up, at the very end only

        results.print(Rendered(printable(text)))
    else:
        write(printable(text).rstrip("\n") + "\n")


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON document and nothing else on stdout, complete in any encoding."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    write(json_text(value, ascii_only=not encoding.startswith("utf")))


def json_text(value: Any, *, ascii_only: bool = False) -> str:  # noqa: ANN401 - any JSON value
    """A JSON document as text; characters that `printable` would remove are escapes, which mean the same."""
    import json  # noqa: PLC0415 - not needed by most commands

    return escaped(json.dumps(value, ensure_ascii=ascii_only, indent=2)) + "\n"


def write(text: str) -> None:
    """Write *text* to stdout unchanged; once the reader has left, nothing else is written either."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        results.on_broken_pipe()


def print_error_json(error: OrchestrationError) -> None:
    """Print an error as JSON in the place of the result."""
    problems: Sequence[Problem] = getattr(error, "problems", ())
    fields = {"code": error.code, "message": error.message, "hint": error.hint, "pointer": error.pointer or None}
    lines = [
        {"code": one.code, "severity": one.severity.value, "message": one.message, "pointer": one.pointer}
        for one in problems
    ]
    found = {key: value for key, value in fields.items() if value is not None}
    print_json({"error": found | ({"problems": lines} if lines else {})})


def run_row(row: RunSummary, questions: int = 0) -> dict[str, Any]:
    """One run of the list as JSON; *questions* are those that wait for a person's answer."""
    return {
        "runId": row.id,
        "command": row.command,
        "state": row.status.value,
        "executor": row.executor,
        "startedAt": row.created_at.isoformat(),
        "endedAt": row.ended_at.isoformat() if row.ended_at else None,
        "done": row.done,
        "total": row.total,
        "failed": row.failed,
        "costUsd": row.cost_usd,
        "message": row.message,
        **({"questions": questions} if questions else {}),
        **({"worktree": row.worktree} if row.worktree else {}),
    }


def print_lines(heads: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> None:
    """Print *rows* under *heads*, by key, one per line; on a terminal descriptions are cut, a pipe has whole lines."""
    cells = [heads, *({key: clean(row[key]) for key in heads} for row in rows)]
    widths = {key: max(len(row[key]) for row in cells) for key in heads if key != "description"}
    for row in cells:
        text = "  ".join([*(f"{row[key]:<{width}}" for key, width in widths.items()), row["description"]]).rstrip()
        cut = results.is_terminal and len(text) > results.width
        shown = f"{text[: results.width - 1]}…" if cut else text
        results.print(shown, soft_wrap=True)
