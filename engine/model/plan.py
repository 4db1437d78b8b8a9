"""The bundle that the registry closes, and the flat, frozen plan made from it, which a run executes.

Pure. `engine/graph` makes a plan; it is stored with its run and read back unchanged, so a changed file or rule never
affects a live run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.ids import NodeId
from engine.model.agent import Agent
from engine.model.policy import CompensationType, FailureKind, InputSpec, LockSpec, OutputDecl, RetryPolicy

if TYPE_CHECKING:
    from engine.model.command import CommandDefinition


IN_PLACE = "(phases)"
"""In place of an agent in the plan of a node with phases in place; no agent can have this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that a run of one command needs, looked up once."""

    command: CommandDefinition
    agents: Mapping[str, Agent]
    """Every agent that the command or one of its sub-commands names, by id."""
    commands: Mapping[str, CommandDefinition] = field(default_factory=dict)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """When a node is skipped."""

    type: SkipType
    expression: str
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How a node is undone (SPEC 7)."""

    type: CompensationType
    agent: str
    """Agent id; the node's own if the file names none."""
    task: str
    """`task`, or `description` if there is none; empty for types that run nothing."""
    on: frozenset[FailureKind]
    rollback_to: NodeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """One node, with everything about it that does not change during a run."""

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
    """Phases of a sub-command or in place, in order."""

    @property
    def doer(self) -> str:
        """Its agent, for a reader; `sub-command` or `phases` for a group."""
        if self.kind is NodeKind.AGENT:
            return self.agent
        return "phases" if self.agent == IN_PLACE else "sub-command"

    def worker(self, *, undo: bool) -> str:
        """The id of the agent that does the node's work, or undoes it."""
        return self.compensation.agent if undo and self.compensation is not None else self.agent


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentSpec:
    """A named input of a run (SPEC 1, arguments)."""

    name: str
    required: bool = False
    has_default: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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
    agents: dict[str, Agent] = field(default_factory=dict)
    initial: dict[str, Any] = field(default_factory=dict)
    """globalContext.initial, keys with their scope."""
    fallbacks: dict[str, list[Any]] = field(default_factory=dict)
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
