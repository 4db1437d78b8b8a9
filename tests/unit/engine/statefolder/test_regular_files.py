"""Nobody waits at a pipe that lies where a file was."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from engine.executors.worktrees.merging import MERGED
from engine.executors.worktrees.outbox import FileOutbox
from engine.executors.worktrees.outcome import read
from engine.executors.worktrees.snapshot import notes_of
from engine.executors.worktrees.worktree import RECORD
from engine.statefolder.owners import at_work, record_of, records
from engine.statefolder.regular_files import read_regular
from mcp_server.cli.sync import _read
from mcp_server.project.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_no_regular_file_is_one_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "missing"):
        with pytest.raises(OSError, match=path.name):
            read_regular(path)
    (tmp_path / "file").write_bytes(b"four")
    assert read_regular(tmp_path / "file") == b"four"
    assert read_regular(tmp_path / "file", 3) == b"fou"


def test_a_pipe_is_no_record_of_an_owner(tmp_path: Path) -> None:
    for name in ("o-1.lock", "o-1.work", "o-2.work"):
        os.mkfifo(tmp_path / name)
    assert list(records(tmp_path)) == []
    assert at_work(tmp_path) == []


def test_a_time_in_a_record_has_a_zone(tmp_path: Path) -> None:
    told = {
        "hostname": "",
        "machine": "",
        "boot": "",
        "world": "",
        "pid": 1,
        "start": 1,
        "lived": "2026-01-01T00:00:00",
    }
    (tmp_path / "o-1.lock").write_text(json.dumps(told), encoding="utf-8")
    found = record_of(tmp_path, "o-1")
    assert found is not None
    assert found.lived is not None
    assert found.lived.tzinfo is UTC


def test_a_pipe_is_no_note_of_a_worktree(tmp_path: Path) -> None:
    folder = notes_of(tmp_path).folder / "r-0"
    folder.mkdir(parents=True)
    for name in (RECORD, MERGED, "outcome.json"):
        os.mkfifo(folder / name)
    assert read(folder) is None
    assert asyncio.run(FileOutbox(tmp_path).attempts()) == []


def test_a_pipe_is_no_settings_file(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    os.mkfifo(tmp_path / ".claude" / "orchestration.toml")
    with pytest.raises(InputError, match="it is not a regular file") as caught:
        load_settings(tmp_path)
    assert caught.value.code == "INVALID_SETTINGS"


def test_a_pipe_is_somebody_elses_skill(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "SKILL.md")
    assert _read(tmp_path / "SKILL.md") == ""
    assert _read(tmp_path / "none.md") is None
