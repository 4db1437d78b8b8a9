"""Whatever a project holds, what the command line prints steers no terminal, hides nothing, and forges no line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mcp_server.cli.app import app
from mcp_server.project.grants import trust_file
from tests.interaction.projects import environment
from tests.support.installed import ORCHESTRATE
from tests.support.lies import FORGED, LIE, honest, tell_lies

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60


@pytest.fixture
def lying(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that tries it with every text of its own."""
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CLAUDECODE", raising=False)
    return tell_lies(project)


def run(project: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["--project", str(project), *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), words
    honest(result.stdout + result.stderr)
    return result.stdout + result.stderr


def test_in_a_pipe(lying: Path) -> None:
    printed = run(lying, "run", "/lies")
    assert "[red]x[/red] :skull:" in printed, "what looks like markup is text"
    for words in (
        ("validate", "/lies"),
        ("validate", "broken.json"),
        ("validate", json.dumps({"name": LIE})),
        ("validate", f"/{LIE}"),
        ("plan", "/lies"),
        ("plan", "/lies", "--format", "json"),
        ("agents",),
        ("agents", "--json"),
        ("status",),
        ("status", "--json"),
        ("status", LIE),
        ("report",),
        ("report", "--format", "json"),
        ("runs",),
        ("runs", "--json"),
        ("cancel", LIE),
        ("prune", "--keep", "0"),
        ("run", "/lies", "--arg", LIE),
    ):
        run(lying, *words)


def test_a_decision_about_trust(lying: Path) -> None:
    trust_file(lying / "home").unlink()
    printed = run(lying, "trust")
    assert "agent:liar" in printed
    run(lying, "run", "/lies")
    (lying / "odd\x1b[2J\u202e.py").write_text("")
    run(lying, "trust", "--yes")
    (lying / "odd\x1b[2J\u202e.py").write_text("changed")
    printed = run(lying, "trust")
    assert "changed: odd" in printed
    assert run(lying, "trust", "--list")
    assert run(lying, "trust", "--revoke")


@pytest.mark.processes
@pytest.mark.parametrize("words", [("run", "/lies"), ("trust",)])
def test_on_a_terminal(lying: Path, words: tuple[str, ...]) -> None:
    """Escapes of the terminal's own are there, for it is one; nothing of the project's is among them."""
    if words == ("trust",):
        trust_file(lying / "home").unlink()
    printed = on_terminal(lying, words, "no\n")
    for part in ("\x1b[2J", "\x9b", "\u202e", "\u2066", "\u200b", "\u2800", "\u00a0"):
        assert part not in printed
    assert not [line for line in printed.splitlines() if line.startswith(FORGED)]


def on_terminal(project: Path, words: tuple[str, ...], answer: str) -> str:
    """What a command writes to a terminal where somebody types *answer*."""
    primary, secondary = pty.openpty()
    printed = b""
    with subprocess.Popen(
        [ORCHESTRATE, *words],
        cwd=project,
        env={**environment(project), "TERM": "xterm"},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
    ) as process:
        os.close(secondary)
        os.write(primary, answer.encode())
        while True:
            try:
                part = os.read(primary, 65536)
            except OSError:  # everybody has closed it
                break
            printed += part
        process.wait(SECONDS)
    os.close(primary)
    return printed.decode("utf-8", "replace")
