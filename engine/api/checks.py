"""Refuses what a program gives at the call that gives it, where using it later would go wrong in the middle of a run.

Pure. All of it is one error, `InputError` (INVALID_OPTION), which names what was given, and what to give instead.
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
"""With what an executor is called."""


def refused(message: str, hint: str | None = None) -> InputError:
    """The error for what cannot be used."""
    return InputError(message, code="INVALID_OPTION", hint=hint)


def check_kind(name: str, value: object, kind: type | tuple[type, ...], *, hint: str) -> None:
    """Refuse *value* unless it is of *kind*."""
    if not isinstance(value, kind):
        raise refused(f"{name} cannot be {value!r:.100}", hint)


def check_flag(name: str, value: object) -> None:
    """Refuse *value* unless it is True or False: any text would count as true."""
    check_kind(name, value, bool, hint="Give True or False.")


def check_name(name: str, value: object) -> None:
    """Refuse *value* unless it is a text with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise refused(f"{name} cannot be {value!r:.100}", "Give a text that is not empty.")


def check_names(name: str, values: object, *, hint: str) -> None:
    """Refuse *values* unless they are several texts; one text would be taken for its letters."""
    if isinstance(values, Collection) and not isinstance(values, str | bytes):
        items: Collection[object] = values
        if all(isinstance(item, str) and item for item in items):
            return
    raise refused(f"{name} cannot be {values!r:.100}", hint)


def check_one_of(name: str, value: object, known: Sequence[str]) -> None:
    """Refuse *value* unless it is one of *known*."""
    if value not in known:
        raise refused(f"{name} cannot be {value!r:.100}", f"Give one of {', '.join(known)}.")


def check_seconds(name: str, value: object, most: float) -> None:
    """Refuse *value* unless it is a time that can be waited for."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise refused(f"{name} cannot be {value!r:.100}", f"Give a number of seconds above 0, at most {most:g}.")


def check_function(name: str, value: object, called: str, *parameters: str) -> None:
    """Refuse *value* unless it can be called with as many arguments as *parameters* names; *called*: in the hint."""
    form = _form(called, *parameters)
    if not callable(value):
        raise refused(f"{name} cannot be {value!r:.100}", f"Give a function that is called as {form}.")
    if not _takes(value, len(parameters)):
        raise refused(f"{name} cannot be called as {form}", "Let it take these parameters, by position.")


def check_program(program: object) -> None:
    """Refuse *program* unless it can do agents' work: see `engine.api.agents.Program`."""
    if isinstance(program, type):
        name = program.__name__
        raise refused(f"the executor cannot be the class {name} itself", f"Give an object of it: {name}().")
    execute = getattr(program, "execute", None)
    if not callable(execute):
        hint = "Give an object that has `execute(agent_id, task, context)`: one of a subclass of AgentExecutor."
        raise refused(f"the executor cannot be {program!r:.100}", hint)
    name = type(program).__name__
    if getattr(execute, "__isabstractmethod__", False):
        raise refused(
            f"{name} has no `execute` of its own", f"Write it: async def {_form('execute', 'self', *EXECUTE)}."
        )
    check_function(f"{name}.execute", execute, "execute", *EXECUTE)
    named = getattr(program, "agent_ids", None)
    if named is not None:
        ids = (named,) if isinstance(named, str) else named
        check_names(f"{name}.agent_ids", ids, hint='Give a tuple of ids: ("worker",); None stands for all agents.')


def check_condition(name: str, condition: object) -> None:
    """Refuse *condition* unless it is a plain function of the context's values."""
    check_function(f'the condition "{name}"', condition, "condition", "values")
    if inspect.iscoroutinefunction(condition) or inspect.iscoroutinefunction(getattr(condition, "__call__", None)):  # noqa: B004
        hint = "Give a plain function: what an async one returns would always count as true."
        raise refused(f'the condition "{name}" is async', hint)


def check_mapping(name: str, value: object, *, hint: str) -> None:
    """Refuse *value* unless it is a mapping whose keys are texts."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refused(f"{name} cannot be {value!r:.100}", hint)


def _form(called: str, *parameters: str) -> str:
    return f"{called}({', '.join(parameters)})"


def _takes(function: Callable[..., object], count: int) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, and does not say
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
