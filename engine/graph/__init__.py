"""Compiles a closed bundle of definitions to one flat, frozen plan, and predicts how long a plan takes.

Pure. `engine/validation` checks a user's file and reports every problem in it.
"""

from __future__ import annotations

from engine.graph.compile import compile_plan
from engine.graph.forecast import Span, Timeline, predict
from engine.graph.learned import as_learned, with_estimates
from engine.graph.most import check_fan_out, most_attempts, most_cost, uncapped
from engine.graph.order import shortest_cycles, topological_order

__all__ = [
    "Span",
    "Timeline",
    "as_learned",
    "check_fan_out",
    "compile_plan",
    "most_attempts",
    "most_cost",
    "predict",
    "shortest_cycles",
    "topological_order",
    "uncapped",
    "with_estimates",
]
