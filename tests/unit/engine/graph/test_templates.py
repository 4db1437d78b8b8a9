"""Nodes with forEach and repeat become templates."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.errors import InvalidCommand
from engine.graph import as_learned, with_estimates
from engine.graph.compile import LONGEST
from engine.ids import count_id
from engine.model.agent import Agent
from engine.model.plan import NodeKind
from engine.model.policy import InputSpec, Merge, OutputDecl
from engine.runtime.projections import samples
from tests.support.by_hand import ByHand
from tests.support.definitions import command, in_place, node, phase, plan

EACH = {"items": "files", "as": "file"}
CONTEXT = {
    "inputs": [{"key": "files"}, {"key": "style", "transform": "$.a"}],
    "outputs": [{"key": "done", "ttl": 60, "persist": True}],
}


def test_what_holds_once_stays_and_what_holds_for_each_goes_into_the_template() -> None:
    undo = {"type": "rollback", "task": "Undo it"}
    raw = node(
        "cover",
        "find",
        forEach=EACH,
        context=CONTEXT,
        compensation=undo,
        retryPolicy={"maxAttempts": 2},
        timeout=400_000,
        approval={"message": "Go on?"},
        priority=3,
    )
    [_, cover] = plan(command(phase("one", node("find"), raw))).nodes
    assert (cover.kind, cover.inner, cover.retry, cover.compensation) == (NodeKind.SUB_COMMAND, (), None, None)
    assert (cover.depends_on, cover.approval, [item.key for item in cover.inputs]) == (
        ("find",),
        "Go on?",
        ["files", "style"],
    )
    assert cover.outputs == (OutputDecl(key="done", ttl=timedelta(seconds=60), persist=True),)
    assert cover.template is not None
    [instance] = cover.template.nodes
    assert (instance.id, instance.scope, instance.kind, instance.priority) == ("cover/*", "cover/*/", NodeKind.AGENT, 3)
    assert instance.retry is not None
    assert instance.compensation is not None
    assert (instance.timeout, instance.approval, instance.depends_on) == (timedelta(milliseconds=400_000), None, ())
    assert instance.inputs == tuple(InputSpec(key=key, required=False) for key in ("style", "file", "number"))
    assert instance.outputs == (OutputDecl(key="done"),)


def test_an_iteration_writes_to_the_values_of_its_loop() -> None:
    raw = node("fix", repeat={"until": "done == 1"}, context={"outputs": [{"key": "done", "merge": "append"}]})
    [fix] = plan(command(phase("one", raw))).nodes
    assert fix.template is not None
    [instance] = fix.template.nodes
    assert (instance.scope, instance.target, instance.outputs[0].merge) == ("fix/*/", "fix/", Merge.APPEND)
    assert [item.key for item in instance.inputs] == ["done", "iteration"]


def test_templates_are_inside_each_other() -> None:
    inner = node("write", repeat={"until": "iteration == 2"})
    outer = in_place("cover", phase("in", inner), forEach=EACH, context={"inputs": [{"key": "files"}]})
    made = plan(command(phase("one", outer)))
    assert [one.id for one in made.with_templates()] == ["cover", "cover/*", "cover/*/write", "cover/*/write/*"]
    group = next(one for one in made.with_templates() if one.id == "cover/*")
    assert (group.timeout, group.inner) == (LONGEST, (0,))


def test_a_loop_has_as_many_levels_as_its_phases() -> None:
    with pytest.raises(InvalidCommand, match="forEach and repeat"):
        plan(command(phase("one", node("fix", forEach=EACH, repeat={"until": "1 == 1"}))))


@pytest.mark.parametrize(
    ("fields", "limit", "minutes"),
    [({}, None, 2), ({"maxParallelism": 2}, None, 4), ({}, 1, 6), ({"estimatedItems": 7, "maxParallelism": 3}, 2, 8)],
)
def test_the_length_of_a_list_follows_from_what_it_assumes(
    fields: dict[str, int], limit: int | None, minutes: int
) -> None:
    raw = node("cover", minutes=2, forEach=EACH | fields, context={"inputs": [{"key": "files"}]})
    extra = {} if limit is None else {"maxParallelism": limit}
    made = plan(command(phase("one", raw, **extra), phase("two", node("last", "cover"))))
    assert made.nodes[0].estimate == timedelta(minutes=minutes)
    assert made.critical_path_time == timedelta(minutes=minutes + 1)
    assert made.sequential_time == timedelta(minutes=2 * fields.get("estimatedItems", 3) + 1)


def test_the_words_of_agents_are_a_list_under_the_id_of_the_node() -> None:
    raw = node("cover", forEach=EACH | {"failures": "lost"}, context={"inputs": [{"key": "files"}]})
    [cover] = plan(command(phase("one", raw)), agents=(Agent(id="worker"),)).nodes
    assert cover.template is not None
    assert [output.key for output in cover.outputs] == ["cover", "lost"]
    assert cover.template.nodes[0].outputs == (OutputDecl(key="cover", required=False),)


def test_a_condition_belongs_to_the_item_only_if_it_reads_it() -> None:
    def skips(expression: str) -> tuple[bool, bool]:
        skip = {"type": "context", "expression": expression}
        raw = node("cover", forEach=EACH, context={"inputs": [{"key": "files"}]}, skipCondition=skip)
        [cover] = plan(command(phase("one", raw))).nodes
        assert cover.template is not None
        return cover.skip is not None, cover.template.nodes[0].skip is not None

    assert skips("file == 1") == skips("number == 1") == (False, True)
    assert skips("files == 1") == skips("file ==") == (True, False)


def test_a_condition_on_files_is_asked_once() -> None:
    skip = {"type": "file_exists", "expression": "done.txt"}
    raw = node("cover", forEach=EACH, context={"inputs": [{"key": "files"}]}, skipCondition=skip)
    [cover] = plan(command(phase("one", raw))).nodes
    assert cover.template is not None
    assert (cover.skip is not None, cover.template.nodes[0].skip) == (True, None)


def test_learned_times_are_those_of_the_template() -> None:
    raw = node("cover", minutes=2, forEach=EACH, context={"inputs": [{"key": "files"}]})
    made = plan(command(phase("one", raw), phase("two", node("last", "cover")), name="/test"))
    known = as_learned(made, {"cover/*": 600.0})
    assert (known.nodes[0].estimate, known.critical_path_time) == (timedelta(minutes=10), timedelta(minutes=11))
    ranked = with_estimates(made, {"cover/*": 600.0})
    cover = ranked.nodes[0]
    assert cover.template is not None
    assert (cover.rank - cover.estimate, cover.template.nodes[0].rank) == (timedelta(minutes=1), timedelta(minutes=10))
    assert cover.template.nodes[0].estimate == timedelta(minutes=2)


@pytest.mark.parametrize(("known", "minutes"), [(7.4, 14), (0.0, 2), (9_999.0, 200)])
def test_a_list_is_as_long_as_in_earlier_runs(known: float, minutes: int) -> None:
    raw = node("cover", minutes=2, forEach=EACH | {"maxParallelism": 1}, context={"inputs": [{"key": "files"}]})
    made = plan(command(phase("one", raw), phase("two", node("last", "cover")), name="/test"))
    learned: dict[str, float] = {count_id("cover"): known}
    assert as_learned(made, learned).critical_path_time == timedelta(minutes=minutes + 1)
    assert as_learned(made, learned).sequential_time == timedelta(minutes=minutes + 1)
    assert with_estimates(made, learned).nodes[0].rank == timedelta(minutes=minutes + 1)


@pytest.mark.parametrize(("known", "minutes"), [(3.0, 6), (50.0, 10)])
def test_a_loop_has_as_many_iterations_as_in_earlier_runs(known: float, minutes: int) -> None:
    raw = node("fix", minutes=2, repeat={"until": "iteration == 9", "maxIterations": 5})
    found = as_learned(plan(command(phase("one", raw))), {"fix/#": known})
    assert (found.critical_path_time, found.sequential_time) == (timedelta(minutes=minutes),) * 2


def test_the_numbers_of_items_and_iterations_are_learned() -> None:
    inner = node("write", repeat={"until": "iteration == 2"})
    cover = in_place("cover", phase("in", inner), forEach=EACH)
    cover["context"] = {"inputs": [{"key": "files", "default": ["a", "b", "c"]}]}
    run = ByHand(command(phase("one", cover)))
    while run.live():
        run.succeed(run.live()[0])
    found = {sample.node: sample.seconds for sample in samples(run.run)}
    assert (found[count_id("cover")], found[count_id("cover/*/write")]) == (3, 2)


def test_nothing_is_learned_of_a_list_that_failed() -> None:
    raw = node("cover", forEach=EACH, context={"inputs": [{"key": "files", "default": ["a", "b"]}]})
    run = ByHand(command(phase("one", raw)))
    run.fail("cover/1")
    run.succeed("cover/2")
    assert run.state() == "failed"
    assert count_id("cover") not in {sample.node for sample in samples(run.run)}
