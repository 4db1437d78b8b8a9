"""What a run executes: the bundle that the registry closes, and the flat, frozen plan made from it.

Pure. Making a plan is `engine/graph.py`'s; a plan is stored with its run and read back as it was, so a changed file or
a changed rule never reaches a live run.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Everything that a run of one command needs, looked up once."""

    command: CommandDefinition
    agents: Mapping[str, Agent]
    """Every agent that the command or one of its sub-commands names, by id."""
    commands: Mapping[str, CommandDefinition] = field(default_factory=dict)
    """Sub-commands by name, `/deploy`, however deep."""
    source: str = ""
    """Where the command came from: a path relative to the project, or `definition`."""
    digest: str = ""
    """SHA-256 of the command's own definition, hex."""
    format: str = "json"
    """`json`, `markdown` or `dialect`."""


class NodeKind(StrEnum):
    """What doing a node means."""

    AGENT = "agent"
    """An executor does it."""
    SUB_COMMAND = "group"
    """A sub-command: it runs as long as the phases inside it."""


class SkipType(StrEnum):
    """What a skip expression is (SPEC 6)."""

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
    """Agent id; the node's own where the file names none."""
    task: str
    """`task`, or `description` where there is none; empty for types that run nothing."""
    on: frozenset[FailureKind]
    rollback_to: NodeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """One node, with everything about it that does not change while it runs."""

    id: NodeId
    index: int
    """Place in file order, from 0; the last tie-breaker of scheduling."""
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
    """Longest remaining path by estimates, this node included (upward rank)."""
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
    """Phases of a group node, in order."""

    def worker(self, *, undo: bool) -> str:
        """Id of the agent that does the node's work, or undoes it."""
        return self.compensation.agent if undo and self.compensation is not None else self.agent


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """One phase of the command or of a sub-command in it."""

    id: str
    name: str
    index: int
    nodes: tuple[NodeId, ...]
    limit: int | None = None
    """Nodes at once; 1 where the file says `parallel: false`, None without a limit."""
    continue_on_error: bool = False
    timeout: timedelta | None = None
    barrier: bool = True
    after: int | None = None
    """The phase before it on the same level; None for the first."""
    group: NodeId | None = None
    """The group node whose phase it is; None at the top level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentSpec:
    """What a run is given (SPEC 1, arguments)."""

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
    """The file as people read its path, or `definition`; empty in journals of older builds."""
    phases: tuple[PhasePlan, ...]
    """Top-level phases and those of sub-commands; `group` tells them apart."""
    nodes: tuple[NodePlan, ...]
    """In file order; nodes of a sub-command follow their group node."""
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
    """Shortest possible time by estimates with unlimited slots, phase barriers counted."""
    sequential_time: timedelta = timedelta(0)
    """Sum of all estimates."""
    warnings: tuple[str, ...] = ()
    """Told when a run starts, such as the command being deprecated."""
