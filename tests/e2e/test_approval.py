"""A person is asked in Claude Code: the dialog of a question, answered with yes and with no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_review_code import arguments, newest_status
from tests.e2e.test_session import PROMPT, TICK, conversation, enter, state
from tests.e2e.test_typed import obedient, ours
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.terminal import Terminal, accept_first_screens, terminal, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ours"]

REPORT = "mcp__orchestration__report"
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


class Hasty(Route):
    """A model that answers the question of a run by itself."""

    def steps_of(self, attempt: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - it reads the conversation itself
        turn = [turn for turn in self.__dict__["api"].turns if self.match in turn.prompt][-1]
        calls, results = conversation(turn.messages)
        if not calls:
            return [{"tool": "mcp__orchestration__run", "input": {"command": "/ask"}}]
        decisions = [{"node": "careful-node", "answer": "yes"}]
        return [{"tool": REPORT, "input": {"run_id": json.loads(results[0])["runId"], "decisions": decisions}}]


@pytest.mark.parametrize(
    ("environ", "key", "end"),
    [("current", "Escape", "running"), ("legacy", "Accept", "completed")],
    indirect=["environ"],
)
def test_a_decision_that_a_model_sends_is_a_dialog_too(
    api: FakeMessagesApi, ours: Path, environ: dict[str, str], key: str, end: str
) -> None:
    accept_first_screens(Path(environ["HOME"]), ours)
    model = Hasty(match="Answer it yourself")
    model.__dict__["api"] = api
    api.routes = [model]
    program = shutil.which("claude", path=environ["PATH"])
    assert program is not None
    with terminal([program, *arguments(ours), REPORT], folder=ours, environ=environ) as found:
        found.wait_for(PROMPT)
        wait_until_connected(found)
        enter(found, "Answer it yourself")
        found.wait_for("requests your input")
        assert state(ours, environ) == "running"
        if key == "Escape":
            found.press_until("Escape", lambda screen: "requests your input" not in screen)
        else:
            answer_with(found, key)
        wait_until(lambda: state(ours, environ), lambda seen: seen == end)
