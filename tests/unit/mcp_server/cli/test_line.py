"""The line about the run under way."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import pytest

from engine.run.events import RunStatus
from engine.statefolder.run_notes import RunNote, read_notes, remove_notes, write_notes
from engine.views.marks import MARKS
from mcp_server.cli.line import line_of
from mcp_server.cli.run_rows import Row, rows_in
from tests.support.recorded import DATABASES, put_database

if TYPE_CHECKING:
    from pathlib import Path

BEGAN = "2026-11-22T10:00:00+00:00"
NOON = Row(["r-1", "/x", "running", "claude", "o-1", BEGAN, None, 0, 1, 0, 0.0, 0.0]).began


def row(**changes: object) -> Row:
    columns = {
        "id": "r-1",
        "command": "/review-code",
        "status": "running",
        "executor": "claude",
        "owner": "o-1",
        "created_at": BEGAN,
        "ended_at": None,
        "done": 1,
        "total": 4,
        "failed": 0,
        "cost_usd": 0.004,
        "idle": 0.0,
    }
    return Row(list({**columns, **changes}.values()))


def note(**changes: object) -> RunNote:
    values = {"at": NOON, "lived": 8.8, "left": 900.0, **changes}
    return RunNote("r-1", **values)  # type: ignore[arg-type]


def test_every_state_of_a_run_has_a_sign() -> None:
    assert set(MARKS) == {status.value for status in RunStatus}


def test_a_run_under_way_shows_time_progress_what_is_left_and_cost() -> None:
    assert line_of(row(), NOON, note()) == "⚙️ /review-code 8.8s · 1/4 · ~15 min left · <$0.01"


def test_between_two_notes_the_time_goes_on() -> None:
    assert line_of(row(cost_usd=0.0), NOON + 60, note()) == "⚙️ /review-code 1.1 min · 1/4 · ~14 min left"
    assert "~1s left" in line_of(row(), NOON + 5000, note())


def test_without_a_note_the_time_since_the_start_is_shown_and_no_estimate() -> None:
    assert line_of(row(cost_usd=0.0), NOON + 4.8, None) == "⚙️ /review-code 4.8s · 1/4"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"status": "compensating", "failed": 1}, "↩️ /review-code compensating 8.8s · 1/4 · 1 failed · <$0.01"),
        (
            {"status": "failed", "ended_at": "2026-11-22T10:12:00+00:00", "failed": 1, "cost_usd": 2.5},
            "❌ /review-code failed 12.0 min · 1/4 · 1 failed · $2.50",
        ),
        (
            {"status": "completed", "ended_at": "2026-11-22T10:00:05+00:00", "done": 4, "executor": "simulate"},
            "✅ /review-code 5.0s · 4/4 · <$0.01 · simulated",
        ),
    ],
)
def test_other_states_say_which(changes: dict[str, object], shown: str) -> None:
    ended = "ended_at" in changes
    assert line_of(row(**changes), NOON, None if ended else note()) == shown


def test_a_run_whose_process_died_is_interrupted() -> None:
    assert line_of(row(), NOON, note(), lives=False) == "⏸️ /review-code interrupted · 1/4 · <$0.01"


@pytest.mark.parametrize(("questions", "shown"), [(1, "❓ waits for your answer"), (3, "❓ waits for 3 answers")])
def test_questions_and_other_runs_are_counted(questions: int, shown: str) -> None:
    assert shown in line_of(row(), NOON, note(questions=questions))
    assert line_of(row(), NOON, note(), more=2).endswith(" · +2 more")


def test_time_that_a_run_did_not_live_is_left_out() -> None:
    ended = "2026-11-22T11:00:00+00:00"
    assert "10.0 min" in line_of(row(status="completed", ended_at=ended, idle=3000.0), NOON, None)


def test_rows_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    ends = put_database(DATABASES[0], tmp_path)
    found = rows_in(str(tmp_path))
    assert found
    assert {one.run for one in found} <= set(ends)
    assert {one.idle for one in found} == {0.0}


def test_a_name_cannot_steer_the_terminal() -> None:
    line = line_of(row(command="/x\x1b[31m\n" + "y" * 200), NOON, None)
    assert "\x1b" not in line
    assert "\n" not in line
    assert len(line) < 100


def test_a_reader_creates_no_journal_and_reads_none_that_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        rows_in(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "journal.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.Error):
        rows_in(str(tmp_path))


def test_notes_are_read_as_written_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    write_notes(tmp_path, "o-1", [note(), RunNote("r-2", at=1.5, lived=0.0, left=None, questions=2, asked=7.5)])
    found = read_notes(str(tmp_path), "o-1")
    assert [(one.run, one.at, one.lived, one.left, one.questions, one.asked) for one in found.values()] == [
        ("r-1", NOON, 8.8, 900.0, 0, 0.0),
        ("r-2", 1.5, 0.0, None, 2, 7.5),
    ]
    (tmp_path / "o-1.runs").write_text("r-1 1 2\nr-2 a b c d e\nr-3 1 2 3 4 5\n", encoding="utf-8")
    assert list(read_notes(str(tmp_path), "o-1")) == ["r-3"]
    odd = "".join(f"r-{number} 1 2 {left} 0 0\n" for number, left in enumerate(("inf", "nan", "1e300", "-1e12", "7")))
    (tmp_path / "o-1.runs").write_text(odd + "r-8 inf 2 3 0 0\nr-9 1 2 3 0 nan\n", encoding="utf-8")
    assert list(read_notes(str(tmp_path), "o-1")) == ["r-4"]
    (tmp_path / "o-1.runs").write_bytes(b"\xff\xfe")
    assert read_notes(str(tmp_path), "o-1") == {}
    write_notes(tmp_path, "o-1", [])
    remove_notes(tmp_path, "o-1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".runs", ".runs.new"])
def test_notes_are_written_in_the_place_of_a_link_or_a_pipe_and_read_through_neither(
    tmp_path: Path, ending: str
) -> None:
    folder, others = tmp_path / "owners", tmp_path / "others"
    folder.mkdir()
    others.write_text("r-1 1 2 3 4 5\n", encoding="utf-8")
    place = folder / f"o-1{ending}"
    for is_link in (True, False):
        if is_link:
            place.symlink_to(others)
        else:
            os.mkfifo(place)
        assert read_notes(str(folder), "o-1") == {}
        write_notes(folder, "o-1", [note()])
        assert list(read_notes(str(folder), "o-1")) == ["r-1"]
        assert [path.name for path in folder.iterdir()] == ["o-1.runs"]
        (folder / "o-1.runs").unlink()
    assert others.read_text(encoding="utf-8") == "r-1 1 2 3 4 5\n"
