"""The agents that commands of a world name."""

from __future__ import annotations

from datetime import timedelta

from engine.model.agent import Agent, AgentKind

AGENTS = (
    Agent(id="worker", kind=AgentKind.PROCESS),
    Agent(id="watched", kind=AgentKind.PROCESS, idle_timeout=timedelta(seconds=1)),
    Agent(id="brief", kind=AgentKind.PYTHON, timeout=timedelta(seconds=4)),
    Agent(id="model", kind=AgentKind.CLAUDE),
    Agent(id="far", kind=AgentKind.PROCESS),
)
QUEUEING = frozenset({"brief", "model"})
"""Agents whose attempts wait for a machine before they start."""
FAR = frozenset({"far"})
"""Agents whose attempts a fleet makes."""
