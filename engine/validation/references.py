"""Agents and circuit breakers that nodes name exist.

Pure. `subcommands.py` does the same for sub-commands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.plan import SUB_COMMAND
from engine.model.policy import MODEL_BREAKER
from engine.text.suggestions import Names
from engine.validation.subject import is_readable

if TYPE_CHECKING:
    from engine.validation.problem import Report
    from engine.validation.subject import Subject

MAX_AGENTS = 20
"""Agents that a message names."""


_NO_PLACEHOLDER = "Name the agent itself: a placeholder stands for values in texts only."


def unknown_agents(subject: Subject, report: Report) -> None:
    """SPEC 2: AGENT_NOT_FOUND; worded as in the guide's Troubleshooting. AGENT_UNUSABLE if it has a file."""
    unknown = _Unknown(subject, report)
    for spot in subject.spots:
        if not spot.is_group and spot.node.agent_id:
            unknown.check(spot.node.agent_id, subject.pointer(spot, "agentId"))
        undo = spot.node.compensation
        if undo is None or undo.type not in ("rollback", "custom"):
            continue
        place = subject.pointer(spot, "compensation", "agentId")
        if undo.agent_id == SUB_COMMAND or (spot.is_group and not undo.agent_id):
            who = "phases" if spot.node.phases and not undo.agent_id else "a sub-command"
            report.add(
                "AGENT_NOT_FOUND",
                f'Compensation of node "{spot.node.id}" has no agent: {who} cannot undo',
                place if undo.agent_id else subject.pointer(spot, "compensation"),
                'Give the compensation an "agentId" of its own.',
            )
        elif undo.agent_id:
            unknown.check(undo.agent_id, place)


def unknown_breakers(subject: Subject, report: Report) -> None:
    names = Names(subject.breakers)
    for spot in subject.spots:
        name = spot.node.circuit_breaker
        if name is not None and name != MODEL_BREAKER and name not in subject.breakers:
            report.add(
                "UNKNOWN_BREAKER",
                f'Circuit breaker "{name}" of node "{spot.node.id}" is not configured',
                subject.pointer(spot, "circuitBreaker"),
                lambda name=name: names.question(name) or "Configure it in .claude/orchestration.toml.",
            )


class _Unknown:
    """Reports missing agents; only the first report lists the available ones."""

    def __init__(self, subject: Subject, report: Report) -> None:
        self._subject = subject
        self._report = report
        self._listed = False

    def check(self, name: str, place: str) -> None:
        subject = self._subject
        if name not in subject.agents and name in subject.unusable:
            message = f'Agent "{name}" has a file that cannot be used: {subject.unusable[name]}'
            self._report.add(
                "AGENT_UNUSABLE", message, place, "Correct the file; `orchestrate agents` lists all its faults."
            )
        elif name not in subject.agents and is_readable(name):
            available = "" if self._listed else f"\nAvailable agents: {_list(subject.agent_names.names)}"
            self._listed = True
            self._report.add(
                "AGENT_NOT_FOUND",
                f'Agent "{name}" not found in agent registry{available}',
                place,
                lambda: (
                    _NO_PLACEHOLDER
                    if "${" in name
                    else subject.agent_names.question(name) or "Add a file for it to .claude/agents/."
                ),
            )


def _list(names: list[str]) -> str:
    if not names:
        return "[]"
    lines = [f'"{name}"' for name in names[:MAX_AGENTS]]
    if len(names) > MAX_AGENTS:
        lines.append("...")
    return "[\n  " + ",\n  ".join(lines) + "\n]"
