"""Lists are read by people at a terminal, and line by line by programs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.cells import cell_len

from engine.ids import OwnerId, RunId
from engine.run.events import RunStatus
from engine.storage.port import RunSummary
from mcp_server.cli import console as console_module
from mcp_server.cli.terminal import Unbroken, runs_table

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_time_of_a_run_is_that_which_it_lived() -> None:
    row = RunSummary(
        id=RunId("r-z7e8o26ag4b9"),
        command="/long",
        status=RunStatus.COMPLETED,
        executor="auto",
        owner=OwnerId("o-1"),
        created_at=NOW,
        ended_at=NOW + timedelta(hours=9),
        idle=timedelta(hours=8),
    )
    console = Unbroken(file=StringIO())
    console.print(runs_table([row], NOW))
    assert isinstance(console.file, StringIO)
    assert "1.0 h" in console.file.getvalue()


def listed(console: Unbroken, status: RunStatus = RunStatus.COMPLETED, asking: tuple[str, ...] = ()) -> list[str]:
    row = RunSummary(
        id=RunId("r-z7e8o26ag4b9"),
        command="/a-command-with-quite-a-long-name",
        status=status,
        executor="simulate",
        owner=OwnerId("o-1"),
        created_at=NOW,
    )
    console.print(runs_table([row], NOW, asking))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("status", list(RunStatus))
def test_at_a_narrow_terminal_id_and_state_stay_whole(status: RunStatus) -> None:
    console = Unbroken(file=StringIO(), force_terminal=True, color_system=None, width=80, height=20)
    lines = listed(console, status)
    assert any(status.value in line for line in lines)
    assert any("r-z7e8o26ag4b9" in line for line in lines)
    assert all(cell_len(line) <= 80 for line in lines)


def test_at_a_narrow_terminal_the_command_is_told_on_more_lines() -> None:
    lines = listed(Unbroken(file=StringIO(), force_terminal=True, color_system=None, width=80, height=20))
    assert "2026-01-02" in lines[1]
    assert "(simulated)" in "".join(line[16:].split("  ")[0].strip() for line in lines[1:])


def test_what_is_piped_has_one_whole_line_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    _, line = listed(Unbroken(file=StringIO()))
    assert "/a-command-with-quite-a-long-name (simulated)  ✅ completed" in line


@pytest.mark.parametrize("status", [RunStatus.RUNNING, RunStatus.INTERRUPTED])
def test_a_run_that_waits_for_a_person_says_so_while_it_runs(status: RunStatus) -> None:
    _, line = listed(Unbroken(file=StringIO()), status, asking=("r-z7e8o26ag4b9", "r-another"))
    assert ("❓ waits for you" in line) == (status is RunStatus.RUNNING)
    assert "waits" not in listed(Unbroken(file=StringIO()), status, asking=("r-another",))[1]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What is printed as a result on a terminal of 40 columns."""
    printed = StringIO()
    console = Unbroken(file=printed, force_terminal=True, color_system=None, width=40, height=20)
    monkeypatch.setattr(console_module, "results", console)
    return printed


@pytest.mark.parametrize(
    "text",
    [
        "A `Map` of List<String> and <T>, if 0<a or a>9",
        "<details>\n<summary>More</summary>\nThe details\n</details>\n\nThe end",
        "<!-- a note -->The text",
        "| type |\n|---|\n| List<String> |",
    ],
)
def test_a_result_on_a_terminal_has_the_text_that_looks_like_html(text: str, terminal: StringIO) -> None:
    console_module.print_text(text)
    left_out = [word for word in re.findall(r"[^\s`|]+", text) if word not in terminal.getvalue() and "---" not in word]
    assert left_out == []


def test_a_table_on_a_narrow_terminal_has_every_cell_whole(terminal: StringIO) -> None:
    path = "src/" + "a-long-name-of-a-folder/" * 3 + "file.py:120"
    console_module.print_text(f"| file | finding |\n|---|---|\n| {path} | unused |")
    printed = terminal.getvalue()
    assert "…" not in printed
    assert path in re.sub(r"unused|\s", "", printed)


def test_other_markdown_is_rendered_on_a_terminal(terminal: StringIO) -> None:
    console_module.print_text("# Report\n\n~~old~~ **new**\n\n- one\n\n```text\n<code>\n```")
    printed = terminal.getvalue()
    assert not any(mark in printed for mark in ("#", "~", "**", "```"))
    assert all(word in printed for word in ("Report", "old new", "• one", "<code>"))
