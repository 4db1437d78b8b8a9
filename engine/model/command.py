"""The user's command file as one pydantic model; its JSON Schema is the published format (SPEC 1).

Pure. Shapes and ranges only: `engine/validation` has the rules that need more than one field, and reports unknown
fields, so this model ignores them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from engine.model.attribute_docs import Documented
from engine.model.fields import Items, ItemsOrNone, One, OneOrNone, Several, absent

FORMAT_VERSION = "2.1.0"
"""The version of the command format that we implement; the package has a version of its own."""
FEATURES = {
    "approvals": "`approval` of a node",
    "arguments": "`arguments` of the command",
    "barriers": "`barrier` of a phase",
    "circuit-breakers": "`circuitBreaker` of a node",
    "compensation": "`compensation` of a node, and the rollback of a failed run",
    "context": "`context` of a node and `globalContext`",
    "estimates": "`estimatedTime`, and durations learned from runs",
    "for-each": "`forEach` of a node",
    "idempotency": "`idempotent` of a node",
    "isolation": "agents in git worktrees of their own",
    "locks": "`resources` of a node or the command",
    "output-schemas": "`schema` of an output",
    "parallel": "`parallel` and `maxParallelism` of a phase",
    "passthrough": "`passthrough` of a node's context",
    "persistence": "`persist` of an output, and `persistKeys`",
    "phases-in-place": "`phases` of a node",
    "priorities": "`priority` of a node or a lock",
    "process-agents": "agents that are programs",
    "python-agents": "agents that are Python functions",
    "repeat": "`repeat` of a node",
    "retries": "`retryPolicy` of a node",
    "skip-conditions": "`skipCondition` of a node",
    "sub-commands": "the agent `command`",
    "timeouts": "`timeout` of a node or a phase",
    "transforms": "`transform` of an input",
    "yaml": "commands in YAML files",
}
"""The names that `requirements.features` knows, with their meaning."""
MAX_MILLISECONDS = 30 * 24 * 3600 * 1000
"""No time in a command exceeds thirty days: a longer one is a mistake, and date arithmetic would overflow."""


def _as_integer(value: object) -> object:
    """JSON has one kind of number: 5000.0 and 5e3 are the integer 5000, as in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGRAL = BeforeValidator(_as_integer)
Milliseconds = Annotated[int, Field(gt=0, le=MAX_MILLISECONDS, strict=True), INTEGRAL]
Delay = Annotated[int, Field(ge=0, le=MAX_MILLISECONDS, strict=True), INTEGRAL]
Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 24 * 3600, strict=True), INTEGRAL]
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000, strict=True), INTEGRAL]
Flag = Annotated[bool, Field(strict=True)]

MAX_ITEMS = 10_000
"""Most items of a forEach."""
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""The form of a name that conditions and placeholders can use."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ContextKey = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\x00-\x1f]+$")]
"""The name of a context value; the engine uses the slash to keep the values of sub-commands apart."""
NodeName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
PhaseName = Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z][a-z0-9-]*$")]
CommandName = Annotated[str, StringConstraints(max_length=200, pattern=r"^/[a-z0-9-]+$")]
Semver = Annotated[str, StringConstraints(max_length=100, pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]


_OTHERWISE = {"cache_ttl": "cacheTTL", "value_schema": "schema", "item_name": "as"}


def _in_files(name: str) -> str:
    """How files spell the field *name*. An alias beside each field would hide its Python name from type checkers."""
    return _OTHERWISE.get(name) or to_camel(name)


class Part(Documented, BaseModel):
    """Base of all parts of a command: camelCase in files, snake_case in Python."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=_in_files,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        defer_build=True,
        allow_inf_nan=False,
    )


class Example(Part):
    """An example call of the command."""

    command: Text
    """The call, such as `/review-code src/`."""
    description: str = ""
    """Its effect."""


class Requirements(Part):
    """The engine features that the command needs."""

    min_version: Semver | None = None
    """Oldest version of the format that it works with; an engine of an older format rejects the command."""
    features: Items[str] = absent(())
    """Features that it relies on, by the names below; an engine without one of them rejects the command."""


class Metadata(Part):
    """The command's author, version and status."""

    author: str | None = None
    """Person or team."""
    version: Semver | None = None
    """Version of this command, not of the format."""
    tags: Items[str] = absent(())
    """Keywords for finding it."""
    category: str | None = None
    """One word such as `code-review`."""
    visibility: Literal["public", "private", "team", "beta"] | None = None
    """Its audience."""
    deprecated: Flag = False
    """Runs of a deprecated command warn, and name `replacedBy`."""
    replaced_by: str | None = None
    """The command to use instead."""
    changelog: Items[str] = absent(())
    """Changes, newest first."""
    examples: Several[Example] = absent(())
    """Example calls."""
    requirements: OneOrNone[Requirements] = absent(None)
    """The engine features that it needs."""


class GlobalContext(Part):
    """Values and cache rules of the whole run."""

    initial: dict[ContextKey, Any] = Field(default_factory=dict)
    """Context values present before the first phase."""
    cache_ttl: Seconds | None = None
    """Seconds; TTL of outputs without one."""
    persist_keys: Items[ContextKey] = absent(())
    """Keys treated as if their output said `persist: true`."""


class Lock(Part):
    """One resource to hold."""

    resource: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\s.]+(\.[^\s.]+)*$")]
    """Dotted path: `database` covers `database.table1`."""
    type: Literal["exclusive", "shared", "upgrade"] = "exclusive"
    """`upgrade` turns the run's own shared lock into an exclusive one."""
    priority: Priority = 0
    """Higher gets the lock first."""


class Resources(Part):
    """Locks of a run or of a node."""

    locks: Several[Lock] = absent(())
    """Acquired together, all or none."""
    max_wait_time: Milliseconds = 60_000
    """Milliseconds to wait for the locks before failing with LOCK_TIMEOUT."""


class Argument(Part):
    """A named input of a run of the command (extension)."""

    name: ContextKey
    """The context key under which agents find it."""
    description: str = ""
    """Shown wherever the command is offered."""
    required: Flag = False
    """A run does not start without it."""
    default: Any = None
    """Used if the run does not pass one."""


class RetryPolicy(Part):
    """When a failed attempt is retried."""

    max_attempts: Annotated[int, Field(ge=1, le=10, strict=True), INTEGRAL]
    """Retries after the first attempt."""
    strategy: Literal["immediate", "linear", "exponential", "fibonacci"] = "exponential"
    """How the delay grows."""
    initial_delay: Delay = 1000
    """Milliseconds before the first retry."""
    max_delay: Delay = 60_000
    """Milliseconds; the longest delay."""
    backoff_multiplier: Annotated[float, Field(ge=1, le=1000, strict=True)] = 2
    """Factor of the exponential strategy."""
    retryable_errors: ItemsOrNone[Key] = absent(None)
    """Error codes to retry, in any case; absent: all but validation, cancelled and permission errors."""


class SkipCondition(Part):
    """When a node is skipped instead of run."""

    type: Literal["context", "file_exists", "command_success", "custom"]
    """The kind of `expression`: a context expression, a path or glob, a command name, a registered callable."""
    expression: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """The condition; the node is skipped if it holds."""
    skip_message: str | None = None
    """Shown in todos, status and reports."""


class Compensation(Part):
    """How a node is undone."""

    type: Literal["none", "retry", "rollback", "custom", "cascade"]
    """`cascade`: this node's failure rolls back the descendants of `rollbackTo`, or the whole run."""
    description: str | None = None
    """How the node is undone; used as the task if `task` is absent."""
    agent_id: Key | None = None
    """The agent that undoes it (default: the node's own)."""
    task: Text | None = None
    """The task of the agent that undoes it."""
    rollback_to: NodeName | None = None
    """For cascade: the node up to which the run is rolled back."""
    compensate_on: ItemsOrNone[Literal["error", "timeout", "validation", "cancel"]] = absent(None)
    """Kinds of failure that trigger it; absent: all four."""


class Input(Part):
    """A context value that a node reads."""

    key: ContextKey
    """Name of the value."""
    required: Flag = True
    """A missing required input fails the node before anything starts."""
    default: Any = None
    """Used if the value is missing."""
    transform: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """JSONPath (RFC 9535) applied to the value."""


class Output(Part):
    """A context value that a node writes."""

    key: ContextKey
    """Name of the value."""
    ttl: Seconds | None = None
    """Seconds for which caches and later runs may use it."""
    persist: Flag = False
    """Keep it after the run for later commands of the project."""
    merge: Literal["replace", "merge", "append", "concat"] = "replace"
    """How it joins a value that is already there."""
    value_schema: dict[str, Any] | bool | None = None
    """JSON Schema of the value (extension)."""


class NodeContext(Part):
    """The values that a node reads and writes."""

    inputs: Several[Input] = absent(())
    """Values it receives."""
    outputs: Several[Output] = absent(())
    """Values it must return."""
    passthrough: Flag = False
    """Pass it the whole context."""


class Approval(Part):
    """A person's approval before the node runs (extension)."""

    message: Text
    """The question to the person."""


class ForEach(Part):
    """The node once for each item of a list that is known at run time (extension)."""

    items: ContextKey
    """An input of the node; its value is a list."""
    item_name: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=IDENTIFIER)] = "item"
    """Key under which an instance finds its item; its `number`, from 1, is there too."""
    key: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """JSONPath into an item to a text or number that names it; outputs then are objects by these names."""
    max_items: Annotated[int, Field(ge=1, le=MAX_ITEMS, strict=True), INTEGRAL] = 100
    """A longer list fails the node before anything starts."""
    max_parallelism: Annotated[int, Field(ge=1, le=100_000, strict=True), INTEGRAL] | None = None
    """Maximum number of instances running at once."""
    continue_on_error: Flag = False
    """A failed item does not end the others; the node fails only if all items failed."""
    failures: ContextKey | None = None
    """Key of an output that lists the failed items."""
    estimated_items: Annotated[int, Field(ge=1, le=MAX_ITEMS, strict=True), INTEGRAL] = 3
    """Number of items assumed in plans, until earlier runs have shown it."""


class Repeat(Part):
    """The node again until a condition holds (extension)."""

    until: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """Context expression over the outputs, the inputs and `iteration`, evaluated after each iteration."""
    max_iterations: Annotated[int, Field(ge=1, le=100, strict=True), INTEGRAL] = 5
    """Maximum number of iterations."""
    on_exhausted: Literal["fail", "continue"] = "fail"
    """Whether the node fails if the condition never holds, or is completed all the same."""
    stop_when_unchanged: Items[ContextKey] = absent(())
    """Outputs; if an iteration returns the same values for them as the one before, there are no more iterations."""
    interval: Delay = 0
    """Milliseconds between two iterations."""


class Node(Part):
    """One task of one agent, a sub-command, or phases in place."""

    id: NodeName
    """Unique in the whole command."""
    agent_id: Key = ""
    """An agent of the registry, or `command` for a sub-command; absent for `phases`."""
    task: Text
    """The agent's task, and the text of the todo; for `phases` their title."""
    phases: Annotated[Several[Phase], Field(min_length=1)] = absent(())
    """Phases in place instead of an agent: a part of the command with ids and values of its own (extension)."""
    for_each: OneOrNone[ForEach] = absent(None)
    """Run it once for each item of a list."""
    repeat: OneOrNone[Repeat] = absent(None)
    """Run it until a condition holds."""
    dependencies: Items[NodeName] = absent(())
    """Nodes of this or an earlier phase that must finish first."""
    estimated_time: Milliseconds = 60_000
    """Milliseconds; for progress, critical path and scheduling."""
    timeout: Milliseconds | None = None
    """Milliseconds of one attempt; absent: the larger of five minutes and three times the estimate."""
    priority: Priority = 0
    """Higher priority starts first."""
    retry_policy: OneOrNone[RetryPolicy] = absent(None)
    """When a failed attempt is retried."""
    skip_condition: OneOrNone[SkipCondition] = absent(None)
    """When the node is skipped."""
    compensation: OneOrNone[Compensation] = absent(None)
    """How it is undone."""
    context: One[NodeContext] = absent(NodeContext())
    """The values that it reads and writes."""
    resources: OneOrNone[Resources] = absent(None)
    """Locks it needs while it runs."""
    circuit_breaker: Key | None = None
    """Name of a breaker of the project's settings."""
    idempotent: Flag = True
    """False: an attempt lost in a crash waits for a decision instead of running again (extension)."""
    approval: OneOrNone[Approval] = absent(None)
    """Wait for a person's approval (extension)."""


class Phase(Part):
    """A group of nodes; phases run one after another, in file order."""

    id: PhaseName
    """Unique in the command."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Heading in todos and reports."""
    agents: Annotated[Several[Node], Field(min_length=1)]
    """The nodes."""
    description: str | None = None
    """Its purpose."""
    parallel: Flag = True
    """False: one node at a time."""
    max_parallelism: Annotated[int, Field(ge=1, le=100_000, strict=True), INTEGRAL] | None = None
    """Maximum number of nodes running at once."""
    continue_on_error: Flag = False
    """A failed node does not stop the run."""
    timeout: Milliseconds | None = None
    """Milliseconds for the whole phase."""
    barrier: Flag = True
    """False: its nodes start as soon as their dependencies finish, without waiting for the phase before (extension)."""


Node.model_rebuild()


class CommandDefinition(Part):
    """A command: phases of agents with dependencies, context, retries and rollback."""

    version: Literal["2.0.0"]
    """Version of the format."""
    name: CommandName
    """Its name with the slash: `/review-code`."""
    description: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """One sentence."""
    phases: Annotated[Several[Phase], Field(min_length=1)]
    """Run one after another."""
    metadata: One[Metadata] = absent(Metadata())
    """Its author, version and status."""
    global_context: One[GlobalContext] = absent(GlobalContext())
    """Values and cache rules of the whole run."""
    resources: OneOrNone[Resources] = absent(None)
    """Locks held by the run from start to end."""
    arguments: Several[Argument] = absent(())
    """The inputs of a run (extension)."""
