"""The program as its arguments are read: what they get wrong is told as every other error is.

Effects: prints to stdout where JSON was asked for, and ends the process with its exit code.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from engine.errors import InputError, InternalError
from mcp_server.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = 2
UsageError: Any = typer.BadParameter.__base__
"""Whatever the parser of arguments refuses."""
CONTROL = (typer.Exit, typer.Abort)
"""How a command ends."""


class Program(TyperGroup):
    """The command line: with `--json` what was wrong with it is one JSON document on stdout too."""

    _words: tuple[str, ...] = ()

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:  # noqa: ANN401 - the parser's
        """As the parser does."""
        self._words = tuple(args)
        with self._told():
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """As the parser does."""
        with self._told():
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            if self.wants_json:
                console.print_error_json(_as_ours(error))
            _show(error)
        except Exception as error:
            if self.wants_json and not isinstance(error, CONTROL):
                console.print_error_json(InternalError(f"{type(error).__name__}: {error}"))
            raise

    @property
    def wants_json(self) -> bool:
        """Whether the words of the command line ask for JSON, wherever the option stands in them."""
        words = self._words
        return "--json" in words[: words.index("--") if "--" in words else None]


def _show(error: Any) -> NoReturn:  # noqa: ANN401
    """The parser's own text, and its exit code also where nobody reads it."""
    try:
        error.show()
    except BrokenPipeError:
        console.notes.on_broken_pipe()
    raise typer.Exit(USAGE) from None


def _as_ours(error: Any) -> InputError:  # noqa: ANN401
    path = error.ctx.command_path if error.ctx is not None else "orchestrate"
    return InputError(error.format_message(), code="USAGE", hint=f"`{path} --help` tells what can be given.")
