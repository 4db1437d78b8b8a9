"""The command line `orchestrate`: its commands, each in the module that is imported when it is called.

Effects: those of its commands. It only translates: the rules are in the engine and the registry.
"""

from __future__ import annotations

import typer

from mcp_server.cli.commands import Program
from mcp_server.cli.invocation import choose_project
from mcp_server.cli.streams import take_any_stream

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


def main() -> None:
    """Run the command line `orchestrate`."""
    take_any_stream()
    app()
