from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from engine.errors import InvalidCommand
from engine.graph import order, shortest_cycles, topological_order
from tests.support.definitions import command, node, phase, plan


def ranks(*phases: dict[str, object]) -> dict[str, float]:
    return {item.id: item.rank / timedelta(minutes=1) for item in plan(command(*phases)).nodes}


def test_a_rank_is_the_longest_way_to_the_end() -> None:
    assert ranks(phase("one", node("a", minutes=1), node("b", "a", minutes=5), node("c", "a", minutes=2))) == {
        "a": 6,
        "b": 5,
        "c": 2,
    }


def test_a_rank_goes_on_behind_the_next_phases_gate() -> None:
    assert ranks(phase("one", node("a"), node("b", minutes=3)), phase("two", node("c", minutes=4))) == {
        "a": 5,
        "b": 7,
        "c": 4,
    }


def test_a_rank_stops_where_the_next_phase_does_not_wait() -> None:
    phases = (
        phase("one", node("a"), node("b", minutes=3)),
        phase("two", node("c", "a", minutes=4), barrier=False),
        phase("three", node("d", minutes=10)),
    )
    assert ranks(*phases[:2]) == {"a": 5, "b": 3, "c": 4}
    assert ranks(*phases) == {"a": 15, "b": 13, "c": 14, "d": 10}


def test_a_serial_phase_weighs_as_much_as_all_its_nodes() -> None:
    assert ranks(
        phase("one", node("a")),
        phase("two", node("b", minutes=2), node("c", minutes=3), parallel=False),
        phase("three", node("d", minutes=4)),
    ) == {"a": 10, "b": 6, "c": 7, "d": 4}


def test_sorting_puts_dependencies_first_and_ignores_unknown_names() -> None:
    assert topological_order({"c": ["b", "ghost"], "b": ["a"], "a": []}) == ["a", "b", "c"]
    assert topological_order({"a": ["b"], "b": ["a"]}) is None


def test_no_cycle_no_answer() -> None:
    assert shortest_cycles({"a": [], "b": ["a"]}) == []


def test_a_cycle_reads_as_depends_on_from_the_first_in_the_file() -> None:
    assert shortest_cycles({"frontend": ["backend"], "backend": ["database"], "database": ["frontend"]}) == [
        ("frontend", "backend", "database")
    ]


def test_each_knot_gives_one_shortest_cycle_in_file_order() -> None:
    dependencies = {
        "start": [],
        "self": ["self", "start"],
        "a": ["b"],
        "b": ["c", "self"],
        "c": ["d"],
        "d": ["a", "c"],
        "x": ["y", "a"],
        "y": ["x"],
    }
    assert shortest_cycles(dependencies) == [("self",), ("c", "d"), ("x", "y")]


def test_a_long_ring_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []
    original = order._cycle_through

    def counted(start: str, *args: object, **options: object) -> object:
        rounds.append(start)
        return original(start, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(order, "_cycle_through", counted)
    size = 5000
    [cycle] = shortest_cycles({f"n{at}": [f"n{(at + 1) % size}"] for at in range(size)})
    assert len(cycle) == size
    assert rounds == ["n0"]


def test_a_dense_knot_is_given_up_with_the_best_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "SEARCH_BUDGET", 0)
    ring = {f"n{at}": [f"n{(at + 1) % 6}"] for at in range(6)}
    ring["n4"].append("n3")
    assert shortest_cycles(ring) == [tuple(f"n{at}" for at in range(6))]
    monkeypatch.undo()
    assert shortest_cycles(ring) == [("n3", "n4")]


def test_a_node_between_two_cycles_is_on_none_of_them() -> None:
    knot = {"hub": ["p"], "between": ["x"], "p": ["q"], "q": ["p", "between"], "x": ["y"], "y": ["x", "hub"]}
    assert shortest_cycles(knot) == [("p", "q")]


def test_a_plan_with_a_cycle_is_refused_with_the_path() -> None:
    raw = command(phase("one", node("a", "b"), node("b", "a")), name="/my-command")
    with pytest.raises(InvalidCommand) as caught:
        plan(raw)
    assert caught.value.message == "Circular dependency detected in command '/my-command'\n  a → b → a"


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ((phase("one", node("a", "b")), phase("two", node("b"))), "later phase"),
        ((phase("one", node("a", "ghost")),), "'ghost', which does not exist"),
        ((phase("one", node("a")), phase("two", node("a"))), "'a' is used twice"),
    ],
)
def test_what_cannot_be_ordered_is_refused(phases: tuple[dict[str, object], ...], message: str) -> None:
    with pytest.raises(InvalidCommand, match=message):
        plan(command(*phases))


def test_a_sound_command_compiles_without_importing_networkx() -> None:
    program = (
        "import sys; from tests.support.definitions import plan, review_code; plan(review_code());"
        "sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
