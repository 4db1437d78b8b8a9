"""What it costs to watch 40 nodes in the real Claude Code, with a model that does what it reads to the letter."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.cli.sync import synchronise
from registry.catalog import Catalog
from tests.e2e.test_session import DONE, RUN, STATUS, TODO_WRITE, conversation, enter, session, state
from tests.interaction.projects import make_project
from tests.support.claude_code import VERSIONS, run_claude
from tests.support.definitions import command, node, phase
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.terminal import accept_first_screens, wait_until
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PHASES = 4
TASK = "Review the module and write down everything that matters"
IMPATIENT = """
import mcp_server.protocol.waits as waits
waits.HELD_SECONDS = 0.1
from mcp_server.__main__ import main
main([])
"""
"""A server whose calls become tasks at once instead of after a minute."""
TOOLS = ("--allowedTools", f"{RUN},{STATUS},TodoWrite")


@pytest.fixture
def many(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A project with a command of 40 programs, and its skill."""
    root = tmp_path / "many"
    root.mkdir()
    make_project(root)
    nodes = [[node(f"review-{place}-{number}", task=TASK) for number in range(40 // PHASES)] for place in range(PHASES)]
    definition = command(*(phase(f"phase-{place}", *some) for place, some in enumerate(nodes)), name="/many")
    (root / ".claude" / "commands" / "v2" / "many.json").write_text(json.dumps(definition), encoding="utf-8")
    trust_all(root, Path(environ["HOME"]))
    assert list(synchronise(root, Catalog(root)))
    served_by(root, "-m", "mcp_server")
    accept_first_screens(Path(environ["HOME"]), root)
    return root


def served_by(root: Path, *arguments: str) -> None:
    server = {"command": sys.executable, "args": [*arguments], "env": {"PYTHONPATH": str(Path(__file__).parents[2])}}
    (root / ".mcp.json").write_text(json.dumps({"mcpServers": {"orchestration": server}}), encoding="utf-8")


class ToTheLetter(Route):
    """A model that calls `run` as the skill says, then does what `next` says, and nothing else."""

    def __init__(self, api: FakeMessagesApi, *, has_list: bool = False) -> None:
        super().__init__(match="<arguments>")
        self.__dict__.update(api=api, has_list=has_list)

    def turns(self) -> list[Any]:
        """The requests of the conversation that the person has."""
        return [turn for turn in self.__dict__["api"].turns if self.match in turn.prompt]

    def steps_of(self, attempt: int) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002 - it reads the conversation itself
        turn = self.turns()[-1]
        calls, results = conversation(turn.messages)
        if not calls:
            waits = {} if self.__dict__["has_list"] else {"wait_seconds": wait_in(turn.prompt)}
            return [{"tool": RUN, "input": {"command": "/many", **waits}}]
        if not results[-1].startswith("{"):
            return [
                {"text": "It runs in the background."}
                if len(results) == 1 and ended_in(turn) is None
                else {"text": DONE}
            ]
        answer = json.loads([result for result in results if result.startswith("{")][-1])
        following = by_next(answer)
        if following is None:
            return [{"text": DONE}]
        if self.__dict__["has_list"]:
            following["until"] = "phase"
            return [{"tools": [{"tool": "TodoWrite", "input": answer["todos"]}, {"tool": STATUS, "input": following}]}]
        return [{"tool": STATUS, "input": following}]


def ended_in(turn: Any) -> str | None:  # noqa: ANN401 - a recorded request
    """The notification of the end of a task in a conversation."""
    text = json.dumps(turn.messages)
    return text if "<task-notification>" in text else None


def wait_in(prompt: str) -> int:
    """How long the skill says to wait."""
    return int(re.findall(r"`wait_seconds` (\d+)", prompt)[-1])


def by_next(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments of the call of `status` that *answer* asks for."""
    found = re.search(r"call status with (run_id=[^.]*)\.", answer["next"])
    if found is None:
        return None
    given = dict(re.findall(r'(\w+)="?([^",]+)"?', found[1]))
    return {**given, "wait_seconds": float(given["wait_seconds"])}


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
def test_a_run_of_40_nodes_takes_at_most_3_turns_without_a_terminal(
    api: FakeMessagesApi, many: Path, environ: dict[str, str]
) -> None:
    model = ToTheLetter(api)
    api.routes = [model]
    arguments = ("--mcp-config", str(many / ".mcp.json"), "--strict-mcp-config", *TOOLS)
    done = run_claude("/many", project=many, environ=environ, arguments=arguments, timeout=150)
    assert done.result["result"] == DONE
    assert state(many, environ) == "completed"
    assert len(model.turns()) <= 3


@pytest.mark.parametrize("server", [("-m", "mcp_server"), ("-c", IMPATIENT)])
def test_a_run_of_40_nodes_takes_at_most_3_turns_in_a_terminal_also_in_the_background(
    api: FakeMessagesApi, many: Path, environ: dict[str, str], server: tuple[str, str]
) -> None:
    served_by(many, *server)
    model = ToTheLetter(api)
    api.routes = [model]
    with session(many, environ) as found:
        enter(found, "/many")
        found.wait_for("Esc cancels the run")
        found.wait_for(DONE, timeout=150)
    assert state(many, environ) == "completed"
    assert len(model.turns()) <= 3
    if server[0] == "-c":
        assert "Report to the user that the run completed." in str(ended_in(model.turns()[-1]))


def test_a_model_with_a_list_of_its_own_updates_it_once_for_each_phase(
    api: FakeMessagesApi, many: Path, environ: dict[str, str]
) -> None:
    model = ToTheLetter(api, has_list=True)
    api.routes = [model]
    with session(many, {**environ, **TODO_WRITE}) as found:
        enter(found, "/many")
        found.wait_for(DONE, timeout=150)
    calls, results = conversation(model.turns()[-1].messages)
    accepted = [result for (name, _), result in zip(calls, results, strict=True) if name == "TodoWrite"]
    assert all("modified successfully" in result for result in accepted)
    assert len(accepted) <= PHASES + 1


@pytest.mark.parametrize("tool", [RUN, STATUS])
def test_before_and_after_escape_the_screen_says_what_becomes_of_the_run(
    api: FakeMessagesApi, many: Path, environ: dict[str, str], tool: str
) -> None:
    first = {"command": "/wait", **({"wait_seconds": 600} if tool == RUN else {})}
    steps = [{"tool": RUN, "input": first}, {"tool": STATUS, "input": {"wait_seconds": 600, "until": "end"}}]
    api.routes = [Route(match="Wait for it", steps=steps)]
    with session(many, environ) as found:
        enter(found, "Wait for it")
        found.wait_for("Esc cancels the run" if tool == RUN else "Esc leaves the run going")
        found.press("Escape")
        title = "an interrupt cancels it" if tool == RUN else "an interrupt leaves it running"
        assert "Interrupted" in found.wait_for(title)
        ending = "cancelled" if tool == RUN else "running"
        wait_until(lambda: state(many, environ), lambda seen: seen == ending)
