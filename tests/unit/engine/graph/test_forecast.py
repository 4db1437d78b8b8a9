from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.graph import predict
from engine.model.plan import Plan
from tests.support.definitions import analyze_api, command, implement_feature, node, phase, plan, review_code

MINUTE = timedelta(minutes=1)


def starts(made: Plan, *, max_parallelism: int | None = None) -> dict[str, float]:
    spans = predict(made, max_parallelism=max_parallelism).spans
    return {name: span.start / MINUTE for name, span in spans.items()}


@pytest.mark.parametrize(
    ("raw", "sequential", "critical", "path"),
    [
        (review_code(), 30, 20, ("analyzer", "quality-review", "report-generator")),
        (analyze_api(), 50, 20, ("analyzer", "security-review", "synthesizer")),
        (implement_feature(), 155, 95, ("architect", "backend", "integration-tests", "e2e-tests", "reviewer")),
    ],
    ids=["review-code", "analyze-api", "implement-feature"],
)
def test_the_guides_commands_take_the_guides_time(
    raw: dict[str, Any], sequential: int, critical: int, path: tuple[str, ...]
) -> None:
    made = plan(raw)
    assert made.sequential_time == sequential * MINUTE
    assert made.critical_path_time == critical * MINUTE
    assert made.critical_path == path
    assert predict(made).total == critical * MINUTE


def test_the_critical_path_runs_through_all_nodes_of_a_serial_phase() -> None:
    made = plan(
        command(
            phase("one", node("a", minutes=2), node("b", minutes=3), parallel=False),
            phase("two", node("c"), node("d", minutes=4)),
        )
    )
    assert made.critical_path == ("b", "a", "d")
    assert made.critical_path_time == 9 * MINUTE


def test_a_limit_lengthens_the_forecast_but_not_the_critical_path() -> None:
    made = plan(command(phase("one", *(node(name, minutes=2) for name in "abcd"), maxParallelism=2)))
    assert made.critical_path_time == 2 * MINUTE
    assert predict(made).total == 4 * MINUTE


def test_priority_then_the_longer_way_then_file_order_decides_who_starts() -> None:
    made = plan(
        command(
            phase(
                "one",
                node("first"),
                node("second"),
                node("long", minutes=2),
                node("urgent", priority=1),
                maxParallelism=1,
            )
        )
    )
    assert starts(made) == {"urgent": 0, "long": 1, "first": 3, "second": 4}


def test_a_node_starts_the_moment_a_place_is_free() -> None:
    made = plan(command(phase("one", node("a", minutes=5), node("b"), node("c", "b"), maxParallelism=2)))
    assert starts(made) == {"a": 0, "b": 0, "c": 1}


def test_a_phase_without_barrier_opens_at_once_and_the_next_waits_for_all() -> None:
    made = plan(
        command(
            phase("one", node("a", minutes=5)),
            phase("two", node("b"), barrier=False),
            phase("three", node("c")),
        )
    )
    assert starts(made) == {"a": 0, "b": 0, "c": 5}


def test_a_barrierless_phase_may_end_last() -> None:
    made = plan(command(phase("one", node("a")), phase("two", node("b", minutes=3), barrier=False)))
    assert predict(made).total == 3 * MINUTE
    assert made.critical_path == ("b",)


def test_the_runs_own_limit_holds_over_all_phases() -> None:
    made = plan(
        command(
            phase("one", node("a", minutes=3), node("b", minutes=2)),
            phase("two", node("c", priority=5), node("d", minutes=4), barrier=False, maxParallelism=1),
        )
    )
    assert starts(made, max_parallelism=1) == {"c": 0, "d": 1, "a": 5, "b": 8}
    assert starts(made, max_parallelism=2) == {"c": 0, "a": 0, "d": 1, "b": 3}


def test_a_group_takes_a_place_in_its_phase_but_none_of_the_run() -> None:
    inner = command(phase("in", node("x", minutes=2), node("y", minutes=2)), name="/inner")
    raw = command(
        phase(
            "out",
            node("sub", agent="command", task="/inner"),
            node("other", minutes=1),
            parallel=False,
        )
    )
    made = plan(raw, inner)
    assert starts(made) == {"sub": 0, "sub/x": 0, "sub/y": 0, "other": 2}
    assert starts(made, max_parallelism=1) == {"sub": 0, "sub/x": 0, "sub/y": 2, "other": 4}
    assert predict(made).spans["sub"].end == 2 * MINUTE  # type: ignore[index]
