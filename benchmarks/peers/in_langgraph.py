"""Runs a graph with LangGraph; started by `against_langgraph.py` in an environment that has it.

Effects: reads from stdin what each node depends on, prints the microseconds that a node took.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found]


class State(TypedDict, total=False):
    """Nothing flows: only the order is measured."""

    last: int


async def work(_state: State) -> dict[str, Any]:
    """The work of a node that costs nothing."""
    return {}


async def main(needs: list[list[int]]) -> None:
    """Run once, the building of the graph not counted."""
    graph = StateGraph(State)
    for number in range(len(needs)):
        graph.add_node(f"n{number}", work)
    for number, before in enumerate(needs):
        names = [f"n{need}" for need in before]
        graph.add_edge(START if not names else names[0] if len(names) == 1 else names, f"n{number}")
    for number in set(range(len(needs))).difference(*needs):
        graph.add_edge(f"n{number}", END)
    compiled = graph.compile()
    started = perf_counter()
    await compiled.ainvoke({"last": 0}, {"recursion_limit": len(needs) + 10})
    print((perf_counter() - started) / len(needs) * 1e6)


if __name__ == "__main__":
    sys.setrecursionlimit(20_000)
    asyncio.run(main(json.load(sys.stdin)))
