"""The command line `orchestrate`: its commands, grouped in modules.

Effects: those of its commands. It only translates: the rules are in the engine and the registry.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from engine.errors import EnvironmentFault
from mcp_server.cli import files, logs, maintenance, outputs, questions, report, runs, show, sync, trust
from mcp_server.cli.console import take_any_stream
from mcp_server.cli.shared import choose_project, errors, named_project
from mcp_server.cli.usage import Program

app = typer.Typer(
    name="orchestrate",
    cls=Program,
    help="Run declarative multi-agent commands: checked graphs, durable runs, rollback, live progress.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    callback=choose_project,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def serve(
    http: Annotated[
        int | None,
        typer.Option(metavar="PORT", min=0, max=65_535, help="Serve HTTP on this loopback port instead, with a token."),
    ] = None,
) -> None:
    """Serve MCP over stdio; Claude Code starts this."""
    if http is not None:
        from mcp_server.protocol.http import serve_http  # noqa: PLC0415 - the web server

        with errors():
            try:
                asyncio.run(serve_http(port=http, root=named_project()))
            except OSError as error:
                message = f"port {http} cannot be used: {error.strerror}"
                raise EnvironmentFault(
                    message, code="PORT_UNUSABLE", hint="Choose another port; 0 picks a free one."
                ) from None
        return
    from mcp_server.__main__ import main as serve_stdio  # noqa: PLC0415 - the MCP SDK is the larger half of the start-up

    with errors():
        named = named_project()
        serve_stdio([] if named is None else ["--project", str(named)])  # its own options: ours are parsed already


for command in (
    runs.run,
    runs.resume,
    runs.status,
    runs.runs,
    runs.cancel,
    runs.monitor,
    questions.decide,
    logs.logs,
    outputs.output,
    show.show,
    report.report,
    files.validate,
    files.plan,
    files.migrate,
    files.agents,
    maintenance.locks,
    trust.trust,
    maintenance.prune,
    sync.sync,
    serve,
):
    app.command()(command)


def main() -> None:
    """Run the command line `orchestrate`."""
    take_any_stream()
    app()
