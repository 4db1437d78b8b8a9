"""A state folder is believed only where this user made it, and nothing below the root is reached through a link."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.statefolder import guard, stamps
from engine.statefolder.guard import Standing, found_state, is_ours, look_at, open_state, take_over
from engine.statefolder.links import STATE, make_below, make_private
from engine.statefolder.stamps import STAMP, new_stamp, open_stamps, read_stamp, write_stamp
from tests.support.state import contents, plant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def refused(root: Path) -> EnvironmentFault:
    """What every way to the state of *root* says; nothing of it is changed."""
    before = contents(root)
    faults = []
    for way in (open_state, found_state):
        with pytest.raises(EnvironmentFault) as caught:
            way(root)
        faults.append(caught.value)
    assert not is_ours(root)
    assert contents(root) == before
    assert {fault.code for fault in faults} == {"STATE_NOT_OURS"}
    assert faults[0].hint
    return faults[0]


def repository(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)


def add(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), "add", "--force", *words], check=True)


def test_the_first_opening_makes_a_private_folder_that_later_ones_know(root: Path) -> None:
    assert found_state(root) is None
    assert contents(root) == {}, "a reader leaves nothing behind"
    folder = open_state(root)
    assert folder == root.resolve() / STATE
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / STAMP).stat().st_mode & 0o777 == 0o600
    assert (folder / ".gitignore").read_text(encoding="utf-8").endswith("*\n")
    before = contents(root)
    assert (open_state(root), found_state(root), is_ours(root)) == (folder, folder, True)
    assert contents(root) == before


def test_an_empty_folder_brings_nothing_and_becomes_ours(root: Path) -> None:
    (root / STATE).mkdir(parents=True)
    assert found_state(root) is None
    open_state(root)
    assert is_ours(root)


def test_what_others_could_read_is_ours_alone_once_it_was_opened(root: Path) -> None:
    open_state(root).chmod(0o755)
    assert open_state(root).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("brought", ["no stamp", "a stamp", "no stamp in a folder with files", "no file as stamp"])
def test_a_folder_that_came_with_files_is_refused_and_left_alone(root: Path, brought: str) -> None:
    folder = root / STATE
    folder.mkdir(parents=True)
    (folder / "journal.sqlite3").write_bytes(b"theirs")
    if brought == "a stamp":
        write_stamp(folder, new_stamp())
    if brought == "no stamp in a folder with files":
        (folder / "worktrees" / "x").mkdir(parents=True)
    if brought == "no file as stamp":
        os.mkfifo(folder / STAMP)
    fault = refused(root)
    assert str(root / STATE) in fault.message
    assert "not listed in" in fault.message if brought == "a stamp" else "it has no stamp" in fault.message
    assert f"orchestrate --project {root} trust --state" in (fault.hint or "")
    assert "CI" in (fault.hint or "")


def test_without_the_configuration_that_knew_it_a_folder_is_refused_as_in_ci(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state(root)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    assert "not listed in" in refused(root).message
    take_over(look_at(root))
    assert is_ours(root)


def test_the_stamp_itself_is_not_in_the_users_configuration(root: Path) -> None:
    stamp = read_stamp(open_state(root))
    assert stamp is not None
    assert stamp not in open_stamps().file.read_text(encoding="utf-8")
    assert open_stamps().file.stat().st_mode & 0o777 == 0o600


def test_a_project_that_was_moved_keeps_its_state(root: Path, tmp_path: Path) -> None:
    open_state(root)
    moved = root.rename(tmp_path / "moved")
    assert look_at(moved).standing is Standing.MOVED
    assert found_state(moved) == moved / STATE, "a reader finds it too"
    open_state(moved)
    assert look_at(moved).standing is Standing.OURS
    assert open_stamps().place(read_stamp(moved / STATE) or "") == moved / STATE


def test_another_name_of_the_same_folder_is_no_copy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_state(root)
    monkeypatch.setattr(stamps.Stamps, "place", lambda _self, _stamp: root / ".." / "project" / STATE)
    assert look_at(root).standing is Standing.OURS
    assert folder.exists()


def test_a_copy_begins_without_the_runs_of_the_original_and_both_are_kept(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    original = open_state(root)
    (original / "journal.sqlite3").write_bytes(b"runs")
    for number, name in enumerate(("orchestration.copied", "orchestration.copied-2")):
        copy = tmp_path / f"copy-{number}"
        shutil.copytree(root, copy)
        (copy / ".claude" / "orchestration.copied").mkdir() if number else None
        assert found_state(copy) is None
        assert (copy / STATE / "journal.sqlite3").exists(), "a reader changes nothing"
        own = open_state(copy)
        assert not (own / "journal.sqlite3").exists()
        assert (copy / ".claude" / name / "journal.sqlite3").read_bytes() == b"runs"
        assert str(original) in caplog.text
        assert name in caplog.text
        assert is_ours(copy)
    assert (original / "journal.sqlite3").read_bytes() == b"runs"
    assert look_at(root).standing is Standing.OURS


def test_a_copy_is_taken_over_where_that_is_asked_for_and_the_original_stays_ours(root: Path, tmp_path: Path) -> None:
    open_state(root)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    found = look_at(copy)
    assert (found.standing, found.origin) == (Standing.COPY, root.resolve() / STATE)
    take_over(found)
    assert is_ours(copy)
    assert is_ours(root)
    assert read_stamp(copy / STATE) != read_stamp(root / STATE)


def test_what_is_taken_over_gets_a_stamp_that_its_bringer_does_not_know(root: Path) -> None:
    plant(root)
    brought = new_stamp()
    write_stamp(root / STATE, brought)
    take_over(look_at(root))
    assert is_ours(root)
    assert read_stamp(root / STATE) != brought
    assert open_stamps().place(brought) is None


def test_a_folder_of_another_user_is_not_taken_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = plant(root)
    folder.chmod(0o755)
    before = contents(root)
    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    with pytest.raises(EnvironmentFault, match="another user") as caught:
        take_over(look_at(root))
    assert caught.value.code == "STATE_NOT_OURS"
    make_private(folder, 0o700)
    assert contents(root) == before, "nor is its mode changed"


LINKS = [
    ".claude/orchestration",
    *(
        f".claude/orchestration/{name}"
        for name in (
            STAMP, ".gitignore", "journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm",
            "journal.sqlite3-journal", "owners", "logs", "worktrees", "tmp", "worktrees/lock", "owners/o-1.lock",
            "logs/r-1.log",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_no_link_is_followed_at_any_step_though_the_folder_is_ours(root: Path, tmp_path: Path, link: str) -> None:
    open_state(root)
    target = tmp_path / "outside"
    place = root / link
    if place.exists():
        place.rename(target)
    elif "." in place.name or place.name == "lock":
        place.parent.mkdir(exist_ok=True)
        target.write_bytes(b"theirs")
    else:
        target.mkdir()
    place.symlink_to(target)
    outside = contents(tmp_path)
    fault = refused(root)
    assert f"{place} is a symbolic link" in fault.message
    assert contents(tmp_path) == outside


def test_where_the_configuration_is_shared_by_a_link_state_is_in_a_folder_of_the_users_own(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    (shared / "orchestration").mkdir(parents=True)
    (shared / "orchestration" / "journal.sqlite3").write_bytes(b"theirs")
    (root / ".claude").symlink_to(shared)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = contents(shared)
    assert found_state(root) is None
    assert not (tmp_path / "state").exists(), "a reader leaves nothing behind"
    folder = open_state(root)
    assert folder.parent == tmp_path / "state" / "orchestration"
    assert folder.name.startswith("project-")
    assert (open_state(root), found_state(root), folder.stat().st_mode & 0o777) == (folder, folder, 0o700)
    assert contents(shared) == before


def test_projects_that_share_a_configuration_share_no_state(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    other = tmp_path / "other" / "project"
    other.mkdir(parents=True)
    for project in (root, other):
        (project / ".claude").symlink_to(tmp_path / "shared")
    assert open_state(root) != open_state(other)


def test_state_of_the_user_is_in_the_home_folder_where_nothing_else_is_said(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    (root / ".claude").symlink_to(tmp_path / "shared")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for said in ("", "relative/state"):
        monkeypatch.setenv("XDG_STATE_HOME", said)
        assert open_state(root).parent == tmp_path / "home/.local/state/orchestration"


@pytest.mark.parametrize("link", ["", "owners", "journal.sqlite3"])
def test_no_link_is_followed_in_the_users_own_folder_either(root: Path, tmp_path: Path, link: str) -> None:
    for name in ("shared", "outside"):
        (tmp_path / name).mkdir()
    (root / ".claude").symlink_to(tmp_path / "shared")
    place = open_state(root) / link
    if place.exists():
        place.rename(tmp_path / "aside")
    place.symlink_to(tmp_path / "outside")
    for way in (open_state, found_state):
        with pytest.raises(EnvironmentFault, match="is a symbolic link") as caught:
            way(root)
        assert caught.value.code == "STATE_NOT_OURS"
    assert contents(tmp_path / "outside") == {}


def test_a_folder_in_that_place_that_this_user_did_not_make_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (root / ".claude").symlink_to(tmp_path / "shared")
    folder = open_state(root)
    write_stamp(folder, new_stamp())
    with pytest.raises(EnvironmentFault, match="was not made by this user here") as caught:
        open_state(root)
    assert f"--project {root.resolve()} trust --state" in (caught.value.hint or "")


@pytest.mark.parametrize("link", [".claude", ".claude/orchestration", ".claude/orchestration/tmp"])
def test_a_folder_is_made_behind_no_link(root: Path, tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(tmp_path / "outside")
    with pytest.raises(EnvironmentFault) as caught:
        make_below(root, STATE / "tmp" / "deeper")
    assert caught.value.code == "STATE_NOT_OURS"
    assert contents(tmp_path / "outside") == {}


@pytest.mark.parametrize("tracked", ["journal.sqlite3", "worktrees/x/worktree.json"])
def test_a_folder_that_git_has_files_of_is_refused_though_it_is_ours(root: Path, tracked: str) -> None:
    open_state(root)
    file = root / STATE / tracked
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"of a commit")
    repository(root)
    assert is_ours(root)
    add(root, str(STATE / tracked))
    fault = refused(root)
    assert "git tracks files" in fault.message
    assert f"git rm -r --cached {STATE}" in (fault.hint or "")


def test_git_may_have_the_files_under_a_name_in_other_case_and_from_above_the_project(tmp_path: Path) -> None:
    repository(tmp_path)
    for spelled, project in (("upper/.CLAUDE/Orchestration", "upper"), ("lower/.claude/orchestration", "lower")):
        (tmp_path / spelled).mkdir(parents=True)
        (tmp_path / spelled / "x").write_bytes(b"")
        add(tmp_path, f"{spelled}/x")
        (tmp_path / spelled / "x").unlink()
        assert "git tracks files" in refused(tmp_path / project).message


@pytest.mark.parametrize("inner", [".claude", ".claude/orchestration"])
def test_a_repository_in_the_place_of_the_folder_or_around_it_is_seen(root: Path, inner: str) -> None:
    open_state(root)
    (root / STATE / "x").write_bytes(b"")
    repository(root)
    repository(root / inner)
    if inner == ".claude":
        assert is_ours(root)
        add(root / inner, "orchestration/x")
    assert "git tracks files" in refused(root).message


def test_nothing_that_a_repository_configures_is_run_to_ask_git(root: Path, tmp_path: Path) -> None:
    open_state(root)
    repository(root)
    marker = tmp_path / "marker"
    for name in ("core.fsmonitor", "core.pager", "alias.ls-files"):
        subprocess.run(["git", "-C", str(root), "config", name, f"touch {marker}"], check=True)
    assert is_ours(root)
    assert not marker.exists()


def test_without_git_nothing_is_tracked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(root)
    open_state(root)
    monkeypatch.setenv("PATH", "")
    assert is_ours(root)


def test_variables_of_a_calling_hook_lead_git_to_no_other_index(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state(root)
    repository(root)
    add(root, str(STATE / STAMP))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "another"))
    assert "git tracks files" in refused(root).message


@pytest.mark.parametrize("damage", ["no json", "others write", "no object", "odd entries", "not of this version"])
def test_a_damaged_configuration_is_told_and_nothing_is_believed(root: Path, damage: str) -> None:
    open_state(root)
    file = open_stamps().file
    data = json.loads(file.read_text(encoding="utf-8"))
    if damage == "others write":
        file.chmod(0o666)
    written: dict[str, object] = {
        "no json": "{",
        "no object": [],
        "odd entries": {"folders": dict.fromkeys(data["folders"], 3), "version": 1},
        "not of this version": {**data, "version": 99},
    }
    if damage in written:
        text = written[damage]
        file.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    if damage == "not of this version":  # it can be read, as far as it has what we know, and is not written over
        assert is_ours(root)
        root = root.parent / "new"
        root.mkdir()
    else:
        assert not is_ours(root)
    with pytest.raises(EnvironmentFault) as caught:
        open_state(root)
    assert caught.value.code == "STAMP_NOT_KEPT"
    assert str(file) in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_configuration_that_cannot_be_written_makes_no_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "closed"))
    with pytest.raises(EnvironmentFault) as caught:
        open_state(root)
    assert caught.value.code == "STAMP_NOT_KEPT"
    assert contents(root) == {}


def test_a_configuration_that_is_a_file_makes_no_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(EnvironmentFault) as caught:
        open_state(root)
    assert caught.value.code == "STAMP_NOT_KEPT"
    assert contents(root) == {}


def test_the_oldest_stamps_are_forgotten_before_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamps, "MAX_ENTRIES_KEPT", 3)
    roots = [tmp_path / str(number) for number in range(4)]
    for root in roots:
        root.mkdir()
        open_state(root)
    assert [is_ours(root) for root in roots] == [False, True, True, True]


def test_an_unfinished_folder_is_not_left_where_the_last_step_fails(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_folder: Path, _stamp: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(guard, "write_stamp", fail)
    with pytest.raises(OSError, match="No space"):
        open_state(root)
    assert contents(root) == {".claude": contents(root)[".claude"]}


def test_a_folder_that_others_change_all_the_time_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_make", lambda _project, _stamp: None)
    with pytest.raises(EnvironmentFault, match="keep changing"):
        open_state(root)


def test_a_copy_that_another_puts_aside_while_it_is_looked_at_is_no_strangers(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state(root)
    copy = shutil.copytree(root, tmp_path / "copy")
    folders = [copy / STATE]

    def while_moving(folder: Path) -> str | None:
        if folder in folders:
            folders.remove(folder)
            folder.rename(folder.with_name("aside"))
        return read_stamp(folder)

    monkeypatch.setattr(guard, "read_stamp", while_moving)
    assert read_stamp(open_state(copy)) not in {None, read_stamp(root / STATE)}
    assert folders == []


@pytest.mark.parametrize("start", ["absent", "copy", "moved"])
def test_many_that_open_a_project_at_once_get_one_folder(root: Path, tmp_path: Path, start: str) -> None:
    if start != "absent":
        open_state(root)
        (root / STATE / "journal.sqlite3").write_bytes(b"runs")
    if start == "copy":
        root = shutil.copytree(root, tmp_path / "copy")
    if start == "moved":
        root = root.rename(tmp_path / "moved")
    together = threading.Barrier(8)
    seen: list[str | None] = []

    def opening() -> None:
        together.wait()
        seen.append(read_stamp(open_state(root)))

    threads = [threading.Thread(target=opening) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert set(seen) == {read_stamp(root / STATE)}
    assert (root / STATE / "journal.sqlite3").exists() is (start == "moved")
    assert (root / ".claude" / "orchestration.copied").exists() is (start == "copy")
    assert not list((root / ".claude").glob(".orchestration-*"))


def test_what_is_no_folder_is_no_state(root: Path) -> None:
    (root / ".claude").mkdir()
    (root / STATE).write_bytes(b"")
    way: Callable[[Path], object]
    for way in (open_state, found_state):
        with pytest.raises(NotADirectoryError):
            way(root)
    assert not is_ours(root)
