"""A loaded command tells the most that it can cost."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from engine.graph import compile_plan
from mcp_server.answers.status import loaded_of
from mcp_server.answers.wire import Loaded
from registry.catalog import Catalog

ROOT = Path(__file__).parents[4]


def loaded(name: str, items: int | None = None) -> Loaded:
    """The answer about an example, whose list may have up to *items*."""
    catalog = Catalog(ROOT)
    found = catalog.load(name)
    if items is not None:
        raw = deepcopy(dict(found.raw))
        raw["phases"][1]["agents"][0]["forEach"]["maxItems"] = items
        found = catalog.load(raw)
    return loaded_of(found, compile_plan(catalog.bundle(found)))


def test_a_command_with_lists_and_loops_names_its_most_attempts() -> None:
    shown = loaded("/example-pipeline")
    assert (shown.node_count, shown.most_attempts) == (3, 1 + 10 * (3 + 1) + 1)
    assert shown.problems == []
    assert loaded("/example-saga").most_attempts is None
    assert shown.most_cost_usd is None  # agents without a budget


@pytest.mark.parametrize("items", [24, 26])
def test_more_than_a_hundred_model_agents_need_a_limit(items: int) -> None:
    codes = [problem.code for problem in loaded("/example-pipeline", items).problems]
    assert codes == ["UNCAPPED_FAN_OUT"] * (items > 24)
