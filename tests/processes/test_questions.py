"""Questions of a run to the person who started it on the command line."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interaction.projects import environment, make_project
from tests.support.hangups import hangups
from tests.support.installed import ORCHESTRATE

if TYPE_CHECKING:
    from pathlib import Path

CURSOR_UP = "\x1b[1A"
ASK = [ORCHESTRATE, "run", "/ask"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return make_project(root)


def test_without_a_terminal_a_run_that_needs_a_yes_fails_fast_with_a_code_of_its_own(project: Path) -> None:
    done = subprocess.run(
        [*ASK, "--json"],
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    [failure] = json.loads(done.stdout)["failures"]
    assert failure["code"] == "APPROVAL_NEEDED"
    assert "Really?" in failure["message"]
    assert failure["hint"]


@pytest.mark.parametrize(("typed", "code", "told"), [("maybe\nYES\n", 0, "completed"), ("n\n", 1, "not approved")])
def test_on_a_terminal_the_person_is_asked(project: Path, typed: str, code: int, told: str) -> None:
    ours, theirs = pty.openpty()
    env = environment(project) | {"TERM": "xterm-kitty"}
    with subprocess.Popen(
        ASK, cwd=project, env=env, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
    ) as process:
        os.close(theirs)
        seen = until(ours, "Really? [yes/no]")
        os.write(ours, typed.encode())
        after = until(ours, None)
        seen += after
        assert process.wait(timeout=40) == code, seen
    os.close(ours)
    assert told in seen
    assert "\a\x1b]9;Orchestration: /ask asks about careful-node: Really?\x1b\\" in seen
    assert seen.count("[yes/no]") == typed.count("\n")
    assert CURSOR_UP not in after.partition("/ask")[0], "the question stays where it was asked"


def test_who_follows_a_run_of_another_process_on_a_terminal_is_asked_too(project: Path) -> None:
    begun = subprocess.run(
        [*ASK, "--detach"], cwd=project, env=environment(project), capture_output=True, timeout=40, check=True
    )
    assert begun.stdout
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [ORCHESTRATE, "status", "--watch"],
        cwd=project,
        env=environment(project),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    ) as process:
        os.close(theirs)
        until(ours, "Really? [yes/no]")
        os.write(ours, b"yes\n")
        seen = until(ours, None)
        assert process.wait(timeout=40) == 0, seen
    os.close(ours)
    assert "/ask completed" in seen
    assert "[yes/no]" not in seen


def test_the_end_of_the_terminal_leaves_a_run_that_can_be_resumed(project: Path) -> None:
    ours, theirs = pty.openpty()
    with (
        hangups(signal.SIG_DFL),
        subprocess.Popen(
            ASK, cwd=project, env=environment(project), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True
        ) as process,
    ):
        os.close(theirs)
        until(ours, "Really? [yes/no]")
        process.send_signal(signal.SIGHUP)
        seen = until(ours, None)
        assert process.wait(timeout=40) == 130
    os.close(ours)
    assert "Traceback" not in seen
    told = subprocess.run(
        [ORCHESTRATE, "status", "--json"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    assert json.loads(told.stdout)["state"] == "interrupted"


def until(terminal: int, text: str | None) -> str:
    """What is printed until *text* stands there, or to the end."""
    seen = ""
    while text is None or text not in seen:
        readable, _, _ = select.select([terminal], [], [], 40)
        assert readable, f"nothing was printed for 40 s; before that: {seen}"
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other side has ended
            part = b""
        if not part:
            assert text is None, seen
            return seen
        seen += part.decode("utf-8", "replace")
    return seen
