"""What a run is given: arguments bound to the context, and who has to be there to do the work.

Pure. SPEC 3 and INTERFACE "Arguments". Starting the run is `service`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.context import fill_arguments
from engine.errors import InputError
from engine.jsonvalue import json_problem
from engine.model.agent import AgentKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.plan import Plan


def initial_context(plan: Plan, text: str) -> dict[str, Any]:
    """The context that *plan* begins with: `$ARGUMENTS` in a text is replaced, as it is in tasks.

    In a sub-command it is the sub-command's own argument text, which in turn may hold the run's.
    """
    scoped = {
        key: fill_arguments(value, text)
        for key, value in plan.initial.items()
        if key.endswith("/arguments") and isinstance(value, str)
    }

    def filled(key: str, value: object) -> object:
        if key in scoped or not isinstance(value, str):
            return scoped.get(key, value)
        scope = key.rpartition("/")[0]
        return fill_arguments(value, scoped.get(f"{scope}/arguments", "") if scope else text)

    return {key: filled(key, value) for key, value in plan.initial.items()}


def bind_arguments(plan: Plan, arguments: str | Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    """Context values and argument text of a run (SPEC 3). Raises `InputError` for missing or unusable ones.

    A text is the key `arguments`, and the command's argument where it declares exactly one.
    """
    text = arguments if isinstance(arguments, str) else ""
    given: dict[str, Any] = {}
    if isinstance(arguments, str):
        given["arguments"] = arguments
        if len(plan.arguments) == 1 and arguments.strip():
            given[plan.arguments[0].name] = arguments.strip()
    elif arguments is not None:
        given.update(arguments)
        text = " ".join(f"{key}={value}" for key, value in arguments.items())
    for name, value in given.items():
        problem = json_problem(value)
        if problem is not None:
            raise InputError(f'argument "{name}" is not JSON: {problem}', code="INVALID_ARGUMENT")
    for argument in plan.arguments:
        if argument.name not in given:
            if argument.required:
                raise InputError(
                    f'{plan.command} needs the argument "{argument.name}"',
                    code="MISSING_ARGUMENT",
                    hint=f"Give it as --arg {argument.name}=… or in `arguments`.",
                )
            if argument.has_default:
                given[argument.name] = argument.default
    return given, text


def needs_model(plan: Plan) -> bool:
    """Whether any node of *plan* is done by a model agent."""
    return any(agent.kind is AgentKind.CLAUDE for agent in plan.agents.values())
