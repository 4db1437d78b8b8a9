from __future__ import annotations

from typing import Any

import pytest

from engine.validation import validate_definition
from registry.dialects.migrate import migrate
from tests.unit.registry.dialects.test_migrate import carried, command, only, told, work

AGENT = {"claude": None}


@pytest.mark.parametrize(
    ("fields", "each", "inputs"),
    [
        ({"forEach": "files"}, {"items": "files", "as": "item"}, [{"key": "files"}]),
        ({"foreach": "${context.files}", "as": "file"}, {"items": "files", "as": "file"}, [{"key": "files"}]),
        (
            {"iterateOver": "{{ scan.files }}"},
            {"items": "scan", "as": "item"},
            [{"key": "scan", "transform": "$.files"}],
        ),
        (
            {"forEach": {"in": "files", "variable": "file", "concurrency": 3, "continueOnError": True, "maxItems": 9}},
            {"items": "files", "as": "file", "maxItems": 9, "maxParallelism": 3, "continueOnError": True},
            [{"key": "files"}],
        ),
        (
            {"each": {"list": "$.a", "sequential": True}},
            {"items": "a", "as": "item", "maxParallelism": 1},
            [{"key": "a"}],
        ),
        ({"each": {"list": "a", "parallel": True}}, {"items": "a", "as": "item"}, [{"key": "a"}]),
        ({"each": {"list": "a", "parallel": False}}, {"items": "a", "as": "item", "maxParallelism": 1}, [{"key": "a"}]),
        ({"forEach": ["a", "b"]}, {"items": "work_items", "as": "item"}, [{"key": "work_items"}]),
    ],
)
def test_a_list_that_an_older_node_walks_is_its_for_each(
    fields: dict[str, Any], each: dict[str, Any], inputs: list[dict[str, Any]]
) -> None:
    node = carried(**fields)
    assert node["forEach"] == each
    assert node["context"]["inputs"] == inputs


def test_a_list_in_the_file_is_an_initial_value() -> None:
    assert migrate(command(work(forEach=["a"]))).definition["globalContext"] == {"initial": {"work_items": ["a"]}}


def test_an_input_that_is_there_is_not_repeated() -> None:
    node = carried(forEach="files", context={"inputs": ["files"]})
    assert [one["key"] for one in node["context"]["inputs"]] == ["files"]
    assert carried(forEach="files", context={"inputs": [7]})["context"]["inputs"] == [7, {"key": "files"}]


def test_the_item_in_a_task_is_written_as_in_v2() -> None:
    node = carried(forEach="files", **{"as": "file"}, task="Test {{ file.path }} and {{other}}")
    assert node["task"] == "Test ${file.path} and {{other}}"
    assert carried(forEach="files", task=7)["task"] == 7


@pytest.mark.parametrize(
    ("fields", "repeat"),
    [
        (
            {"until": "context.result.passed === true", "maxIterations": 4},
            {"until": "result.passed == true", "maxIterations": 4},
        ),
        ({"loop": {"until": "done", "limit": 3}}, {"until": "done", "maxIterations": 3}),
        ({"repeat": {"condition": "done", "maxIterations": 3}}, None),
        ({"until": {"condition": "done", "max_iterations": 3}}, {"until": "done", "maxIterations": 3}),
        ({"loop": 3}, {"until": "iteration == 3", "maxIterations": 3}),
        ({"repeat": {"times": 2}}, {"until": "iteration == 2", "maxIterations": 2}),
        (
            {"loop": {"until": "done", "maxIterations": 2, "delay": 500}},
            {"until": "done", "maxIterations": 2, "interval": 500},
        ),
        ({"while": "!done", "maxIterations": 5}, {"until": "!(!done)", "maxIterations": 5}),
        ({"loop": {"until": "done"}}, None),
        ({"loop": {"until": "done", "maxIterations": 101}}, None),
        ({"loop": {"until": "done +", "maxIterations": 2}}, None),
        ({"loop": {"times": 2, "maxIterations": 5}}, None),
        ({"loop": {"until": "done", "maxIterations": 2, "delay": "5s"}}, None),
        ({"loop": {"until": "done", "maxIterations": 2, "parallel": True}}, None),
        ({"loop": {"condition": "done", "maxIterations": 2}}, None),
        ({"loop": {"maxIterations": 2}}, None),
        ({"loop": "files"}, None),
        ({"loop": True}, None),
        ({"while": "done"}, None),
        ({"while": ["done"], "maxIterations": 2}, None),
    ],
)
def test_an_older_loop_is_a_repeat_only_if_it_means_the_same(
    fields: dict[str, Any], repeat: dict[str, Any] | None
) -> None:
    word = next(name for name in fields if name in {"until", "loop", "repeat", "while"})
    migration = migrate(command(work(**fields)))
    node = only(migration)
    assert node.get("repeat") == repeat
    assert "maxIterations" not in node or repeat is None
    assert (("DIALECT_NOT_CARRIED", f"/phases/0/agents/0/{word}") in told(migration)) is (repeat is None)


def test_a_while_is_asked_before_the_first_turn_too() -> None:
    fields = {"while": "result.passed != true", "maxIterations": 3}
    assert carried(**fields)["skipCondition"] == {"type": "context", "expression": "!(result.passed != true)"}
    assert carried(**fields, skipIf="off")["skipCondition"]["expression"] == "(off) || (!(result.passed != true))"


@pytest.mark.parametrize(
    "fields",
    [
        {"forEach": "the files"},
        {"forEach": {"as": "file"}},
        {"forEach": {"in": "files", "as": "a file"}},
        {"forEach": {"in": "files", "batch": 5}},
        {"forEach": 3},
        {"matrix": {"os": ["a", "b"]}},
    ],
)
def test_another_list_is_an_error_that_says_what_to_write(fields: dict[str, Any]) -> None:
    migration = migrate(command(work(**fields)))
    problem = next(one for one in migration.problems if one.code == "DIALECT_NOT_CARRIED")
    assert problem.suggestion is not None
    assert '"items"' in problem.suggestion


@pytest.mark.parametrize(("word", "advice"), [("switch", "skipCondition"), ("goto", "dependencies")])
def test_a_branch_is_an_error_that_says_what_to_write(word: str, advice: str) -> None:
    migration = migrate(command(work(**{word: {"a": "b"}})))
    problem = next(one for one in migration.problems if one.code == "DIALECT_NOT_CARRIED")
    assert problem.suggestion is not None
    assert advice in problem.suggestion


def test_two_loops_on_a_node_are_errors_and_our_own_stay() -> None:
    told_of = told(migrate(command(work(forEach="files", loop=3))))
    assert ("DIALECT_NOT_CARRIED", "/phases/0/agents/0/forEach") in told_of
    assert ("DIALECT_NOT_CARRIED", "/phases/0/agents/0/loop") in told_of
    ours = {"items": "files", "as": "file"}
    assert carried(forEach=ours)["forEach"] == ours
    both = migrate(command(work(forEach=ours, loop=3)))
    assert ("DIALECT_NOT_CARRIED", "/phases/0/agents/0/loop") in told(both)


def test_a_converted_loop_is_valid() -> None:
    find = work(id="find", context={"outputs": [{"key": "files", "schema": {"type": "array"}}]})
    cover = work(id="cover", forEach="files", dependsOn=["find"])
    result = {"outputs": [{"key": "result", "schema": {"type": "object", "required": ["passed"]}}]}
    fix = work(id="fix", context=result, **{"while": "result.passed != true"}, maxIterations=3)
    definition = migrate(command(find, cover, fix)).definition
    assert [one.code for one in validate_definition(definition, agents=AGENT).errors] == []
