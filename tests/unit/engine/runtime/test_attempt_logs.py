"""The logs of attempts: redacted before they are written, and bounded however much an agent prints."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import anyio.lowlevel
import pytest

from engine.ids import NodeId, RunId
from engine.model.log import LogEntry, LogKind, LogLine
from engine.runtime import attempt_logs
from engine.runtime.attempt_logs import BURST, MAX_PENDING, AttemptLogs
from engine.runtime.clock import SystemClock
from engine.statefolder.links import state_of
from engine.storage.attempt_logs import LOGS, LogReader
from engine.text.redaction import MASK

if TYPE_CHECKING:
    from pathlib import Path

    from engine.runtime.attempt_logs import AttemptLog

RUN, NODE = RunId("r-1"), NodeId("build")
KEY = "sk-ant-" + "api03-abcdefghijklmnop_qrstuv"


def printed(text: str) -> LogLine:
    return LogLine(LogKind.PRINTED, text)


def opened(root: Path) -> AttemptLog:
    return AttemptLogs(state_of(root), SystemClock()).open(RUN, NODE, 1)


def read(root: Path) -> list[LogEntry]:
    found: list[LogEntry] = []
    reader = LogReader(state_of(root), RUN)
    place = 0
    while (page := reader.read(NODE, 1, place)).entries:
        found += page.entries
        place = page.place
    return found


async def test_lines_keep_their_order_and_kind_and_pieces_become_one(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add([printed("one\ntw"), printed("o\nrest")])
    log.add([LogLine(LogKind.SAID, "Looking"), LogLine(LogKind.DID, "Reading a.py", "Explore")])
    log.add([printed(" of it")])
    log.close()
    assert [(entry.kind.value, entry.text, entry.by) for entry in read(tmp_path)] == [
        ("printed", "one\ntwo\n", ""),
        ("said", "Looking", ""),
        ("did", "Reading a.py", "Explore"),
        ("printed", "rest of it", ""),
    ]


async def test_a_secret_is_masked_even_if_it_comes_in_two_pieces_and_is_never_on_disk(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.add([printed(f"key {KEY[:12]}")])
    log.write()
    log.add([printed(f"{KEY[12:]} end\n"), LogLine(LogKind.SAID, f"It is {KEY}")])
    log.close()
    assert [entry.text for entry in read(tmp_path)] == [f"key sk-ant-{MASK} end\n", f"It is sk-ant-{MASK}"]
    files = [path.read_text() for path in state_of(tmp_path).inside(LOGS).folder.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY[12:] in text for text in files)


async def test_what_was_added_is_written_soon_without_a_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt_logs, "FLUSH_SECONDS", 0.001)
    log = opened(tmp_path)
    log.add([printed("a line\n")])
    async with asyncio.timeout(10):
        while not (found := read(tmp_path)):
            await anyio.lowlevel.checkpoint()
    assert [entry.text for entry in found] == ["a line\n"]
    log.close()


async def test_an_agent_that_prints_without_end_costs_a_bounded_amount_and_its_last_words_are_kept(
    tmp_path: Path,
) -> None:
    log = opened(tmp_path)
    line = "x" * 99 + "\n"
    flood = line * 2621  # as much as one read of a pipe
    total = 0
    for _ in range(400):  # 100 MB
        log.add([printed(flood)])
        total += len(flood)
        assert log._size <= MAX_PENDING
    log.add([printed("the last words\n")])
    log.close()
    entries = read(tmp_path)
    assert entries[-1].text.endswith("the last words\n")
    assert sum(path.stat().st_size for path in state_of(tmp_path).folder.rglob("*")) < 2 * 1024 * 1024
    written = sum(len(entry.text) for entry in entries)
    assert any(entry.kind is LogKind.LEFT_OUT for entry in entries)
    assert written < BURST + MAX_PENDING + len(flood)
    texts = "".join(entry.text for entry in entries if entry.kind is LogKind.PRINTED)
    assert set(texts.splitlines()) <= {line.rstrip(), "the last words"}, "a gap never leaves half a line"
    left_out = sum(entry.size for entry in entries if entry.kind is LogKind.LEFT_OUT)
    assert left_out > total / 2


async def test_a_burst_within_the_limit_is_kept_whole(tmp_path: Path) -> None:
    log = opened(tmp_path)
    text = "".join(f"line {number}\n" for number in range(20_000))
    for start in range(0, len(text), 4096):
        log.add([printed(text[start : start + 4096])])
    log.close()
    assert "".join(entry.text for entry in read(tmp_path)) == text


async def test_what_was_said_is_left_out_whole_or_not_at_all(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log._allowed = -1e9
    for number in range(50):
        log.add([LogLine(LogKind.SAID, f"{number} " + "word " * 1000)])
    log.close()
    gap, *rest = read(tmp_path)
    assert gap.kind is LogKind.LEFT_OUT
    assert [int(entry.text.split()[0]) for entry in rest] == list(range(50 - len(rest), 50))


async def test_a_log_that_cannot_be_written_ends_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = state_of(tmp_path)
    state.folder.mkdir(parents=True)
    state.inside(LOGS).folder.write_text("in the way")
    logs = AttemptLogs(state, SystemClock())
    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            log = logs.open(RUN, NODE, number)
            log.add([printed("one\n")])
            log.close()
            log.add([printed("too late\n")])
    assert len([record for record in caplog.records if "cannot be written" in record.getMessage()]) == 1


async def test_an_attempt_without_a_line_makes_no_file(tmp_path: Path) -> None:
    opened(tmp_path).close()
    assert not state_of(tmp_path).folder.exists()
