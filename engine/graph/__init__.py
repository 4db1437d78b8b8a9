"""A closed bundle of definitions becomes one flat, frozen plan, and a plan can be asked how long it takes.

Pure. Checking a user's file and naming every problem in it is `engine/validation`'s.
"""

from __future__ import annotations

from engine.graph.compile import compile_plan
from engine.graph.forecast import Span, Timeline, predict
from engine.graph.learned import as_learned, with_estimates
from engine.graph.order import shortest_cycles, topological_order

__all__ = [
    "Span",
    "Timeline",
    "as_learned",
    "compile_plan",
    "predict",
    "shortest_cycles",
    "topological_order",
    "with_estimates",
]
