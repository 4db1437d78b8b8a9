"""Looks up the facts that a decision needs: context values, files, other runs, custom conditions.

Effects: reads the project's files and stored values. `admission` judges them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from engine import conditions
from engine.errors import InputError, OrchestrationError
from engine.model.plan import NodeKind, SkipType
from engine.model.policy import Failure, FailureKind
from engine.run.lookup import keys_at, named_at, parts_at
from engine.run.signals import SupplyObservations
from engine.text.placeholders import fill
from engine.values.context import MergeError, bind_inputs, fill_arguments
from engine.values.items import items_of
from engine.values.reading import joined, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from engine.ids import NodeId
    from engine.model.plan import NodePlan, Repeat, Skip
    from engine.run.events import ValueRef
    from engine.run.state import NodeState, Run
    from engine.storage.cache import ValueCache


class ProjectObserver:
    """Facts about one project."""

    def __init__(
        self,
        project: Path,
        values: ValueCache,
        *,
        last_run_completed: Callable[[str], bool],
        custom: Mapping[str, Callable[[Mapping[str, Any]], bool]],
    ) -> None:
        """*last_run_completed* answers for a command name; *custom* are the registered conditions by name."""
        self._project = project.resolve()
        self._values = values
        self._last_run_completed = last_run_completed
        self._custom = custom

    def about(self, run: Run, node: NodeId) -> SupplyObservations:
        """See `decided.Observer.about`."""
        state = run.nodes[node]
        try:
            return self._about(run, state)
        except OrchestrationError as error:
            return SupplyObservations(node, failure=Failure(FailureKind.ERROR, error.code, error.message, error.hint))
        except (OSError, ValueError) as error:
            return SupplyObservations(node, failure=Failure(FailureKind.ERROR, "CONDITION_ERROR", str(error)))

    def _about(self, run: Run, state: NodeState) -> SupplyObservations:
        plan = state.plan
        if plan.loop is not None and state.live is not None:
            return self._about_loop(run, plan, plan.loop)
        skip = plan.skip
        group = plan.kind is NodeKind.SUB_COMMAND
        keys = {spec.key for spec in plan.inputs if spec.transform or group}
        if skip is not None and skip.type is SkipType.CONTEXT:
            keys |= conditions.parse(skip.expression).names
        if skip is not None and skip.type is SkipType.CUSTOM:
            keys |= set(keys_at(run, plan.scope, run.version))
        found = values_of(run, plan.scope, keys, run.version, self._values)
        inputs: dict[str, ValueRef] = {}
        listed = None
        if group:
            if plan.passthrough:
                found = values_of(run, plan.scope, keys_at(run, plan.scope, run.version), run.version, self._values)
            bound = dict(bind_inputs(plan.inputs, found, passthrough=plan.passthrough).inputs)
            listed = None if plan.each is None else items_of(plan, plan.each, bound.pop(plan.each.items, None))
            inputs = {key: self._values.put(value) for key, value in {**self._call(run, plan), **bound}.items()}
        holds = None if skip is None or skip.type is SkipType.CONTEXT else self._holds(skip, found)
        if listed is None:
            return SupplyObservations(plan.id, found, inputs, holds, message=self._message(run, plan))
        items = tuple(self._values.put(item) for item in listed.items)
        return SupplyObservations(
            plan.id, found, inputs, holds, None, items, listed.keys, listed.first, listed.unusable
        )

    def _call(self, run: Run, plan: NodePlan) -> dict[str, str]:
        """The argument text of a sub-command that has placeholders in it, under the keys that it is given under."""
        text = filled(run, plan, plan.call, self._values).strip() if plan.call else ""
        keys = dict.fromkeys(("arguments", *plan.argument)) if text else ()
        return {key: text for key in keys if not parts_at(run, f"{plan.id}/{key}", run.version)}

    def _message(self, run: Run, plan: NodePlan) -> str | None:
        """The message of a skipped node with its placeholders filled in; None if it has none."""
        message = plan.skip.message if plan.skip is not None else None
        if message is None or not plan.names:
            return None
        try:
            return filled(run, plan, message, self._values)
        except InputError:
            return message

    def _about_loop(self, run: Run, plan: NodePlan, loop: Repeat) -> SupplyObservations:
        """The values that the condition of a loop reads after an iteration."""
        names = set(conditions.parse(loop.until, strict=True).names)
        found = values_of(run, f"{plan.id}/", names, run.version, self._values)
        if "iteration" in names:
            found["iteration"] = run.unfolded[plan.id].count
        return SupplyObservations(plan.id, found)

    def _holds(self, skip: Skip, values: Mapping[str, Any]) -> bool:
        if skip.type is SkipType.FILE_EXISTS:
            return self._file_exists(skip.expression)
        if skip.type is SkipType.COMMAND_SUCCESS:
            return self._last_run_completed(skip.expression)
        custom = self._custom.get(skip.expression)
        if custom is None:
            raise OrchestrationError(
                f'no condition is registered under the name "{skip.expression}"',
                code="UNKNOWN_CONDITION",
                hint="Register it with `engine.register_condition(name, function)`.",
            )
        try:
            return bool(custom(values))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise OrchestrationError(
                f'the condition "{skip.expression}" raised {type(error).__name__}: {error}', code="CONDITION_ERROR"
            ) from error

    def _file_exists(self, pattern: str) -> bool:
        """Whether a path or glob below the project root exists; one outside is an error, not a no."""
        path = (self._project / pattern).resolve()
        if not path.is_relative_to(self._project) or ".." in pattern.split("/"):
            raise OrchestrationError(
                f'the path "{pattern}" is outside the project',
                code="PATH_OUTSIDE_PROJECT",
                hint="Give a path below the project root.",
            )
        if path.exists():  # `app/[id]/page.tsx` is also the name of a file
            return True
        return any(sign in pattern for sign in "*?[") and any(
            match.resolve().is_relative_to(self._project) for match in self._project.glob(pattern.lstrip("/"))
        )


def values_of(run: Run, scope: str, keys: set[str] | list[str], version: int, values: ValueCache) -> dict[str, Any]:
    """The values of *keys* in *scope* as seen at *version*; keys without one are left out."""
    found: dict[str, Any] = {}
    for key in keys:
        parts = parts_at(run, scope + key, version)
        if parts:
            found[key] = joined(parts, values.get)
    return found


def outputs_to_show(run: Run, keys: Iterable[str], values: ValueCache) -> dict[str, Any]:
    """The values of *keys* of *run* itself, without those that do not join: only a node that reads one fails."""
    found: dict[str, Any] = {}
    for key in keys:
        with contextlib.suppress(MergeError):
            found |= values_of(run, "", [key], run.version, values)
    return found


def filled(run: Run, plan: NodePlan, text: str, values: ValueCache) -> str:
    """*text* of a node with the argument text and the values of its placeholders. Raises `InputError`."""
    arguments = run.arguments
    if plan.arguments_of is not None:
        arguments = str(
            values_of(run, f"{plan.arguments_of}/", ["arguments"], run.version, values).get("arguments", "")
        )
    if not plan.names:
        return fill_arguments(text, arguments)

    def value(name: str) -> Any:  # noqa: ANN401 - JSON
        return value_of(named_at(run, plan.id, name), values.get)

    return fill(text, plan.names, value, arguments)
