"""The command line `orchestrate`: its commands, each in a module with its like.

Effects: those of its commands. It only translates: rules are the engine's and the registry's.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from engine.errors import EnvironmentFault
from mcp_server import cli_files, cli_questions, cli_report, cli_runs, cli_sync, cli_trust, cli_upkeep
from mcp_server.cli_shared import choose_project, errors, named_project
from mcp_server.console import take_any_stream
from mcp_server.usage import Program

app = typer.Typer(
    name="orchestrate",
    cls=Program,
    help="Run declarative multi-agent commands: checked graphs, durable runs, rollback, live progress.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    callback=choose_project,
)


def serve(
    http: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65_535, help="Over HTTP on this loopback port instead, with a token."),
    ] = None,
) -> None:
    """Serve MCP over stdio; what Claude Code starts."""
    if http is not None:
        from mcp_server.http import serve_http  # noqa: PLC0415 - the web server

        with errors():
            try:
                asyncio.run(serve_http(port=http, root=named_project()))
            except OSError as error:
                message = f"port {http} cannot be used: {error.strerror}"
                raise EnvironmentFault(
                    message, code="PORT_UNUSABLE", hint="Choose another; 0 takes a free one."
                ) from None
        return
    from mcp_server.__main__ import main as serve_stdio  # noqa: PLC0415 - the MCP SDK is the larger half of the start-up

    with errors():
        named = named_project()
        serve_stdio([] if named is None else ["--project", str(named)])  # its own options: ours are read already


for command in (
    cli_runs.run,
    cli_runs.resume,
    cli_runs.status,
    cli_runs.runs,
    cli_runs.cancel,
    cli_questions.decide,
    cli_report.report,
    cli_files.validate,
    cli_files.plan,
    cli_files.migrate,
    cli_files.agents,
    cli_upkeep.locks,
    cli_trust.trust,
    cli_upkeep.prune,
    cli_sync.sync,
    serve,
):
    app.command()(command)


def main() -> None:
    """Entry point of the program `orchestrate`."""
    take_any_stream()
    app()
