"""The user's command file as one pydantic model; its JSON Schema is the published format (SPEC 1).

Pure. Shapes and ranges only: rules that need more than one field are `engine/validation`'s, and unknown fields are
told there too, so this model ignores them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from engine.model.fields import Items, ItemsOrNone, One, OneOrNone, Several, absent

FORMAT_VERSION = "2.0.0"
"""The version of the command format that we implement; the package has a version of its own."""
FEATURES = {
    "approvals": "`approval` of a node",
    "arguments": "`arguments` of the command",
    "barriers": "`barrier` of a phase",
    "circuit-breakers": "`circuitBreaker` of a node",
    "compensation": "`compensation` of a node, and the rollback of a failed run",
    "context": "`context` of a node and `globalContext`",
    "estimates": "`estimatedTime`, and what is learned from runs",
    "idempotency": "`idempotent` of a node",
    "isolation": "agents in git worktrees of their own",
    "locks": "`resources` of a node or the command",
    "output-schemas": "`schema` of an output",
    "parallel": "`parallel` and `maxParallelism` of a phase",
    "passthrough": "`passthrough` of a node's context",
    "persistence": "`persist` of an output, and `persistKeys`",
    "priorities": "`priority` of a node or a lock",
    "process-agents": "agents that are programs",
    "python-agents": "agents that are Python functions",
    "retries": "`retryPolicy` of a node",
    "skip-conditions": "`skipCondition` of a node",
    "sub-commands": "the agent `command`",
    "timeouts": "`timeout` of a node or a phase",
    "transforms": "`transform` of an input",
    "yaml": "commands in YAML files",
}
"""What `requirements.features` can name, each with what it stands for."""
MAX_MILLISECONDS = 30 * 24 * 3600 * 1000
"""No time in a command is longer than thirty days: beyond that it is a slip, and date arithmetic would overflow."""


def _as_integer(value: object) -> object:
    """JSON knows one kind of number: 5000.0 and 5e3 are the integer 5000, as JSON Schema has it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


INTEGRAL = BeforeValidator(_as_integer)
Milliseconds = Annotated[int, Field(gt=0, le=MAX_MILLISECONDS, strict=True), INTEGRAL]
Delay = Annotated[int, Field(ge=0, le=MAX_MILLISECONDS, strict=True), INTEGRAL]
Seconds = Annotated[int, Field(gt=0, le=10 * 365 * 24 * 3600, strict=True), INTEGRAL]
Priority = Annotated[int, Field(ge=-1_000_000, le=1_000_000, strict=True), INTEGRAL]
Flag = Annotated[bool, Field(strict=True)]

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ContextKey = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\x00-\x1f]+$")]
"""The name of a context value; the slash is the engine's, which keeps the values of sub-commands apart by it."""
NodeName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
PhaseName = Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z][a-z0-9-]*$")]
CommandName = Annotated[str, StringConstraints(max_length=200, pattern=r"^/[a-z0-9-]+$")]
Semver = Annotated[str, StringConstraints(max_length=100, pattern=r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$")]


_OTHERWISE = {"cache_ttl": "cacheTTL", "value_schema": "schema"}


def _in_files(name: str) -> str:
    """How files spell the field *name*. Not said beside the fields: type checkers would know no other name for them."""
    return _OTHERWISE.get(name) or to_camel(name)


class Part(BaseModel):
    """Base of all parts of a command: camelCase in files, snake_case in Python."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=_in_files,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


class Example(Part):
    """How the command is called."""

    command: Text
    """The call, such as `/review-code src/`."""
    description: str = ""
    """What that call does."""


class Requirements(Part):
    """What the command needs of the engine."""

    min_version: Semver | None = None
    """Oldest version of the format that has what it uses; an engine of an older format refuses the command."""
    features: Items[str] = absent(())
    """Features that it relies on, by the names below; an engine without one of them refuses the command."""


class Metadata(Part):
    """Who made the command, and where it stands in its life."""

    author: str | None = None
    """Person or team."""
    version: Semver | None = None
    """Version of this command, not of the format."""
    tags: Items[str] = absent(())
    """Words to find it by."""
    category: str | None = None
    """One word such as `code-review`."""
    visibility: Literal["public", "private", "team", "beta"] | None = None
    """Whom it is meant for."""
    deprecated: Flag = False
    """A run of a deprecated command warns and names `replacedBy`."""
    replaced_by: str | None = None
    """The command to use instead."""
    changelog: Items[str] = absent(())
    """What changed, newest first."""
    examples: Several[Example] = absent(())
    """Calls to learn from."""
    requirements: OneOrNone[Requirements] = absent(None)
    """What it needs of the engine."""


class GlobalContext(Part):
    """Values and cache rules of the whole run."""

    initial: dict[ContextKey, Any] = Field(default_factory=dict)
    """Context values present before the first phase."""
    cache_ttl: Seconds | None = None
    """Seconds; TTL of outputs that name none."""
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
    """All are claimed at once."""
    max_wait_time: Milliseconds = 60_000
    """Milliseconds to wait for the locks before failing with LOCK_TIMEOUT."""


class Argument(Part):
    """Something that a run of the command is given (extension)."""

    name: ContextKey
    """The context key under which agents find it."""
    description: str = ""
    """Shown where the command is offered."""
    required: Flag = False
    """A run without it does not start."""
    default: Any = None
    """Used where the run gives none."""


class RetryPolicy(Part):
    """When a failed attempt is tried again."""

    max_attempts: Annotated[int, Field(ge=1, le=10, strict=True), INTEGRAL]
    """Retries after the first execution."""
    strategy: Literal["immediate", "linear", "exponential", "fibonacci"] = "exponential"
    """How the delay grows."""
    initial_delay: Delay = 1000
    """Milliseconds before the first retry."""
    max_delay: Delay = 60_000
    """Milliseconds no delay exceeds."""
    backoff_multiplier: Annotated[float, Field(ge=1, le=1000, strict=True)] = 2
    """Factor of the exponential strategy."""
    retryable_errors: ItemsOrNone[Key] = absent(None)
    """Error codes that are retried, any case; absent: all but validation, cancelled and permission errors."""


class SkipCondition(Part):
    """When a node is skipped instead of run."""

    type: Literal["context", "file_exists", "command_success", "custom"]
    """What `expression` is: a context expression, a path or glob, a command name, a registered callable."""
    expression: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    """The condition; the node is skipped where it holds."""
    skip_message: str | None = None
    """Shown in todos, status and report."""


class Compensation(Part):
    """How a node is undone."""

    type: Literal["none", "retry", "rollback", "custom", "cascade"]
    """`cascade`: this node's failure rolls back the descendants of `rollbackTo`, or the whole run."""
    description: str | None = None
    """What undoing means; the task where `task` is absent."""
    agent_id: Key | None = None
    """Who undoes it; the node's own agent where absent."""
    task: Text | None = None
    """What the undoing agent is told."""
    rollback_to: NodeName | None = None
    """For cascade: the node up to which the run is rolled back."""
    compensate_on: ItemsOrNone[Literal["error", "timeout", "validation", "cancel"]] = absent(None)
    """Kinds of failure that trigger it; absent: all four."""


class Input(Part):
    """A context value that a node reads."""

    key: ContextKey
    """Name of the value."""
    required: Flag = True
    """A missing required input fails the node before anything is started."""
    default: Any = None
    """Used where an optional input is missing."""
    transform: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    """JSONPath (RFC 9535) applied to the value."""


class Output(Part):
    """A context value that a node writes."""

    key: ContextKey
    """Name of the value."""
    ttl: Seconds | None = None
    """Seconds from production that caches and later runs may use it."""
    persist: Flag = False
    """Kept after the run, and given to later commands of the project."""
    merge: Literal["replace", "merge", "append", "concat"] = "replace"
    """What happens to a value that is already there."""
    value_schema: dict[str, Any] | bool | None = None
    """JSON Schema of the value (extension)."""


class NodeContext(Part):
    """What a node reads and writes."""

    inputs: Several[Input] = absent(())
    """Values it is given."""
    outputs: Several[Output] = absent(())
    """Values it must answer with."""
    passthrough: Flag = False
    """Give it the whole context."""


class Approval(Part):
    """A person's yes before the node runs (extension)."""

    message: Text
    """The question."""


class Node(Part):
    """One agent's piece of work."""

    id: NodeName
    """Unique in the whole command."""
    agent_id: Key
    """An agent of the registry, or `command` for a sub-command."""
    task: Text
    """What the agent is told; the todo's text."""
    dependencies: Items[NodeName] = absent(())
    """Nodes of this or an earlier phase that come first."""
    estimated_time: Milliseconds = 60_000
    """Milliseconds; for progress, critical path and scheduling."""
    timeout: Milliseconds | None = None
    """Milliseconds of one attempt; absent: the larger of five minutes and three times the estimate."""
    priority: Priority = 0
    """Higher starts first."""
    retry_policy: OneOrNone[RetryPolicy] = absent(None)
    """When a failed attempt is tried again."""
    skip_condition: OneOrNone[SkipCondition] = absent(None)
    """When the node is skipped."""
    compensation: OneOrNone[Compensation] = absent(None)
    """How it is undone."""
    context: One[NodeContext] = absent(NodeContext())
    """What it reads and writes."""
    resources: OneOrNone[Resources] = absent(None)
    """Locks it needs while it runs."""
    circuit_breaker: Key | None = None
    """Name of a breaker of the project's settings."""
    idempotent: Flag = True
    """False: an attempt lost in a crash waits for a decision instead of running again (extension)."""
    approval: OneOrNone[Approval] = absent(None)
    """Waits for a person's yes (extension)."""


class Phase(Part):
    """A group of nodes; phases run one after the other, in file order."""

    id: PhaseName
    """Unique in the command."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Heading in todos and reports."""
    agents: Annotated[Several[Node], Field(min_length=1)]
    """The nodes."""
    description: str | None = None
    """What the phase is for."""
    parallel: Flag = True
    """False: one node at a time."""
    max_parallelism: Annotated[int, Field(ge=1, le=100_000, strict=True), INTEGRAL] | None = None
    """At most so many nodes at once."""
    continue_on_error: Flag = False
    """A failed node does not stop the run."""
    timeout: Milliseconds | None = None
    """Milliseconds for the whole phase."""
    barrier: Flag = True
    """False: its nodes open as soon as their dependencies settle, without waiting for the phase before (extension)."""


class CommandDefinition(Part):
    """A command: phases of agents with dependencies, context, retries and rollback."""

    version: Literal["2.0.0"]
    """Version of the format."""
    name: CommandName
    """How the command is called: `/review-code`."""
    description: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """One sentence."""
    phases: Annotated[Several[Phase], Field(min_length=1)]
    """Run one after the other."""
    metadata: One[Metadata] = absent(Metadata())
    """Who made it, and where it stands in its life."""
    global_context: One[GlobalContext] = absent(GlobalContext())
    """Values and cache rules of the whole run."""
    resources: OneOrNone[Resources] = absent(None)
    """Locks held by the run from start to end."""
    arguments: Several[Argument] = absent(())
    """What a run is given (extension)."""
