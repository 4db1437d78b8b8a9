"""Looks up the facts that a decision needs: context values, files, other runs, custom conditions.

Effects: reads the project's files and stored values. `admission` judges them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine import conditions
from engine.errors import OrchestrationError
from engine.model.plan import NodeKind, SkipType
from engine.model.policy import Failure, FailureKind
from engine.run.signals import SupplyObservations
from engine.run.state import keys_at, parts_at
from engine.values.context import Part, bind_inputs, merge_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.ids import NodeId
    from engine.model.plan import Skip
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
        skip = plan.skip
        group = plan.kind is NodeKind.SUB_COMMAND
        keys = {spec.key for spec in plan.inputs if spec.transform or group}
        if skip is not None and skip.type is SkipType.CONTEXT:
            keys |= conditions.parse(skip.expression).names
        if skip is not None and skip.type is SkipType.CUSTOM:
            keys |= set(keys_at(run, plan.scope, run.version))
        found = values_of(run, plan.scope, keys, run.version, self._values)
        inputs: dict[str, ValueRef] = {}
        if group:
            if plan.passthrough:
                found = values_of(run, plan.scope, keys_at(run, plan.scope, run.version), run.version, self._values)
            bound = bind_inputs(plan.inputs, found, passthrough=plan.passthrough)
            inputs = {key: self._values.put(value) for key, value in bound.inputs.items()}
        holds = None if skip is None or skip.type is SkipType.CONTEXT else self._holds(skip, found)
        return SupplyObservations(plan.id, found, inputs, holds)

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
        except Exception as error:
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
        if any(sign in pattern for sign in "*?["):
            return any(
                match.resolve().is_relative_to(self._project) for match in self._project.glob(pattern.lstrip("/"))
            )
        return path.exists()


def values_of(run: Run, scope: str, keys: set[str] | list[str], version: int, values: ValueCache) -> dict[str, Any]:
    """The values of *keys* in *scope* as seen at *version*; keys without one are left out."""
    found: dict[str, Any] = {}
    for key in keys:
        parts = parts_at(run, scope + key, version)
        if parts:
            found[key] = merge_values([Part(part.merge, values.get(part.ref)) for part in parts])
    return found
