"""Agents that are real programs: they say when they are ready, and wait until they may go on.

Effects: writes programs and named pipes into a project. Readiness and release go through the pipes, so no test sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from engine.model.agent import Agent, AgentKind
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from engine.ids import RunId
    from engine.run.state import Run
    from engine.service import Engine
    from tests.support.definitions import Raw

SECONDS = 30
"""Longest wait of a test for something that has to happen."""

# Every way to hide from whoever ends a tree: a child that ignores TERM, one in a session of its own, an orphan.
PROGRAM = """
import json, os, signal, subprocess, sys
order = json.load(sys.stdin)
words = sys.argv[1:]
with open("log", "a") as log:
    log.write(f"{order['node']}: {order['task']}\\n")
if "tree" in words:
    sleep = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    def child(**options):
        started = subprocess.Popen([sys.executable, "-c", sleep], stdout=subprocess.PIPE, **options)
        started.stdout.readline()
    child()
    child(start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        child(start_new_session=True)
        os._exit(0)
    os.wait()
if "stubborn" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "say" in words:
    print("half done", file=sys.stderr, flush=True)
if "wait" in words or f"wait:{order['node']}" in words:
    with open(f"{order['node']}.ready", "w") as ready:
        ready.write("x")
    with open(f"{order['node']}.go") as go:
        go.read()
if "fail" in words or f"fail:{order['node']}" in words:
    sys.exit("it broke")
print(json.dumps({"outputs": {}}))
"""


def program_agent(name: str, *words: str, **fields: Any) -> Agent:  # noqa: ANN401 - fields of Agent
    """An agent that logs its order and behaves as *words* say: tree, stubborn, say, wait[:NODE], fail[:NODE]."""
    command = (sys.executable, "program.py", *words)
    return Agent(id=name, kind=AgentKind.PROCESS, command=command, **fields)


def make_programs(project: Path, *nodes: str) -> Path:
    """Write the program of all agents into *project*, and the pipes of the *nodes* that wait."""
    project.mkdir(exist_ok=True)
    (project / "program.py").write_text(PROGRAM, encoding="utf-8")
    for node in nodes:
        os.mkfifo(project / f"{node}.ready")
        os.mkfifo(project / f"{node}.go")
    return project


async def ready(project: Path, node: str) -> None:
    """Wait until the agent of *node* is at its work."""
    await _pipe(project / f"{node}.ready", os.O_RDONLY)


async def let_go(project: Path, node: str) -> None:
    """Let the agent of *node* go on."""
    await _pipe(project / f"{node}.go", os.O_WRONLY)


@contextlib.asynccontextmanager
async def held_back(pipe: Path) -> AsyncIterator[None]:
    """Wait until a program reads *pipe*, and let it wait there for the length of the block."""
    number = await _opened(pipe, os.O_WRONLY)
    try:
        yield
    finally:
        os.close(number)


async def _pipe(path: Path, mode: int) -> None:
    """Meet the agent at one of its pipes."""
    number = await _opened(path, mode)
    if mode == os.O_RDONLY:
        await asyncio.to_thread(os.read, number, 1)
    os.close(number)


async def _opened(pipe: Path, mode: int) -> int:
    """Open *pipe* as soon as somebody has its other end; the thread that waits there is let off where no one comes."""
    meeting = asyncio.get_running_loop().run_in_executor(None, os.open, pipe, mode)
    try:
        return await asyncio.wait_for(asyncio.shield(meeting), SECONDS)
    except BaseException:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # both ends: whoever waits is let through
        with contextlib.suppress(Exception):
            os.close(await meeting)
        raise


async def until(engine: Engine, run: RunId, holds: Callable[[Run], bool]) -> Run:
    """The run as soon as *holds* does."""
    async with asyncio.timeout(SECONDS):
        while True:
            seen = (await engine.view(run)).run
            if holds(seen):
                return seen
            await engine.wait(run, 1)


async def ended(engine: Engine, run: RunId) -> Run:
    """The run at its end."""
    return await until(engine, run, lambda seen: seen.ended)


def logged(project: Path) -> list[str]:
    """What the agents were asked, in order: `node: task`."""
    return (project / "log").read_text(encoding="utf-8").splitlines()


def write_agents(project: Path, **words: str) -> None:
    """An agent file for each name, whose program behaves as its words say; trusted by the user of `home`."""
    folder = project / ".claude" / "agents"
    folder.mkdir(parents=True, exist_ok=True)
    for name, behaviour in words.items():
        argv = json.dumps([sys.executable, "program.py", *behaviour.split()])
        head = f"---\nname: {name}\ndescription: Does {name} work\nexecutor: process\ncommand: {argv}\n---\n"
        (folder / f"{name}.md").write_text(head, encoding="utf-8")
    trust_all(project, project / "home")


def write_command(project: Path, raw: Raw) -> None:
    """A command file of *raw*, under its name."""
    folder = project / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{raw['name'][1:]}.json").write_text(json.dumps(raw), encoding="utf-8")
