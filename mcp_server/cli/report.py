"""`orchestrate report`: how a run went, as text, JSON or HTML.

Effects: opens the project and reads one run; prints to stdout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import InputError
from engine.ids import RunId
from mcp_server.cli import lazy
from mcp_server.cli.invocation import note_json
from mcp_server.cli.shared import OK, OutputFile, RunArgument, finish, print_document, project_root

if TYPE_CHECKING:
    from pathlib import Path

    from engine.service import View

FORMATS = ("text", "json", "html")


def report(
    run_id: RunArgument = None,
    format_: Annotated[str, typer.Option("--format", help="text, json or html.")] = "text",
    output: OutputFile = None,
) -> None:
    """Show how a run went. The report has times, efficiency, phases, slowest agents, retries, waits, and a timeline."""
    note_json(format_ == "json")
    finish(_report(run_id, format_, output))


async def _report(run_id: str | None, format_: str, output: Path | None) -> int:
    if format_ not in FORMATS:
        hint = f"Choose {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        raise InputError(f'unknown format "{format_}"', code="INVALID_ARGUMENT", hint=hint)
    async with lazy.open_runs(project_root()) as project:
        engine = await project.reader()
        if format_ == "json":
            answer = await engine.read(_run_id(run_id), lambda view: lazy.report_answer(view.run, view.now).data())
            print_document(answer, output)
            return OK
        shown = await engine.read(_run_id(run_id), _page if format_ == "html" else _text)
    print_document(shown, output)
    return OK


def _run_id(text: str | None) -> RunId | None:
    return RunId(text) if text else None


def _text(view: View) -> str:
    return lazy.text_report(view.run, lazy.metrics(view.run, view.now), lazy.timeline(view.run, view.now))


def _page(view: View) -> str:
    return lazy.html_report(view.run, lazy.metrics(view.run, view.now), lazy.timeline(view.run, view.now))
