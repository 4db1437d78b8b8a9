"""A run of many large outputs in a process of its own, for tests that measure it.

Effects: makes a journal in the folder it is given, and prints one JSON object.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import string
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.executors.inline import InlineExecutor
from engine.model.agent import Agent, AgentKind
from engine.run.events import Limits
from engine.runtime.clock import SystemClock
from engine.service import Engine
from engine.storage.sqlite import SqliteStorage
from engine.values.reading import value_of
from tests.support.definitions import plan

if TYPE_CHECKING:
    from engine.executors.port import WorkOrder
    from engine.service import View

MAKER = Agent(id="maker", kind=AgentKind.CUSTOM)
TASTER = Agent(id="taster", kind=AgentKind.CUSTOM)


def text_of(number: int, size: int) -> str:
    """The output of node *number*: as good as incompressible, and the same in each process."""
    letters = string.ascii_letters + string.digits + "+-"
    return random.Random(number).randbytes(size).translate(letters.encode() * 4).decode()  # noqa: S311 - repeatable


def digest_of(text: str) -> str:
    """What is told of an output."""
    return hashlib.sha256(text.encode()).hexdigest()


def command(outputs: int) -> dict[str, Any]:
    """Makers of *outputs* values, and in a later phase as many nodes that each read one, the first one last."""
    makers = [
        {"id": f"make-{number}", "agentId": "maker", "task": "Make", "context": {"outputs": [{"key": f"v{number}"}]}}
        for number in range(outputs)
    ]
    tasters = [
        {
            "id": f"taste-{number}",
            "agentId": "taster",
            "task": "Taste",
            "priority": number,
            "context": {"inputs": [{"key": f"v{number}"}], "outputs": [{"key": f"d{number}"}]},
        }
        for number in range(outputs)
    ]
    phases = [
        {"id": "make", "name": "Make", "parallel": True, "agents": makers},
        {"id": "taste", "name": "Taste", "parallel": True, "agents": tasters},
    ]
    return {"version": "2.0.0", "name": "/large", "description": "Large outputs", "phases": phases}


def peak_bytes() -> int:
    """The largest resident set of this process so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


async def run_large(folder: Path, outputs: int, size: int, limit: int) -> dict[str, Any]:
    """Run the command once, and tell how it went."""

    async def make(order: WorkOrder) -> dict[str, Any]:
        number = int(order.node.removeprefix("make-"))
        return {"outputs": {f"v{number}": text_of(number, size)}}

    async def taste(order: WorkOrder) -> dict[str, Any]:
        ((key, text),) = order.inputs.items()
        return {"outputs": {key.replace("v", "d"): digest_of(text)}}

    executor = InlineExecutor({"maker": make, "taster": taste})
    engine = Engine(
        folder,
        storage=SqliteStorage(folder),
        owner=None,
        clock=SystemClock(),
        executors={AgentKind.CUSTOM: executor},
    )
    engine.values.configure(max_bytes=limit)
    async with engine.serving():
        run_id = await engine.start(plan(command(outputs), agents=(MAKER, TASTER)), limits=Limits(max_parallelism=4))
        while not (view := await engine.view(run_id)).run.ended:
            await engine.wait(run_id, 10)
        return _told(engine, view, outputs)


def _told(engine: Engine, view: View, outputs: int) -> dict[str, Any]:
    found = (view.run.context[f"d{number}"][0].ref for number in range(outputs))
    return {
        "status": view.run.status,
        "warnings": view.warnings,
        "digests": [value_of(ref, engine.values.get) for ref in found],
        "peak": peak_bytes(),
        "cached": engine.values.size,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run_large(Path(sys.argv[1]), *map(int, sys.argv[2:])))))  # noqa: T201 - its result
