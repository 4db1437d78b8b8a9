"""Digests follow what the files hold, read only what has changed, and come to an end whatever lies in a project."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from registry.trust import digests as digests_module
from registry.trust import modules
from registry.trust.covered_files import PYTHON
from registry.trust.digest_index import MAX_ENTRIES_KEPT, MAX_PROJECTS, Index, index_folder
from registry.trust.digests import ABSENT, UNREADABLE, Digests

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "package" / "deep").mkdir(parents=True)
    for name in ("a.py", "package/b.py", "package/deep/c.py"):
        (folder / name).write_text(f"# {name}\n")
    return folder


@pytest.fixture
def cache(root: Path, tmp_path: Path) -> Path:
    return index_folder(tmp_path / "configuration", root)


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old enough to be remembered at once."""
    monkeypatch.setattr(digests_module, "RACY", -60.0)


def look(root: Path, cache: Path | None = None) -> str:
    found = Digests(root, cache)
    digest = found.modules(root, PYTHON)
    found.save()
    return digest


def read_of(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that one look reads."""
    read: list[str] = []
    real = Digests._read

    def note(self: Digests, path: str) -> str:
        read.append(os.path.relpath(path, root))
        return real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(Digests, "_read", note)
        look(root, cache)
    return sorted(read)


@pytest.mark.usefixtures("_settled")
def test_what_has_not_changed_is_not_read_again(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_of(root, cache, monkeypatch) == ["a.py", "package/b.py", "package/deep/c.py"]
    assert read_of(root, cache, monkeypatch) == []
    (root / "package" / "b.py").write_text("# other\n")
    assert read_of(root, cache, monkeypatch) == ["package/b.py"]
    assert look(root, cache) == look(root), "what is remembered and what is read are the same"


def test_what_was_changed_a_moment_ago_is_read_again(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look(root, cache)
    assert read_of(root, cache, monkeypatch) == ["a.py", "package/b.py", "package/deep/c.py"]


@pytest.mark.usefixtures("_settled")
def test_a_change_that_keeps_size_and_time_is_seen(root: Path, cache: Path) -> None:
    before, status = look(root, cache), (root / "a.py").stat()
    (root / "a.py").write_text("# A.py\n")
    os.utime(root / "a.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert look(root, cache) != before


@pytest.mark.usefixtures("_settled")
def test_one_file_is_remembered_as_folders_are(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Digests(root, cache)
    digest = first.file(root / "a.py")
    first.save()
    monkeypatch.setattr(Digests, "_read", lambda _self, path: pytest.fail(f"{path} was read"))
    assert Digests(root, cache).file(root / "a.py") == digest


@pytest.mark.parametrize("name", ["new.py", "package/new.py", "package/deep/new/new.pth", "ä.py"])
def test_a_new_file_changes_the_digest_and_its_removal_brings_the_old_one_back(root: Path, name: str) -> None:
    before = look(root)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("")
    assert look(root) != before
    (root / name).unlink()
    assert look(root) == before


def test_a_copy_at_another_place_has_the_same_digest(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    root.rename(copy)
    moved = look(copy)
    copy.rename(root)
    assert moved == look(root)


def test_a_name_that_is_no_text_counts(root: Path) -> None:
    before = look(root)
    (root / os.fsdecode(b"odd-\xff.py")).write_text("")
    assert look(root) != before


def test_links_in_a_circle_are_walked_once(root: Path) -> None:
    before = look(root)
    (root / "package" / "again").symlink_to(root)
    (root / "package" / "self").symlink_to("self")
    assert look(root) == before


def test_a_link_to_a_file_counts_by_where_it_leads_and_what_is_there(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "outside.py"
    target.write_text("one")
    (root / "linked.py").symlink_to(target)
    digests = [look(root)]
    target.write_text("two")
    digests.append(look(root))
    (root / "linked.py").unlink()
    (root / "linked.py").symlink_to(f"{tmp_path}/./outside.py")
    digests.append(look(root))
    assert len(set(digests)) == 3


def test_a_link_to_a_folder_is_followed_inside_the_project_only(root: Path, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", root / ".inside"
    for folder in (outside, inside):
        folder.mkdir()
        (root / f"to_{folder.name.removeprefix('.')}").symlink_to(folder)
    before = look(root)
    (outside / "new.py").write_text("")
    assert look(root) == before
    (inside / "new.py").write_text("")
    assert look(root) != before


def test_what_is_no_file_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.py")
    (root / "folder.py").mkdir()
    os.mkfifo(root / "pipe")
    look(root)
    found = Digests(root)
    assert [found.file(root / name) for name in ("pipe", "package", "none", "a.py/x")] == [
        UNREADABLE,
        UNREADABLE,
        ABSENT,
        UNREADABLE,
    ]
    assert found.file(root / ("x" * 5000)) == UNREADABLE
    assert found.modules(root / "none", PYTHON) == ABSENT


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_counts_until_it_may(root: Path) -> None:  # pragma: no cover - by who runs the tests
    (root / "a.py").chmod(0)
    before = look(root)
    (root / "a.py").chmod(stat.S_IRUSR)
    assert look(root) != before


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [("MAX_FILES", 2, "modules"), ("MAX_ENTRIES", 2, "files"), ("MAX_DEPTH", 1, "deep")],
)
def test_more_than_anybody_looks_at_is_one_clear_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, told: str
) -> None:
    monkeypatch.setattr(modules, limit, value)
    with pytest.raises(InputError, match=told) as caught:
        look(root)
    assert caught.value.code == "TRUST_TOO_LARGE"
    assert caught.value.hint


def test_a_file_of_a_terabyte_is_refused_before_it_is_read(root: Path) -> None:
    with (root / "huge.py").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError) as caught:
        Digests(root).file(root / "huge.py")
    assert caught.value.code == "TRUST_TOO_LARGE"
    with pytest.raises(InputError, match="GiB"):
        look(root)


@pytest.mark.usefixtures("_settled")
def test_what_changed_since_it_was_kept_is_named(root: Path, cache: Path) -> None:
    found = Digests(root, cache)
    found.modules(root, PYTHON)
    label = found.label(root, PYTHON)
    assert found.changes(label) == []
    found.keep([label, "no label"])
    (root / "package" / "b.py").write_text("other")
    (root / "a.py").unlink()
    (root / "new.py").write_text("")
    for _ in range(2):
        again = Digests(root, cache)
        again.modules(root, PYTHON)
        assert again.changes(label) == ["a.py", "new.py", "package/b.py"]
        again.save()


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"version": 1}', '{"version": 1, "files": {}, "folders": {}}'])
@pytest.mark.usefixtures("_settled")
def test_a_damaged_cache_costs_time_only(root: Path, cache: Path, damage: str) -> None:
    expected = look(root, cache)
    for file in cache.iterdir():
        file.write_text(damage)
    assert look(root, cache) == expected
    for file in cache.iterdir():
        file.chmod(0o666)
    assert look(root, cache) == expected


@pytest.mark.usefixtures("_settled")
def test_a_cache_that_others_can_write_is_not_believed(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(root, cache)
    for file in cache.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        file.chmod(0o666)
    assert read_of(root, cache, monkeypatch) == ["a.py", "package/b.py", "package/deep/c.py"]


def test_without_a_place_to_keep_it_everything_is_read(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert look(root, tmp_path / "file" / "below") == look(root)


def test_what_is_kept_has_bounds(tmp_path: Path) -> None:
    configuration = tmp_path / "configuration"

    def put(project: str, *files: str) -> Path:
        index = Index(folder := index_folder(configuration, tmp_path / project))
        for name in files:
            index.put_file(name, (1,), "x")
        index.write()
        return folder

    for number in range(MAX_PROJECTS + 5):
        put(str(number), "a")
    assert len([*(configuration / "digests").iterdir()]) <= MAX_PROJECTS + 1
    again = Index(put("0", *map(str, range(MAX_ENTRIES_KEPT + 5))))
    assert (again.file("a", (1,)), again.file(str(MAX_ENTRIES_KEPT + 4), (1,))) == (None, "x")
