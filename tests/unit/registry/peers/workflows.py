"""Small workflows of other programs for tests, and what becomes of them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from engine.validation import Severity, validate_definition
from registry.agents.format import read_agent
from registry.files import yaml_file
from registry.peers.convert import Converted, convert
from registry.peers.kinds import peer_of
from registry.peers.sources import Sources

from engine.model.agent import AgentSource  # isort: skip

if TYPE_CHECKING:
    from engine.model.agent import Agent


def read(text: str) -> dict[str, Any]:
    raw = yaml_file.parse(textwrap.dedent(text))
    assert isinstance(raw, dict)
    return raw


def converted(text: str, sources: Sources | None = None) -> Converted:
    """The workflow *text*, whose program is recognized by its form."""
    raw = read(text)
    peer = peer_of(raw)
    assert peer is not None
    return convert(raw, peer, sources or Sources())


def archon(nodes: str, head: str = "", sources: Sources | None = None) -> Converted:
    """An Archon workflow with *nodes*, which works in the project itself."""
    text = f"name: t\ndescription: d\nworktree: {{enabled: false}}\nmutates_checkout: false\n{textwrap.dedent(head)}"
    return converted(f"{text}nodes:\n{textwrap.indent(textwrap.dedent(nodes), '  ')}", sources)


def conductor(agents: str, more: str = "", entry: str = "a", workflow: str = "") -> Converted:
    """A Conductor workflow with *agents*; *more* is beside them, *workflow* below its heading."""
    head = f"workflow:\n  name: t\n  entry_point: {entry}\n{textwrap.indent(textwrap.dedent(workflow), '  ')}"
    return converted(f"{head}agents:\n{textwrap.indent(textwrap.dedent(agents), '  ')}{textwrap.dedent(more)}")


def refused(found: Converted) -> list[tuple[str, str]]:
    """Pointer and message of each part that was refused."""
    return [(one.pointer, one.message) for one in found.problems if one.severity is Severity.ERROR]


def differs(found: Converted) -> list[str]:
    return [one.message for one in found.problems if one.severity is not Severity.ERROR]


def nodes_of(found: Converted) -> dict[str, dict[str, Any]]:
    """All nodes by id, with those in phases in place."""
    nodes: dict[str, dict[str, Any]] = {}
    waiting = list(found.definition["phases"])
    while waiting:
        for node in waiting.pop()["agents"]:
            nodes[node["id"]] = node
            waiting += node.get("phases", [])
    return nodes


def agents_of(found: Converted) -> dict[str, Agent]:
    """The agents of the new files, which all have to be readable."""
    agents = {}
    for name, text in found.agents.items():
        agent, problems = read_agent(text, path=name, stem=name, source=AgentSource.PROJECT)
        assert agent is not None, problems
        agents[name] = agent
    return agents


def checked(found: Converted) -> Converted:
    """*found*, which has to be a valid command without anything refused."""
    assert refused(found) == []
    errors = validate_definition(found.definition, agents=agents_of(found)).errors
    assert [(one.code, one.pointer, one.message) for one in errors] == []
    return found


def skip_of(node: dict[str, Any]) -> str:
    expression: str = node["skipCondition"]["expression"]
    return expression


def inputs_of(node: dict[str, Any]) -> dict[str, bool]:
    """The inputs by key, and whether they are required."""
    return {one["key"]: one.get("required", True) for one in node.get("context", {}).get("inputs", [])}
