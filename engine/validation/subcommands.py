"""Sub-commands exist, end, are valid themselves, and take and return what their nodes declare.

Pure. `engine/graph` unfolds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from engine.graph.expand import MAX_DEPTH, nodes_of, split_call
from engine.model.command import CommandDefinition
from engine.model.plan import MAX_NODES, SUB_COMMAND
from engine.text.suggestions import Names
from engine.validation.dataflow import MAX_WRITERS
from engine.validation.subject import is_readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.command import Node, Phase
    from engine.validation.problem import Problem, Report
    from engine.validation.subject import Spot, Subject

Check = Callable[[CommandDefinition, frozenset[str]], "list[Problem]"]
"""The errors of a sub-command whose caller provides these keys."""


@dataclass
class SubCommands:
    """The sub-commands of one validation, each read and judged once."""

    commands: Mapping[str, CommandDefinition | Mapping[str, Any]]
    check: Check
    found: dict[str, CommandDefinition | None] = field(default_factory=dict)
    judged: dict[tuple[str, frozenset[str]], list[Problem]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    skippable: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    circles: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str) -> CommandDefinition | None:
        """The command *name*, or None if it does not exist or cannot be read."""
        if name not in self.found:
            self.found[name] = self._read(name)
        return self.found[name]

    def _read(self, name: str) -> CommandDefinition | None:
        raw = self.commands.get(name)
        if raw is None or isinstance(raw, CommandDefinition):
            return raw
        try:
            return CommandDefinition.model_validate(raw)
        except ValidationError:
            return None

    def errors(self, name: str, command: CommandDefinition, given: frozenset[str]) -> list[Problem]:
        key = (name, given)
        if key not in self.judged:
            self.judged[key] = self.check(command, given)
        return self.judged[key]

    def circle(self, caller: CommandDefinition, name: str) -> tuple[str, ...]:
        """The chain of commands, if any, by which *caller* running *name* comes back to a command already in it."""
        key = (caller.name, name)
        if key not in self.circles:
            self.circles[key] = self._search(caller, name)
        return self.circles[key]

    def _search(self, caller: CommandDefinition, name: str) -> tuple[str, ...]:
        done: set[str] = set()
        stack: list[tuple[str, ...]] = [(caller.name, name)]
        while stack:
            chain = stack.pop()
            last = chain[-1]
            if last in chain[:-1]:
                return chain[chain.index(last) :]
            command = self.get(last)
            if command is not None and last not in done:
                done.add(last)
                stack.extend((*chain, inner) for inner in dict.fromkeys(sub_command_names(command)) if inner)
        return ()

    def depth(self, name: str) -> int:
        """Levels of sub-commands and phases from *name* down, counting itself; counting stops above the limit."""
        command = self.get(name)
        depth, level = 0, [command.phases] if command is not None else []
        while level and depth <= MAX_DEPTH:
            depth += 1
            nodes = [node for phases in level for phase in phases for node in phase.agents]
            called = dict.fromkeys(split_call(node.task)[0] for node in nodes if node.agent_id == SUB_COMMAND)
            commands = [inner for other in called if (inner := self.get(other))]
            level = [node.phases for node in nodes if node.phases] + [inner.phases for inner in commands]
        return depth

    def writers_that_may_be_skipped(self, name: str, key: str) -> list[str]:
        """The ids of the nodes of the command *name* that write *key*, if a condition may skip all of them.

        A node that runs another command counts as skippable if every node that writes the key inside it may be
        skipped. Only for commands without a circle.
        """
        asked = (name, key)
        if asked not in self.skippable:
            command = self.get(name)
            sure = command is None or key in command.global_context.initial
            self.skippable[asked] = [] if sure or command is None else self.unsure_writers(command.phases, key)
        return self.skippable[asked]

    def unsure_writers(self, phases: Iterable[Phase], key: str) -> list[str]:
        """The ids of the nodes of *phases* that write *key*, if a condition may skip all of them."""
        nodes = [node for phase in phases for node in phase.agents]
        writers = [node for node in nodes if any(output.key == key for output in node.context.outputs)]
        return [node.id for node in writers] if all(map(self._skips(key), writers)) else []

    def _skips(self, key: str) -> Callable[[Node], bool]:
        """Whether a node that writes *key* may leave it unwritten without failing first."""

        def skips(node: Node) -> bool:
            if node.skip_condition is not None:
                return True
            if node.phases:
                given = any(item.key == key for item in node.context.inputs)
                return not given and bool(self.unsure_writers(node.phases, key))
            inner = split_call(node.task)[0] if node.agent_id == SUB_COMMAND else ""
            return bool(inner and self.writers_that_may_be_skipped(inner, key))

        return skips

    def size(self, name: str, command: CommandDefinition) -> int:
        """The number of nodes of *command*, which has no circle, with its sub-commands unfolded."""
        if name not in self.sizes:
            total = 0
            for inner in sub_command_names(command):
                other = self.get(inner)
                total += 1 + (self.size(inner, other) if inner and other else 0)
            self.sizes[name] = total
        return self.sizes[name]


def sub_command_names(command: CommandDefinition) -> list[str]:
    """For each node of *command*, also in phases in place, the sub-command it runs; empty if it runs none."""
    return [split_call(node.task)[0] if node.agent_id == SUB_COMMAND else "" for node in nodes_of(command.phases)]


def sub_commands(subject: Subject, report: Report, table: SubCommands) -> None:
    """Every rule about the nodes that run sub-commands."""
    for spot in subject.spots:
        if not spot.is_sub_command:
            continue
        if spot.node.retry_policy is not None:
            report.add(
                "SCHEMA",
                f'Node "{spot.node.id}" runs a sub-command, which cannot have a retryPolicy',
                subject.pointer(spot, "retryPolicy"),
                "Put retry policies on the nodes of the sub-command.",
            )
        if is_readable(spot.node.task):
            _check_node(subject, spot, report, table)


def _check_node(subject: Subject, spot: Spot, report: Report, table: SubCommands) -> None:
    place = subject.pointer(spot, "task")
    name, text = split_call(spot.node.task)
    own = subject.definition.name
    command = subject.definition if name == own else table.get(name)
    if command is None:
        report.add(
            "UNKNOWN_COMMAND",
            f'Command "{name[:100]}" of node "{spot.node.id}" was not found, or its file cannot be read',
            place,
            lambda: (
                "Name the command itself: a placeholder stands for values in its arguments only."
                if "${" in name
                else Names(subject.commands).question(name) or 'Write the task as "/name arguments".'
            ),
        )
        return
    circle = table.circle(subject.definition, name)
    if circle:
        what = "itself endlessly" if circle[0] == own else "a command that never ends"
        report.add(
            "RECURSIVE_COMMAND",
            f"Command '{own}' runs {what}: {' → '.join(circle)}",
            place,
            f'Let "{spot.node.id}" run another command, or do the work with agents.',
        )
        return
    size = table.size(name, command) if subject.level + table.depth(name) <= MAX_DEPTH else None
    if size is None or size > MAX_NODES:
        unfolded = f"more than {MAX_DEPTH} levels" if size is None else f"{size} nodes"
        report.add(
            "TOO_MANY_NODES",
            f"Sub-command '{name}' of node \"{spot.node.id}\" unfolds to {unfolded}",
            place,
            f"At most {MAX_NODES} nodes and {MAX_DEPTH} levels can be run.",
        )
        return
    given = spot.given
    errors = table.errors(name, command, given)
    if errors:
        count = f"{len(errors)} error{'s' if len(errors) > 1 else ''}"
        report.add(
            errors[0].code,
            f"Sub-command '{name}' of node \"{spot.node.id}\" has {count}: {errors[0].message}",
            place,
            errors[0].suggestion,
        )
    filled = {"arguments", *(item.name for item in command.arguments if len(command.arguments) == 1)} if text else set()
    _arguments(subject, spot, command, given | filled, report)
    _outputs(subject, spot, command, given, report)


def providers_inside_that_may_be_skipped(subject: Subject, report: Report, table: SubCommands) -> None:
    """PROVIDER_MAY_BE_SKIPPED: a condition may skip every provider of an output inside a sub-command."""
    for spot in subject.spots:
        name = split_call(spot.node.task)[0] if spot.is_sub_command else ""
        known = name and table.get(name) is not None and not table.circle(subject.definition, name)
        given = {item.key for item in spot.node.context.inputs}
        where = f"'{name}'" if name else "its phases"
        for at, output in enumerate(spot.node.context.outputs if known or spot.node.phases else ()):
            key = output.key
            if spot.node.phases:
                writers = [] if key in given else table.unsure_writers(spot.node.phases, key)
            else:
                writers = [] if key in given else table.writers_that_may_be_skipped(name, key)
            if writers:
                names = " and ".join(f'"{writer}"' for writer in writers[:MAX_WRITERS])
                report.add(
                    "PROVIDER_MAY_BE_SKIPPED",
                    f'Output "{key}" of node "{spot.node.id}" is written only by {names} of {where}, '
                    "which may be skipped",
                    subject.pointer(spot, "context", "outputs", at, "key"),
                    f'Put the skipCondition on "{spot.node.id}" instead, or let another node of {where} write '
                    f'"{key}" too.',
                )


def _arguments(subject: Subject, spot: Spot, command: CommandDefinition, given: frozenset[str], report: Report) -> None:
    for item in command.arguments:
        if item.required and "default" not in item.model_fields_set and item.name not in given:
            report.add(
                "INPUT_WITHOUT_PROVIDER",
                f'Node "{spot.node.id}" does not provide the required argument "{item.name}" of \'{command.name}\'',
                subject.pointer(spot, "context", "inputs") if spot.node.context.inputs else subject.pointer(spot),
                f'Add {{"key": "{item.name}"}} to its inputs.',
            )


def _outputs(subject: Subject, spot: Spot, command: CommandDefinition, given: frozenset[str], report: Report) -> None:
    nodes = (node for phase in command.phases for node in phase.agents)
    written = {output.key for node in nodes for output in node.context.outputs}
    names = Names(sorted(written))
    known = written | given | set(command.global_context.initial)
    for at, output in enumerate(spot.node.context.outputs):
        if output.key not in known:
            report.add(
                "OUTPUT_WITHOUT_PROVIDER",
                f'No node of \'{command.name}\' writes output "{output.key}" of node "{spot.node.id}"',
                subject.pointer(spot, "context", "outputs", at, "key"),
                lambda key=output.key: names.question(key),
            )


def deprecated_calls(subject: Subject, report: Report, table: SubCommands) -> None:
    for spot in subject.spots:
        name = split_call(spot.node.task)[0] if spot.is_sub_command else ""
        command = table.get(name) if name else None
        if command is not None and command.metadata.deprecated:
            instead = command.metadata.replaced_by
            report.add(
                "DEPRECATED_COMMAND",
                f"Command '{name}' of node \"{spot.node.id}\" is deprecated",
                subject.pointer(spot, "task"),
                f"Use {instead} instead." if instead else None,
            )
