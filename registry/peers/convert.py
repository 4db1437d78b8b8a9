"""Converts a workflow of another program to a v2 command with the agents that it needs.

Pure, but for the files that the caller looks up: the prompts and scripts that a workflow names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from engine.validation import Severity
from registry.peers.archon import workflow as archon
from registry.peers.conductor import workflow as conductor
from registry.peers.kinds import PEERS
from registry.peers.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.validation import Problem
    from registry.peers.sources import Sources


class Converted(msgspec.Struct, frozen=True):
    """A workflow as a v2 command."""

    definition: dict[str, Any]
    problems: tuple[Problem, ...]
    """Parts that cannot be converted, as errors, and differences as warnings; with pointers into the workflow."""
    agents: Mapping[str, str]
    """Texts of the agent files that the command needs, by the agent's name."""
    pointers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The places of the command's parts in the workflow, by pointer."""

    @property
    def refused(self) -> bool:
        """Whether some part cannot be converted, so that the definition is not whole."""
        return any(one.severity is Severity.ERROR for one in self.problems)


def convert(raw: Mapping[str, Any], peer: str, sources: Sources) -> Converted:
    """The workflow *raw* of the format *peer*."""
    report = Report(PEERS[peer])
    reader = archon.convert if peer == "archon" else conductor.convert
    definition, agents, pointers = reader(raw, sources, report)
    problems = sorted(report.problems, key=lambda one: one.severity is not Severity.ERROR)
    return Converted(definition, tuple(problems), agents.texts, pointers)
