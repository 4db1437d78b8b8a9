"""The outputs of a run: the values of its keys and of its nodes, whole.

Effects: reads stored values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import NotFound
from engine.ids import NodeId
from engine.run.events import RunStatus
from engine.run.lookup import keys_at, parts_at
from engine.runtime.observations import outputs_to_show, values_of
from engine.text.suggestions import Names
from engine.values.reading import value_of

if TYPE_CHECKING:
    from engine.run.state import Run
    from engine.storage.cache import ValueCache


class Output(NamedTuple):
    """One output."""

    key: str
    value: Any
    """Any JSON value."""


def keys_of(run: Run) -> list[str]:
    """The keys that nodes of *run* produced, in the order in which they came."""
    return [
        key
        for key in keys_at(run, "", run.version)
        if any(part.node is not None for part in parts_at(run, key, run.version))
    ]


def notable_keys(run: Run) -> list[str]:
    """The keys that make up the result of *run*: all of the last phase, before them those that it leaves to others.

    Only a completed or degraded run leaves any.
    """
    last = max((phase.plan.index for phase in run.phases if phase.plan.group is None), default=0)
    kept = {output.key for node in run.plan.nodes for output in node.outputs if output.persist and not node.scope}
    if run.status not in {RunStatus.COMPLETED, RunStatus.DEGRADED}:
        kept = set()
    final = {output.key for node in run.plan.nodes for output in node.outputs if node.phase == last}
    made = keys_of(run)
    return [key for key in made if key in kept - final] + [key for key in made if key in final]


def notable_outputs(run: Run, values: ValueCache) -> list[Output]:
    """The result of *run* (see `notable_keys`)."""
    return _read(run, values, notable_keys(run))


def outputs_of(run: Run, values: ValueCache, name: str | None) -> list[Output]:
    """All outputs of *run*, or those that *name*, a key or else a node, stands for.

    Raises `NotFound`, and `MergeError` for a key whose values do not join, which is left out of all.
    """
    keys = keys_of(run)
    if name is None:
        return _read(run, values, keys)
    if name in keys:
        return [Output(name, output_of(run, values, name))]
    node = run.nodes.get(NodeId(name))
    if node is None:
        raise not_found(run, name)
    if not node.outputs:
        raise NotFound(
            f'node "{name}" of run {run.id} has no outputs: it is {node.status}',
            code="OUTPUT_NOT_FOUND",
            hint=f"Run `orchestrate show {run.id} {name}` for its state.",
        )
    return [Output(key, value_of(ref, values.get)) for key, ref in node.outputs.items()]


def _read(run: Run, values: ValueCache, keys: list[str]) -> list[Output]:
    """The values of *keys*, without those that do not join."""
    return [Output(key, value) for key, value in outputs_to_show(run, keys, values).items()]


def output_of(run: Run, values: ValueCache, key: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of one key. Raises `NotFound`."""
    found = values_of(run, "", [key], run.version, values)
    if key not in found:
        raise not_found(run, key)
    return found[key]


def not_found(run: Run, name: str) -> NotFound:
    """The error for a name that no output has."""
    names = Names([*keys_of(run), *(node.plan.id for node in run.nodes.values() if node.outputs)])
    hint = names.question(name) or (f"It has {', '.join(names.names[:10])}." if names.names else None)
    return NotFound(f'run {run.id} has no output "{name}"', code="OUTPUT_NOT_FOUND", hint=hint)
