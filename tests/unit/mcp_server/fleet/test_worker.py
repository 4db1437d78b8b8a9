"""How a worker ends."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_server.fleet import worker
from mcp_server.fleet.worker import Options

OPTIONS = Options(address={}, folder="", notes="", name="w")


class Library:
    """A worker of the library, which ends when it is let."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.ended = asyncio.Event()

    async def shutdown(self) -> None:
        await self.may_end.wait()
        self.ended.set()


class Left(Exception):
    """This process has ended."""


def left(code: int) -> None:
    raise Left(code)


class Duties:
    """Attempts under way until that was asked *often* enough; then *served* may end."""

    def __init__(self, served: Library, often: int) -> None:
        self.served = served
        self.often = often

    @property
    def running(self) -> int:
        self.often -= 1
        if self.often == 0:
            self.served.may_end.set()
        return 1


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "LOOK", 0.001)
    monkeypatch.setattr(worker, "LEAVING", 0.005)
    monkeypatch.setattr(worker, "_say", lambda **_what: None)
    monkeypatch.setattr(os, "_exit", left)


async def test_a_worker_whose_library_does_not_end_ends_without_it() -> None:
    served: Any = [Library(), Library()]
    served[0].may_end.set()
    with pytest.raises(Left) as ended:
        await worker._shut_down(served, SimpleNamespace(running=0), OPTIONS)  # type: ignore[arg-type]
    assert ended.value.args == (0,)
    served[1].may_end.set()
    await served[1].ended.wait()


async def test_a_worker_waits_for_its_library_while_attempts_are_under_way() -> None:
    served: Any = Library()
    duties: Any = Duties(served, 20)
    await worker._shut_down([served], duties, OPTIONS)
    assert duties.often <= 0
