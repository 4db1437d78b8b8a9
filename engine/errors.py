"""The one error tree: each error has an origin, a stable code, a message and a hint.

Pure. A node that fails is not an exception: it is a `Failure` value inside an event.

    OrchestrationError
    ├── InputError          the caller's: a file, an argument, a name
    │   ├── InvalidCommand  a command that does not validate; carries every problem
    │   └── NotFound        a run, command, agent or file that does not exist
    ├── StateError          the request is valid, but not in the state of the run
    ├── EnvironmentFault    the machine's: disk, missing program, locked or newer database
    └── InternalError       ours: a bug
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


def remade(kind: type[Exception], args: tuple[object, ...]) -> Exception:
    """An error that pickle or copy fills: by itself it would call *kind* with the message alone."""
    return kind.__new__(kind, *args)


class OrchestrationError(Exception):
    """Base of all errors that reach a user."""

    code: str = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        pointer: str | None = None,
        client_hint: str | None = None,
    ) -> None:
        """*message* says what is wrong, *hint* what to do; *pointer* is a JSON Pointer into the input.

        *client_hint* is the hint for clients of the protocol, if *hint* names something that only works in a terminal.
        """
        super().__init__(message)
        if code is not None:
            self.code = code
        self.message = message
        self.hint = hint
        self.pointer = pointer
        self.client_hint: str | None = client_hint or hint

    def __reduce__(self) -> tuple[Any, ...]:
        """For a copy, or another process: without the parameters, which differ from class to class."""
        return remade, (type(self), self.args), vars(self)

    def __str__(self) -> str:
        """Code, message, place and hint, for a terminal."""
        place = f" (at {self.pointer})" if self.pointer else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{self.code}: {self.message}{place}{hint}"


class InputError(OrchestrationError):
    """The caller passed something unusable."""

    code = "INVALID_INPUT"


class NotFound(InputError):
    """The caller named something that does not exist."""

    code = "NOT_FOUND"


class CommandProblem(Protocol):
    """An `engine.validation.Problem`, reduced to what is needed here."""

    @property
    def code(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def pointer(self) -> str: ...
    @property
    def suggestion(self) -> str | None: ...
    @property
    def place(self) -> str | None: ...


class InvalidCommand(InputError):
    """A command with validation errors; `problems` holds all of them."""

    code = "INVALID_COMMAND"

    def __init__(self, message: str, problems: Sequence[CommandProblem], *, hint: str | None = None) -> None:
        """*problems* are `engine.validation.Problem` values, errors and warnings alike."""
        super().__init__(message, hint=hint)
        self.problems: tuple[CommandProblem, ...] = tuple(problems)


class StateError(OrchestrationError):
    """The run cannot do this now."""

    code = "INVALID_STATE"


class EnvironmentFault(OrchestrationError):
    """The machine does not permit it: disk, permissions, a missing program."""

    code = "ENVIRONMENT"


class InternalError(OrchestrationError):
    """A broken invariant: a bug of ours."""

    code = "INTERNAL"
