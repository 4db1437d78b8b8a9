"""A person is asked in Claude Code: the dialog of a question, answered with yes and with no."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.test_review_code import arguments, newest_status
from tests.e2e.test_session import PROMPT, TICK, enter, state
from tests.e2e.test_typed import obedient, ours
from tests.support.fake_messages_api import FakeMessagesApi
from tests.support.terminal import Terminal, accept_first_screens, terminal, wait_until

__all__ = ["ours"]

pytestmark = pytest.mark.timeout(150)
CHOSEN = "\N{HEAVY RIGHT-POINTING ANGLE QUOTATION MARK ORNAMENT} "
"""Stands before what Enter would take."""


def wait_until_connected(found: Terminal) -> None:
    """Wait for our server in the list of servers: the older program gives a model the tools of its first moment."""
    enter(found, "/mcp")
    found.wait_for(lambda screen: "1 server" in screen and TICK in screen)
    found.press_until("Escape", lambda screen: "1 server" not in screen)


def answer_with(found: Terminal, button: str) -> None:
    """Choose yes and accept, or decline; a new dialog takes no keys for a moment."""
    asks = "requests your input"
    assert "Continue?: yes" not in found.wait_for(asks)
    if button == "Accept":
        found.press_until("Right", "yes\n")
        found.press_until("Enter", "Continue?: yes")
    else:
        found.press_until("Down", f"{CHOSEN}{button}")
    found.press_until("Enter", lambda screen: asks not in screen)


@pytest.mark.parametrize(
    ("environ", "button", "end"),
    [("current", "Accept", "completed"), ("current", "Decline", "failed"), ("legacy", "Accept", "completed")],
    indirect=["environ"],
)
def test_a_question_of_a_run_is_a_dialog(
    api: FakeMessagesApi, ours: Path, environ: dict[str, str], button: str, end: str
) -> None:
    accept_first_screens(Path(environ["HOME"]), ours)
    api.routes = [obedient(api, "/ask", "mcp__orchestration__run", wait_seconds=30)]
    program = shutil.which("claude", path=environ["PATH"])
    assert program is not None
    with terminal([program, *arguments(ours)], folder=ours, environ=environ) as found:
        found.wait_for(PROMPT)
        wait_until_connected(found)
        enter(found, "/ask")
        answer_with(found, button)
        wait_until(lambda: state(ours, environ), lambda seen: seen == end)
    status = newest_status(ours, environ)
    [node] = status["nodes"]
    assert node["state"] == end
    assert ("error" in node) == (end == "failed")
