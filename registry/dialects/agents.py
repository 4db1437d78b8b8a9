"""Joins the two lists of an older file, agents by id and tasks, into one list of nodes.

Pure. Lists that cannot be joined without a guess are an error with the reason: using only one of them would run
different work from what was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.dialects.notes import Fields

WORK = ("tasks", "steps", "nodes")
"""Names of the list of tasks beside `agents`."""
REFERENCES = ("agentId", "agent", "agent_id", "agentName", "assignedTo", "assignedAgent", "assignee")
"""Fields of a task that name its agent."""
KINDS = ("agentId", "agentType", "subagent_type", "type", "agent")
"""Fields of an agent that name the agent of the registry."""
_NAMES = frozenset({"id", "name", "description", *KINDS})
"""Fields of an agent that may be dropped once its tasks name it: names are for people."""


def join_agents(fields: Fields) -> None:
    """If *fields* has both lists, make `agents` the nodes; in a file with phases the agents are looked up there."""
    work = next((name for name in WORK if isinstance(fields.left.get(name), list)), None)
    agents = fields.left.get("agents")
    if work is None or not isinstance(agents, list):
        return
    nodes = fields.left.pop(work)
    fields.notes.older = True
    faults = [*_faults_of_agents(agents), *_faults_of_work(nodes, agents, work)]
    if faults:
        fields.left[f"x-{work}"] = nodes
        for fault in faults[:_MAX_FAULTS]:
            message = f'"agents" and "{work}" cannot be joined: {fault}'
            fields.notes.lost(fields.at(work), message, "Write one list of nodes, each with agentId and task.")
        return
    kinds = {agent["id"]: _kind(agent) for agent in agents}
    fields.left["agents"] = [_node(node, kinds) for node in nodes]
    message = f'the agents and the {work} of an older file are one list of nodes in v2, "agents", with agentId and task'
    fields.notes.value(fields.at(work), message, f'Write the {work} into "agents".')


_MAX_FAULTS = 5


def _faults_of_agents(agents: list[Any]) -> Iterable[str]:
    seen = set()
    for at, agent in enumerate(agents):
        name = agent.get("id") if isinstance(agent, dict) else None
        if not isinstance(name, str) or not name:
            yield f"agent {at + 1} has no id"
            continue
        if name in seen:
            yield f'two agents have the id "{name}"'
        seen.add(name)
        more = [key for key in agent if key not in _NAMES and not key.startswith("x-")]
        if more:
            yield f'agent "{name}" has {", ".join(f"{key!r}" for key in more[:_MAX_FAULTS])}, which belongs to a task'


def _faults_of_work(nodes: list[Any], agents: list[Any], work: str) -> Iterable[str]:
    known = {agent.get("id") for agent in agents if isinstance(agent, dict)}
    used = set()
    for at, node in enumerate(nodes):
        if not isinstance(node, dict):
            yield f"entry {at + 1} of {work} is not an object"
            continue
        name = _reference(node)
        shown = f'"{node.get("id", at + 1)}" of {work}'
        if name is None:
            yield f"{shown} does not name an agent"
        elif name not in known:
            yield f'{shown} names the agent "{name}", which is not among the agents'
        used.add(name)
    for name in sorted(name for name in known - used if isinstance(name, str)):
        yield f'agent "{name}" has none of the {work}'


def _reference(node: dict[str, Any]) -> str | None:
    return next((name for key in REFERENCES if isinstance(name := node.get(key), str)), None)


def _kind(agent: dict[str, Any]) -> str:
    """The agent of the registry that an entry stands for, by default its own id."""
    return next((kind for key in KINDS if isinstance(kind := agent.get(key), str) and kind), agent["id"])


def _node(node: dict[str, Any], kinds: dict[str, str]) -> dict[str, Any]:
    """A task with the agent of the registry, and with its name as the text if it has no other."""
    rest = {key: value for key, value in node.items() if key not in REFERENCES}
    found = {**rest, "agentId": kinds[_reference(node) or ""]}
    if not {"task", "description", "prompt", "instructions", "instruction", "objective", "goal"} & found.keys():
        found["task"] = found.pop("name", None)
    return found
