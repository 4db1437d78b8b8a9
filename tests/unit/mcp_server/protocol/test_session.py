"""What one connection keeps: when it opens the project by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from mcp.server.subscriptions import InMemorySubscriptionBus

from engine.statefolder.guard import open_state
from engine.statefolder.links import JOURNAL
from mcp_server.protocol import session as sessions
from mcp_server.protocol.session import Session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "QUIET_SECONDS", 0)


def is_untouched(root: Path) -> bool:
    """Whether nobody has written anything there."""
    return not any(root.iterdir())


async def looked_after(root: Path) -> Session:
    """A session that has looked after the project at *root*."""
    session = Session(InMemorySubscriptionBus(), place=root, home=root)
    session.look_after()
    session.look_after()
    assert session._looking is not None
    await session._looking
    return session


async def test_a_project_in_which_nothing_was_run_is_not_opened_unasked(tmp_path: Path) -> None:
    session = await looked_after(tmp_path)
    assert session.opened is None
    assert is_untouched(tmp_path)
    await session.close()


async def test_a_project_that_has_a_journal_is_opened_unasked(tmp_path: Path) -> None:
    await asyncio.to_thread(open_state, tmp_path, home=tmp_path)
    (tmp_path / JOURNAL).touch()
    session = await looked_after(tmp_path)
    assert session.opened is not None
    assert session.opened.is_open
    await session.close()


async def test_a_journal_that_cannot_be_used_is_logged_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(open_state, tmp_path, home=tmp_path)
    (tmp_path / JOURNAL).write_text("no database" * 1000, encoding="utf-8")
    session = await looked_after(tmp_path)
    assert "CORRUPT_DATABASE" in caplog.text
    await session.close()


async def test_a_client_that_goes_at_once_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "QUIET_SECONDS", 10_000)
    session = Session(InMemorySubscriptionBus(), place=tmp_path, home=tmp_path)
    session.look_after()
    await session.close()
    assert session.opened is None
