"""Divides a node with forEach or repeat into the node itself and the instance in its template.

Pure. The node keeps all that has to be said once: dependencies, approval, its inputs, and the joined outputs. All that
holds for each instance goes into the template, whose compilation is that of any other nodes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from engine import conditions
from engine.errors import InputError
from engine.ids import ANY, NodeId
from engine.model.plan import ForEach, NodeKind, Repeat, SkipType
from engine.model.policy import InputSpec, Merge, OutputDecl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.command import Node
    from engine.model.plan import NodePlan, Skip

NUMBER = "number"
"""Key under which an instance of a forEach finds its number."""
ITERATION = "iteration"
"""Key under which an iteration finds its number."""


def own_names(node: Node) -> tuple[str, ...]:
    """The names that stand for values in the texts of *node* and of nodes inside it."""
    if node.for_each is not None:
        return node.for_each.item_name, NUMBER
    return (ITERATION,) if node.repeat is not None else ()


def foreach(node: Node, plan: NodePlan) -> tuple[NodePlan, NodePlan]:
    """The node that stands for all items, and the instance for one of them."""
    given = node.for_each
    assert given is not None  # noqa: S101 - the caller has looked
    each = ForEach(
        items=given.items,
        name=given.item_name,
        key=given.key,
        max_items=given.max_items,
        limit=given.max_parallelism,
        continue_on_error=given.continue_on_error,
        failures=given.failures,
        estimated=given.estimated_items,
    )
    own = {each.name, NUMBER}
    by_item = plan.skip is not None and bool(_names(plan.skip) & own)
    seen = [spec.key for spec in plan.inputs if spec.key != each.items]
    failures = () if each.failures is None else (OutputDecl(key=each.failures, required=False),)
    container = structs.replace(
        _container(plan), each=each, outputs=(*plan.outputs, *failures), skip=None if by_item else plan.skip
    )
    instance = structs.replace(
        _instance(plan),
        skip=plan.skip if by_item else None,
        inputs=_optional([*seen, each.name, NUMBER]),
        outputs=tuple(structs.replace(output, ttl=None, persist=False, merge=Merge.REPLACE) for output in plan.outputs),
    )
    return container, instance


def repeated(node: Node, plan: NodePlan) -> tuple[NodePlan, NodePlan]:
    """The node that stands for all iterations, and the instance for one of them."""
    given = node.repeat
    assert given is not None  # noqa: S101 - the caller has looked
    loop = Repeat(
        until=given.until,
        max_iterations=given.max_iterations,
        tolerant=given.on_exhausted == "continue",
        unchanged=tuple(given.stop_when_unchanged),
        interval=timedelta(milliseconds=given.interval),
    )
    group = bool(node.phases) or plan.agent == "command"
    keys = [*(spec.key for spec in plan.inputs), *(output.key for output in plan.outputs)]
    instance = structs.replace(
        _instance(plan),
        skip=None,
        inputs=_optional([*keys, ITERATION]),
        outputs=tuple(
            structs.replace(output, ttl=None, persist=False, required=output.required and not group)
            for output in plan.outputs
        ),
        target=f"{plan.id}/",
    )
    return structs.replace(_container(plan), loop=loop), instance


def _container(plan: NodePlan) -> NodePlan:
    return structs.replace(
        plan,
        kind=NodeKind.SUB_COMMAND,
        retry=None,
        compensation=None,
        locks=(),
        breaker=None,
        idempotent=True,
    )


def _instance(plan: NodePlan) -> NodePlan:
    name = NodeId(f"{plan.id}/{ANY}")
    return structs.replace(plan, id=name, index=0, phase=-1, scope=f"{name}/", depends_on=(), approval=None)


def _optional(keys: Iterable[str]) -> tuple[InputSpec, ...]:
    """Inputs that were bound, transformed and checked for the node as a whole."""
    return tuple(InputSpec(key=key, required=False) for key in dict.fromkeys(keys))


def _names(skip: Skip) -> frozenset[str]:
    if skip.type is not SkipType.CONTEXT:
        return frozenset()
    try:
        return conditions.parse(skip.expression).names
    except InputError:  # the node fails because of it
        return frozenset()
