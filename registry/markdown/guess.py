"""Guesses a registered agent for a step without one, if the evidence is strong.

Pure. A wrong guess is worse than none: a single word in common is not enough.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.model.agent import AgentSource

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.model.agent import Agent
    from engine.validation import Problem

_OWN = frozenset({AgentSource.PROJECT, AgentSource.USER})
_ENOUGH = 2
"""Words of an agent's id that a task has to share."""


def suggest_agents(
    problems: tuple[Problem, ...], raw: dict[str, Any], agents: Collection[Agent]
) -> tuple[Problem, ...]:
    """*problems* with a suggested agent wherever a step has none and a registered one fits."""
    tasks = {
        f"/phases/{p}/agents/{n}/agentId": node["task"]
        for p, phase in enumerate(raw["phases"])
        for n, node in enumerate(phase["agents"])
    }
    return tuple(
        replace(problem, suggestion=f'Perhaps "{guess}".')
        if problem.code == "V1_DEFAULT_AGENT" and (guess := guess_agent(tasks[problem.pointer], agents))
        else problem
        for problem in problems
    )


def guess_agent(task: str, agents: Collection[Agent]) -> str | None:
    """The model agent that *task* names, or the one whose id shares the most words with it, at least two.

    The project's and the user's own come before all others. None if the evidence is weak.
    """
    words, text = _stems(task), " ".join(re.findall(r"[a-z0-9]+", task.casefold()))
    scored = []
    for agent in agents:
        if not agent.kind.traits.needs_model or agent.source is AgentSource.BUILTIN:
            continue
        shared = len(words & _stems(agent.id))
        named = re.search(rf"\b{re.escape(agent.id.casefold().replace('-', ' '))}\b", text) is not None
        if named or shared >= _ENOUGH:
            scored.append((not named, agent.source not in _OWN, -shared, agent.id))
    return min(scored)[-1] if scored else None


def _stems(text: str) -> set[str]:
    """The words of *text* by their first five letters: review, reviews and reviewer are one."""
    return {word[:5] for word in re.findall(r"[a-z]{4,}", text.casefold())}
