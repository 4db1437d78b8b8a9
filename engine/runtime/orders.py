"""Work orders: what an executor or the client gets for one attempt.

Effects: reads stored values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.executors.port import OutputSpec, WorkOrder
from engine.ids import attempt_id
from engine.run import events as ev
from engine.run.events import Role
from engine.run.lookup import keys_at
from engine.runtime.observations import filled, values_of
from engine.values import context
from engine.values.reading import value_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.model.agent import Agent
    from engine.model.plan import NodePlan
    from engine.run.state import AttemptRecord, NodeState, Run
    from engine.storage.cache import ValueCache


def scheduling_of(node: NodeState, live: AttemptRecord) -> ev.AttemptScheduled:
    """The event that *live*, an attempt of *node*, was scheduled with, with its deadline as it is now."""
    return ev.AttemptScheduled(
        live.scheduled_at,
        node.plan.id,
        live.number,
        live.role,
        node.version or 0,
        live.deadline,
        budget=live.budget,
        elsewhere=live.elsewhere,
    )


def make_order(
    run: Run, node: NodeState, event: ev.AttemptScheduled, *, agent: Agent, values: ValueCache, project: Path
) -> WorkOrder:
    """The work order of an attempt; raises `InputError` if its inputs are not available."""
    plan = node.plan
    undo = plan.compensation if event.role is Role.COMPENSATE else None
    outputs = () if undo else plan.outputs
    return WorkOrder(
        run=run.id,
        node=plan.id,
        attempt=attempt_id(run.id, plan.id, event.number),
        role=event.role.value,
        agent=agent,
        task=filled(run, plan, undo.task if undo else plan.task, values),
        inputs=_inputs(run, plan, event.version, values) if plan.inputs or plan.passthrough else {},
        outputs=tuple([OutputSpec(key=one.key, schema=one.schema, required=one.required) for one in outputs]),
        produced={key: value_of(ref, values.get) for key, ref in node.outputs.items()} if undo else {},
        project=project,
        timeout=plan.timeout,
        max_cost_usd=event.budget,
        cost_usd=run.cost_usd,
        priority=plan.priority,
        estimate=plan.estimate,
    )


def _inputs(run: Run, plan: NodePlan, version: int, values: ValueCache) -> Mapping[str, Any]:
    keys = keys_at(run, plan.scope, version) if plan.passthrough else [spec.key for spec in plan.inputs]
    found = values_of(run, plan.scope, keys, version, values)
    bound = context.bind_inputs(plan.inputs, found, passthrough=plan.passthrough)
    if bound.missing:
        raise InputError(
            "\n".join(context.missing_input_message(plan.id, key, list(found)) for key in bound.missing),
            code="MISSING_INPUT",
        )
    return bound.inputs
