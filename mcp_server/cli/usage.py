"""The parser of the command line: its errors are reported like all others.

Effects: prints to stdout if JSON was requested, and ends the process with its exit code.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from typer.core import TyperGroup

from engine.errors import InputError, InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = 2
UsageError: Any = typer.BadParameter.__base__
"""The error for arguments that the parser rejects."""
CONTROL = (typer.Exit, typer.Abort)
"""Exceptions by which a command ends."""


class CheckedUsage(TyperGroup):
    """A program: with `--json` an error in its arguments is one JSON document on stdout too."""

    _words: tuple[str, ...] = ()

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:  # noqa: ANN401 - the parser's
        """As the parser does."""
        self._words = tuple(args)
        with self._as_json():
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401
        """As the parser does."""
        with self._as_json():
            return super().invoke(ctx)

    @contextlib.contextmanager
    def _as_json(self) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            if self.wants_json:
                _print_json(_as_ours(error))
            _show(error)
        except Exception as error:
            if self.wants_json and not isinstance(error, CONTROL):
                _print_json(InternalError(f"{type(error).__name__}: {error}"))
            raise

    @property
    def wants_json(self) -> bool:
        """Whether the command line contains `--json`, wherever it stands."""
        words = self._words
        return "--json" in words[: words.index("--") if "--" in words else None]


def _print_json(error: InputError | InternalError) -> None:
    from mcp_server.cli.console import print_error_json  # noqa: PLC0415 - `--help` needs no console

    print_error_json(error)


def _show(error: Any) -> NoReturn:  # noqa: ANN401
    """Print the parser's own text, and exit with its code even if stderr is closed."""
    try:
        error.show()
    except BrokenPipeError:
        from mcp_server.cli.console import notes  # noqa: PLC0415 - as above

        notes.on_broken_pipe()
    raise typer.Exit(USAGE) from None


def _as_ours(error: Any) -> InputError:  # noqa: ANN401
    path = error.ctx.command_path if error.ctx is not None else "orchestrate"
    return InputError(error.format_message(), code="USAGE", hint=f"See `{path} --help`.")
