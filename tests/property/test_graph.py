from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from engine.graph import predict, shortest_cycles, topological_order
from tests.support.definitions import command, node, phase, plan

if TYPE_CHECKING:
    from engine.model.plan import Plan


@st.composite
def commands(draw: st.DrawFn) -> dict[str, Any]:
    """A command of up to four phases and five nodes each, with dependencies that point back."""
    names: list[str] = []
    phases = []
    for number in range(draw(st.integers(1, 4))):
        nodes = []
        for place in range(draw(st.integers(1, 5))):
            needs = draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
            nodes.append(
                node(
                    f"n{number}-{place}",
                    *needs,
                    minutes=draw(st.integers(1, 9)),
                    priority=draw(st.integers(0, 2)),
                )
            )
            names.append(nodes[-1]["id"])
        options: dict[str, Any] = {"barrier": draw(st.booleans()), "parallel": draw(st.booleans())}
        if limit := draw(st.integers(0, 3)):
            options["maxParallelism"] = limit
        phases.append(phase(f"p{number}", *nodes, **options))
    return command(*phases)


def most_at_once(made: Plan, slots: int | None) -> dict[int, int]:
    spans = predict(made, max_parallelism=slots).spans
    most: dict[int, int] = defaultdict(int)
    for item in made.nodes:
        moment = spans[item.id].start
        running = [other for other in made.nodes if spans[other.id].start <= moment < spans[other.id].end]
        most[-1] = max(most[-1], len(running))
        most[item.phase] = max(most[item.phase], sum(other.phase == item.phase for other in running))
    return most


@given(commands(), st.one_of(st.none(), st.integers(1, 3)))
def test_a_forecast_keeps_dependencies_barriers_and_limits(raw: dict[str, Any], slots: int | None) -> None:
    made = plan(raw)
    line = predict(made, max_parallelism=slots)
    for item in made.nodes:
        span = line.spans[item.id]
        assert span.end - span.start == item.estimate
        assert all(line.spans[name].end <= span.start for name in item.depends_on)
        if made.phases[item.phase].barrier:
            assert all(line.spans[other.id].end <= span.start for other in made.nodes if other.phase < item.phase)
    most = most_at_once(made, slots)
    assert slots is None or most[-1] <= slots
    assert all(item.limit is None or most[item.index] <= item.limit for item in made.phases)
    assert line.total == max(span.end for span in line.spans.values())


@given(commands())
def test_the_path_of_a_forecast_is_gapless_and_as_long_as_the_run(raw: dict[str, Any]) -> None:
    made = plan(raw)
    line = predict(made)
    spans = [line.spans[name] for name in line.path]
    assert spans[0].start.total_seconds() == 0
    assert spans[-1].end == line.total
    assert all(one.end == two.start for one, two in itertools.pairwise(spans))


@given(commands())
def test_no_run_is_shorter_than_its_longest_way_or_longer_than_all_its_work(raw: dict[str, Any]) -> None:
    made = plan(raw)
    total = predict(made).total
    assert max(item.rank for item in made.nodes if not item.depends_on) <= total <= made.sequential_time
    assert made.critical_path_time <= made.sequential_time


@given(st.dictionaries(st.integers(0, 9).map(str), st.lists(st.integers(0, 9).map(str), max_size=4, unique=True)))
def test_there_are_cycles_exactly_where_there_is_no_order(dependencies: dict[str, list[str]]) -> None:
    cycles = shortest_cycles(dependencies)
    assert bool(cycles) == (topological_order(dependencies) is None)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        assert all(need in dependencies[name] for name, need in zip(cycle, (*cycle[1:], cycle[0]), strict=True))
