"""What the engine adds to the time of a Claude Code process: a chain of them, beside the same processes started bare.

Effects: starts a stand-in for Claude Code that answers at once, many times, through the whole engine on disk and
without it, in turn; prints the difference a node.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import told  # noqa: E402 - benchmarks are run as files
from engine.executors.claude.prompt import agent_definition, arguments_of, prompt_of  # noqa: E402
from engine.model.agent import Agent  # noqa: E402
from engine.opening import open_engine  # noqa: E402
from tests.support.definitions import command, node, phase, plan  # noqa: E402
from tests.support.orders import order_for  # noqa: E402

PROMISED_MS = 20.0
STAND_IN = """#!/bin/sh
cat > /dev/null
echo '{"type": "result", "is_error": false, "total_cost_usd": 0.01, "structured_output": {"outputs": {}}}'
"""
AGENT = Agent(id="worker", prompt="Work.", tools=("Read",))


async def through_engine(project: Path, program: Path, nodes: int) -> float:
    """Seconds of a run of *nodes* model agents, one after the other."""
    chain = [node(f"n{number}", *([f"n{number - 1}"] if number else [])) for number in range(nodes)]
    compiled = plan(command(phase("work", *chain)), agents=(AGENT,))
    async with open_engine(project, claude_program=str(program)) as engine:
        ended = asyncio.Event()
        engine.live_runs.listeners.append(lambda run, _events: ended.set() if run.ended else None)
        begun = perf_counter()
        run_id = await engine.start(compiled, executor="claude")
        await ended.wait()
        seconds = perf_counter() - begun
        status = (await engine.view(run_id)).run.status
    if status != "completed":
        sys.exit(f"the run ended as {status}")
    return seconds


async def bare(project: Path, program: Path, nodes: int) -> float:
    """Seconds of as many of the same processes, with the same arguments and input, and nothing around them."""
    order = order_for(AGENT, project=project, outputs=())
    definition = agent_definition(AGENT)
    arguments = arguments_of(order, session="s", agents=str(definition), mcp_config=None)
    prompt = prompt_of(order, {}).encode()
    begun = perf_counter()
    for _ in range(nodes):
        process = await asyncio.create_subprocess_exec(
            str(program), *arguments, cwd=project, stdin=-1, stdout=-1, stderr=-1, start_new_session=True
        )
        await process.communicate(prompt)
    return perf_counter() - begun


async def measure(project: Path, nodes: int, rounds: int) -> None:
    """Take turns, so that a busy machine is busy for both."""
    program = project / "claude"
    program.write_text(STAND_IN, encoding="utf-8")
    program.chmod(0o755)
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(await bare(project, program, nodes))
        ours.append(await through_engine(project, program, nodes))
    added = 1000 * (statistics.median(ours) - statistics.median(theirs)) / nodes
    print(f"milliseconds a node: {1000 * statistics.median(theirs) / nodes:.1f} bare")
    told("what the engine adds to a Claude Code process", added, PROMISED_MS, unit="ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given.nodes, given.rounds))


if __name__ == "__main__":
    main()
