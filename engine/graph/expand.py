"""Expands sub-commands into the graph of the command that calls them, and defaults into values.

Pure. `order.py` adds order, ranks and times, which the nodes made here do not have yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from engine.errors import InvalidCommand
from engine.graph.instances import foreach, own_names, repeated
from engine.ids import ANY, NodeId
from engine.model.plan import (
    IN_PLACE,
    MAX_NODES,
    SUB_COMMAND,
    Compensation,
    NodeKind,
    NodePlan,
    PhasePlan,
    Skip,
    SkipType,
)
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
from engine.text.placeholders import ARGUMENTS, has_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.agent import Agent
    from engine.model.command import CommandDefinition, GlobalContext, Node, NodeContext, Phase, Resources
    from engine.model.plan import Bundle

MAX_DEPTH = 20
"""Nesting depth of sub-commands."""
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
    templates: dict[NodeId, Draft] = field(default_factory=dict)
    """The templates of nodes with forEach or repeat."""
    own_timeout: set[NodeId] = field(default_factory=set)
    """Nodes with a timeout in the file: the default of a sub-command has to wait for its estimate."""


class Place(msgspec.Struct, frozen=True):
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
    names: tuple[str, ...] = ()
    """The names of the forEach and repeat around them."""
    arguments_of: NodeId | None = None
    """See `NodePlan.arguments_of`."""


def expand(bundle: Bundle) -> Draft:
    """The nodes and phases of *bundle* in file order, those of a sub-command after the node that calls it."""
    draft = Draft(bundle=bundle)
    _add_command(draft, Place(bundle.command, "", None, None, (bundle.command.name,)))
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


def _add_command(draft: Draft, here: Place) -> tuple[int, ...]:
    """Append the phases and nodes of a command, and return the indexes of its own phases."""
    command, scope = here.command, here.scope
    if command.metadata.deprecated:
        instead = f"; use {command.metadata.replaced_by} instead" if command.metadata.replaced_by else ""
        draft.warnings.append(f"{command.name} is deprecated{instead}")
    draft.initial.update({scope + key: value for key, value in command.global_context.initial.items()})
    if here.group is not None:
        given = {item.name: item.default for item in command.arguments if "default" in item.model_fields_set}
        if here.arguments and here.arguments_of is None:
            given["arguments"] = here.arguments
            if len(command.arguments) == 1:  # as for a run
                name = command.arguments[0].name
                if ARGUMENTS in here.arguments:
                    draft.fallbacks[scope + name] = [given[name]] if name in given else []
                given[name] = here.arguments
        draft.initial.update({scope + key: value for key, value in given.items()})
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
        template = draft.templates.get(plan.id)
        worker = plan if template is None else template.nodes[0]
        if plan.scope != scope or worker.kind is NodeKind.SUB_COMMAND or worker.outputs or key in named:
            continue
        if draft.agents[plan.agent].kind.traits.needs_model:
            words = (OutputDecl(key=key, required=False),)
            draft.nodes[at] = structs.replace(plan, outputs=(*words, *plan.outputs))
            if template is not None:
                template.nodes[0] = structs.replace(worker, outputs=words)


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
    static = here.arguments is None or here.arguments_of is not None
    task = node.task if static or here.arguments is None else node.task.replace(ARGUMENTS, here.arguments)
    plan = _node(draft, node, here.command.global_context, task=task, phase=phase, scope=here.scope)
    if here.names or here.arguments_of:
        plan = structs.replace(plan, names=here.names, arguments_of=here.arguments_of)
    draft.nodes.append(plan)
    if node.timeout is not None:
        draft.own_timeout.add(plan.id)
    if node.for_each is not None or node.repeat is not None:
        _add_template(draft, node, plan, here)
    else:
        _add_inside(draft, node, plan, here)


def _add_inside(draft: Draft, node: Node, plan: NodePlan, here: Place) -> None:
    """Append the nodes inside *node*, if it is a group."""
    if node.phases:
        _add_place(draft, node, plan, here)
    elif node.agent_id == SUB_COMMAND:
        _add_call(draft, node, plan, here)


def _add_template(draft: Draft, node: Node, plan: NodePlan, here: Place) -> None:
    """Let *node* stand for instances: what it says once stays with it, all else goes into a template."""
    if node.for_each is not None and node.repeat is not None:
        raise InvalidCommand(f'Node "{plan.id}" has forEach and repeat; it can have only one of them', ())
    inner = Draft(draft.bundle, initial=draft.initial, fallbacks=draft.fallbacks, agents=draft.agents)
    inner.warnings, inner.own_timeout = draft.warnings, draft.own_timeout
    draft.templates[plan.id] = inner
    container, instance = foreach(node, plan) if node.for_each is not None else repeated(node, plan)
    here = structs.replace(here, names=tuple(dict.fromkeys((*own_names(node), *here.names))))
    instance = structs.replace(instance, names=here.names)
    draft.nodes[plan.index] = container
    inner.nodes.append(instance)
    if node.timeout is not None:
        inner.own_timeout.add(instance.id)
    _add_inside(inner, node, instance, here)


def _add_place(draft: Draft, node: Node, plan: NodePlan, here: Place) -> None:
    """Append the phases in place of *node*."""
    if node.agent_id:
        raise InvalidCommand(f'Node "{plan.id}" has an agent and phases; it can have only one of them', ())
    _check_depth((*here.calls, plan.id))
    inside = structs.replace(here, scope=f"{plan.id}/", group=plan.id, calls=(*here.calls, plan.id))
    phases = _add_phases(
        draft,
        node.phases,
        inside,
        given={*(item.key for item in node.context.inputs), *(spec.key for spec in plan.inputs)},
    )
    draft.nodes[plan.index] = structs.replace(plan, kind=NodeKind.SUB_COMMAND, inner=phases, inputs=_bound(plan))


def _bound(plan: NodePlan) -> tuple[InputSpec, ...]:
    """The inputs that a group binds when it starts: an instance sees those of its node without that."""
    return () if plan.id.endswith(f"/{ANY}") else plan.inputs


def _add_call(draft: Draft, node: Node, plan: NodePlan, here: Place) -> None:
    """Append the phases of the command that *node* runs."""
    name, text = split_call(plan.task)
    inner = _sub_command(draft.bundle, name, node=plan.id, calls=here.calls)
    filled = has_any(text, plan.names) or (here.arguments_of is not None and ARGUMENTS in text)
    inside = Place(inner, f"{plan.id}/", plan.id, text, (*here.calls, inner.name))
    phases = _add_command(draft, structs.replace(inside, arguments_of=plan.id) if filled else inside)
    locks, wait = _group_locks(node.resources, inner.resources)
    start = len(plan.id) + 1
    given = [key[start:] for key in draft.initial if key.startswith(f"{plan.id}/")] if ANY in plan.id else []
    draft.nodes[plan.index] = structs.replace(
        plan,
        kind=NodeKind.SUB_COMMAND,
        inner=phases,
        inputs=_bound(plan),
        locks=locks,
        lock_wait=wait,
        seeds=tuple(key for key in given if "/" not in key),
        call=text if filled else "",
        argument=(inner.arguments[0].name,) if filled and len(inner.arguments) == 1 else (),
    )


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
