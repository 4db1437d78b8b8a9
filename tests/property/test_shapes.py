"""Laws of forEach and repeat that hold whatever the items, whatever fails and in whichever order things end."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.ids import NodeId
from engine.run import events as ev
from engine.run.events import Role, RunStatus
from engine.run.lookup import parts_at
from engine.run.state import NodeStatus
from engine.values.reading import joined
from tests.support.by_hand import ByHand, rollback
from tests.support.definitions import Raw, command, in_place, node, phase

LISTS = st.lists(st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.lists(st.integers(), max_size=2)))
MOST = st.sampled_from([None, 1, 2, 3])
LUCK = st.integers(0, 2**32)


class Quick(ByHand):
    """Compared with its journal now and then only."""

    every = 5

    def value(self, key: str) -> Any:  # noqa: ANN401 - JSON
        """The value of *key* at the top; `...` if it has none."""
        parts = parts_at(self.run, key, self.run.version)
        return joined(parts, self.values.get) if parts else ...


def listed(items: list[Any], limit: int | None, **fields: Any) -> Quick:  # noqa: ANN401 - fields of a node
    """A run with an instance for each of *items*."""
    cover: Raw = node("cover", context={"outputs": [{"key": "seen"}]}, **fields)
    cover["context"]["inputs"] = [{"key": "things", "default": items}]
    cover["forEach"] = {"items": "things", "continueOnError": True, "failures": "lost"}
    if limit is not None:
        cover["forEach"]["maxParallelism"] = limit
    return Quick(command(phase("one", cover)))


def play(run: Quick, dice: Random, *, fails: float = 0.3, crashes: float = 0.1) -> None:
    """End what runs in any order; an item answers with what it was given."""
    while not run.run.ended:
        if dice.random() < crashes:
            run.crash()
            run.resume()
        name = dice.choice(run.live())
        if run.node(name).live.role is Role.FORWARD and dice.random() < fails:  # type: ignore[union-attr]
            run.fail(name)
        else:
            run.succeed(name, seen=run.value(f"{name}/item"))


@given(items=LISTS, limit=MOST, luck=LUCK)
def test_every_item_is_done_once_and_what_it_gave_is_in_the_order_of_the_items(
    items: list[Any], limit: int | None, luck: int
) -> None:
    run = listed(items, limit)
    play(run, Random(luck))  # noqa: S311 - repeatable by intent
    done = [event.node for event in run.events if isinstance(event, ev.AttemptSucceeded) and "/" in event.node]
    failed = {name for name, one in run.run.nodes.items() if one.status is NodeStatus.FAILED and "/" in name}
    assert len(done) == len(set(done))
    assert {*done, *failed} == {f"cover/{number}" for number in range(1, len(items) + 1)}
    kept = [item for number, item in enumerate(items, start=1) if f"cover/{number}" not in failed]
    if kept or not items:
        assert run.value("seen") == kept, "and no null stands for one that failed"
        assert [lost["item"] for lost in run.value("lost")] == [
            item for number, item in enumerate(items, start=1) if f"cover/{number}" in failed
        ]
    expected = RunStatus.COMPLETED if not failed else RunStatus.DEGRADED if kept else RunStatus.FAILED
    assert run.run.status is expected


@given(items=LISTS, limit=MOST, luck=LUCK)
def test_no_more_than_allowed_run_at_once_and_their_number_never_changes(
    items: list[Any], limit: int | None, luck: int
) -> None:
    run = listed(items, limit)
    dice = Random(luck)  # noqa: S311 - repeatable by intent
    names = set(run.run.nodes)
    assert len(names) == len(items) + 1
    while not run.run.ended:
        assert len(run.live()) == min(
            limit or len(items), sum(not one.settled for name, one in run.run.nodes.items() if "/" in name)
        ), "as many as may run do run"
        assert set(run.run.nodes) == names
        if dice.random() < 0.1:
            run.crash()
            run.resume()
        run.succeed(dice.choice(run.live()), seen=1)
    assert set(run.run.nodes) == names


@given(items=LISTS, limit=MOST, luck=LUCK)
def test_a_run_resumed_at_any_commit_ends_as_the_one_that_was_never_broken(
    items: list[Any], limit: int | None, luck: int
) -> None:
    whole = listed(items, limit)
    play(whole, Random(luck), crashes=0)  # noqa: S311 - repeatable by intent
    broken = listed(items, limit)
    play(broken, Random(luck), crashes=0)  # noqa: S311 - repeatable by intent
    broken.cut(Random(luck).choice(broken.turns))  # noqa: S311 - repeatable by intent
    if not broken.run.ended:
        broken.crash()
        broken.resume()
    fails = {name for name, one in whole.run.nodes.items() if one.status is NodeStatus.FAILED and "/" in name}
    while not broken.run.ended:
        name = broken.live()[0]
        if name in fails:
            broken.fail(name)
        else:
            broken.succeed(name, seen=broken.value(f"{name}/item"))
    assert broken.run.status is whole.run.status
    assert [broken.value(key) for key in ("seen", "lost")] == [whole.value(key) for key in ("seen", "lost")]
    assert {name: one.status for name, one in broken.run.nodes.items()} == {
        name: one.status for name, one in whole.run.nodes.items()
    }


@given(answers=st.lists(st.booleans(), min_size=1, max_size=8), most=st.integers(1, 8), luck=LUCK)
def test_no_iteration_runs_after_the_condition_held_and_none_is_left_out(
    answers: list[bool], most: int, luck: int
) -> None:
    fix = node("fix", context={"outputs": [{"key": "ok"}, {"key": "tried", "merge": "append"}]})
    fix["repeat"] = {"until": "ok == true", "maxIterations": most}
    run = Quick(command(phase("one", fix)))
    dice = Random(luck)  # noqa: S311 - repeatable by intent
    asked: list[str] = []
    while not run.run.ended:
        if dice.random() < 0.2:
            run.crash()
            run.resume()
        [name] = run.live()
        asked.append(name)
        at = len(asked) - 1
        run.succeed(name, ok=answers[at] if at < len(answers) else False, tried=at)
    held = answers.index(True) + 1 if True in answers else None
    expected = most if held is None or held > most else held
    assert asked == [f"fix/{number}" for number in range(1, expected + 1)]
    assert (run.run.status is RunStatus.COMPLETED) == (held is not None and held <= most)
    if run.run.status is RunStatus.COMPLETED:
        assert run.value("tried") == list(range(expected)), "all joined, in the order of the iterations"


@given(count=st.integers(1, 5), rounds=st.integers(1, 3), limit=MOST, luck=LUCK)
def test_all_that_started_is_undone_once_the_last_to_start_first_and_the_inside_before_the_whole(
    count: int, rounds: int, limit: int | None, luck: int
) -> None:
    write = node("write", compensation=rollback(), repeat={"until": f"iteration == {rounds}", "maxIterations": 3})
    cover = in_place("cover", phase("in", write), compensation=rollback(agentId="worker"))
    cover["forEach"] = {"items": "things"} | ({} if limit is None else {"maxParallelism": limit})
    cover["context"] = {"inputs": [{"key": "things", "default": list(range(count))}]}
    run = Quick(command(phase("one", cover), phase("two", node("last"))))
    dice = Random(luck)  # noqa: S311 - repeatable by intent
    while "last" not in run.live():
        run.succeed(dice.choice(run.live()))
    begun = [
        event.node for event in run.events if isinstance(event, ev.AttemptScheduled) and event.node.count("/") in {1, 3}
    ]
    run.fail("last")
    while not run.run.ended:
        run.succeed(dice.choice(run.live()))
    undone = run.undone()
    assert sorted(undone) == sorted(begun)
    for place, name in enumerate(undone):
        assert not any(other.startswith(f"{name}/") for other in undone[place:])
    for number in range(1, count + 1):
        turns = [name for name in undone if name.startswith(f"cover/{number}/")]
        assert turns == [f"cover/{number}/write/{turn}" for turn in range(rounds, 0, -1)]
    assert {run.run.nodes[NodeId(name)].status for name in begun} == {NodeStatus.COMPENSATED}
