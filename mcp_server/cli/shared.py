"""Common parts of the commands of the command line: their project, errors and exit codes.

Effects: prints errors to stderr and ends the process with its exit code.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from engine.errors import EnvironmentFault, InputError, OrchestrationError, StateError
from engine.text.shown import clean, printable
from mcp_server import collector
from mcp_server.cli import console, lazy
from mcp_server.cli.invocation import named_project, note_json, wants_json
from mcp_server.project.root import find_root, notes_on

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

OK, FAILED, USAGE, CANCELLED, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes (INTERFACE "Command line")."""

Source = Annotated[str, typer.Argument(help="/name, a path under the project root, or a JSON definition.")]
RunArgument = Annotated[str | None, typer.Argument(metavar="RUN", help="Run id (default: the latest run).")]


Json = Annotated[
    bool, typer.Option("--json", callback=note_json, help="Print one JSON document and nothing else on stdout.")
]


def or_stdout(path: Path | None) -> Path | None:
    """None, which is stdout, for `-`, as in other programs."""
    return None if path == Path("-") else path


OutputFile = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", callback=or_stdout, help="Write a new file instead of stdout."),
]
MaxParallelism = Annotated[int | None, typer.Option(min=1, help="Maximum number of agents running at once.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost-usd", min=0, help="Stop before spending more than this.")]
MaxAttempts = Annotated[int | None, typer.Option("--max-attempts-total", min=1, help="Stop after this many attempts.")]
MaxDuration = Annotated[
    float | None, typer.Option("--max-duration-seconds", min=0.001, help="Stop after this many seconds.")
]


def project_root() -> Path:
    """The project of the command; prints a note for each unused journal in it. Raises `NotFound`."""
    found = find_root(named_project())
    for text in notes_on(found):
        console.notes.print(f"note: {text}", soft_wrap=True)
    return found.root


def from_here(source: str) -> str:
    """*source* as the project has it: a file that its root lacks is looked for in the working directory."""
    given = Path(source)
    if given.is_absolute() or not given.suffix or source.lstrip().startswith("{"):
        return source
    root = find_root(named_project()).root.resolve()
    with contextlib.suppress(OSError, ValueError):
        here = given.resolve()
        if not (root / given).exists() and here.is_file() and here.is_relative_to(root):
            return here.relative_to(root).as_posix()
    return source


def finish(work: Coroutine[Any, Any, int]) -> NoReturn:
    """Run *work* and exit with the code that it returns."""
    if not gc.isenabled():
        collector.go_on()
    # A fault that ends the command is printed once, as its error.
    lazy.log.addFilter(_is_not_a_fault)
    try:
        with errors():
            code = asyncio.run(work)
    finally:
        lazy.log.removeFilter(_is_not_a_fault)
    raise typer.Exit(code)


def _is_not_a_fault(record: logging.LogRecord) -> bool:
    return not any(isinstance(argument, EnvironmentFault) for argument in record.args or ())


@contextlib.contextmanager
def errors() -> Iterator[None]:
    """Turn errors of ours into text on stderr and exit code 2, and signals into exit code 130."""
    try:
        yield
    except OrchestrationError as error:
        console.print_error(error)
        if wants_json():
            console.print_error_json(error)
        raise typer.Exit(USAGE) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        if wants_json():
            console.print_error_json(StateError("terminated by a signal", code="INTERRUPTED"))
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        raise typer.Exit(OK) from None


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raise `InputError` (FILE_EXISTS) if one of *paths* exists, so that of several files all are written or none."""
    for path in paths:
        if path.exists():
            raise InputError(f"{path} exists already", code="FILE_EXISTS", hint="Choose another file, or remove it.")


def write_new(path: Path, text: str, *, shown: Path | None = None) -> None:
    """Write *text* to a new file, and say so, as *shown* if that is given.

    Raises `InputError` (FILE_EXISTS), `EnvironmentFault`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError(f"{path} exists already", code="FILE_EXISTS", hint="Choose another file.") from None
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}", code="FILE_UNWRITABLE") from error
    console.notes.print(f"written: {clean(str(shown or path))}", soft_wrap=True)


def print_document(document: str | dict[str, Any], file: Path | None) -> None:
    """Print a text, made safe to show, or JSON data, on stdout or into a new *file*. Raises as `write_new` does."""
    if file is None and isinstance(document, str):
        console.write(printable(document))
    elif file is None:
        console.print_json(document)
    else:
        text = printable(document) if isinstance(document, str) else console.json_text(document)
        write_new(file, text)


def counted(number: int, word: str) -> str:
    """`1 error`, `3 errors`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def as_data(model: Any) -> dict[str, Any]:  # noqa: ANN401 - any wire model
    """A wire model as JSON data, as a client receives it."""
    shown: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown
