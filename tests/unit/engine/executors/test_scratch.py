from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault
from engine.executors.scratch import remove_abandoned, scratch_folder, write_private
from engine.statefolder.identity import this_process


def test_a_folder_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.is_relative_to(tmp_path / ".claude" / "orchestration" / "tmp")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        write_private(folder / "a", b"secret")
        assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o600
        assert (folder / "a").read_bytes() == b"secret"
    assert not folder.exists()


def test_a_folder_goes_with_an_error_too(tmp_path: Path) -> None:
    def fail_inside() -> None:
        with scratch_folder(tmp_path) as folder:
            folders.append(folder)
            raise LookupError

    folders: list[Path] = []
    with pytest.raises(LookupError):
        fail_inside()
    assert not folders[0].exists()


def test_nothing_existing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("theirs")
    with pytest.raises(FileExistsError):
        write_private(tmp_path / "a", b"ours")


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".claude").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (project / ".claude" / "orchestration").symlink_to(tmp_path / "outside")
    with pytest.raises(EnvironmentFault) as caught, scratch_folder(project):
        pass
    assert caught.value.code == "STATE_NOT_OURS"
    assert not list((tmp_path / "outside").iterdir())


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".claude").write_text("a file")
    with pytest.raises(EnvironmentFault) as caught, scratch_folder(tmp_path):
        pass
    assert caught.value.hint


def test_only_folders_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
    assert remove_abandoned(tmp_path) == 0
    with scratch_folder(tmp_path) as ours:
        place = ours.parent
        here, ended = this_process(), 2**22 + 1
        gone = (
            f"{here.world}-{ended}-7-x",
            f"{here.world}-{here.pid}-{here.start + 1}-x",
            f"{'0' * 12}-{here.pid}-7-x",
        )
        for name in (*gone, f"{ended}-x", "1-init", f"{10**30}-huge", "notes"):
            (place / name).mkdir()
        assert remove_abandoned(tmp_path) == 4
        assert {path.name for path in place.iterdir()} == {ours.name, "1-init", f"{10**30}-huge", "notes"}
        assert f"-{os.getpid()}-" in ours.name
