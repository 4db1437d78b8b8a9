"""Runs agents that are Python callables registered in this process.

Effects: calls them on the running event loop, so a plain function has to be short and a long one async. A callable has
to end what it starts: an async one learns of a cancellation as any coroutine does.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from types import CoroutineType
from typing import Any, TypeAlias

from engine.executors.answer import failed, invalid, not_writable, parse_answer, upper_snake
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.model.policy import FailureKind

Reply: TypeAlias = "Outcome | Mapping[str, Any]"
InlineFunction: TypeAlias = "Callable[[WorkOrder], Reply | Awaitable[Reply]]"


class InlineExecutor:
    """Calls the function registered for an order's agent; it returns an Outcome, or an answer like any agent's."""

    def __init__(self, functions: Mapping[str, InlineFunction] | None = None) -> None:
        """*functions* by agent id."""
        self._functions = dict(functions or {})

    def register(self, agent_id: str, function: InlineFunction) -> None:
        """Make *function* the agent *agent_id*; the latest registration counts."""
        self._functions[agent_id] = function

    @property
    def agent_ids(self) -> frozenset[str]:
        """The agents that have a function."""
        return frozenset(self._functions)

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:  # noqa: ARG002 -- the port's signature
        """Execute *order*; an exception becomes a failure with `exc.code`, or the class's name, as its code."""
        function = self._functions.get(order.agent.id)
        if function is None:
            return failed(
                FailureKind.ERROR,
                "EXECUTOR_UNAVAILABLE",
                f'no function is registered for the agent "{order.agent.id}"',
                hint="Register one before the run starts.",
                begun=False,
            )
        try:
            reply = function(order)
            if type(reply) is CoroutineType or (
                not isinstance(reply, (dict, Outcome)) and isinstance(reply, Awaitable)
            ):
                reply = await reply
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever an agent raises is its failure, also `pytest.fail`
            return _raised(error)
        if isinstance(reply, Outcome):
            return reply
        outcome = parse_answer(reply)
        if outcome.outputs and (reason := not_writable(outcome.outputs)):
            return invalid(f"the outputs cannot be stored as JSON: {reason}")
        return outcome


def _raised(error: BaseException) -> Outcome:
    code, kind = getattr(error, "code", None), getattr(error, "kind", None)
    return failed(
        FailureKind(kind) if isinstance(kind, str) and kind in set(FailureKind) else FailureKind.ERROR,
        upper_snake(code if isinstance(code, str) and code else type(error).__name__),
        str(error) or type(error).__name__,
        partial="".join(traceback.format_exception(error)),
    )
