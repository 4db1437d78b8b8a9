"""Values between nodes: joined by key, bound to inputs, checked as outputs (SPEC 3).

Pure. `storage` keeps the values; the scheduler decides what a failure found here leads to.
Values are JSON only; nothing here changes a value in place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import InputError
from engine.json.schemas import check_schema, violation
from engine.json.values import json_problem
from engine.model.policy import Failure, FailureKind, Merge
from engine.transforms import MISSING, Transform, parse_transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.model.policy import InputSpec, OutputDecl

__all__ = [
    "Bound",
    "MergeError",
    "Part",
    "bind_inputs",
    "check_outputs",
    "check_schema",
    "declared_outputs",
    "fill_arguments",
    "json_problem",
    "merge_values",
    "missing_input_message",
]


class MergeError(InputError):
    """Two values of one key that cannot be joined as the command asks."""

    code = "MERGE_TYPE"


class Part(msgspec.Struct, frozen=True):
    """One contribution to a key's value."""

    merge: Merge
    """How it joins the value of the parts before it."""
    value: Any


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a node, or the reason why it cannot start."""

    inputs: dict[str, Any]
    missing: tuple[str, ...] = ()
    """Required keys that nothing provides, in the order of the declarations."""
    failure: Failure | None = None
    """A transform that exceeds a limit on this value, or is invalid."""


# --- joining ---------------------------------------------------------------------------------------------------------


def merge_values(parts: Sequence[Part]) -> Any:  # noqa: ANN401 - JSON
    """The value of a key to which *parts* (at least one) contributed in this order; raises `MergeError`.

    Everything before the last `replace` is ignored, so that a value that nothing reads cannot fail a run.
    """
    if not parts:
        message = "a value needs at least one part"
        raise ValueError(message)
    value: Any = MISSING
    for part in parts[_last_replace(parts) :]:
        value = _join(part.merge, value, part.value)
    return value


def _last_replace(parts: Sequence[Part]) -> int:
    """Where the value of *parts* begins."""
    return max((place for place, part in enumerate(parts) if part.merge is Merge.REPLACE), default=0)


def _join(merge: Merge, old: object, new: object) -> object:
    """*new* joined to *old*, which is MISSING for the first part."""
    if merge is Merge.REPLACE:
        return new
    if merge is Merge.APPEND:
        if old is MISSING:
            return [new]
        return [*old, new] if isinstance(old, list) else [old, new]
    if merge is Merge.MERGE:
        if isinstance(new, Mapping) and (old is MISSING or isinstance(old, Mapping)):
            return new if old is MISSING else _merged(old, new)
        message = f"`merge` joins two objects, not {_kind(old)} and {_kind(new)}"
        raise MergeError(message, hint="Use replace, append or concat for other values.")
    if isinstance(new, list) and (old is MISSING or isinstance(old, list)):
        return new if old is MISSING else [*old, *new]
    if isinstance(new, str) and (old is MISSING or isinstance(old, str)):
        return new if old is MISSING else old + new
    message = f"`concat` joins two lists or two strings, not {_kind(old)} and {_kind(new)}"
    raise MergeError(message, hint="Use append to add one value to a list.")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both objects, merged deeply; *new* wins unless both members are objects."""
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def _kind(value: object) -> str:
    """The type of *value* for a message; never its content."""
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, Mapping) else "a list"


# --- inputs ----------------------------------------------------------------------------------------------------------

_transform = lru_cache(maxsize=512)(parse_transform)


def bind_inputs(specs: Sequence[InputSpec], values: Mapping[str, Any], *, passthrough: bool) -> Bound:
    """The inputs from *values* of a node that declares *specs*.

    Each key takes its value after `transform`, else its default, which is not transformed; a default serves a required
    input too. A key without either is missing if required, else left out. A transform that finds nothing counts as no
    value. With *passthrough* all other values are included as well. Never raises.
    """
    inputs = dict(values) if passthrough else {}
    missing: list[str] = []
    for spec in specs:
        inputs.pop(spec.key, None)
        try:
            value = _selected(spec, values)
        except InputError as error:
            message = f'The transform of input "{spec.key}" failed: {error.message}'
            return Bound(inputs=inputs, failure=Failure(FailureKind.VALIDATION, error.code, message, error.hint))
        if value is not MISSING:
            inputs[spec.key] = value
        elif spec.has_default:
            inputs[spec.key] = spec.default
        elif spec.required:
            missing.append(spec.key)
    return Bound(inputs=inputs, missing=tuple(missing))


def _selected(spec: InputSpec, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """The value that *spec* selects from *values*, or MISSING."""
    value = values.get(spec.key, MISSING)
    if value is MISSING or spec.transform is None:
        return value
    transform: Transform = _transform(spec.transform)
    found = transform.apply(value)
    return MISSING if found == [] and transform.misses(value) else found


def missing_input_message(node: str, key: str, available: Iterable[str]) -> str:
    """The guide's two lines ("Context input not found"), the available keys in alphabetical order."""
    keys = json.dumps(sorted(available), ensure_ascii=False)
    return f'Required input "{key}" not found for node "{node}"\nAvailable context keys: {keys}'


def fill_arguments(task: str, arguments: str) -> str:
    """*task* with every `$ARGUMENTS` replaced; *arguments* itself is not searched again."""
    return task.replace("$ARGUMENTS", arguments)


# --- outputs ---------------------------------------------------------------------------------------------------------


def check_outputs(
    specs: Sequence[OutputDecl], outputs: Mapping[str, Any], *, cascade_on_validation: bool
) -> Failure | None:
    """The first problem with the *outputs* of a node that declares *specs*; all failures are of kind `validation`.

    In this order: MISSING_OUTPUT, INVALID_OUTPUT (a value that is not JSON), OUTPUT_SCHEMA with the place as a JSON
    Pointer, INVALID_OUTPUT_SCHEMA if the schema itself cannot be used. VALIDATION_FAILED is an output `false` of a
    node whose compensation cascades on validation: the node found its subject invalid (Tutorial 4).
    Outputs that are not declared are ignored and dropped by `declared_outputs`.
    """
    absent = [spec.key for spec in specs if spec.required and spec.key not in outputs]
    if absent:
        named = ", ".join(f'"{key}"' for key in absent)
        given = ", ".join(f'"{key}"' for key in sorted(outputs)) or "none"
        return _invalid("MISSING_OUTPUT", f"Declared outputs are missing: {named}\nOutputs given: {given}")
    for spec in specs:
        failure = _check_output(spec, outputs[spec.key]) if spec.key in outputs else None
        if failure is not None:
            return failure
    refused = [spec.key for spec in specs if outputs.get(spec.key) is False] if cascade_on_validation else []
    if refused:
        named = ", ".join(f'"{key}"' for key in refused)
        return _invalid("VALIDATION_FAILED", f"Validation failed: {named} is false")
    return None


def _check_output(spec: OutputDecl, value: object) -> Failure | None:
    """The problem with one output by itself."""
    problem = json_problem(value)
    if problem is not None:
        return _invalid("INVALID_OUTPUT", f'Output "{spec.key}" is not a JSON value: {problem}')
    if spec.schema is None:
        return None
    unusable = check_schema(spec.schema)
    if unusable is not None:
        return _invalid("INVALID_OUTPUT_SCHEMA", f'The schema of output "{spec.key}" cannot be used: {unusable}')
    broken = violation(spec.schema, value)
    if broken is not None:
        return _invalid("OUTPUT_SCHEMA", f'Output "{spec.key}" does not match its schema: {broken}')
    return None


def declared_outputs(specs: Sequence[OutputDecl], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The declared *outputs*, in order of declaration; only these enter the context."""
    return {spec.key: outputs[spec.key] for spec in specs if spec.key in outputs}


def _invalid(code: str, message: str) -> Failure:
    return Failure(FailureKind.VALIDATION, code, message)
