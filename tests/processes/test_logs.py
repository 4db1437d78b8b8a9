"""The logs of real agents: bounded however much one prints, read by other processes, and gone with their run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.model.log import LogKind
from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.statefolder.links import STATE, state_of
from engine.storage.attempt_logs import LOGS, LogReader
from tests.interaction.projects import environment, make_project, open_gate
from tests.support.definitions import command, node, phase, plan
from tests.support.installed import ORCHESTRATE
from tests.support.real_agents import SECONDS, ended

if TYPE_CHECKING:
    from pathlib import Path

    from engine.ids import RunId
    from engine.model.log import LogEntry

pytestmark = pytest.mark.processes

MEGABYTE = 1024 * 1024
FLOOD = """
import json, sys
json.load(sys.stdin)
line = b"the same line again and again, password=hunter22secret\\n" * 18_000
for number in range({times}):
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()
print("the last words", file=sys.stderr)
print(json.dumps({{"outputs": {{}}}}))
"""
SPEAK = """
import json, sys
json.load(sys.stdin)
sys.stderr.buffer.write("grüß".encode()[:4])
sys.stderr.buffer.flush()
sys.stderr.buffer.write("grüß".encode()[4:] + b"\\n")
print("token is ghp_" + "a1" * 18, file=sys.stderr)
print(json.dumps({"outputs": {}}))
"""


def read(project: Path, run: RunId, name: str = "first-node") -> list[LogEntry]:
    found: list[LogEntry] = []
    reader = LogReader(state_of(project), run)
    place = 0
    while (page := reader.read(NodeId(name), 1, place)).entries:
        found += page.entries
        place = page.place
    return found


def program(project: Path, text: str) -> Agent:
    """The agent `worker`, a Python program."""
    (project / "speak.py").write_text(text, encoding="utf-8")
    return Agent(id="worker", kind=AgentKind.PROCESS, command=(sys.executable, "speak.py"))


def on_disk(project: Path) -> int:
    folder = state_of(project).inside(LOGS).folder
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_what_a_program_prints_is_kept_whole_without_its_secrets(tmp_path: Path) -> None:
    compiled = plan(command(phase("work", node("first-node"))), agents=(program(tmp_path, SPEAK),))
    async with open_engine(tmp_path) as engine:
        run = await engine.start(compiled)
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    text = "".join(entry.text for entry in read(tmp_path, run))
    assert text == "grüß\ntoken is ghp_[redacted]\n", "and not its answer, which is an output"


async def test_stdout_is_in_the_log_if_it_is_no_answer(tmp_path: Path) -> None:
    text = "import sys\nprint('no JSON')\nsys.exit(3)\n"
    compiled = plan(command(phase("work", node("first-node"))), agents=(program(tmp_path, text),))
    async with open_engine(tmp_path) as engine:
        run = await engine.start(compiled)
        assert (await ended(engine, run)).status is RunStatus.FAILED
    assert [entry.text for entry in read(tmp_path, run)] == ["no JSON\n"]


async def test_a_gigabyte_of_output_leaves_a_small_log_and_costs_little_memory(tmp_path: Path) -> None:
    flood = FLOOD.format(times=1000)
    compiled = plan(command(phase("work", node("first-node", minutes=1))), agents=(program(tmp_path, flood),))
    me = psutil.Process()
    async with open_engine(tmp_path) as engine:
        before = me.memory_info().rss
        run = await engine.start(compiled)
        peak = before
        while not (await engine.view(run)).run.ended:
            await engine.wait(run, 0.5)
            peak = max(peak, me.memory_info().rss)
            assert on_disk(tmp_path) < 2 * MEGABYTE
        assert (await ended(engine, run)).status is RunStatus.COMPLETED
    assert peak - before < 64 * MEGABYTE
    entries = read(tmp_path, run)
    assert "the last words\n" in "".join(entry.text for entry in entries[-2:])
    assert sum(entry.size for entry in entries if entry.kind is LogKind.LEFT_OUT) > 0
    assert not any("hunter22" in entry.text for entry in entries)


async def test_logs_go_with_their_run_and_those_of_a_half_pruned_one_at_the_next_start(tmp_path: Path) -> None:
    compiled = plan(command(phase("work", node("first-node"))), agents=(program(tmp_path, SPEAK),))
    logs = state_of(tmp_path).inside(LOGS).folder
    async with open_engine(tmp_path) as engine:
        runs = [await engine.start(compiled) for _ in range(2)]
        for run in runs:
            await ended(engine, run)
        await engine.prune(keep=1)
        assert [path.name for path in logs.iterdir()] == [runs[1]]
    (logs / "r-halfpruned00").mkdir()
    async with open_engine(tmp_path) as engine:
        await engine.clean_up()
        while (logs / "r-halfpruned00").exists():
            await engine.wait(runs[1], 0.05)
    assert [path.name for path in logs.iterdir()] == [runs[1]]


def orchestrate(root: Path, *words: str) -> subprocess.Popen[str]:
    """A process of the command line, in the home that trusts the project."""
    return subprocess.Popen(
        [ORCHESTRATE, "--project", str(root), *words],
        env={**os.environ, **environment(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(root: Path, *words: str) -> str:
    """What a command prints that succeeds."""
    process = orchestrate(root, *words)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    return out


def test_another_process_follows_a_run_to_its_end(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    run = outcome(root, "run", "/wait", "--detach").strip()
    follower = orchestrate(root, "logs", run, "-f")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "first-greeting#1 · worker\n"
    assert "| " in follower.stdout.readline()
    closed = next(line for line in follower.stdout if "the gate is still closed" in line)
    assert closed.startswith("gate-keeper#1 | ")
    open_gate(root)
    out, err = follower.communicate(timeout=SECONDS)
    assert (follower.returncode, err) == (0, "")
    assert "✅ completed in" in out.splitlines()[-1]


def test_a_run_that_is_pruned_while_it_is_followed_ends_the_command_with_one_error(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    run = outcome(root, "run", "/wait", "--detach").strip()
    follower = orchestrate(root, "logs", run, "-f")
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.send_signal(signal.SIGSTOP)  # it is stopped while the run ends and is removed
    open_gate(root)
    outcome(root, "status", run, "--watch")
    assert json.loads(outcome(root, "prune", "--keep", "0", "--json")) == {"removed": [run]}
    follower.send_signal(signal.SIGCONT)
    _, err = follower.communicate(timeout=SECONDS)
    assert follower.returncode == 2
    assert err.count("error") == 1
    assert "RUN_NOT_FOUND" in err
    assert not (root / STATE / LOGS / run).exists()
