"""Small ways to write a raw command definition in a test, and to compile it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.graph import compile_plan
from engine.model.agent import Agent
from engine.model.command import CommandDefinition
from engine.model.plan import Bundle, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = 60_000

Raw = dict[str, Any]


def node(name: str, *needs: str, minutes: float = 1, agent: str = "worker", **fields: object) -> Raw:
    """A node *name* that depends on *needs*."""
    return {
        "id": name,
        "agentId": agent,
        "task": f"Do {name}",
        "dependencies": list(needs),
        "estimatedTime": round(minutes * MINUTE),
        **fields,
    }


def phase(name: str, *nodes: Raw, **fields: object) -> Raw:
    """A phase of *nodes*."""
    return {"id": name, "name": name.title(), "agents": list(nodes), **fields}


def command(*phases: Raw, name: str = "/test", **fields: object) -> Raw:
    """A command of *phases*."""
    return {"version": "2.0.0", "name": name, "description": "A test", "phases": list(phases), **fields}


def _nodes_of(part: Raw) -> Iterator[Raw]:
    for item in (item for group in part.get("phases", ()) for item in group["agents"]):
        yield item
        yield from _nodes_of(item)


def in_place(name: str, *phases: Raw, **fields: Any) -> Raw:  # noqa: ANN401 - JSON
    """A node with *phases* in place, which depends on `needs`."""
    needs = list(fields.pop("needs", ()))
    return {"id": name, "task": f"Do {name}", "dependencies": needs, "phases": list(phases), **fields}


def bundle(raw: Raw, *subcommands: Raw, agents: tuple[Agent, ...] = ()) -> Bundle:
    """*raw* with its sub-commands, and an agent for every id that is named; those of *agents* as they are."""
    known = {agent.id: agent for agent in agents}
    for part in (raw, *subcommands):
        for item in _nodes_of(part):
            own = item.get("agentId", "command")
            for name in (own, item.get("compensation", {}).get("agentId", own)):
                known.setdefault(name, Agent(id=name))
    known.pop("command", None)
    return Bundle(
        command=CommandDefinition.model_validate(raw),
        agents=known,
        commands={part["name"]: CommandDefinition.model_validate(part) for part in subcommands},
        digest="d" * 64,
    )


def plan(raw: Raw, *subcommands: Raw, agents: tuple[Agent, ...] = ()) -> Plan:
    """The compiled plan of *raw*."""
    return compile_plan(bundle(raw, *subcommands, agents=agents))


def review_code() -> Raw:
    """The guide's first tutorial: 30 minutes of work in 20."""
    return command(
        phase("analysis", node("analyzer", minutes=5), parallel=False),
        phase(
            "reviews",
            node("quality-review", "analyzer", minutes=10, priority=10),
            node("security-review", "analyzer", minutes=10, priority=20),
            maxParallelism=2,
        ),
        phase("reporting", node("report-generator", "quality-review", "security-review", minutes=5), parallel=False),
        name="/review-code",
    )


def analyze_api() -> Raw:
    """The guide's second tutorial: 50 minutes of work in 20."""
    reviews = ("security-review", "performance-review", "documentation-review", "schema-review")
    return command(
        phase("discovery", node("analyzer", minutes=5), parallel=False),
        phase("analysis", *(node(name, "analyzer", minutes=10) for name in reviews), maxParallelism=4),
        phase("synthesis", node("synthesizer", *reviews, minutes=5), parallel=False),
        name="/analyze-api",
    )


def implement_feature() -> Raw:
    """The guide's third tutorial: 155 minutes of work in 95."""
    code = ("backend", "frontend", "database")
    return command(
        phase("design", node("architect", minutes=10), parallel=False),
        phase(
            "implementation",
            node("backend", "architect", minutes=30),
            node("frontend", "architect", minutes=30),
            node("database", "architect", minutes=15),
            maxParallelism=3,
        ),
        phase(
            "testing",
            node("unit-tests", "backend", "frontend", minutes=15),
            node("integration-tests", *code, minutes=20),
            node("e2e-tests", *code, "unit-tests", "integration-tests", minutes=25),
            maxParallelism=3,
        ),
        phase("review", node("reviewer", "unit-tests", "integration-tests", "e2e-tests", minutes=10), parallel=False),
        name="/implement-feature",
    )
