"""Agents that a Python program implements itself: its executor, the context it receives, and passing work on.

Effects: calls the program's code on the running event loop. The engine decides order, limits and retries.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
from msgspec import structs

from engine.errors import remade
from engine.executors.answer import failed, invalid, upper_snake
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.model.agent import AgentKind
from engine.model.policy import FailureKind, Usage
from engine.run.limits import MAX_COST_USD

if TYPE_CHECKING:
    from pathlib import Path

    from engine.executors.port import Executor, Heartbeat
    from engine.ids import NodeId, RunId
    from engine.model.agent import Agent


log = logging.getLogger(__name__)

MAX_TOKENS = 2**53
"""Larger counts are rejected: JSON readers lose digits from there on."""
FailureName = Literal["error", "timeout", "validation", "cancel"]


class AgentFailure(Exception):
    """The work of a node failed; its code and kind decide about retries and rollback."""

    def __init__(
        self, code: str, message: str, *, kind: FailureKind | FailureName = "error", hint: str | None = None
    ) -> None:
        """*code* such as RATE_LIMIT, *kind* one of error, timeout, validation, cancel."""
        super().__init__(message)
        self.code = code
        self.kind: str = kind
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """See `OrchestrationError`."""
        return remade, (type(self), self.args), vars(self)


class Context:
    """An agent's view of the run: the values that existed when the node started."""

    def __init__(self, order: WorkOrder, heartbeat: Heartbeat, pass_on: PassOn) -> None:
        """Created by the engine, one for each attempt."""
        self.data: dict[str, Any] = dict(order.inputs)
        """The node's inputs by key; copies that may be changed."""
        self.run_id: str = order.run
        self.node_id: str = order.node
        self.attempt: str = order.attempt
        self.role: str = order.role
        """`forward`, or `compensate` to undo the node."""
        self.outputs: tuple[str, ...] = tuple(output.key for output in order.outputs if output.required)
        """The required keys of the answer."""
        self.produced: Mapping[str, Any] = order.produced
        """The outputs of the node; filled when it is undone."""
        self.project: Path = order.project
        self.usage: list[Usage] = []
        """Tokens and cost of passed-on work; add those that the program used itself."""
        self._heartbeat = heartbeat
        self._pass_on = pass_on

    def progress(self, action: str) -> None:
        """Report the current action in one line, for status and live display."""
        self._heartbeat(action)

    async def pass_on(self, agent_id: str, task: str) -> dict[str, Any]:
        """Have *agent_id* do *task* as if the program did not implement it. Raises `AgentFailure`."""
        return await self._pass_on(self, agent_id, task)


class PassOn(Protocol):
    """Passes work on."""

    async def __call__(self, context: Context, agent_id: str, task: str) -> dict[str, Any]:
        """The outputs. Raises `AgentFailure`."""


class AgentExecutor:
    """Base class of a program's executor: name the agents and implement `execute`."""

    agent_ids: Collection[str] | None = None
    """The agents it implements, new ones or those of files; None: all agents, adding none."""

    @abstractmethod  # not by the metaclass, which may clash with that of another base: `set_agent_executor` looks
    async def execute(self, agent_id: str, task: str, context: Context) -> Any:  # noqa: ANN401 - any JSON value
        """Do *task* and return the declared outputs by key. Any exception fails the node.

        `{"outputs": …}` and `{"failure": {"code", "kind", "message"}}` are accepted too, and for a node with one
        declared output its bare value, unless that is a mapping.
        """
        raise NotImplementedError


class DefaultExecutor:
    """Does an agent's work as if the program had set no executor."""

    async def execute(self, agent_id: str, task: str, context: Context) -> dict[str, Any]:
        """The outputs of *agent_id* for *task* with the values of *context*. Raises `AgentFailure`."""
        return await context.pass_on(agent_id, task)


default_executor: DefaultExecutor = DefaultExecutor()
"""For use inside `AgentExecutor.execute`."""


class Program(Protocol):
    """Accepted by `set_agent_executor`: an `AgentExecutor`, or anything with such a method."""

    @property
    def execute(self) -> Callable[[str, str, Context], Any]:
        """See `AgentExecutor.execute`; may be a plain function if it is quick."""


class ProgramExecutor(msgspec.Struct, frozen=True, kw_only=True):
    """Adapts a program's executor to the engine."""

    program: Program
    executors: Mapping[AgentKind, Executor]
    """The other executors, by kind of agent."""
    find: Callable[[str], Agent | None]
    """Finds an agent as its file defines it."""
    permit: Callable[[RunId, Agent, NodeId], None]
    """Raises `OrchestrationError` if an agent may not run."""

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """See `engine.executors.port.Executor`."""

        async def pass_on(context: Context, agent_id: str, task: str) -> dict[str, Any]:
            return await self._pass_on(order, heartbeat, context, agent_id, task)

        context = Context(order, heartbeat, pass_on)

        async def call(order: WorkOrder) -> Outcome | Mapping[str, Any]:
            try:
                reply = self.program.execute(order.agent.id, order.task, context)
                return _answer(order, await reply if isinstance(reply, Awaitable) else reply)
            except AgentFailure as failure:
                return _failed(failure)

        outcome = await InlineExecutor({order.agent.id: call}).execute(order, heartbeat)
        used = [usage for usage in context.usage if countable(usage)]
        if len(used) < len(context.usage):
            log.warning("%s: usage that is not a Usage of numbers from 0 up is not counted", order.node)
        return structs.replace(outcome, usage=_sum(used, outcome.usage))

    async def _pass_on(
        self, order: WorkOrder, heartbeat: Heartbeat, context: Context, agent_id: str, task: str
    ) -> dict[str, Any]:
        agent: Agent | None = order.agent
        if order.agent.id != agent_id or order.agent.kind is AgentKind.CUSTOM:
            agent = self.find(agent_id)
        if agent is None:
            hint = "Add an agent file for it, or do its work in `execute`."
            raise AgentFailure("AGENT_NOT_FOUND", f'agent "{agent_id}" has no other executor', hint=hint)
        self.permit(order.run, agent, order.node)
        handed = structs.replace(order, agent=agent, task=task, inputs=context.data)
        outcome = await self.executors[agent.kind].execute(handed, heartbeat)
        if outcome.usage is not None:
            context.usage.append(outcome.usage)
        if outcome.failure is not None:
            failure = outcome.failure
            raise AgentFailure(failure.code, failure.message, kind=failure.kind, hint=failure.hint)
        return dict(outcome.outputs)


def agents_of(program: Program) -> Collection[str] | None:
    """The agents that *program* names; None if it does all."""
    named: Collection[str] | str | None = getattr(program, "agent_ids", None)
    return (named,) if isinstance(named, str) else named


def countable(usage: object) -> bool:
    """Whether *usage* from a program's code can be added up and stored."""
    if not isinstance(usage, Usage):
        return False
    counts: tuple[object, ...] = (usage.input_tokens, usage.output_tokens)
    cost: object = usage.cost_usd
    return all(count is None or (isinstance(count, int) and 0 <= count < MAX_TOKENS) for count in counts) and (
        cost is None or (isinstance(cost, int | float) and 0 <= cost <= MAX_COST_USD)
    )


def _failed(failure: AgentFailure) -> Outcome:
    """The node's failure, made storable whatever the program has put into *failure*."""
    kind: object = failure.kind
    hint: object = failure.hint
    return failed(
        FailureKind(kind) if isinstance(kind, str) and kind in set(FailureKind) else FailureKind.ERROR,
        upper_snake(str(failure.code)) or "AGENT_ERROR",
        str(failure),
        hint=None if hint is None else str(hint),
    )


def _answer(order: WorkOrder, reply: object) -> Outcome | Mapping[str, Any]:
    keys = [output.key for output in order.outputs]
    if isinstance(reply, Outcome):
        return reply
    if reply is None or not keys:
        failure = reply.get("failure") if isinstance(reply, Mapping) else None
        return {"outputs": {}} if failure is None else {"failure": failure}
    if isinstance(reply, Mapping):
        wrapped = any(word in reply and word not in keys for word in ("outputs", "failure"))
        return reply if wrapped else {"outputs": reply}
    if len(keys) == 1:
        return {"outputs": {keys[0]: reply}}
    return invalid(f"the answer is {type(reply).__name__}, not a mapping with the outputs {', '.join(keys)}")


def _sum(handed: Collection[Usage], own: Usage | None) -> Usage | None:
    used = [*handed, *([own] if own is not None else [])]
    if not used:
        return None
    costs = [usage.cost_usd for usage in used if usage.cost_usd is not None]
    read = [usage.input_tokens for usage in used if usage.input_tokens is not None]
    written = [usage.output_tokens for usage in used if usage.output_tokens is not None]
    return Usage(
        cost_usd=sum(costs) if costs else None,
        input_tokens=sum(read) if read else None,
        output_tokens=sum(written) if written else None,
    )
