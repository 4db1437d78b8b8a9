"""The commands of the command line: where each is, and what `--help` says about it.

Effects: imports the module of a command when it is asked for. `--help` and a command wait for no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from typer.main import get_command_from_info
from typer.models import CommandInfo

from mcp_server.cli.usage import CheckedUsage


class Place(NamedTuple):
    """Where a command is: the function of its name in a module of this room."""

    module: str
    summary: str
    """The first sentence of its docstring, as `--help` shows it."""


COMMANDS = {
    "run": Place("runs", "Run a command to its end, with a live tree and the report."),
    "resume": Place("runs", "Resume an interrupted run."),
    "status": Place("runs", "Show the status of a run, by default of the latest."),
    "runs": Place("runs", "List the runs of this project, newest first."),
    "cancel": Place("runs", "Cancel a run and wait for its end."),
    "monitor": Place("runs", "Print a line whenever a run asks, fails or ends."),
    "view": Place(
        "view", "Show runs in a browser while they go on: graph, timeline, logs, and what can be done with them."
    ),
    "decide": Place("questions", "Answer a question of a run."),
    "logs": Place("logs", "Show what agents and their subagents printed, said and did."),
    "output": Place("outputs", "Show the outputs of a run, whole."),
    "show": Place("show", "Show one node of a run: its prompt, data, attempts, and cost."),
    "report": Place("report", "Show how a run went."),
    "commands": Place("listing", "List the commands of this project, and how their runs went."),
    "new": Place("new", "Write a new command, and the agents that it needs, ready to run."),
    "save": Place("save", "Make a command of the definition that a run began with."),
    "validate": Place("files", "Check a command and report every problem at once."),
    "plan": Place("files", "Show how a command would run."),
    "schema": Place("schema", "Print the JSON Schema of this project's commands."),
    "migrate": Place(
        "files", "Convert a v1 markdown file, an older JSON file or another program's workflow to a v2 file."
    ),
    "agents": Place("files", "List the agents that commands of this project can use."),
    "locks": Place("maintenance", "Show the locks that are held or requested."),
    "doctor": Place("doctor", "Check what is installed, trusted and active, and what keeps agents from running."),
    "trust": Place("trust", "Decide which programs may run."),
    "prune": Place("maintenance", "Remove old runs."),
    "sync": Place("sync", "Write a skill for each command, for /name in Claude Code."),
    "worker": Place("fleet", "Run attempts of other machines here until asked to end."),
    "workers": Place("fleet", "List the workers of the fleet."),
    "fleet": Place("fleet", "Run the server of a lab, or show the queues of a fleet."),
    "completion": Place("completion", "Print the script that completes command lines in a shell."),
    "serve": Place("serve", "Serve MCP over stdio; Claude Code starts this."),
}


class Commands(Mapping[str, Any]):
    """The commands of a program by name; each is imported when it is looked up."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = dict.fromkeys(COMMANDS)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - the parser's own class, which has no public name
        found = self._known[name]
        if found is None:
            function = getattr(import_module(f"mcp_server.cli.{COMMANDS[name].module}"), name)
            info = CommandInfo(name=name, callback=function)
            found = get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)
            self._known[name] = found
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class Program(CheckedUsage):
    """The command line, with its commands."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of typer
        """*options* are those of a group of typer, which knows no commands yet."""
        super().__init__(**options | {"commands": None})
        self.commands: Any = Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """The commands and their summaries, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])
