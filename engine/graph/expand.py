"""Expands sub-commands into the graph of the command that calls them, and defaults into values.

Pure. `order.py` adds order, ranks and times, which the nodes made here do not have yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.errors import InvalidCommand
from engine.ids import NodeId
from engine.model.plan import IN_PLACE, Compensation, NodeKind, NodePlan, PhasePlan, Skip, SkipType
from engine.model.policy import (
    ALL_KINDS,
    CompensationType,
    FailureKind,
    InputSpec,
    LockSpec,
    LockType,
    Merge,
    OutputDecl,
    RetryPolicy,
    RetryStrategy,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.agent import Agent
    from engine.model.command import CommandDefinition, GlobalContext, Node, NodeContext, Phase, Resources
    from engine.model.plan import Bundle

ARGUMENTS = "$ARGUMENTS"
"""In a task: the argument text of the run, or of the call of the sub-command."""
SUB_COMMAND = "command"
"""The agent id that stands for running another command."""
MAX_DEPTH = 20
"""Nesting depth of sub-commands."""
MAX_NODES = 100_000
"""Nodes of a plan: otherwise sub-commands that call others twice grow exponentially."""
SHORTEST_DEFAULT_TIMEOUT = 300_000
"""Milliseconds; the least timeout of a node that names none."""


@dataclass(slots=True)
class Draft:
    """A plan under construction."""

    bundle: Bundle
    nodes: list[NodePlan] = field(default_factory=list)
    phases: list[PhasePlan] = field(default_factory=list)
    initial: dict[str, Any] = field(default_factory=dict)
    """Context values before the first phase, keys with their scope."""
    fallbacks: dict[str, list[Any]] = field(default_factory=dict)
    """See `Plan.fallbacks`."""
    agents: dict[str, Agent] = field(default_factory=dict)
    """The agents that nodes and compensations name."""
    warnings: list[str] = field(default_factory=list)
    own_timeout: set[NodeId] = field(default_factory=set)
    """Nodes with a timeout in the file: the default of a sub-command has to wait for its estimate."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where nodes are: in a command, or in phases in place."""

    command: CommandDefinition
    """The command whose file they are in."""
    scope: str
    group: NodeId | None
    """The node around them; None at the top."""
    arguments: str | None
    """The argument text of the call of the sub-command; None in the command of the run."""
    calls: tuple[str, ...]
    """The names of the commands and nodes around them, outermost first."""


def expand(bundle: Bundle) -> Draft:
    """The nodes and phases of *bundle* in file order, those of a sub-command after the node that calls it."""
    draft = Draft(bundle=bundle)
    _add_command(draft, bundle.command, scope="", arguments=None, group=None, calls=(bundle.command.name,))
    return draft


def split_call(task: str) -> tuple[str, str]:
    """Name and argument text of a sub-command's task, `/deploy staging`."""
    words = task.split(maxsplit=1)
    return (words[0] if words else ""), (words[1].strip() if len(words) > 1 else "")


def default_timeout(estimate: int) -> int:
    """The timeout, in milliseconds, of a node that names none (SPEC 1)."""
    return max(SHORTEST_DEFAULT_TIMEOUT, 3 * estimate)


@lru_cache(maxsize=4096)
def duration_of(value: int) -> timedelta:
    return timedelta(milliseconds=value)


def lock_specs(resources: Resources | None) -> tuple[LockSpec, ...]:
    locks = resources.locks if resources else ()
    return tuple(LockSpec(lock.resource, LockType(lock.type), lock.priority) for lock in locks)


def _add_command(
    draft: Draft,
    command: CommandDefinition,
    *,
    scope: str,
    arguments: str | None,
    group: NodeId | None,
    calls: tuple[str, ...],
) -> tuple[int, ...]:
    """Append *command*'s phases and nodes, and return the indexes of its own phases."""
    if command.metadata.deprecated:
        instead = f"; use {command.metadata.replaced_by} instead" if command.metadata.replaced_by else ""
        draft.warnings.append(f"{command.name} is deprecated{instead}")
    draft.initial.update({scope + key: value for key, value in command.global_context.initial.items()})
    if group is not None:
        given = {item.name: item.default for item in command.arguments if "default" in item.model_fields_set}
        if arguments:
            given["arguments"] = arguments
            if len(command.arguments) == 1:  # as for a run
                name = command.arguments[0].name
                if ARGUMENTS in arguments:
                    draft.fallbacks[scope + name] = [given[name]] if name in given else []
                given[name] = arguments
        draft.initial.update({scope + key: value for key, value in given.items()})
    here = Place(command, scope, group, arguments, calls)
    return _add_phases(draft, command.phases, here, given={*command.global_context.initial, *_names(command)})


def _names(command: CommandDefinition) -> list[str]:
    return ["arguments", *(item.name for item in command.arguments)]


def _add_phases(draft: Draft, phases: tuple[Phase, ...], here: Place, *, given: set[str]) -> tuple[int, ...]:
    """Append the *phases* of one place with their nodes, and return their indexes; *given* are keys from outside."""
    own: list[int] = []
    before = len(draft.nodes)
    for phase in phases:
        own.append(len(draft.phases))
        first = len(draft.phases)
        draft.phases.append(_phase(phase, here.scope, first, after=own[-2] if len(own) > 1 else None, group=here.group))
        for node in phase.agents:
            _add_node(draft, node, here, phase=first)
    _ask_for_words(draft, phases, scope=here.scope, start=before, given=given)
    return tuple(own)


def _ask_for_words(draft: Draft, phases: tuple[Phase, ...], *, scope: str, start: int, given: set[str]) -> None:
    """Let each model agent of *phases* without declared outputs return its result, under the id of its node.

    A key of that name that is used or *given* there keeps its meaning, and the node then returns nothing.
    """
    contexts = [node.context for phase in phases for node in phase.agents]
    named: set[str] = given | {item.key for context in contexts for item in context.inputs}
    named |= {item.key for context in contexts for item in context.outputs}
    for at in range(start, len(draft.nodes)):
        plan = draft.nodes[at]
        key = plan.id[len(scope) :]
        if plan.scope != scope or plan.kind is NodeKind.SUB_COMMAND or plan.outputs or key in named:
            continue
        if draft.agents[plan.agent].kind.traits.needs_model:
            draft.nodes[at] = replace(plan, outputs=(OutputDecl(key=key, required=False),))


def _phase(phase: Phase, scope: str, index: int, *, after: int | None, group: NodeId | None) -> PhasePlan:
    return PhasePlan(
        id=scope + phase.id,
        name=phase.name,
        index=index,
        nodes=tuple(NodeId(scope + node.id) for node in phase.agents),
        limit=phase.max_parallelism if phase.parallel else 1,
        continue_on_error=phase.continue_on_error,
        timeout=duration_of(phase.timeout) if phase.timeout else None,
        barrier=phase.barrier,
        after=after,
        group=group,
    )


def _add_node(draft: Draft, node: Node, here: Place, *, phase: int) -> None:
    if len(draft.nodes) >= MAX_NODES:
        raise InvalidCommand(
            f"Command '{draft.bundle.command.name}' has more than {MAX_NODES} nodes with its sub-commands expanded",
            (),
            hint="Call sub-commands less often, or split the command.",
        )
    task = node.task if here.arguments is None else node.task.replace(ARGUMENTS, here.arguments)
    plan = _node(draft, node, here.command.global_context, task=task, phase=phase, scope=here.scope)
    draft.nodes.append(plan)
    if node.timeout is not None:
        draft.own_timeout.add(plan.id)
    if node.phases:
        _add_place(draft, node, plan, here)
    elif node.agent_id == SUB_COMMAND:
        _add_call(draft, node, plan, here)


def _add_place(draft: Draft, node: Node, plan: NodePlan, here: Place) -> None:
    """Append the phases in place of *node*."""
    if node.agent_id:
        raise InvalidCommand(f'Node "{plan.id}" has an agent and phases; it can have only one of them', ())
    _check_depth((*here.calls, plan.id))
    inside = Place(here.command, f"{plan.id}/", plan.id, here.arguments, (*here.calls, plan.id))
    phases = _add_phases(draft, node.phases, inside, given={item.key for item in node.context.inputs})
    draft.nodes[plan.index] = replace(plan, kind=NodeKind.SUB_COMMAND, inner=phases)


def _add_call(draft: Draft, node: Node, plan: NodePlan, here: Place) -> None:
    """Append the phases of the command that *node* runs."""
    name, text = split_call(plan.task)
    inner = _sub_command(draft.bundle, name, node=plan.id, calls=here.calls)
    calls = (*here.calls, inner.name)
    phases = _add_command(draft, inner, scope=f"{plan.id}/", arguments=text, group=plan.id, calls=calls)
    locks, wait = _group_locks(node.resources, inner.resources)
    draft.nodes[plan.index] = replace(plan, kind=NodeKind.SUB_COMMAND, inner=phases, locks=locks, lock_wait=wait)


def _check_depth(calls: tuple[str, ...]) -> None:
    """Raise `InvalidCommand` if *calls*, the command itself and the levels below it, are too many."""
    if len(calls) - 1 > MAX_DEPTH:
        raise InvalidCommand(f"Sub-commands and phases are more than {MAX_DEPTH} deep: {' → '.join(calls)}", ())


def _sub_command(bundle: Bundle, name: str, *, node: NodeId, calls: tuple[str, ...]) -> CommandDefinition:
    if name in calls:
        chain = " → ".join((*calls[calls.index(name) :], name))
        raise InvalidCommand(
            f"Command '{calls[0]}' runs itself: {chain}", (), hint=f"Let node {node!r} run another command."
        )
    _check_depth((*calls, name))
    inner = bundle.commands.get(name)
    if inner is None:
        raise InvalidCommand(f"Command {name!r} of node {node!r} is not in the bundle", ())
    return inner


def _group_locks(own: Resources | None, inner: Resources | None) -> tuple[tuple[LockSpec, ...], timedelta]:
    """The locks of a sub-command: its node's and its command's own; of two on one resource, the exclusive one."""
    merged: dict[str, LockSpec] = {}
    for lock in (*lock_specs(own), *lock_specs(inner)):
        if lock.resource not in merged or lock.type is LockType.EXCLUSIVE:
            merged[lock.resource] = lock
    waits = [resources.max_wait_time for resources in (own, inner) if resources]
    return tuple(merged.values()), duration_of(max(waits, default=60_000))


def _node(draft: Draft, node: Node, context: GlobalContext, *, task: str, phase: int, scope: str) -> NodePlan:
    timeout = duration_of(node.timeout or default_timeout(node.estimated_time))
    if node.agent_id != SUB_COMMAND and not node.phases:
        limit = _agent(draft, node.agent_id, node=scope + node.id).timeout
        timeout = timeout if limit is None else min(timeout, limit)
    resources = node.resources
    return NodePlan(
        id=NodeId(scope + node.id),
        index=len(draft.nodes),
        phase=phase,
        agent=IN_PLACE if node.phases else node.agent_id,
        task=task,
        depends_on=tuple(NodeId(scope + name) for name in dict.fromkeys(node.dependencies)),
        estimate=duration_of(node.estimated_time),
        timeout=timeout,
        priority=node.priority,
        retry=_retry(node),
        skip=_skip(node),
        compensation=_compensation(draft, node, scope),
        inputs=_inputs(node.context),
        outputs=_outputs(node.context, context),
        passthrough=node.context.passthrough,
        locks=lock_specs(resources),
        lock_wait=duration_of(resources.max_wait_time if resources else 60_000),
        breaker=node.circuit_breaker,
        idempotent=node.idempotent,
        approval=node.approval.message if node.approval else None,
        scope=scope,
    )


def _agent(draft: Draft, name: str, *, node: str) -> Agent:
    agent = draft.bundle.agents.get(name)
    if agent is None:
        raise InvalidCommand(f'Agent "{name}" of node "{node}" is not in the bundle', ())
    draft.agents[name] = agent
    return agent


def _retry(node: Node) -> RetryPolicy | None:
    policy = node.retry_policy
    if policy is None:
        return None
    codes = policy.retryable_errors
    return RetryPolicy(
        max_retries=policy.max_attempts,
        strategy=RetryStrategy(policy.strategy),
        initial_delay=duration_of(policy.initial_delay),
        max_delay=duration_of(policy.max_delay),
        multiplier=float(policy.backoff_multiplier),
        retryable=None if codes is None else frozenset(code.upper() for code in codes),
    )


def _skip(node: Node) -> Skip | None:
    skip = node.skip_condition
    return Skip(type=SkipType(skip.type), expression=skip.expression, message=skip.skip_message) if skip else None


def _compensation(draft: Draft, node: Node, scope: str) -> Compensation | None:
    undo = node.compensation
    if undo is None:
        return None
    kind = CompensationType(undo.type)
    agent = undo.agent_id or node.agent_id
    works = kind in (CompensationType.ROLLBACK, CompensationType.CUSTOM)
    if works:
        _agent(draft, agent, node=scope + node.id)
    return Compensation(
        type=kind,
        agent=agent,
        task=(undo.task or undo.description or "") if works else "",
        on=_triggers(undo.compensate_on),
        rollback_to=NodeId(scope + undo.rollback_to) if undo.rollback_to else None,
    )


def _triggers(named: tuple[str, ...] | None) -> frozenset[FailureKind]:
    """Kinds of failure that trigger undoing (SPEC 7); `error` stands for every failure except a cancel."""
    if named is None:
        return ALL_KINDS
    kinds = frozenset(map(FailureKind, named))
    return kinds | (ALL_KINDS - {FailureKind.CANCEL}) if FailureKind.ERROR in kinds else kinds


def _inputs(context: NodeContext) -> tuple[InputSpec, ...]:
    return tuple(
        InputSpec(
            key=item.key,
            required=item.required,
            has_default="default" in item.model_fields_set,
            default=item.default,
            transform=item.transform,
        )
        for item in context.inputs
    )


def _outputs(context: NodeContext, root: GlobalContext) -> tuple[OutputDecl, ...]:
    return tuple(
        OutputDecl(
            key=item.key,
            schema=item.value_schema,
            ttl=timedelta(seconds=ttl) if (ttl := item.ttl or root.cache_ttl) else None,
            persist=item.persist or item.key in root.persist_keys,
            merge=Merge(item.merge),
        )
        for item in context.outputs
    )


def nodes_of(phases: Iterable[Phase]) -> Iterator[Node]:
    """All nodes of *phases* in file order, each before those of its phases in place."""
    for phase in phases:
        for node in phase.agents:
            yield node
            yield from nodes_of(node.phases)


def named_agents(command: CommandDefinition) -> list[str]:
    """Every agent that *command* itself names, for work or for undoing it."""
    nodes = list(nodes_of(command.phases))
    undoing = [node.compensation.agent_id for node in nodes if node.compensation and node.compensation.agent_id]
    return [node.agent_id for node in nodes if node.agent_id not in {"", SUB_COMMAND}] + undoing


def called_commands(command: CommandDefinition) -> list[str]:
    """The names of the commands that *command* itself runs."""
    nodes = (node for node in nodes_of(command.phases) if node.agent_id == SUB_COMMAND)
    return [words[0] for node in nodes if (words := node.task.split(maxsplit=1))]
