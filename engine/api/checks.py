"""Rejects unusable values at the call that passes them, instead of failing later in the middle of a run.

Pure. Always one error, `InputError` (INVALID_OPTION), which names the value and what to pass instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, get_args

from engine.errors import InputError

ExecutorName = Literal["auto", "claude", "simulate"]
EvictionName = Literal["lru", "lfu", "ttl"]
DrawingName = Literal["text", "mermaid", "svg"]
EXECUTORS: tuple[str, ...] = get_args(ExecutorName)
EVICTIONS: tuple[str, ...] = get_args(EvictionName)
DRAWINGS: tuple[str, ...] = get_args(DrawingName)

EXECUTE = ("agent_id", "task", "context")
"""The parameters of an executor."""


def refused(message: str, hint: str | None = None) -> InputError:
    """The error for an unusable value."""
    return InputError(message, code="INVALID_OPTION", hint=hint)


def check_kind(name: str, value: object, kind: type | tuple[type, ...], *, hint: str) -> None:
    """Reject *value* unless it is of *kind*."""
    if not isinstance(value, kind):
        raise refused(f"{name} cannot be {value!r:.100}", hint)


def check_flag(name: str, value: object) -> None:
    """Reject *value* unless it is True or False: any text would count as true."""
    check_kind(name, value, bool, hint="Pass True or False.")


def check_name(name: str, value: object) -> None:
    """Reject *value* unless it is a text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise refused(f"{name} cannot be {value!r:.100}", "Pass a text that is not empty.")


def check_names(name: str, values: object, *, hint: str) -> None:
    """Reject *values* unless it is a collection of texts; a single text would count as its letters."""
    if isinstance(values, Collection) and not isinstance(values, str | bytes):
        items: Collection[object] = values
        if all(isinstance(item, str) and item for item in items):
            return
    raise refused(f"{name} cannot be {values!r:.100}", hint)


def check_one_of(name: str, value: object, known: Sequence[str]) -> None:
    """Reject *value* unless it is one of *known*."""
    if value not in known:
        raise refused(f"{name} cannot be {value!r:.100}", f"Pass one of {', '.join(known)}.")


def check_seconds(name: str, value: object, most: float) -> None:
    """Reject *value* unless it is a usable number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise refused(f"{name} cannot be {value!r:.100}", f"Pass a number of seconds above 0, at most {most:g}.")


def check_function(name: str, value: object, called: str, *parameters: str) -> None:
    """Reject *value* unless it accepts as many arguments as *parameters* names; *called* is its name in the hint."""
    form = _form(called, *parameters)
    if not callable(value):
        raise refused(f"{name} cannot be {value!r:.100}", f"Pass a function that is called as {form}.")
    if not _takes(value, len(parameters)):
        raise refused(f"{name} cannot be called as {form}", "Let it take these parameters, by position.")


def check_program(program: object) -> None:
    """Reject *program* unless it can do agents' work: see `engine.api.agents.Program`."""
    if isinstance(program, type):
        name = program.__name__
        raise refused(f"the executor cannot be the class {name} itself", f"Pass an instance: {name}().")
    execute = getattr(program, "execute", None)
    if not callable(execute):
        hint = "Pass an object with `execute(agent_id, task, context)`, such as a subclass of AgentExecutor."
        raise refused(f"the executor cannot be {program!r:.100}", hint)
    name = type(program).__name__
    if getattr(execute, "__isabstractmethod__", False):
        raise refused(
            f"{name} has no `execute` of its own", f"Implement it: async def {_form('execute', 'self', *EXECUTE)}."
        )
    check_function(f"{name}.execute", execute, "execute", *EXECUTE)
    named = getattr(program, "agent_ids", None)
    if named is not None:
        ids = (named,) if isinstance(named, str) else named
        check_names(f"{name}.agent_ids", ids, hint='Use a tuple of ids: ("worker",); None stands for all agents.')


def check_condition(name: str, condition: object) -> None:
    """Reject *condition* unless it is a plain function of the context's values."""
    check_function(f'the condition "{name}"', condition, "condition", "values")
    if inspect.iscoroutinefunction(condition) or inspect.iscoroutinefunction(getattr(condition, "__call__", None)):  # noqa: B004
        hint = "Pass a plain function: the result of an async one would always count as true."
        raise refused(f'the condition "{name}" is async', hint)


def check_mapping(name: str, value: object, *, hint: str) -> None:
    """Reject *value* unless it is a mapping with texts as keys."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refused(f"{name} cannot be {value!r:.100}", hint)


def _form(called: str, *parameters: str) -> str:
    return f"{called}({', '.join(parameters)})"


def _takes(function: Callable[..., object], count: int) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, without a signature
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
