"""What the library says about a call that was cut, against a cancellation of our own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from engine.executors.fleet.connection import result_of

if TYPE_CHECKING:
    from temporalio.client import ActivityHandle


class Cut:
    """An activity whose result cannot be fetched: the library's handle, as far as it is asked."""

    def __init__(self, cause: BaseException | None) -> None:
        self._cause = cause

    async def result(self) -> bytes:
        """As the library does it."""
        raise asyncio.CancelledError from self._cause


def handle(cause: BaseException | None) -> ActivityHandle[Any]:
    return cast("ActivityHandle[Any]", Cut(cause))


async def test_a_call_that_the_server_has_cut_is_a_fault_of_the_server_and_no_cancellation() -> None:
    fault = RPCError("stream reset", RPCStatusCode.CANCELLED, b"")
    with pytest.raises(RPCError) as raised:
        await result_of(handle(fault))
    assert raised.value is fault


async def test_a_cancellation_of_our_own_stays_one() -> None:
    with pytest.raises(asyncio.CancelledError):
        await result_of(handle(None))
