"""The files of logs: bounded, readable while they grow, and never reached through a link."""

from __future__ import annotations

import os
import re
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.ids import NodeId, RunId
from engine.model.log import LogEntry, LogKind
from engine.statefolder.links import state_of
from engine.storage import attempt_logs
from engine.storage.attempt_logs import LogReader, RunFolder, name_of, pieces, remove_logs, runs_with_logs

if TYPE_CHECKING:
    from pathlib import Path

RUN = RunId("r-1")
NODE = NodeId("deploy/build")


def entry(text: str, at: int = 1) -> LogEntry:
    return LogEntry(at, LogKind.PRINTED, text)


def texts(entries: list[LogEntry]) -> list[str]:
    return [one.text for one in entries]


def whole(reader: LogReader, node: NodeId = NODE) -> list[LogEntry]:
    found: list[LogEntry] = []
    place = 0
    while (page := reader.read(node, 1, place)).entries:
        found += page.entries
        place = page.place
    return found


def test_what_was_appended_is_read_and_then_what_was_added_since(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    log = RunFolder(state, RUN).log(NODE, 1)
    log.append([entry("one"), LogEntry(2, LogKind.DID, "two", "Explore")])
    reader = LogReader(state, RUN)
    page = reader.read(NODE, 1)
    assert page.entries == [entry("one"), LogEntry(2, LogKind.DID, "two", "Explore")]
    assert reader.read(NODE, 1, page.place).entries == []
    log.append([entry("three\n\u2028")])
    assert texts(reader.read(NODE, 1, page.place).entries) == ["three\n\u2028"]
    assert reader.read(NODE, 2).entries == []


def test_a_log_keeps_its_end_and_says_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_logs, "MAX_SEGMENT_BYTES", 1000)
    state = state_of(tmp_path)
    folder = RunFolder(state, RUN)
    log = folder.log(NODE, 1)
    reader = LogReader(state, RUN)
    for number in range(200):
        log.append([entry(f"line {number}")])
    assert sum(path.stat().st_size for path in folder.folder.iterdir()) <= 2000
    reader.look()
    first, *rest = whole(reader)
    assert first.kind is LogKind.LEFT_OUT
    assert first.size > 0
    numbers = [int(one.text.split()[1]) for one in rest]
    assert numbers[-1] == 199
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))


def test_a_reader_that_was_too_slow_learns_how_much_it_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_logs, "MAX_SEGMENT_BYTES", 200)
    state = state_of(tmp_path)
    log = RunFolder(state, RUN).log(NODE, 1)
    log.append([entry("first")])
    reader = LogReader(state, RUN)
    place = reader.read(NODE, 1).place
    log.append([entry(f"line {number}") for number in range(50)])
    assert reader.read(NODE, 1, place).entries == [], "its segment is gone, and it knows of no other yet"
    reader.look()
    page = reader.read(NODE, 1, place)
    assert page.entries[0].kind is LogKind.LEFT_OUT
    assert page.entries[0].size == page.place - place - len(b"".join(map(attempt_logs._encoded, page.entries[1:])))


def test_the_logs_of_a_run_share_a_limit_and_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_logs, "MAX_RUN_BYTES", 100_000)
    monkeypatch.setattr(attempt_logs, "MAX_SEGMENT_BYTES", 20_000)
    state = state_of(tmp_path)
    folder = RunFolder(state, RUN)
    first = folder.log(NodeId("open"), 1)
    first.append([entry("still growing")])
    for number in range(100):
        log = folder.log(NodeId(f"n{number}"), 1)
        log.append([entry(f"text of {number}")])
        log.close()
    left = list(folder.folder.iterdir())
    assert 10 <= len(left) <= 25, "each takes a block of 4096 bytes"
    reader = LogReader(state, RUN)
    assert reader.read(NodeId("n0"), 1).entries == []
    assert texts(reader.read(NodeId("n99"), 1).entries) == ["text of 99"]
    assert texts(reader.read(NodeId("open"), 1).entries) == ["still growing"], "a log that grows is not removed"
    again = RunFolder(state, RUN)
    again.log(NodeId("later"), 1).append([entry("x")])
    assert len(list(folder.folder.iterdir())) == len(left) + 1, "a later process counts what it finds"


def test_half_a_line_of_a_killed_writer_is_not_read_and_a_damaged_one_is_skipped(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    folder = RunFolder(state, RUN)
    folder.log(NODE, 1).append([entry("one")])
    with (folder.folder / f"{name_of(NODE, 1)}.0").open("ab") as file:
        file.write(b'{"at":1,"kind":"pri\n' + attempt_logs._encoded(entry("two")) + b'{"at":1')
    assert texts(whole(LogReader(state, RUN))) == ["one", "two"]


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    RunFolder(state, RUN).log(NODE, 1).append([entry("a\ud800b")])
    assert texts(whole(LogReader(state, RUN))) == ["a?b"]


def test_names_differ_where_ids_differ_only_in_case_or_separators() -> None:
    nodes = ["a/b", "a-b", "A-b", "a.b", "x" * 300, "x" * 301, "../../etc/passwd", "a\x00"]
    names = {name_of(NodeId(node), 1).casefold() for node in nodes}
    assert len(names) == len(nodes)
    assert all("/" not in name and "\x00" not in name and len(name) < 100 for name in names)


@pytest.mark.parametrize("run", ["../outside", "", "a/b", ".", "..", "x" * 65])
def test_a_run_whose_id_is_no_name_has_no_logs(tmp_path: Path, run: str) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises(ValueError, match=f"^{re.escape(run)}$"):
        RunFolder(state_of(tmp_path), RunId(run))
    assert LogReader(state_of(tmp_path), RunId(run)).read(NODE, 1).entries == []
    remove_logs(state_of(tmp_path), [RunId(run)])
    assert (tmp_path / "outside").is_dir()


def test_no_link_is_followed(tmp_path: Path) -> None:
    state = state_of(tmp_path / "project")
    outside = tmp_path / "outside"
    outside.mkdir()
    log = RunFolder(state, RUN).log(NODE, 1)
    (outside / "file").write_text("kept")
    target = state.folder / "logs" / RUN / f"{name_of(NODE, 1)}.0"
    target.symlink_to(outside / "file")
    with pytest.raises(OSError, match="symbolic links"):
        log.append([entry("one")])
    assert LogReader(state, RUN).read(NODE, 1).entries == []
    (state.folder / "logs" / "r-2").symlink_to(outside)
    with pytest.raises(EnvironmentFault, match="symbolic link"):
        RunFolder(state, RunId("r-2"))
    remove_logs(state, [RunId("r-2")])
    assert runs_with_logs(state) == [RUN]
    assert (outside / "file").read_text() == "kept"


def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    folder = RunFolder(state, RUN)
    os.mkfifo(folder.folder / f"{name_of(NODE, 1)}.0")
    with pytest.raises(OSError, match="No such device"):
        folder.log(NODE, 1).append([entry("one")])
    assert LogReader(state, RUN).read(NODE, 1).entries == []


def test_logs_are_private_and_removed_with_their_run(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    folder = RunFolder(state, RUN)
    folder.log(NODE, 1).append([entry("one")])
    (file,) = folder.folder.iterdir()
    assert (file.stat().st_mode & 0o777, folder.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    reader = LogReader(state, RUN)
    remove_logs(state, [RUN])
    assert not folder.folder.exists()
    assert reader.read(NODE, 1).entries == []
    assert runs_with_logs(state) == []


def test_a_long_text_becomes_several_entries_cut_after_lines() -> None:
    text = "a line\n" * 10_000
    parts = list(pieces(text))
    assert "".join(parts) == text
    assert all(len(part) <= attempt_logs.MAX_PIECE_LENGTH and part.endswith("\n") for part in parts)
    assert list(pieces("x" * (attempt_logs.MAX_PIECE_LENGTH + 1))) == ["x" * attempt_logs.MAX_PIECE_LENGTH, "x"]
    assert list(pieces("")) == [""]


def test_a_file_that_is_no_log_costs_little_however_large_it_is(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    folder = RunFolder(state, RUN)
    name = name_of(NODE, 1)
    gigabyte = 1024**3
    with (folder.folder / f"{name}.0").open("wb") as file:
        file.truncate(gigabyte)  # a line without an end
    (folder.folder / f"{name}.{gigabyte}").write_bytes(b"no entry\n" * 40_000)
    log = folder.log(NODE, 1)
    log._starts, log._size = [2 * gigabyte], 0
    log.append([entry("an entry")])
    reader = LogReader(state, RUN)
    tracemalloc.start()
    found = whole(reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {one.kind for one in found[:-1]} == {LogKind.LEFT_OUT}
    assert found[-1] == entry("an entry")
    assert sum(one.size for one in found) == 2 * gigabyte
    assert peak < 16 * 1024 * 1024
