"""Simulates agents: lets the estimate pass, makes up outputs from their schemas, and fails where requested.

Effects: waits on the event loop's clock, which a simulation replaces by a virtual one. It starts nothing, and the same
work order always has the same outcome.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.errors import InputError
from engine.executors.answer import failed, upper_snake
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.ids import NodeId, in_template, parse_attempt_id
from engine.json.example import example_of
from engine.model.policy import FailureKind

_FAULT_FORM = "NODE[:ATTEMPT]=KIND[/CODE], such as deploy=error, deploy:2=error/RATE_LIMIT or tests=timeout"
_VALUE_FORM = "NODE.KEY=JSON, such as --set 'scan.issues=[]' or --set 'review.approved=false'"
_CODES = {
    FailureKind.ERROR: "AGENT_ERROR",
    FailureKind.TIMEOUT: "TIMEOUT",
    FailureKind.VALIDATION: "INVALID_OUTPUT",
    FailureKind.CANCEL: "CANCELLED",
}


class Fault(msgspec.Struct, frozen=True):
    """The failure to simulate for an attempt."""

    kind: FailureKind
    code: str


class SimulateExecutor:
    """Takes as long as each work order's estimate and returns made-up outputs."""

    def __init__(
        self,
        *,
        faults: Mapping[tuple[NodeId, int | None], Fault] | None = None,
        values: Mapping[NodeId, Mapping[str, Any]] | None = None,
    ) -> None:
        """*faults* by node and attempt number, None for all forward ones; *values* by node and output key.

        Outputs not in *values* are made up from the schema.
        """
        self._faults = dict(faults or {})
        self._values = dict(values or {})
        self.answered: set[NodeId] = set()
        """The nodes that have returned outputs, accepted or not."""

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Let the estimate pass; a fault comes at half of it, a timeout by never ending."""
        heartbeat(f"Simulating {order.agent.id}")
        fault = self._fault_of(order)
        estimate = order.estimate.total_seconds()
        if fault is None:
            await asyncio.sleep(estimate)
            if order.role == "forward":
                self.answered.add(order.node)
            return Outcome(outputs=self._outputs_of(order))
        if fault.kind is FailureKind.TIMEOUT:
            await asyncio.get_running_loop().create_future()  # the runtime's own limit has to end it
        await asyncio.sleep(estimate / 2)
        return failed(fault.kind, fault.code, f"simulated failure of {order.node}")

    def _fault_of(self, order: WorkOrder) -> Fault | None:
        parsed = parse_attempt_id(order.attempt)
        numbers = [parsed[2]] if parsed is not None else []
        for number in (*numbers, *([None] if order.role == "forward" else ())):
            for name in (order.node, in_template(order.node)):
                if (name, number) in self._faults:
                    return self._faults[name, number]
        return None

    def _outputs_of(self, order: WorkOrder) -> dict[str, Any]:
        given = {**self._values.get(in_template(order.node), {}), **self._values.get(order.node, {})}
        return {
            output.key: given[output.key]
            if output.key in given
            else example_of(output.schema, placeholder=f"<{output.key} by {order.agent.id}>")
            for output in order.outputs
        }


def parse_fault(text: str) -> tuple[tuple[NodeId, int | None], Fault]:
    """The fault that `--fail` spells as NODE[:ATTEMPT]=KIND[/CODE]."""
    place, equals, what = text.rpartition("=")
    node, colon, number = place.rpartition(":")
    if not colon:
        node, number = place, ""
    if not equals or not node or (colon and not re.fullmatch(r"[1-9][0-9]{0,8}", number)):
        raise InputError(f'"{text}" is not a valid fault', code="INVALID_FAULT", hint=f"Write it as {_FAULT_FORM}.")
    kind_name, _, code = what.partition("/")
    kinds = ", ".join(FailureKind)
    if kind_name not in set(FailureKind):
        raise InputError(f'unknown kind of failure "{kind_name}"', code="INVALID_FAULT", hint=f"Known kinds: {kinds}.")
    kind = FailureKind(kind_name)
    if code and kind is FailureKind.TIMEOUT:
        raise InputError(
            f'"{text}": a timeout has no code of its own', code="INVALID_FAULT", hint=f"Write {place}=timeout."
        )
    fault = Fault(kind, upper_snake(code) or _CODES[kind])
    return (NodeId(node), int(number) if colon else None), fault


def faults_by_place(
    faults: Iterable[tuple[tuple[NodeId, int | None], Fault]],
) -> dict[tuple[NodeId, int | None], Fault]:
    """The results of `parse_fault` as the executor takes them. Raises `InputError` if two are for one place."""
    table: dict[tuple[NodeId, int | None], Fault] = {}
    for place, fault in faults:
        if place in table:
            node, number = place
            where = f'node "{node}"' if number is None else f'attempt {number} of node "{node}"'
            raise InputError(f"two failures are given for {where}", code="INVALID_FAULT", hint="Give one of them.")
        table[place] = fault
    return table


def parse_value(text: str) -> tuple[NodeId, str, Any]:
    """Node, key and value that `--set` spells as NODE.KEY=JSON."""
    place, equals, raw = text.partition("=")
    node, dot, key = place.partition(".")
    if not (equals and dot and node and key):
        raise InputError(f'"{text}" does not set a value', code="INVALID_VALUE", hint=f"Write it as {_VALUE_FORM}.")
    try:
        return NodeId(node), key, json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the value of {place} is not JSON: {error}",
            code="INVALID_VALUE",
            hint=f"Put quotes around text: --set '{place}=\"{raw}\"'.",
        ) from None


def values_by_node(values: Iterable[tuple[NodeId, str, Any]]) -> dict[NodeId, dict[str, Any]]:
    """The results of `parse_value` as the executor takes them. Raises `InputError` if two are for one output."""
    table: dict[NodeId, dict[str, Any]] = {}
    for node, key, value in values:
        of_node = table.setdefault(node, {})
        if key in of_node:
            raise InputError(f"two values are given for {node}.{key}", code="INVALID_VALUE", hint="Give one of them.")
        of_node[key] = value
    return table
