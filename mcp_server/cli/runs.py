"""The commands about runs: run, resume, status, runs, cancel.

Effects: starts, ends and waits for runs; prints results to stdout, all else to stderr.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import InputError
from engine.ids import RunId
from engine.run.events import Limits, RunStatus
from engine.statefolder.links import JOURNAL
from engine.text.shown import within
from engine.views.headline import headline
from engine.views.status import questions, waits_for_people
from mcp_server import collector
from mcp_server.cli import console, lazy
from mcp_server.cli.arguments import arguments_of
from mcp_server.cli.bell import ring
from mcp_server.cli.outputs import print_outputs, print_result
from mcp_server.cli.person import can_ask
from mcp_server.cli.questions import answer_questions, has_terminal, question_lines, question_text
from mcp_server.cli.shared import (
    CANCELLED,
    FAILED,
    INTERRUPTED,
    OK,
    Json,
    MaxAttempts,
    MaxCost,
    MaxDuration,
    MaxParallelism,
    RunArgument,
    Source,
    as_data,
    counted,
    errors,
    finish,
    from_here,
    project_root,
)
from mcp_server.cli.terminal import RUNS_SHOWN, runs_table
from mcp_server.cli.trust import ask_trust
from mcp_server.cli.watch import until_heard, until_over, watch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.run.state import Run
    from engine.service import Engine, View
    from mcp_server.project.outputs import Output
    from mcp_server.project.project import Project, RunRequest
    from mcp_server.project.reading import Runs

OF_OUTPUTS = ("outputs", "report")
VIEWS = ("summary", *OF_OUTPUTS)
"""The views on a terminal: `--json` has all parts at once, and `orchestrate report` draws the timeline."""


def run(
    source: Source,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            help="Argument text, as typed after /name in Claude Code; put -- before text that begins with a dash."
        ),
    ] = None,
    arg: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="One argument, or K:=JSON; can be repeated.")
    ] = None,
    arguments: Annotated[str | None, typer.Option(help="The argument text as one string.")] = None,
    executor: Annotated[str, typer.Option(help="auto, claude or simulate.")] = "auto",
    max_parallelism: MaxParallelism = None,
    max_cost_usd: MaxCost = None,
    max_attempts_total: MaxAttempts = None,
    max_duration_seconds: MaxDuration = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background; return once it has started.")
    ] = False,
    fail: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE[:ATTEMPT]=KIND[/CODE]", help="With --executor simulate: make an attempt fail."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NODE.KEY=JSON", help="With --executor simulate: set an output."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a command to its end, with a live tree and the report."""
    if (fail or set_) and executor != "simulate":
        raise typer.BadParameter("--fail and --set work with --executor simulate only")
    if text and arguments is not None:
        raise typer.BadParameter("pass the argument text after the name or as --arguments, not both")
    with errors():
        request = lazy.RunRequest(
            source=from_here(source),
            arguments=arguments_of(arg, " ".join(text) if text else arguments),
            executor=_executor(executor),
            limits=Limits(
                max_parallelism=max_parallelism,
                max_cost_usd=max_cost_usd,
                max_attempts_total=max_attempts_total,
                max_duration_seconds=max_duration_seconds,
            ),
            faults=lazy.faults_by_place(map(lazy.parse_fault, fail or ())),
            values=lazy.values_by_node(map(lazy.parse_value, set_ or ())),
        )
    finish(_run(request, detach=detach, as_json=as_json))


def resume(
    run_id: RunArgument = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Retry a failed or degraded run from the nodes that failed.")
    ] = False,
    max_parallelism: MaxParallelism = None,
    max_cost_usd: MaxCost = None,
    max_attempts_total: MaxAttempts = None,
    max_duration_seconds: MaxDuration = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Resume in the background; return once it has started.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Resume an interrupted run. Limits given here replace those it had."""
    limits = Limits(
        max_parallelism=max_parallelism,
        max_cost_usd=max_cost_usd,
        max_attempts_total=max_attempts_total,
        max_duration_seconds=max_duration_seconds,
    )
    finish(_resume(run_id, failed=failed, limits=limits, detach=detach, as_json=as_json))


def status(
    run_id: RunArgument = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run to its end.")] = False,
    view: Annotated[str, typer.Option(help=f"{', '.join(VIEWS[:-1])} or {VIEWS[-1]}.")] = VIEWS[0],
    line: Annotated[
        bool, typer.Option("--line", help="Print one line about the run under way, for a status line; else nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the status of a run, by default of the latest."""
    if line:
        if run_id or watch or as_json:
            raise typer.BadParameter("--line shows the run under way, and takes no run and no other option")
        with errors():
            _print_line()
        return
    if view not in VIEWS:
        raise typer.BadParameter(f'unknown view "{view}": choose {", ".join(VIEWS[:-1])} or {VIEWS[-1]}')
    finish(_status(run_id, watch=watch, view=view, as_json=as_json))


def runs(
    state: Annotated[list[str] | None, typer.Option(metavar="STATE", help="Only runs in this state.")] = None,
    command: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this command.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only runs started since: 30m, 2h, 3d, or a date.")
    ] = None,
    grep: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only runs with this text in id, command or message.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help=f"Show all runs, not only the newest {RUNS_SHOWN}.")] = False,
    as_json: Json = False,
) -> None:
    """List the runs of this project, newest first. JSON has all of them."""
    words = {"command": command, "since": since, "text": grep}
    finish(_runs(state or (), words, most=None if all_ else RUNS_SHOWN, as_json=as_json))


def cancel(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    reason: Annotated[str, typer.Option(help="Reason, shown in status and report.")] = "",
    compensate: Annotated[bool, typer.Option(help="Roll back what the run did.")] = True,
    as_json: Json = False,
) -> None:
    """Cancel a run and wait for its end. Another process may be running it."""
    finish(_cancel(RunId(run_id), reason=reason, compensate=compensate, as_json=as_json))


def _executor(name: str) -> str:
    if name not in {"auto", "claude", "host", "simulate"}:
        hint = "Choose auto, claude or simulate."
        raise InputError(f'unknown executor "{name}"', code="INVALID_ARGUMENT", hint=hint)
    return name


async def _run(request: RunRequest, *, detach: bool, as_json: bool) -> int:
    async with lazy.open_project(project_root()) as project:
        if not as_json and request.executor != "simulate" and can_ask():
            missing = project.trust.missing(project.plan(request.source).agents.values())
            if missing and not ask_trust(project.trust, missing):
                return FAILED
        real = request.executor != "simulate"  # a simulation takes no time and costs nothing
        expected = lazy.in_words(await project.forecast(request)) if real and not as_json else ""
        run_id = await (project.start_in_background if detach else project.start)(request)
        if expected:
            console.notes.print(expected, soft_wrap=True)
        if detach:
            return await _started(project, run_id, as_json=as_json)
        if not as_json:
            view = await project.view(run_id)
            _warn((*view.run.plan.warnings, *view.warnings))
        return await _follow(project, run_id, as_json=as_json)


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        console.notes.print(f"warning: {within(warning, console.INSET)}", soft_wrap=True)


async def _started(project: Project, run_id: RunId, *, as_json: bool) -> int:
    """Say how to follow a run in the background."""
    if as_json:
        console.print_json(await _full_status(project, await project.view(run_id)))
    else:
        console.results.print(run_id)
        note = f"running in the background; follow it with: orchestrate status {run_id} --watch"
        console.notes.print(note, soft_wrap=True)
    return OK


async def _resume(name: str | None, *, failed: bool, limits: Limits, detach: bool, as_json: bool) -> int:
    async with lazy.open_project(project_root()) as project:
        run_id = (await project.view(RunId(name) if name else None)).run.id
        if detach:
            await project.resume_in_background(run_id, failed=failed, limits=limits)
            return await _started(project, run_id, as_json=as_json)
        await project.resume(run_id, failed=failed, limits=limits)
        _warn((await project.view(run_id)).warnings)
        return await _follow(project, run_id, as_json=as_json)


async def _follow(project: Project, run_id: RunId, *, as_json: bool) -> int:
    """Show *run_id* until it ends; the first Ctrl+C cancels it and waits, the second exits at once.

    So does closing the terminal: the run is then interrupted and can be resumed.
    """
    engine = await project.reader()
    stopped = _cancel_on_signals(engine, run_id)
    person = has_terminal()

    def halts(run: Run) -> bool:
        """Whether to ask now; without a person, questions that cannot be denied wait until nothing else runs."""
        asked = questions(run)
        return bool(asked) if person else waits_for_people(run) or any("no" in one.answers for one in asked)

    live = None if as_json else console.LiveTree()
    known = len(engine.activity.warnings(run_id))
    while not (view := await watch(engine, run_id, live, until=halts)).run.ended:
        if person:
            ring(question_text(view.run))
        if not await answer_questions(engine, run_id, person=person):
            return FAILED
    ring(headline(view.run, view.now, {}), took=view.run.lived(view.run.created_at, view.now))
    await _print_end(project, view, as_json=as_json)
    if not as_json:
        _warn(engine.activity.warnings(run_id)[known:])
    return INTERRUPTED if stopped else exit_code(view.run)


def _cancel_on_signals(engine: Engine, run_id: RunId) -> list[int]:
    loop = asyncio.get_running_loop()
    current = asyncio.current_task()
    stopped: list[int] = []
    pending: set[asyncio.Task[None]] = set()

    def stop(number: int) -> None:
        stopped.append(number)
        if (len(stopped) > 1 or number == signal.SIGHUP) and current is not None:
            current.cancel()
            return
        console.notes.print("cancelling… (repeat to exit at once; the run can then be resumed)")
        task = loop.create_task(engine.cancel(run_id, reason=signal.Signals(number).name))
        pending.add(task)
        task.add_done_callback(pending.discard)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
            loop.add_signal_handler(number, stop, number)
    return stopped


async def _full_status(project: Runs, view: View) -> dict[str, Any]:
    """A status with nodes, outputs and todos, for programs."""
    from mcp_server.answers.node_pages import Page  # noqa: PLC0415 - the wire models are needed for JSON only
    from mcp_server.answers.status import status_of  # noqa: PLC0415

    values = (await project.reader()).values
    status_ = status_of(view, view_name="outputs", values=values, options=project.todo_options)
    nodes = status_of(view, view_name="nodes", values=None, page=Page(whole=True)).nodes
    todos = status_of(view, view_name="todos", values=None, options=project.todo_options).todos
    return as_data(status_.model_copy(update={"nodes": nodes, "todos": todos}))


async def _print_end(project: Project, view: View, *, as_json: bool) -> None:
    if as_json:
        console.print_json(await _full_status(project, view))
        return
    console.results.print(headline(view.run, view.now, view.estimates), soft_wrap=True)
    for text in console.failure_lines(view.run):
        console.results.print(text, soft_wrap=True)
    if view.run.status not in {RunStatus.COMPLETED, RunStatus.DEGRADED} and not console.repeats_failures(view.run):
        console.results.print(within(view.run.message, console.INSET), soft_wrap=True)
    print_result(view.run.id, await _result(project, view.run.id))


async def _result(project: Runs, run_id: RunId) -> list[Output]:
    """The outputs that make up the result of a run."""
    engine = await project.reader()
    return await engine.read(run_id, lambda view: lazy.notable_outputs(view.run, engine.values))


def exit_code(run: Run) -> int:
    """0 for completed and degraded, 3 for cancelled, 1 for every other state."""
    if run.status in {RunStatus.COMPLETED, RunStatus.DEGRADED}:
        return OK
    return CANCELLED if run.status is RunStatus.CANCELLED else FAILED


def monitor() -> None:
    """Print a line whenever a run asks, fails or ends. A monitor of Claude Code starts this."""
    from mcp_server.cli.monitor import run_monitor  # noqa: PLC0415 - as with `lazy`

    collector.go_on()
    with errors():
        run_monitor(["--project", str(project_root())])


def _print_line() -> None:
    """Print the line of `status --line`, for a project whose state is found only by all rules (see `line.py`)."""
    from engine.runtime.clock import SystemClock  # noqa: PLC0415 - as with `lazy`
    from engine.statefolder.guard import found_state  # noqa: PLC0415
    from engine.statefolder.links import state_of  # noqa: PLC0415
    from mcp_server.cli.line import line_in  # noqa: PLC0415

    root = project_root()
    with lazy.faults(state_of(root).folder):
        folder = found_state(root)
    if folder is not None and (folder / JOURNAL.name).exists():
        with lazy.faults(folder / JOURNAL.name):
            text = line_in(str(folder), SystemClock().now().timestamp())
        if text:
            console.results.print(text, soft_wrap=True)


async def _status(name: str | None, *, watch: bool, view: str, as_json: bool) -> int:
    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()
        shown = await engine.view(RunId(name) if name else None)
        if watch:
            shown = await _watched(project, shown.run.id, None if as_json else console.LiveTree())
        if as_json:
            console.print_json(await _full_status(project, shown))
        elif view in OF_OUTPUTS:
            print_outputs(await _result(project, shown.run.id))
        elif watch:
            console.results.print(headline(shown.run, shown.now, shown.estimates), soft_wrap=True)
        else:
            console.results.print(console.tree(shown))
            for text in question_lines(shown.run):
                console.results.print(text, soft_wrap=True)
    return OK


async def _watched(project: Runs, run_id: RunId, live: console.LiveTree | None) -> View:
    """Follow a run to its end. Its questions are asked if a person can answer here, and otherwise printed once.

    They are also only printed if no answer can be recorded.
    """
    engine = await project.reader()
    person = has_terminal() and project.is_open
    printed: set[str] = set()
    while not (
        view := await watch(engine, run_id, live, until=lambda run: not printed.issuperset(question_lines(run)))
    ).run.ended:
        if not person:
            for text in question_lines(view.run):
                if text not in printed:
                    console.notes.print(text, soft_wrap=True)
                    printed.add(text)
        else:
            ring(question_text(view.run))
            if not await answer_questions(engine, run_id, person=True):
                return view
    ring(headline(view.run, view.now, {}), took=view.run.lived(view.run.created_at, view.now))
    return view


async def _runs(states: Iterable[str], words: Mapping[str, str | None], *, most: int | None, as_json: bool) -> int:
    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()
        now = engine.clock.now()
        wanted = lazy.run_filter(states=states, now=now, **words)
        rows = await engine.archive.look_after_all()
        found = wanted.select(rows)
        asking = lazy.questions_of(engine.project, found)
        if as_json:
            console.print_json([console.run_row(row, asking.get(row.id, 0)) for row in found])
        elif found:
            console.results.print(runs_table(found[:most], now, asking))
            if len(found[:most]) < len(found):
                left = counted(len(found) - len(found[:most]), "older run")
                console.notes.print(f"{left} not shown; --all shows all", soft_wrap=True)
        elif rows:
            console.notes.print(f"no run among {counted(len(rows), 'run')} meets the conditions", soft_wrap=True)
        else:
            console.notes.print("no runs yet; `orchestrate run /review-repo` is a good first one")
    return OK


async def _cancel(run_id: RunId, *, reason: str, compensate: bool, as_json: bool) -> int:
    async with lazy.open_project(project_root()) as project:
        engine = await project.engine()
        before = (await engine.view(run_id)).run.status

        async def ask() -> None:
            await engine.cancel(run_id, reason=reason, compensate=compensate)

        await ask()
        await until_heard(engine, run_id, lambda run: run.stop is not None)
        view = await until_over(engine, run_id, ask)
        if view.run.status is RunStatus.INTERRUPTED:  # its process died before it could cancel
            await ask()
            view = await until_over(engine, run_id, ask)
        ended_before = before is view.run.status or view.run.status in {RunStatus.COMPLETED, RunStatus.DEGRADED}
        if not (as_json and ended_before):  # otherwise the error is the only document
            await _print_end(project, view, as_json=as_json)
        if ended_before:
            raise lazy.nothing_to_cancel(view.run)
    return OK if view.run.status is RunStatus.CANCELLED else FAILED
