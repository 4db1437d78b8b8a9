"""What the commands of the command line share: the project they are about, errors and exit codes.

Effects: prints errors to stderr and ends the process with its exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from engine.errors import EnvironmentFault, OrchestrationError, StateError
from mcp_server.cli import console, lazy
from mcp_server.project.root import find_root, notes_on
from mcp_server.version import version

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

OK, FAILED, USAGE, CANCELLED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes (INTERFACE "Command line")."""

Source = Annotated[str, typer.Argument(help="/name, a path under the project root, or a JSON definition.")]
RunArgument = Annotated[str | None, typer.Argument(metavar="RUN", help="Run id; the newest where absent.")]


def note_json(value: bool) -> bool:  # noqa: FBT001 - typer's signature
    """Whether the result is asked for as JSON; an error is then as well."""
    global _wants_json  # noqa: PLW0603 - an error is told where the options are not known
    _wants_json = value
    return value


_wants_json = False
Json = Annotated[
    bool, typer.Option("--json", callback=note_json, help="Print one JSON document and nothing else on stdout.")
]
MaxParallelism = Annotated[int | None, typer.Option(min=1, help="Agents at once.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost-usd", min=0, help="Stop before spending more.")]
MaxAttempts = Annotated[int | None, typer.Option("--max-attempts-total", min=1, help="Stop after so many attempts.")]
MaxDuration = Annotated[
    float | None, typer.Option("--max-duration-seconds", min=0.001, help="Stop after so many seconds.")
]
ProjectOption = Annotated[
    Path | None, typer.Option("--project", help="Project root; else the nearest folder with .claude or .git.")
]

_root: Path | None = None


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer's signature
    if asked:
        console.write(f"orchestrate {version()}\n")
        raise typer.Exit(OK)


VersionOption = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
]


def choose_project(project: ProjectOption = None, _version: VersionOption = False) -> None:
    """Remember the project that `--project` names, for the command that follows."""
    note_json(False)  # noqa: FBT003 - of the command that follows
    global _root  # noqa: PLW0603 - typer hands the options of the program to no one else
    _root = project


def named_project() -> Path | None:
    """What `--project` names; the server finds its project itself, and starts where there is none."""
    return _root


def project_root() -> Path:
    """The project that the command is about; journals in it that it does not use are named. Raises `NotFound`."""
    found = find_root(_root)
    for text in notes_on(found):
        console.notes.print(f"note: {text}", soft_wrap=True)
    return found.root


def finish(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run *work* and leave with the exit code that it gives."""
    # What ends the command is its error, and is told once.
    lazy.log.addFilter(_is_no_fault)
    try:
        with errors():
            code = asyncio.run(work)
    finally:
        lazy.log.removeFilter(_is_no_fault)
    raise typer.Exit(code)


def _is_no_fault(record: logging.LogRecord) -> bool:
    return not any(isinstance(told, EnvironmentFault) for told in record.args or ())


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Turn an error of ours into its text on stderr and exit code 2, and what a signal ends into exit code 130."""
    try:
        yield
    except OrchestrationError as error:
        console.print_error(error)
        if _wants_json:
            console.print_error_json(error)
        raise typer.Exit(USAGE) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        if _wants_json:
            console.print_error_json(StateError("it was ended by a signal", code="INTERRUPTED"))
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        raise typer.Exit(OK) from None


def counted(number: int, word: str) -> str:
    """`1 error`, `3 errors`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def as_data(model: Any) -> dict[str, Any]:  # noqa: ANN401 - any wire model
    """A wire model as JSON data, as it goes to a client."""
    shown: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown
