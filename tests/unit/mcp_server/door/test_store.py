from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from mcp_server.door import store as module
from mcp_server.door.store import MAX_ANSWER_BYTES, MAX_FILES, Store, place_of_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "answers"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(str(folder), "this build")


def test_an_answer_is_kept_for_its_question_program_and_project(store: Store, folder: Path) -> None:
    assert store.is_empty
    store.keep('{"a":"\u00e4"}', "tools/list")
    store.keep("{}", "prompts/list", "here")
    assert store.find("tools/list") == '{"a":"\u00e4"}'
    assert store.find("prompts/list", "here") == "{}"
    assert not Store(str(folder), "this build").is_empty
    assert store.find("prompts/list", "there") is None
    assert store.find("tools/list", "here") is None
    assert Store(str(folder), "another build").find("tools/list") is None


def test_only_the_user_can_read_and_write_answers(store: Store, folder: Path) -> None:
    store.keep("{}", "tools/list")
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    for mode in (0o620, 0o602):
        file.chmod(mode)
        assert store.find("tools/list") is None


def test_an_answer_is_replaced_and_forgotten(store: Store) -> None:
    for text in ("{}", "[]"):
        store.keep(text, "tools/list")
        assert store.find("tools/list") == text
    store.forget("tools/list")
    store.forget("tools/list")
    assert store.find("tools/list") is None


@pytest.mark.parametrize("damage", ["cut", "emptied", "lines", "pipe", "link", "folder", "binary"])
def test_a_damaged_file_is_not_used(store: Store, folder: Path, damage: str) -> None:
    store.keep('{"a":1}', "tools/list")
    [file] = folder.iterdir()
    data = file.read_bytes()
    file.unlink()
    if damage == "pipe":
        os.mkfifo(file)
    elif damage == "link":
        file.with_suffix(".moved").write_bytes(data)
        file.symlink_to(file.with_suffix(".moved"))
    elif damage == "folder":
        file.mkdir()
    else:
        text = {"cut": data[:-1], "emptied": b"", "lines": signed(b"{}\n{}"), "binary": signed(b"\xff")}[damage]
        file.write_bytes(text)
    if damage != "link":
        file.chmod(0o700 if damage == "folder" else 0o600)
    assert store.find("tools/list") is None
    store.keep("{}", "tools/list")
    assert store.find("tools/list") == (None if damage == "folder" else "{}")


def signed(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


@pytest.mark.parametrize("text", ["{\n}", "x" * (MAX_ANSWER_BYTES + 1)])
def test_an_answer_that_is_no_line_or_too_long_is_not_kept(store: Store, text: str) -> None:
    store.keep(text, "tools/list")
    assert store.find("tools/list") is None
    assert store.is_empty


def test_the_longest_answer_is_kept(store: Store) -> None:
    store.keep("x" * MAX_ANSWER_BYTES, "tools/list")
    assert store.find("tools/list") == "x" * MAX_ANSWER_BYTES


def test_a_draft_of_the_same_number_is_not_followed(store: Store, folder: Path, tmp_path: Path) -> None:
    store.keep("{}", "tools/list")
    [file] = folder.iterdir()
    file.with_name(f"{file.name}.{os.getpid()}").symlink_to(tmp_path / "elsewhere")
    store.keep("[]", "tools/list")
    assert not (tmp_path / "elsewhere").exists()
    assert store.find("tools/list") == "{}"
    store.keep("[]", "tools/list")
    assert store.find("tools/list") == "[]"


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(str(tmp_path / "file"), "this build")
    store.keep("{}", "tools/list")
    assert store.find("tools/list") is None
    assert store.is_empty


def test_the_oldest_files_are_removed(store: Store, folder: Path) -> None:
    for number in range(MAX_FILES):
        store.keep("{}", f"question {number}")
        newest = max(folder.iterdir(), key=lambda file: file.stat().st_ctime_ns)
        os.utime(newest, (number, number))
    store.keep("{}", "the last one")
    assert len(list(folder.iterdir())) == MAX_FILES // 2 + 1
    assert store.find("question 0") is None
    assert store.find(f"question {MAX_FILES - 1}") == "{}"
    assert store.find("the last one") == "{}"


def test_the_place_is_beside_the_bytecode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Spec:
        cached: str | None = str(tmp_path / "store.pyc")

    monkeypatch.setattr(module, "__spec__", Spec)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    assert place_of_store() is None, "no bytecode was written"
    (tmp_path / "store.pyc").write_bytes(b"")
    assert place_of_store() == str(tmp_path / "answers")
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    assert place_of_store() is None
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    Spec.cached = None
    assert place_of_store() is None
