"""A definition as a graph: order, levels and critical path, drawn as text, Mermaid or SVG.

Effects: none. Agents are not looked up, so a graph can be drawn even if the command's agents do not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.api.checks import DRAWINGS, check_mapping, check_one_of
from engine.api.commands import data_of
from engine.errors import InvalidCommand
from engine.graph import Timeline, compile_plan, predict
from engine.graph.expand import called_commands, named_agents
from engine.model.agent import Agent
from engine.model.plan import Bundle
from engine.validation import Problem, Severity, validate_definition
from engine.views import diagram
from engine.views.durations import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.api.checks import DrawingName
    from engine.api.commands import Definition
    from engine.ids import NodeId
    from engine.model.command import CommandDefinition
    from engine.model.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class DAG:
    """The graph of one command."""

    plan: Plan
    timeline: Timeline
    """When each node would run by estimates, within the limits of phases."""

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        """All nodes in file order."""
        return tuple(node.id for node in self.plan.nodes)

    @property
    def dependencies(self) -> dict[NodeId, tuple[NodeId, ...]]:
        """The dependencies of each node."""
        return {node.id: node.depends_on for node in self.plan.nodes}

    @property
    def levels(self) -> list[list[NodeId]]:
        """Nodes by the number of nodes that have to end before them."""
        return diagram.levels(self.plan)

    @property
    def critical_path(self) -> tuple[NodeId, ...]:
        """The nodes that determine the shortest possible run."""
        return self.plan.critical_path

    @property
    def critical_path_time(self) -> int:
        """Duration of the shortest possible run, in milliseconds."""
        return milliseconds(self.plan.critical_path_time)

    @property
    def sequential_time(self) -> int:
        """Duration of all nodes one after another, in milliseconds."""
        return milliseconds(self.plan.sequential_time)

    def visualize(self, *, format: DrawingName = "text") -> str:  # noqa: A002 - the name that a caller expects
        """The graph as `text`, `mermaid` or `svg`."""
        check_one_of("format", format, DRAWINGS)
        if format == "mermaid":
            return diagram.mermaid(self.plan)
        if format == "svg":
            return diagram.svg(self.plan, self.timeline)
        return diagram.text_tree(self.plan, self.timeline)

    def __str__(self) -> str:
        """As text."""
        return self.visualize()


class DAGBuilder:
    """Builds graphs from definitions."""

    def __init__(self, *, commands: Mapping[str, Definition] | None = None) -> None:
        """*commands* are the definitions of sub-commands by name, `/deploy`. Raises `InputError` for anything else."""
        if commands is not None:
            check_mapping("commands", commands, hint="Pass a mapping of definitions by name: {'/deploy': definition}.")
        self._commands = {name: _raw(known) for name, known in (commands or {}).items()}

    def build_dag(self, definition: Definition) -> DAG:
        """The graph of *definition*. Raises `InvalidCommand` with every problem, such as a cycle, and `InputError`."""
        command = self._sound(definition)
        commands: dict[str, CommandDefinition] = {}
        names = set(named_agents(command))
        waiting = called_commands(command)
        while waiting:
            name = waiting.pop()
            if name not in commands:
                commands[name] = self._sound(self._commands[name])
                names |= set(named_agents(commands[name]))
                waiting += called_commands(commands[name])
        bundle = Bundle(command=command, agents={name: Agent(id=name) for name in names}, commands=commands)
        plan = compile_plan(bundle)
        return DAG(plan=plan, timeline=predict(plan))

    def _sound(self, definition: Definition) -> CommandDefinition:
        raw = _raw(definition)
        found = validate_definition(raw, agents=_Any(), commands=self._commands, breakers=_Any())
        errors = [problem for problem in found.problems if problem.severity is Severity.ERROR]
        if found.definition is None or errors:
            name, count = raw.get("name", "definition"), len(errors)
            raise InvalidCommand(
                f"Command '{name}' has {count} error{'s' if count > 1 else ''}\n{_listed(errors)}", found.problems
            )
        return found.definition


class _Any(frozenset[str]):
    """A set of all possible names."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


def _raw(definition: Definition) -> Mapping[str, Any]:
    return data_of(definition, hint="Pass a definition, or a command loaded by name with CommandLoader().load.")


def _listed(errors: list[Problem]) -> str:
    return "\n".join(f"  {problem.code} {problem.pointer}: {problem.message}" for problem in errors[:20])
