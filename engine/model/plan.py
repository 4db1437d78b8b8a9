"""The bundle that the registry closes, and the flat, frozen plan made from it, which a run executes.

Pure. `engine/graph` makes a plan; it is stored with its run and read back unchanged, so a changed file or rule never
affects a live run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from engine.ids import NodeId
from engine.model.agent import Agent
from engine.model.policy import CompensationType, FailureKind, InputSpec, LockSpec, OutputDecl, RetryPolicy

if TYPE_CHECKING:
    from engine.model.command import CommandDefinition


SUB_COMMAND = "command"
"""The agent id that stands for running another command."""
MAX_NODES = 100_000
"""Nodes of a run: otherwise sub-commands that call others twice grow exponentially."""
IN_PLACE = "(phases)"
"""In place of an agent in the plan of a node with phases in place; no agent can have this id."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run of one command needs, looked up once."""

    command: CommandDefinition
    agents: Mapping[str, Agent]
    """Every agent that the command or one of its sub-commands names, by id."""
    commands: Mapping[str, CommandDefinition] = msgspec.field(default_factory=dict)
    """Sub-commands by name, `/deploy`, at any depth."""
    source: str = ""
    """The origin of the command: a path relative to the project, or `definition`."""
    digest: str = ""
    """SHA-256 of the command's own definition, hex."""
    format: str = "json"
    """`json`, `markdown` or `dialect`."""


class NodeKind(StrEnum):
    """How the work of a node is done."""

    AGENT = "agent"
    """By an executor."""
    SUB_COMMAND = "group"
    """By the phases of a sub-command, or phases in place; the node ends with them."""


class SkipType(StrEnum):
    """The kind of a skip expression (SPEC 6)."""

    CONTEXT = "context"
    FILE_EXISTS = "file_exists"
    COMMAND_SUCCESS = "command_success"
    CUSTOM = "custom"


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """When a node is skipped."""

    type: SkipType
    expression: str
    message: str | None = None


class Compensation(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is undone (SPEC 7)."""

    type: CompensationType
    agent: str
    """Agent id; the node's own if the file names none."""
    task: str
    """`task`, or `description` if there is none; empty for types that run nothing."""
    on: frozenset[FailureKind]
    rollback_to: NodeId | None = None


class ForEach(msgspec.Struct, frozen=True, kw_only=True):
    """The node stands for one instance of its template for each item of a list."""

    items: str
    """Key of the input that has the list."""
    name: str = "item"
    """Key under which an instance finds its item."""
    key: str | None = None
    """JSONPath into an item to its name."""
    max_items: int = 100
    limit: int | None = None
    """Maximum instances running at once; None: no limit of its own."""
    continue_on_error: bool = False
    failures: str | None = None
    """Key of the output that lists failed items."""
    estimated: int = 3
    """Items that plans assume."""


class Repeat(msgspec.Struct, frozen=True, kw_only=True):
    """The node stands for instances of its template one after the other, until a condition holds."""

    until: str
    max_iterations: int = 5
    tolerant: bool = False
    """An exhausted loop completes the node."""
    unchanged: tuple[str, ...] = ()
    """Outputs that have to change from one iteration to the next."""
    interval: timedelta = timedelta(0)
    estimated: int = 1
    """Iterations that plans assume."""


class NodePlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node, with everything about it that does not change during a run.

    A struct, because lists and loops make many during a run: one is copied twenty times faster than a dataclass.
    No default ever changes: a field that has its default is not stored in the journal.
    """

    id: NodeId
    index: int
    """Position in file order, from 0; the last tie-breaker of scheduling."""
    phase: int
    """Index into `Plan.phases`."""
    agent: str
    """Agent id; a key of `Plan.agents` for agent nodes."""
    task: str
    kind: NodeKind = NodeKind.AGENT
    depends_on: tuple[NodeId, ...] = ()
    dependents: tuple[NodeId, ...] = ()
    estimate: timedelta = timedelta(minutes=1)
    timeout: timedelta = timedelta(minutes=5)
    priority: int = 0
    rank: timedelta = timedelta(0)
    """Longest remaining path by estimates, including this node (upward rank)."""
    retry: RetryPolicy | None = None
    skip: Skip | None = None
    compensation: Compensation | None = None
    inputs: tuple[InputSpec, ...] = ()
    outputs: tuple[OutputDecl, ...] = ()
    passthrough: bool = False
    locks: tuple[LockSpec, ...] = ()
    lock_wait: timedelta = timedelta(minutes=1)
    breaker: str | None = None
    idempotent: bool = True
    approval: str | None = None
    """The question that a person has to answer with yes."""
    scope: str = ""
    """Prefix of its context keys: empty at the top, `deploy/` inside the sub-command node `deploy`."""
    inner: tuple[int, ...] = ()
    """Phases of a sub-command or in place, in order; of a node with a template, the phases of its instances so far."""
    each: ForEach | None = None
    loop: Repeat | None = None
    template: Template | None = None
    """The pattern of the instances of `each` or `loop`; all that holds for each of them is in it."""
    target: str | None = None
    """Prefix of its output keys, if it is not the scope."""
    origin: str = ""
    """For a node made from a template: its id there, `cover/*/write`."""
    names: tuple[str, ...] = ()
    """The names of the forEach and repeat around it that stand for values in its texts."""
    call: str = ""
    """For a sub-command: its argument text, if that has such names in it."""
    argument: tuple[str, ...] = ()
    """For such a sub-command: the name of its only argument, if it declares just one."""
    arguments_of: NodeId | None = None
    """The sub-command whose argument text, filled in when it starts, is its own; None: the task has it already."""
    turn: int = 0
    """For a node made from a template: its place among them in order of creation, from 1."""
    seeds: tuple[str, ...] = ()
    """For a group of a template: keys that have an initial value inside, given under its id in the template."""

    @property
    def doer(self) -> str:
        """Its agent, for a reader; `sub-command` or `phases` for a group."""
        if self.agent not in {IN_PLACE, SUB_COMMAND}:
            return self.agent
        return "phases" if self.agent == IN_PLACE else "sub-command"

    @property
    def output_scope(self) -> str:
        """Prefix of its output keys."""
        return self.scope if self.target is None else self.target

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands: in file order, and among instances in order of creation."""
        return self.index, self.turn

    def worker(self, *, undo: bool) -> str:
        """The id of the agent that does the node's work, or undoes it."""
        return self.compensation.agent if undo and self.compensation is not None else self.agent


class PhasePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of the command or of a sub-command in it."""

    id: str
    name: str
    index: int
    nodes: tuple[NodeId, ...]
    limit: int | None = None
    """Maximum nodes running at once; 1 for `parallel: false`, None: no limit."""
    continue_on_error: bool = False
    timeout: timedelta | None = None
    barrier: bool = True
    after: int | None = None
    """The phase before it on the same level; None for the first."""
    group: NodeId | None = None
    """The sub-command that it belongs to; None at the top level."""
    host: int | None = None
    """For a phase of instances: the phase of the node around them, whose places they use as well."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of one instance; their ids are below `cover/*`, that of the instance, and indexes count from here."""

    nodes: tuple[NodePlan, ...]
    """The instance itself, then the nodes inside it."""
    phases: tuple[PhasePlan, ...] = ()


class ArgumentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A named input of a run (SPEC 1, arguments)."""

    name: str
    required: bool = False
    has_default: bool = False
    default: Any = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A command ready to run: flat, closed, immutable."""

    command: str
    """Name with the slash: `/review-code`."""
    description: str = ""
    digest: str = ""
    """SHA-256 of the definition, hex."""
    source: str = ""
    """The path of the file as shown to people, or `definition`; empty in journals of older builds."""
    phases: tuple[PhasePlan, ...]
    """Top-level phases and those of sub-commands; `group` says which is which."""
    nodes: tuple[NodePlan, ...]
    """In file order; nodes of a sub-command follow its own node."""
    agents: dict[str, Agent] = msgspec.field(default_factory=dict)
    initial: dict[str, Any] = msgspec.field(default_factory=dict)
    """globalContext.initial, keys with their scope."""
    fallbacks: dict[str, list[Any]] = msgspec.field(default_factory=dict)
    """For arguments that sub-commands take from the run's text, keys with their scope: the default, or nothing."""
    arguments: tuple[ArgumentSpec, ...] = ()
    locks: tuple[LockSpec, ...] = ()
    """Held by the run from start to end."""
    lock_wait: timedelta = timedelta(minutes=1)
    critical_path: tuple[NodeId, ...] = ()
    critical_path_time: timedelta = timedelta(0)
    """Shortest possible time by estimates with unlimited slots, including phase barriers."""
    sequential_time: timedelta = timedelta(0)
    """Sum of all estimates."""
    warnings: tuple[str, ...] = ()
    """Shown when a run starts, such as that the command is deprecated."""

    def with_templates(self) -> Iterator[NodePlan]:
        """All nodes, and those of templates, at any depth."""
        yield from _with_templates(self.nodes)


def _with_templates(nodes: tuple[NodePlan, ...]) -> Iterator[NodePlan]:
    for node in nodes:
        yield node
        if node.template is not None:
            yield from _with_templates(node.template.nodes)
