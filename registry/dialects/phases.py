"""Converts one phase of an older file to v2: its id, its parallelism, and its settings for all of its nodes.

Pure. `registry/dialects/nodes.py` converts the nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.model.command import Phase
from engine.validation.fields import fields_of
from registry.dialects.agents import join_agents
from registry.dialects.conditions import RUN_WORDS, SKIP_WORDS, join_condition, skip_condition
from registry.dialects.flow import IN_ORDER
from registry.dialects.nodes import carry_node, carry_resources, carry_retry
from registry.dialects.notes import Fields
from registry.wording import Names, phase_slug

if TYPE_CHECKING:
    from registry.dialects.notes import Notes

_MODES = {"parallel": True, "concurrent": True, "sequential": False, "serial": False, "sequence": False}


@dataclass(slots=True)
class Carried:
    """State of the command while its phases are converted."""

    spread: dict[str, Any]
    """Settings of the command for all phases or nodes without their own."""
    values: dict[str, Any]
    """Context values made from parameters of nodes."""
    notes: Notes
    taken: Names = field(default_factory=Names)
    """Phase ids."""
    nodes: Names = field(default_factory=Names)
    """Node ids."""
    earlier: set[str] = field(default_factory=set)
    """Ids and names, as slugs, of the phases so far."""
    phases: list[Any] = field(default_factory=list)
    """The phases so far."""


def carry_phases(phases: list[Any], carried: Carried) -> list[Any]:
    """The phases in v2."""
    given = (phase.get("id") for phase in phases if isinstance(phase, dict))
    carried.taken = Names(name for name in given if isinstance(name, str))
    for phase in phases:
        nodes = phase.get("agents") if isinstance(phase, dict) else None
        for node in nodes if isinstance(nodes, list) else []:
            if isinstance(node, dict) and isinstance(node.get("id"), str):
                carried.nodes.add(node["id"])
    for at, phase in enumerate(phases):
        if isinstance(phase, dict):
            carried.phases.append(_phase(phase, at, carried))
            names = (phase.get("id"), phase.get("name"), carried.phases[-1]["id"])
            carried.earlier.update(phase_slug(name) for name in names if isinstance(name, str))
        else:
            carried.phases.append(phase)
    return carried.phases


def _phase(raw: dict[str, Any], at: int, carried: Carried) -> dict[str, Any]:
    spread, notes = carried.spread, carried.notes
    fields = Fields(raw, f"/phases/{at}", notes)
    _phase_identity(fields, at, carried.taken)
    _parallelism(fields, spread)
    _phase_errors(fields, spread)
    fields.rename("timeout", habits=("timeoutMs", "maxDuration"))
    if "timeout" in spread:
        fields.left.setdefault("timeout", spread["timeout"])
    fields.milliseconds("timeout")
    join_agents(fields)
    fields.rename("agents", habits=("nodes", "tasks", "steps"))
    _phase_order(fields, carried.earlier)
    agents = fields.left.get("agents")
    if isinstance(agents, dict):
        notes.value(fields.at("agents"), "agents are a list in v2", "Write a list of nodes with id.")
        agents = [{"id": key, **node} if isinstance(node, dict) else node for key, node in agents.items()]
    if isinstance(agents, list):
        fields.left["agents"] = [
            _node(node, f"/phases/{at}/agents/{place}", carried) for place, node in enumerate(agents)
        ]
    _for_all_nodes(fields, spread)
    for name in ("estimatedTime", "estimatedDuration", "duration"):
        found = fields.take(name)
        if found is not None:
            fields.left[f"x-{name}"] = found[1]
            if name == "estimatedDuration":
                notes.older = True
            notes.kept(fields.at(name), name, f"x-{name}")
    return fields.keep([*fields_of(Phase), IN_ORDER])


def _node(raw: object, pointer: str, carried: Carried) -> object:
    if not isinstance(raw, dict):
        return raw
    node, parameters = carry_node(raw, pointer=pointer, notes=carried.notes)
    if raw.get("id") is None and isinstance(node.get("id"), str):
        node["id"] = carried.nodes.claim(node["id"])
    if isinstance(node.get("id"), str):
        carried.nodes.add(node["id"])
    carried.values.update(parameters)
    return node


def _phase_identity(fields: Fields, at: int, taken: Names) -> None:
    left, notes = fields.left, fields.notes
    name = left.get("name")
    given = left.get("id")
    if given is None:
        wanted = phase_slug(name) if isinstance(name, str) and name else f"phase-{at + 1}"
        left["id"] = taken.claim(wanted)
        notes.inferred(fields.at("id"), f'The phase has no id; "{left["id"]}" was used', f'Write "id": "{left["id"]}".')
    elif isinstance(given, int) or (isinstance(given, str) and not re.fullmatch(r"[a-z][a-z0-9-]*", given)):
        left["id"] = taken.claim(phase_slug(str(given)))
        notes.value(
            fields.at("id"),
            f'"{given}" is not a valid phase id in v2; "{left["id"]}" was used',
            f'Write "{left["id"]}".',
        )
    taken.add(str(left["id"]))
    if name is None:
        left["name"] = str(given if given is not None else left["id"]).replace("-", " ").title()
        notes.inferred(
            fields.at("name"), "The phase has no name; its id was used", f'Write "{left["name"]}".', older=False
        )


def _parallelism(fields: Fields, spread: dict[str, Any]) -> None:
    """`sequential`, `parallelism`, `mode` and similar fields become parallel and maxParallelism."""
    left, notes = fields.left, fields.notes
    sequential = left.get("sequential")
    if isinstance(sequential, bool):
        del left["sequential"]
        notes.spelled(fields.at("sequential"), "sequential", "parallel")
        left.setdefault("parallel", not sequential)
        left[IN_ORDER] = sequential
    for name in ("type", "mode", "execution", "executionMode", "strategy"):
        value = left.get(name)
        if isinstance(value, str) and value.casefold() in _MODES and "parallel" not in left:
            del left[name]
            left["parallel"] = _MODES[value.casefold()]
            left[IN_ORDER] = not left["parallel"]
            notes.spelled(fields.at(name), f'{name}": "{value}', "parallel")
    source = next(
        (name for name in ("parallelism", "parallel", "concurrency") if isinstance(left.get(name), dict)), None
    )
    if source is not None:
        _concurrency(fields, left.pop(source), source)
    elif "parallelism" in left and isinstance(left["parallelism"], int):
        fields.rename("parallel" if isinstance(left["parallelism"], bool) else "maxParallelism", "parallelism")
    fields.rename(
        "maxParallelism", "maxConcurrent", habits=("maxConcurrency", "concurrency", "maxParallel", "maxAgents")
    )
    if isinstance(spread.get("parallelism"), dict) and "maxParallelism" not in left and "parallel" not in left:
        _concurrency(fields, spread["parallelism"], "parallelism")
    elif "maxParallelism" in spread:
        left.setdefault("maxParallelism", spread["maxParallelism"])
    if left.get("maxParallelism") in (0, -1) and not isinstance(left["maxParallelism"], bool):
        notes.value(fields.at("maxParallelism"), "without maxParallelism, v2 has no limit", "Remove it.")
        left["x-maxParallelism"] = left.pop("maxParallelism")


def _concurrency(fields: Fields, value: dict[str, Any], source: str) -> None:
    """The object form of parallelism: enabled or not, and the limit."""
    inner = Fields(value, fields.at(source), fields.notes)
    fields.notes.spelled(fields.at(source), source, "parallel and maxParallelism")
    enabled = inner.take("enabled", "parallel")
    if enabled is not None:
        fields.left.setdefault("parallel", enabled[1])
    limit = inner.take("maxConcurrent", "maxParallelism", "maxConcurrency", "max", "limit")
    if limit is not None and limit[1] is not None:
        fields.left.setdefault("maxParallelism", limit[1])
    for name, item in inner.left.items():
        fields.left[f"x-{source}-{name}"] = item
        fields.notes.kept(inner.at(name), name, f"x-{source}-{name}")


def _phase_errors(fields: Fields, spread: dict[str, Any]) -> None:
    """The effect of a failure on the rest of the phase."""
    left, notes = fields.left, fields.notes
    fields.rename("continueOnError", habits=("continueOnFailure", "allowFailure", "continue_on_error"))
    fast = left.get("failFast")
    if isinstance(fast, bool) and "continueOnError" not in left:
        del left["failFast"]
        left["continueOnError"] = not fast
        notes.value(fields.at("failFast"), '"failFast" is "continueOnError" in v2', f"Write {str(not fast).lower()}.")
    policy = left.get("onError", left.get("onFailure"))
    words = {"continue": True, "ignore": True, "skip": True, "stop": False, "fail": False, "abort": False}
    if isinstance(policy, str) and policy.casefold() in words and "continueOnError" not in left:
        name = "onError" if "onError" in left else "onFailure"
        del left[name]
        left["continueOnError"] = words[policy.casefold()]
        notes.value(fields.at(name), f'"{name}": "{policy}" is "continueOnError" in v2', "Write continueOnError.")
    if isinstance(spread.get("continueOnError"), bool):
        left.setdefault("continueOnError", spread["continueOnError"])


def _phase_order(fields: Fields, earlier: set[str]) -> None:
    """Phases run in file order in v2, so a dependency on an earlier phase is redundant."""
    found = fields.take("dependencies", "dependsOn", "depends_on", "after", "requires")
    if found is None:
        return
    name, value = found
    items = value if isinstance(value, list) else [] if value is None else [value]
    later = [one for one in items if not (isinstance(one, str) and phase_slug(one) in earlier)]
    fields.left[f"x-{name}"] = value
    if later:
        message = f"The phase depends on {later}, which comes later or does not exist: v2 phases run in file order"
        fields.notes.lost(fields.at(name), message, "Put the phases in the order in which they run.")
    else:
        fields.notes.kept(fields.at(name), name, f"x-{name}")


def _for_all_nodes(fields: Fields, spread: dict[str, Any]) -> None:
    """Retries, conditions and resources of a phase are copied to each of its nodes."""
    left, notes = fields.left, fields.notes
    agents = left.get("agents")
    nodes = [node for node in agents if isinstance(node, dict)] if isinstance(agents, list) else []
    retry = fields.take("retryPolicy", "retry")
    if retry is not None or "retryPolicy" in spread:
        value = retry[1] if retry is not None else spread["retryPolicy"]
        pointer = fields.at(retry[0]) if retry is not None else "/retry"
        policy = carry_retry(value, pointer=pointer, notes=notes)
        for node in nodes if policy is not None else []:
            node.setdefault("retryPolicy", policy)
        if retry is not None:
            notes.say(
                "DIALECT_SPREAD",
                pointer,
                "a phase has no retryPolicy in v2; it was copied to its nodes without one",
                "Write it in the nodes.",
            )
    for word in ("skipCondition", *SKIP_WORDS, *RUN_WORDS):
        if word in left:
            _phase_condition(fields, nodes, word)
    resources = fields.take("resources")
    if resources is not None:
        _phase_resources(fields, nodes, resources[1])
    if "compensation" in left:
        value = left.pop("compensation")
        left["x-compensation"] = value
        notes.lost(
            fields.at("compensation"), "The compensation of a phase cannot be converted", "Write it in its nodes."
        )


def _phase_condition(fields: Fields, nodes: list[dict[str, Any]], word: str) -> None:
    value = fields.left.pop(word)
    pointer = fields.at(word)
    found = skip_condition(
        value, word="skipIf" if word == "skipCondition" else word, pointer=pointer, notes=fields.notes
    )
    if found is None:
        fields.left[f"x-{word}"] = value
        return
    fields.notes.say(
        "DIALECT_SPREAD",
        pointer,
        "a phase has no skipCondition in v2; it was copied to its nodes",
        "Write it in the nodes.",
    )
    for node in nodes:
        join_condition(node, found, pointer=pointer, notes=fields.notes)


def _phase_resources(fields: Fields, nodes: list[dict[str, Any]], value: object) -> None:
    """Locks of a phase go to its nodes, which is the same only if no two of them run at once."""
    pointer = fields.at("resources")
    resources = carry_resources(value, pointer=pointer, notes=fields.notes)
    if len(nodes) > 1 and fields.left.get("parallel", True) is not False:
        fields.left["x-resources"] = value
        message = "Locks of a parallel phase cannot be converted: its nodes would wait for each other"
        fields.notes.lost(pointer, message, "Write them in the nodes that need them, or in the command.")
        return
    fields.notes.say(
        "DIALECT_SPREAD",
        pointer,
        "a phase has no resources in v2; they were copied to its nodes",
        "Write them in the nodes.",
    )
    for node in nodes:
        node.setdefault("resources", resources)
