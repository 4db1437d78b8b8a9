from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import psutil
import pytest
from mcp import Client

from tests.interaction.projects import ERAS, Era, call, environment, open_gate, stdio_parameters
from tests.interaction.promises import keeps
from tests.support.installed import ORCHESTRATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

SECONDS = 20
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
NOISY = """
import os, subprocess, sys
import mcp_server.project.root as project
find = project.find_root
def noisy(given=None, **options):
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run([sys.executable, "-c", "print('by a child', input())"])
    return find(given, **options)
project.find_root = noisy
from mcp_server.__main__ import main
main([])
"""


class Server:
    """The real server, spoken to line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._requests = 0

    def ask(self, tool: str, **arguments: object) -> dict[str, Any]:
        """The structured answer of *tool*."""
        self.send(tool, **arguments)
        answer = self.read()
        assert answer["id"] == self._requests
        content: dict[str, Any] = answer["result"]["structuredContent"]
        return content

    def send(self, tool: str, **arguments: object) -> None:
        """Ask without waiting for the answer."""
        assert self.process.stdin is not None
        self._requests += 1
        params = {"name": tool, "arguments": arguments, "_meta": ENVELOPE}
        request = {"jsonrpc": "2.0", "id": self._requests, "method": "tools/call", "params": params}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next message of the server."""
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def started_agent(self, project: Path) -> psutil.Process:
        """The gated agent, once it is at work."""
        self.ask("run", command="/wait")
        seen = {"progress": {"done": 0}}
        while seen["progress"]["done"] == 0:
            seen = self.ask("status", wait_seconds=SECONDS)
        while not (found := self._agents()):  # it is started right after the change was told
            self.ask("status")
        assert project.is_dir()
        return found[0]

    def _agents(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                found += [process] if "gated.py" in process.cmdline() else []
        return found


@pytest.fixture
def server(project: Path) -> Iterator[Server]:
    with started(project, "-m", "mcp_server") as process:
        yield Server(process)
        process.kill()


def started(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=project,
        env=environment(project),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def latest(project: Path) -> dict[str, Any]:
    """The newest run as another server sees it."""
    with started(project, "-m", "mcp_server") as process:
        status = Server(process).ask("status", view="nodes")
        process.communicate(timeout=SECONDS)
    return status


@pytest.mark.parametrize("era", ERAS)
@keeps("eras", "run-waits")
async def test_the_real_server_answers_in_both_eras(project: Path, era: Era) -> None:
    async with Client(stdio_parameters(project), mode=era, read_timeout_seconds=SECONDS) as client:
        assert client.protocol_version == ("2026-07-28" if era == "auto" else "2025-11-25")
        assert "`run`" in (client.instructions or "")
        status = await call(client, "run", command="/hello", wait_seconds=SECONDS)
    assert status["outputs"] == {"greeting": "hello from first-greeting"}


@pytest.mark.parametrize("words", [["serve"], ["--project", ".", "serve"]])
@keeps("eras")
async def test_the_command_line_serves_too(project: Path, words: list[str]) -> None:
    server = stdio_parameters(project).model_copy(update={"command": ORCHESTRATE, "args": words})
    async with Client(server, mode="legacy", read_timeout_seconds=SECONDS) as client:
        status = await call(client, "run", command="/hello", wait_seconds=SECONDS)
    assert status["state"] == "completed"


@keeps("stdout")
def test_stdout_carries_the_protocol_only(project: Path) -> None:
    with started(project, "-c", NOISY) as process:
        server = Server(process)
        assert server.ask("run", command="/hello", wait_seconds=SECONDS)["state"] == "completed"
        out, err = process.communicate(timeout=SECONDS)
    assert out == ""
    assert "printed\n" in err
    assert "written\n" in err
    assert "EOFError" in err, "a child that reads stdin finds its end, not the protocol"
    assert process.returncode == 0


@keeps("stdout")
def test_a_line_that_is_no_message_does_not_stop_the_server(project: Path) -> None:
    with started(project, "-m", "mcp_server") as process:
        assert process.stdin is not None
        process.stdin.write("this is not JSON\n\n[]\n")
        assert Server(process).ask("validate", source="/hello")["valid"]
        process.communicate(timeout=SECONDS)


@keeps("errors")
def test_a_text_that_was_cut_inside_an_emoji_gets_an_answer(project: Path) -> None:
    with started(project, "-m", "mcp_server") as process:
        answer = Server(process).ask("validate", source={"version": "2.0.0", "name": "/cut-\ud83d"})
        process.communicate(timeout=SECONDS)
    assert answer["valid"] is False


@keeps("stdin-closed", "resume")
def test_closed_stdin_ends_the_server_and_the_next_one_goes_on(server: Server, project: Path) -> None:
    agent = server.started_agent(project)
    server.send("status", wait_seconds=3600)
    server.process.communicate(timeout=SECONDS)
    assert server.process.returncode == 0
    assert not agent.is_running()
    interrupted = latest(project)
    assert interrupted["state"] == "interrupted"
    assert "resume" in interrupted["next"]
    with started(project, "-m", "mcp_server") as process:
        following = Server(process)
        resumed = following.ask("resume", run_id=interrupted["runId"])
        assert resumed["state"] == "running"
        open_gate(project)
        while resumed["state"] == "running":
            resumed = following.ask("status", run_id=interrupted["runId"], wait_seconds=SECONDS)
        nodes = {line["id"]: line for line in following.ask("status", run_id=resumed["runId"], view="nodes")["nodes"]}
        process.communicate(timeout=SECONDS)
    assert resumed["state"] == "completed"
    assert nodes["first-greeting"]["attempts"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@keeps("signals")
def test_a_signal_ends_the_server_as_closed_stdin_does(server: Server, project: Path, number: signal.Signals) -> None:
    agent = server.started_agent(project)
    server.process.send_signal(number)
    assert server.process.wait(timeout=SECONDS) == 128 + number
    assert not agent.is_running()
    assert latest(project)["state"] == "interrupted"


@keeps("signals", "stdin-closed")
def test_a_killed_server_leaves_a_run_that_the_next_one_finds_interrupted(server: Server, project: Path) -> None:
    agent = server.started_agent(project)
    server.process.kill()
    server.process.wait(timeout=SECONDS)
    assert latest(project)["state"] == "interrupted"
    agent.wait(timeout=SECONDS)  # the next server has ended what the killed one left


@pytest.mark.parametrize("era", ERAS)
@keeps("orphans")
async def test_what_a_killed_server_left_is_ended_at_the_next_start_though_no_tool_is_called(
    server: Server, project: Path, era: Era
) -> None:
    agent = server.started_agent(project)
    server.process.kill()
    server.process.wait(timeout=SECONDS)
    async with Client(stdio_parameters(project), mode=era, read_timeout_seconds=SECONDS):
        await anyio.to_thread.run_sync(agent.wait, SECONDS)


@keeps("one-project")
async def test_two_servers_of_one_project_see_and_cancel_each_others_runs(project: Path) -> None:
    async with (
        Client(stdio_parameters(project), read_timeout_seconds=SECONDS) as owner,
        Client(stdio_parameters(project), read_timeout_seconds=SECONDS) as other,
    ):
        with anyio.fail_after(2 * SECONDS):
            started_run = await call(owner, "run", command="/wait")
            seen = await call(other, "status", run_id=started_run["runId"])
            assert seen["state"] == "running"
            cancelled = await call(other, "cancel", run_id=started_run["runId"])
            assert cancelled["state"] == "cancelled"
            assert (await call(owner, "status"))["state"] == "cancelled"
