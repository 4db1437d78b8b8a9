"""The clock of the machine jumps while a real agent works."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.views.headline import headline
from engine.views.status import jumps
from tests.support.definitions import command, node, phase, plan
from tests.support.real_agents import ended, let_go, make_programs, program_agent, ready

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(("hours", "how"), [(3, "ahead by 3 h"), (-3, "back by 3 h"), (25, "ahead by 25 h")])
async def test_a_jump_of_the_clock_ends_no_agent_that_is_at_work_and_is_told(
    hours: int, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_programs(tmp_path / "project", "waits")
    compiled = plan(
        command(phase("p", node("waits", minutes=0.5, timeout=60_000))), agents=(program_agent("worker", "wait"),)
    )
    async with open_engine(root) as engine:
        run = await engine.start(compiled)
        await ready(root, "waits")
        monkeypatch.setattr(
            "engine.runtime.clock.time.time", lambda: time.clock_gettime(time.CLOCK_REALTIME) + hours * 3600
        )
        await let_go(root, "waits")
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED
    assert [how in text for text in jumps(seen)] == [True]
    assert f"the clock of this machine jumped {how}" in caplog.messages
    assert " h" not in headline(seen, seen.ended_at or seen.created_at, {})
