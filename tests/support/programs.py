"""Programs that use the Python API in tests: a project of their own, definitions, and an executor made of functions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from engine import AgentExecutor, OrchestrationEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine import Context

Raw = dict[str, Any]


class Functions(AgentExecutor):
    """Does each agent's work by the function of its name; `*` stands for all others."""

    def __init__(self, *, every: bool = False, **functions: Callable[[Context], Any]) -> None:
        """*every*: name no agents, and be asked for all."""
        self.functions = {name.replace("_", "-"): function for name, function in functions.items()}
        self.agent_ids = None if every else tuple(self.functions)
        self.asked: list[tuple[str, str]] = []

    async def execute(self, agent_id: str, task: str, context: Context) -> Any:  # noqa: ANN401 - what the function gives
        self.asked.append((agent_id, task))
        reply = self.functions[agent_id](context)
        return await reply if hasattr(reply, "__await__") else reply


def step(name: str, *needs: str, agent: str = "worker", **fields: object) -> Raw:
    """A node *name* that gives the key *name* and reads those of *needs*."""
    return {
        "id": name,
        "agentId": agent,
        "task": f"Make {name}",
        "dependencies": list(needs),
        "estimatedTime": 1000,
        "context": {"inputs": [{"key": key} for key in needs], "outputs": [{"key": name}]},
        **fields,
    }


def steps(*phases: list[Raw], **fields: object) -> Raw:
    """A definition of *phases*, `p1`, `p2`, …, each a list of nodes."""
    listed = [
        {"id": f"p{number}", "name": f"Part {number}", "agents": nodes} for number, nodes in enumerate(phases, start=1)
    ]
    return {"version": "2.0.0", "name": "/made", "description": "Made by a program", "phases": listed, **fields}


@contextlib.asynccontextmanager
async def opened(
    project: Path | None,
    executor: AgentExecutor | None = None,
    **options: Any,  # noqa: ANN401 - those of OrchestrationEngine
) -> AsyncIterator[OrchestrationEngine]:
    """The engine of *project*, open, with *executor*."""
    engine = OrchestrationEngine(project, **options)
    if executor is not None:
        engine.set_agent_executor(executor)
    async with engine:
        yield engine
