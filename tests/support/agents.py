"""One agent in the form of every executor: it answers, fails, breaks down, talks garbage or hangs, as it is told.

Effects: writes programs into a folder.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.executors.claude.executor import ClaudeExecutor
from engine.executors.inline import InlineExecutor
from engine.executors.port import Executor, WorkOrder
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.executors.simulate import Fault, SimulateExecutor
from engine.executors.worktrees.isolated import IsolatedExecutor
from engine.ids import NodeId
from engine.model.agent import Agent
from engine.model.policy import FailureKind
from tests.support.orders import order_for
from tests.support.repositories import make_repository

BEHAVIOURS = ("answer", "fail", "break", "garbage", "hang")

# Starts a child in a session of its own whose parent has ended, and one that ignores TERM; then waits for ever.
HANG = """
import os, signal, subprocess, sys

def hang():
    sleeper = "import os,time; os.setsid() if os.getsid(0) != os.getpid() else 0; time.sleep(600)"
    stubborn = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    if os.fork() == 0:
        subprocess.Popen([sys.executable, "-c", sleeper])
        os._exit(0)
    os.wait()
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
    child.stdout.readline()
    print("ready", file=sys.stderr, flush=True)
    signal.pause()
"""

PROGRAM = f"""{HANG}
import json
request = json.load(sys.stdin)
match sys.argv[1]:
    case "answer": print(json.dumps({{"outputs": {{"n": request["inputs"]["n"] + 1}}}}))
    case "fail": print(json.dumps({{"failure": {{"kind": "validation", "code": "BAD", "message": "it is bad"}}}}))
    case "break": sys.exit("it broke")
    case "garbage": print("hello")
    case "hang": hang()
"""

MODULE = f"""{HANG}
def answer(request): return {{"outputs": {{"n": request["inputs"]["n"] + 1}}}}
async def fail(request): return {{"failure": {{"kind": "validation", "code": "BAD", "message": "it is bad"}}}}
def garbage(request): return "hello"
def break_(request): raise RuntimeError("it broke")
def hang_(request): hang()
"""

CLAUDE = f"""#!{sys.executable}
{HANG}
import json, re
prompt = sys.stdin.read()

def say(message): print(json.dumps(message), flush=True)

def result(**fields):
    say({{"type": "result", "subtype": "success", "is_error": False, "session_id": "s", **fields}})

say({{"type": "system", "subtype": "init"}})
use = {{"type": "tool_use", "name": "Bash", "input": {{"command": "ls"}}}}
say({{"type": "assistant", "message": {{"content": [use]}}}})
match os.environ["BEHAVIOUR"]:
    case "answer":
        number = int(re.search(r"## n\\n\\n```json\\n(\\d+)", prompt)[1])
        result(structured_output={{"outputs": {{"n": number + 1}}}})
    case "fail":
        result(structured_output={{"failure": {{"kind": "validation", "code": "BAD", "message": "it is bad"}}}})
    case "break": sys.exit("it broke")
    case "garbage": result(structured_output="hello")
    case "hang": hang()
"""


@dataclass(frozen=True)
class Setting:
    """An executor, and the order that makes its agent behave as told."""

    executor: Executor
    order: WorkOrder


def write_program(path: Path, text: str) -> Path:
    """An executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def process_setting(behaviour: str, folder: Path) -> Setting:
    (folder / "agent.py").write_text(PROGRAM)
    return _setting(ProcessExecutor(), Agent(id="a", command=("{python}", "agent.py", behaviour)), folder)


def isolated_setting(behaviour: str, folder: Path) -> Setting:
    (folder / "agent.py").write_text(PROGRAM)
    make_repository(folder)
    agent = Agent(id="a", isolation="worktree", command=("{python}", "agent.py", behaviour))
    return _setting(IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None), agent, folder)


def python_setting(behaviour: str, folder: Path) -> Setting:
    (folder / "contract_agent.py").write_text(MODULE)
    name = {"break": "break_", "hang": "hang_"}.get(behaviour, behaviour)
    return _setting(PythonExecutor(), Agent(id="a", callable=f"contract_agent:{name}"), folder)


def claude_setting(behaviour: str, folder: Path) -> Setting:
    program = write_program(folder / "fake-claude", CLAUDE)
    return _setting(ClaudeExecutor(str(program)), Agent(id="a", env={"BEHAVIOUR": behaviour}), folder)


def inline_setting(behaviour: str, folder: Path) -> Setting:
    async def agent(order: WorkOrder) -> Mapping[str, Any]:
        match behaviour:
            case "answer":
                return {"outputs": {"n": order.inputs["n"] + 1}}
            case "fail":
                return {"failure": {"kind": "validation", "code": "BAD", "message": "it is bad"}}
            case "break":
                raise RuntimeError("it broke")
            case "garbage":
                return "hello"  # type: ignore[return-value]
            case _:
                return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    return _setting(InlineExecutor({"a": agent}), Agent(id="a"), folder)


def simulate_setting(behaviour: str, folder: Path) -> Setting:
    node = NodeId("check")
    fault = {"fail": Fault(FailureKind.VALIDATION, "BAD"), "hang": Fault(FailureKind.TIMEOUT, "TIMEOUT")}.get(behaviour)
    faults: dict[tuple[NodeId, int | None], Fault] = {(node, None): fault} if fault else {}
    return _setting(SimulateExecutor(faults=faults, values={node: {"n": 2}}), Agent(id="a"), folder)


SETTINGS: Mapping[str, Callable[[str, Path], Setting]] = {
    "process": process_setting,
    "isolated": isolated_setting,
    "python": python_setting,
    "claude": claude_setting,
    "inline": inline_setting,
    "simulate": simulate_setting,
}
"""By executor."""


def _setting(executor: Executor, agent: Agent, folder: Path) -> Setting:
    return Setting(executor, order_for(agent, project=folder, inputs={"n": 1}, estimate=timedelta(0)))
