"""Simulations of forEach and repeat: made-up lists, values that end a loop, and names of instances."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InputError
from tests.support.definitions import Raw, command, in_place, node, phase
from tests.support.runs import simulated, states

FILES = {"type": "array", "items": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}}}


def pipeline(**fields: Any) -> Raw:  # noqa: ANN401 - JSON
    """Tests are written for each file until they pass."""
    find = node("find", context={"outputs": [{"key": "files", "schema": FILES}]})
    schema = {"type": "object", "required": ["passed"], "properties": {"passed": {"type": "boolean"}}}
    write = node("write", context={"inputs": [{"key": "file"}], "outputs": [{"key": "result", "schema": schema}]})
    write["repeat"] = {"until": "result.passed == true", "maxIterations": 3}
    cover = in_place("cover", phase("work", write), needs=("find",))
    cover["forEach"] = {"items": "files", "as": "file", "continueOnError": True, **fields}
    cover["context"] = {"inputs": [{"key": "files"}], "outputs": [{"key": "result"}]}
    return command(phase("only", find, cover))


def test_a_list_has_as_many_items_as_its_node_assumes() -> None:
    done = simulated(pipeline(estimatedItems=2))
    assert states(done) == dict.fromkeys(
        ["find", "cover", *(f"cover/{at}{rest}" for at in (1, 2) for rest in ("", "/write", "/write/1"))], "completed"
    )
    assert any("Assumed for conditions and lists: " in warning for warning in done.run.plan.warnings)


def test_items_that_need_a_name_get_one() -> None:
    assert states(simulated(pipeline(key="$.path")))["cover"] == "completed"


def test_a_list_may_be_given() -> None:
    done = simulated(pipeline(), given=('find.files=[{"path": "a"}]',))
    assert [name for name in states(done) if name.count("/") == 1] == ["cover/1"]


def test_values_of_one_iteration_and_of_all_may_be_given() -> None:
    given = ('cover/1/write/1.result={"passed": false}',)
    assert "cover/1/write/2" in states(simulated(pipeline(estimatedItems=1), given=given))
    done = simulated(pipeline(estimatedItems=1), given=('cover/*/write/*.result={"passed": false}',))
    assert states(done)["cover"] == "failed"


def test_one_iteration_may_fail() -> None:
    done = simulated(pipeline(estimatedItems=2), fail=("cover/2/write/1=timeout",))
    assert (states(done)["cover/2"], states(done)["cover"]) == ("failed", "completed")
    assert done.lost == ()


def test_an_instance_that_never_came_is_reported() -> None:
    done = simulated(pipeline(estimatedItems=2), fail=("cover/7/write/1=error",))
    assert done.lost == ('the failure of "cover/7/write/1" never happened: the run had no such instance',)


@pytest.mark.parametrize("name", ["cover", "cover/1/write", "cover/1/lost/1"])
def test_a_name_that_does_no_work_is_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        simulated(pipeline(), fail=(f"{name}=error",))
    assert caught.value.code == "INVALID_FAULT"


def test_a_list_that_a_transform_selects_is_made_up_too() -> None:
    find = node("find", context={"outputs": [{"key": "found"}]})
    cover = node("cover", "find", forEach={"items": "found", "estimatedItems": 2})
    cover["context"] = {"inputs": [{"key": "found", "transform": "$.files"}]}
    assert states(simulated(command(phase("only", find, cover))))["cover/2"] == "completed"


@pytest.mark.parametrize(
    ("schema", "count"),
    [
        ({"type": "array"}, 3),
        ({"type": "array", "maxItems": 2}, 1),
        ({"type": "array", "minItems": 2, "maxItems": 2}, 2),
        ({"type": "array", "minItems": 4}, 4),
    ],
)
def test_a_list_has_as_many_items_as_its_schema_allows(schema: Raw, count: int) -> None:
    find = node("find", context={"outputs": [{"key": "files", "schema": schema}]})
    cover = node("cover", "find", forEach={"items": "files", "estimatedItems": 3})
    cover["context"] = {"inputs": [{"key": "files"}]}
    done = simulated(command(phase("only", find, cover)))
    assert sum("/" in name for name in states(done)) == count


def test_a_list_deep_in_another_value_needs_a_value() -> None:
    find = node("find", context={"outputs": [{"key": "found"}]})
    cover = node("cover", "find", forEach={"items": "found"})
    cover["context"] = {"inputs": [{"key": "found", "transform": "$[0].files"}]}
    raw = command(phase("only", find, cover))
    assert states(simulated(raw))["cover"] == "failed"
    assert states(simulated(raw, given=('find.found=[{"files": [1]}]',)))["cover/1"] == "completed"


def test_a_loop_that_asks_for_more_iterations_gets_them() -> None:
    fix = node("fix", repeat={"until": "iteration == 2"})
    assert states(simulated(command(phase("only", fix)))) == dict.fromkeys(["fix", "fix/1", "fix/2"], "completed")


def test_one_iteration_is_enough_where_the_condition_reads_its_number_too() -> None:
    fix = node("fix", repeat={"until": "iteration < 3 && result.passed == true"})
    fix["context"] = {"outputs": [{"key": "result"}]}
    assert states(simulated(command(phase("only", fix)))) == dict.fromkeys(["fix", "fix/1"], "completed")


def test_values_of_conditions_inside_instances_come_from_around_them() -> None:
    find = node("find", context={"outputs": [{"key": "files", "schema": FILES}, {"key": "goal"}]})
    inner = node("write", skipCondition={"type": "context", "expression": "goal != 'more'"})
    inner["context"] = {"inputs": [{"key": "goal"}]}
    cover = in_place("cover", phase("work", inner), needs=("find",))
    cover["forEach"] = {"items": "files", "estimatedItems": 1}
    cover["context"] = {"inputs": [{"key": "files"}, {"key": "goal"}]}
    done = simulated(command(phase("only", find, cover)))
    assert states(done)["cover/1/write"] == "completed"
