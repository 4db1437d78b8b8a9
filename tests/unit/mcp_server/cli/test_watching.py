"""Who watches a run is told what is durable, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from engine.errors import EnvironmentFault
from engine.executors.port import Outcome
from engine.ids import OwnerId
from engine.model.policy import Failure, FailureKind
from engine.run.events import RunStatus
from engine.runtime.clock import VirtualLoop
from engine.service import Engine
from engine.storage.port import Batch, Message
from engine.views.status import questions, waits_for_people
from mcp_server.cli import console
from mcp_server.cli.watch import SILENT_SECONDS, until_over, watch
from tests.support.by_hand import rollback
from tests.support.definitions import Raw, command, node, phase, plan
from tests.unit.engine.runtime.test_live_runs import TWO, WORKER, Alone, FailingStorage, engine_on, pause

if TYPE_CHECKING:
    from engine.service import View


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


BROKEN = Failure(FailureKind.ERROR, "BROKEN", "it broke")


class Slow:
    """Works for longer than it takes to be looked at."""

    async def execute(self, order: Any, _heartbeat: Any) -> Outcome:  # noqa: ANN401 - as the port
        await pause(1)
        return Outcome(failure=BROKEN if order.node == "last" else None)


async def watched(monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:  # noqa: ANN401 - those of a Console
    """What is written about a run of two nodes from its start to its end."""
    screen = io.StringIO()
    monkeypatch.setattr(console, "notes", Console(file=screen, color_system=None, width=100, **options))
    async with engine_on(FailingStorage(), Slow(), owner=Alone()) as engine:
        run = await engine.start(plan(TWO, agents=(WORKER,)))
        await asyncio.wait_for(watch(engine, run, console.LiveTree()), 60)
    return screen.getvalue()


async def test_a_tree_that_is_higher_than_the_screen_is_left_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = await watched(monkeypatch, force_terminal=True, height=3)
    assert written.count("Do b (completed") == 1


async def test_where_a_tree_is_too_high_what_is_over_and_what_is_to_come_is_folded() -> None:
    names = ("one", "two", "three")
    phases = [phase(name, *(node(f"{name}-{number}") for number in range(4))) for name in names]
    seen = []
    async with engine_on(FailingStorage(), Slow(), owner=Alone()) as engine:
        run = await engine.start(plan(command(*phases), agents=(WORKER,)))
        await pause(0.5)
        for name in names:
            lines = await engine.read(run, lambda view: drawn(view, rows=9))
            assert sum(f"Do {name}-" in line and "in progress" in line for line in lines) == 4
            seen.append([line[4:] for line in lines if "/4)" in line])
            whole = await engine.read(run, lambda view: drawn(view, rows=16))
            assert len(whole) == 16
            await pause(1)
    assert seen == [
        ["Phase 2: Two (0/4)", "Phase 3: Three (0/4)"],
        ["Phase 1: One (4/4)", "Phase 3: Three (0/4)"],
        ["Phase 1: One (4/4)", "Phase 2: Two (4/4)"],
    ]


async def test_a_phase_that_is_rolled_back_is_not_folded() -> None:
    steps = [node(f"one-{number}", compensation=rollback()) for number in range(4)]
    phases = [phase("one", *steps), phase("two", node("last"))]
    async with engine_on(FailingStorage(), Slow(), owner=Alone()) as engine:
        run = await engine.start(plan(command(*phases), agents=(WORKER,)))
        await pause(2.5)
        lines = await engine.read(run, lambda view: drawn(view, rows=4))
    assert any("rolling back" in line for line in lines)


def drawn(view: View, *, rows: int) -> list[str]:
    """The lines of the tree of *view* for a screen of so many *rows*."""
    screen = io.StringIO()
    Console(file=screen, width=100).print(console.tree(view, rows=rows))
    return screen.getvalue().splitlines()


async def test_a_terminal_that_cannot_be_drawn_on_gets_a_line_for_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    dumb = await watched(monkeypatch, force_terminal=True, _environ={"TERM": "dumb"})
    assert "⚙️ Do a... (in progress" in dumb
    assert dumb == await watched(monkeypatch)


class Pretended(Alone):
    """An owner that takes all others for alive."""

    id = OwnerId("o-other")

    def is_alive(self, owner: OwnerId) -> bool:
        return bool(owner)


async def hang(engine: Engine) -> None:
    """Stop listening to other processes, for ever."""
    listening = engine._tasks[-1]
    listening.cancel()
    await asyncio.wait([listening])


@pytest.mark.parametrize("heard", [False, True])
async def test_who_waits_for_a_run_that_was_asked_to_end_is_told_where_its_process_has_hung_up(
    heard: bool,  # noqa: FBT001
) -> None:
    storage = FailingStorage()
    async with (
        engine_on(storage, Stubborn(), owner=Alone()) as owning,
        engine_on(storage.connect(), owner=Pretended()) as other,
    ):
        run = await owning.start(plan(TWO, agents=(WORKER,)))
        asked: list[float] = []

        async def ask() -> None:
            asked.append(asyncio.get_running_loop().time())
            await other.storage.post(Message(run=run, kind="cancel", payload={"reason": "", "compensate": True}))

        if not heard:
            await hang(owning)
        await ask()
        if heard:
            await pause(1)
            assert (await other.view(run)).run.stop is not None
            await hang(owning)
        with pytest.raises(EnvironmentFault) as caught:
            await asyncio.wait_for(until_over(other, run, ask), 10 * SILENT_SECONDS)
        assert caught.value.code == "OWNER_SILENT"
        assert len(asked) == 1 + heard


async def test_who_asks_once_more_on_a_full_disk_is_told_of_the_disk() -> None:
    storage = FailingStorage()
    async with (
        engine_on(storage, Stubborn(), owner=Alone()) as owning,
        engine_on(storage.connect(), owner=Pretended()) as other,
    ):
        run = await owning.start(plan(TWO, agents=(WORKER,)))

        async def ask() -> None:
            raise EnvironmentFault("no room", code="DISK_FULL")

        with pytest.raises(EnvironmentFault) as caught:
            await asyncio.wait_for(until_over(other, run, ask), 10 * SILENT_SECONDS)
        assert caught.value.code == "DISK_FULL"


async def test_who_waits_for_a_run_that_undoes_much_waits_for_as_long_as_that_takes() -> None:
    storage = FailingStorage()
    async with (
        engine_on(storage, Stubborn(), owner=Alone()) as owning,
        engine_on(storage.connect(), owner=Pretended()) as other,
    ):
        run = await owning.start(plan(TWO, agents=(WORKER,)))

        async def ask() -> None:
            await other.storage.post(Message(run=run, kind="cancel", payload={"reason": "", "compensate": True}))

        await ask()
        view = await asyncio.wait_for(until_over(other, run, ask), 100 * SILENT_SECONDS)
        assert view.run.status is RunStatus.CANCELLED


class Stubborn:
    """Ends only long after it was told to."""

    async def execute(self, _order: Any, _heartbeat: Any) -> Outcome:  # noqa: ANN401 - as the port
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await pause(20 * SILENT_SECONDS)
        return Outcome()


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
