"""When a worker takes no attempts because nothing can be written where it works."""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.fleet import room as rooms
from mcp_server.fleet.duties import Duties, Terms
from mcp_server.fleet.room import Room
from mcp_server.fleet.slots import SharedSlots

if TYPE_CHECKING:
    from pathlib import Path

ANY: Any = SimpleNamespace(slot_info=object())


async def test_while_notes_cannot_be_kept_no_queue_is_polled_and_each_change_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "LOOK", 0.001)
    caplog.set_level(logging.WARNING)
    notes, slots = tmp_path / "notes", SharedSlots(1, queues=1)
    room = Room(notes, tmp_path, slots, writes=False)
    for _ in range(2):
        assert await room.check() == f"cannot write in {notes}: No such file or directory"
    polled = asyncio.create_task(slots.reserve_slot(ANY))
    watching = asyncio.create_task(room.watch())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(polled), 0.05)
    notes.mkdir()
    await asyncio.wait_for(polled, 5)
    watching.cancel()
    assert room.lacking is None
    assert not list(notes.iterdir())
    assert caplog.messages == [
        f"no attempts are taken for now: cannot write in {notes}: No such file or directory",
        "attempts are taken again",
    ]


@pytest.mark.parametrize(
    ("number", "writes", "is_fine"),
    [
        (errno.EROFS, False, True),
        (errno.EACCES, False, True),
        (errno.EROFS, True, False),
        (errno.ENOSPC, False, False),
        (errno.EDQUOT, False, False),
    ],
)
async def test_a_project_may_be_read_only_on_a_worker_without_model_agents_but_its_disk_not_full(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    writes: bool,  # noqa: FBT001
    is_fine: bool,  # noqa: FBT001
) -> None:
    project, made = tmp_path / "project", tempfile.TemporaryFile

    def fails(dir: Path) -> Any:  # noqa: A002, ANN401 - as the library's
        if dir == project:
            raise OSError(number, "as it is")
        return made(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", fails)
    lacking = await Room(tmp_path, project, SharedSlots(1, queues=1), writes=writes).check()
    assert lacking == (None if is_fine else f"cannot write in {project}: as it is")


async def test_an_attempt_of_which_no_note_can_be_kept_after_all_fails_and_names_worker_and_folder(
    tmp_path: Path,
) -> None:
    terms = Terms(name="w1", folder=tmp_path, notes=tmp_path / "none", projects=frozenset("*"), package="1")
    nothing: Any = None
    duties = Duties(nothing, terms, nothing, SharedSlots(1, queues=1))
    info: Any = SimpleNamespace(activity_id="r-1:a#1", activity_run_id="1")
    failure = (await duties._begun(nothing, nothing, info)).failure
    assert failure is not None
    assert failure.message == f"the worker w1 cannot write in {tmp_path / 'none'}: No such file or directory"
