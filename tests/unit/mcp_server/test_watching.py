"""Who watches a run is told what is durable, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import Any

import pytest
from rich.console import Console

from engine.errors import EnvironmentFault
from engine.executors.port import Outcome
from engine.runtime.clock import VirtualLoop
from engine.storage.port import Batch
from engine.views.status import questions, waits_for_people
from mcp_server import console
from mcp_server.cli_watch import watch
from tests.support.definitions import Raw, command, node, phase, plan
from tests.unit.engine.runtime.test_store import TWO, WORKER, Alone, FailingStorage, engine_on, pause


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return ("asyncio", {"loop_factory": VirtualLoop})


class SlowToFail(FailingStorage):
    """Whoever looks at the run before the fault is known sees it ahead of its journal."""

    async def commit(self, batch: Batch, owner: Any, follow: Any = None) -> Any:  # noqa: ANN401 - as the port
        if self.error is not None:
            await pause(1)
        return await super().commit(batch, owner, follow)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("fault", [None, EnvironmentFault("the disk is full", code="DISK_FULL")])
async def test_what_was_never_recorded_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
    fault: EnvironmentFault | None,
    terminal: bool,  # noqa: FBT001
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "notes", Console(file=screen, force_terminal=terminal, color_system=None, width=100))
    storage = SlowToFail()

    class FillsTheDisk:
        async def execute(self, order: Any, _heartbeat: Any) -> Outcome:  # noqa: ANN401 - as the port
            if order.node == "b":
                storage.error = fault
            return Outcome()

    async with engine_on(storage, FillsTheDisk(), owner=Alone()) as engine:
        run = await engine.start(plan(TWO, agents=(WORKER,)))
        with pytest.raises(EnvironmentFault) if fault else contextlib.nullcontext():
            await asyncio.wait_for(watch(engine, run, console.LiveTree()), 60)
    assert ("Do b (completed" in screen.getvalue()) is (fault is None)


@pytest.mark.parametrize(("beside", "waits"), [([], True), ([node("other")], False)])
async def test_a_run_waits_for_people_alone_when_no_agent_works_inside_a_sub_command_or_outside(
    beside: list[Raw],
    waits: bool,  # noqa: FBT001
) -> None:
    inner = command(phase("in", node("x", approval={"message": "Really?"})), name="/inner")
    calling = {"id": "call", "agentId": "command", "task": "/inner"}
    compiled = plan(command(phase("out", calling, *beside, parallel=True)), inner, agents=(WORKER,))
    async with engine_on(FailingStorage()) as engine:
        run = await engine.start(compiled, executor="host")
        assert await engine.read(run, lambda view: (len(questions(view.run)), waits_for_people(view.run))) == (1, waits)
