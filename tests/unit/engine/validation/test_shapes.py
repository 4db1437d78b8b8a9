"""The rules about forEach and repeat."""

from __future__ import annotations

import pytest

from engine.validation import Severity
from tests.support.definitions import Raw, command, node, phase
from tests.unit.engine.validation.examples import (
    FILES,
    MAKES,
    again,
    asks,
    call,
    each,
    found,
    one,
    place,
    reads,
    validate,
    writes,
)


def errors(raw: Raw, *commands: Raw) -> list[tuple[str, str]]:
    """Codes and places of the errors of *raw*."""
    problems = validate(raw, commands).problems
    return [(problem.code, problem.pointer) for problem in problems if problem.severity is Severity.ERROR]


def codes(raw: Raw) -> list[str]:
    """The codes of all problems of *raw*."""
    return [problem.code for problem in validate(raw).problems]


AT = "/phases/0/agents/1"
FIND = found(schema=FILES)


@pytest.mark.parametrize(
    ("shape", "where"),
    [
        ({"as": "my item"}, "/forEach/as"),
        ({"maxItems": 0}, "/forEach/maxItems"),
        ({"maxItems": 10_001}, "/forEach/maxItems"),
        ({"maxParallelism": 0}, "/forEach/maxParallelism"),
        ({"continueOnError": "yes"}, "/forEach/continueOnError"),
    ],
)
def test_fields_have_their_ranges(shape: Raw, where: str) -> None:
    assert errors(one(FIND, each(**shape))) == [("SCHEMA", AT + where)]


@pytest.mark.parametrize(
    "shape", [{"maxIterations": 0}, {"maxIterations": 101}, {"onExhausted": "stop"}, {"interval": -1}]
)
def test_fields_of_a_loop_have_their_ranges(shape: Raw) -> None:
    assert errors(one(again("iteration > 1", **shape))) == [
        ("SCHEMA", f"/phases/0/agents/0/repeat/{next(iter(shape))}")
    ]


def test_both_shapes_exclude_each_other() -> None:
    both = each() | {"repeat": {"until": "iteration > 1"}}
    assert errors(one(FIND, both)) == [("SCHEMA", f"{AT}/repeat")]
    inside = place("cover", again("iteration > 1"), needs=("find",), context=reads("files"))
    assert errors(one(FIND, inside | {"forEach": {"items": "files"}})) == []


def test_the_list_is_an_input() -> None:
    assert errors(one(FIND, each(items="fiels"))) == [("ITEMS_NOT_A_LIST", f"{AT}/forEach/items")]


def test_a_list_that_a_transform_selects_may_be_in_anything() -> None:
    read = {"inputs": [{"key": "files", "transform": "$.names"}]}
    assert errors(one(found(schema={"type": "object"}), each(read))) == []


def test_a_list_may_be_made_by_another_list_whatever_the_schema_of_one_item() -> None:
    first = each(reads("files") | writes("lines", schema={"type": "string"}))
    second = each(reads("lines"), items="lines") | {"id": "count", "dependencies": ["cover"]}
    assert errors(one(FIND, first, second)) == []
    assert "ITEMS_WITHOUT_SCHEMA" not in codes(one(FIND, first, second))


def test_a_name_is_a_path() -> None:
    assert errors(one(FIND, each(key="path"))) == [("INVALID_TRANSFORM", f"{AT}/forEach/key")]


def test_the_list_of_failed_items_is_an_output() -> None:
    reader = node("read", "cover", context=reads("failed"))
    assert errors(one(FIND, each(failures="failed"), reader)) == []
    clash = each(reads("files") | writes("failed"), failures="failed")
    assert errors(one(FIND, clash, reader)) == [("OUTPUT_CONFLICT", f"{AT}/forEach/failures")]


def test_two_lists_of_failed_items_may_not_be_one_output() -> None:
    other = each(failures="failed") | {"id": "other"}
    assert errors(one(FIND, each(failures="failed"), other)) == [
        ("OUTPUT_CONFLICT", "/phases/0/agents/2/forEach/failures")
    ]


def test_item_and_number_are_known_inside_and_the_list_is_not() -> None:
    def covered(key: str) -> Raw:
        inside = place("cover", node("write", context=reads(key)), needs=("find",), context=reads("files"))
        return one(FIND, inside | {"forEach": {"items": "files", "as": "file"}})

    assert errors(covered("file")) == errors(covered("number")) == []
    assert [code for code, _ in errors(covered("files"))] == ["INPUT_WITHOUT_PROVIDER"]


def test_an_item_fills_an_argument_of_a_sub_command() -> None:
    inner = command(
        phase("in", node("write", context=reads("path"))), name="/inner", arguments=[{"name": "path", "required": True}]
    )
    calls = call("cover", "/inner", dependencies=["find"], context=reads("files"))
    assert errors(one(FIND, calls | {"forEach": {"items": "files", "as": "path"}}), inner) == []


@pytest.mark.parametrize("name", ["number", "files"])
def test_an_item_has_a_name_of_its_own(name: str) -> None:
    clash = [("NAME_CLASH", f"{AT}/forEach/as")] if name == "number" else []
    assert errors(one(FIND, each(None, **{"as": name})))[:1] == clash


@pytest.mark.parametrize(
    ("until", "place_"), [("result ==", "/repeat/until"), ("resutl == 1", "/repeat/until"), ("size(", "/repeat/until")]
)
def test_a_condition_reads_outputs_and_inputs(until: str, place_: str) -> None:
    assert errors(one(again(until))) == [("INVALID_EXPRESSION", f"/phases/0/agents/0{place_}")]


def test_a_condition_that_no_iteration_changes_is_doubtful() -> None:
    raw = again("goal == 1")
    raw["context"]["inputs"] = [{"key": "goal", "default": 1}]
    assert "UNTIL_UNCERTAIN" in codes(one(raw))
    assert "UNTIL_UNCERTAIN" not in codes(one(again("iteration == 2")))
    assert "UNTIL_UNCERTAIN" in codes(one(again("true")))
    assert "UNTIL_UNCERTAIN" in codes(one(again("1 == 2")))
    assert "UNTIL_UNCERTAIN" not in codes(one(again("false", onExhausted="continue")))  # a fixed number of turns
    assert "UNTIL_UNCERTAIN" not in codes(one(again("true ==")))  # which is an error of its own


def test_an_output_that_the_loop_reads_is_used() -> None:
    raw = again("result == 1")
    del raw["context"]["outputs"][0]["persist"]
    assert "UNUSED_OUTPUT" not in codes(one(raw))
    broken = again("result ==", stopWhenUnchanged=["result"])
    del broken["context"]["outputs"][0]["persist"]
    assert "UNUSED_OUTPUT" not in codes(one(broken))


def test_an_output_of_the_loop_is_absent_in_the_first_iteration() -> None:
    def repaired(**fields: object) -> Raw:
        inputs = [{"key": "result", **fields}]
        write = node("test", "edit", context=writes("result"))
        inside = place("fix", node("edit", context={"inputs": inputs}), write, context=writes("result"))
        return one(inside | {"repeat": {"until": "result == 1"}})

    assert [code for code, _ in errors(repaired())] == ["INPUT_WITHOUT_PROVIDER"]
    assert errors(repaired(required=False)) == errors(repaired(default=0)) == []


def test_a_name_inside_another_of_its_kind_is_an_error_and_numbers_are_not() -> None:
    inner = each(reads("file"), items="file", **{"as": "file"}) | {"dependencies": []}
    outer = place("cover", inner, needs=("find",), context=reads("files")) | {
        "forEach": {"items": "files", "as": "file"}
    }
    assert [code for code, _ in errors(one(FIND, outer))] == ["NAME_CLASH"]
    inner["forEach"]["as"] = "line"
    assert errors(one(FIND, outer)) == []


def test_placeholders_are_looked_at_where_they_stand_for_values() -> None:
    assert errors(one(node("build", task="Build ${flie}"))) == []
    skip = {"type": "file_exists", "expression": "done", "skipMessage": "There is ${fiel}"}
    undo = {"type": "rollback", "task": "Undo ${numbr}"}
    inner = node("write", task="Write ${flie}", compensation=undo, skipCondition=skip)
    outer = place("cover", inner, needs=("find",), context=reads("files")) | {
        "forEach": {"items": "files", "as": "file"}
    }
    assert [code for code, _ in errors(one(FIND, outer))] == ["UNKNOWN_PLACEHOLDER"] * 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Write ${file.a-b}", "${file.a-b}"),
        ("Write ${ file }, ${ file }", "${ file }"),
        ("Write ${file.0}", "${file.0}"),
        ("Write ${file:-none", "${file"),
        ("Write $${file:-none} and ${HOME:-none}", None),
    ],
)
def test_a_placeholder_in_a_wrong_form_is_an_error(text: str, shown: str | None) -> None:
    raw = one(FIND, each(None, **{"as": "file"}) | {"task": text})
    assert [problem.message for problem in validate(raw).problems if problem.severity is Severity.ERROR] == (
        [] if shown is None else [f'"{shown}" in node "cover" stands for nothing']
    )


def test_a_placeholder_where_nothing_is_filled_in_is_an_error() -> None:
    skip = {"type": "file_exists", "expression": "${file}"}
    undo = {"type": "rollback", "description": "Undo ${flie}"}
    loop = {"until": "result == '${iteration}'"}
    write = node("write", task="Write", context=writes("result"), compensation=undo, skipCondition=skip, repeat=loop)
    question = {"message": "Write ${file.path-x}?"}
    ask = node("ask", approval=question)
    outer = place("cover", write, ask, needs=("find",), context=reads("files")) | {
        "forEach": {"items": "files", "as": "file"}
    }
    raw = one(FIND, outer)
    assert [code for code, _ in errors(raw)] == ["UNKNOWN_PLACEHOLDER"] * 4
    skip["expression"], undo["description"] = "${HOME}", "Undo ${file}"
    loop["until"], question["message"] = "result == '$${iteration}'", "Write ${HOME}?"
    assert errors(raw) == []


@pytest.mark.parametrize(
    ("expression", "doubtful"), [("file == 'a'", False), ("size(files) == 0", True), ("file ==", True)]
)
def test_a_list_whose_items_may_be_skipped_still_writes_its_outputs(expression: str, *, doubtful: bool) -> None:
    skip = {"type": "context", "expression": expression}
    cover = each(reads("files") | writes("covered"), **{"as": "file"}) | {"skipCondition": skip}
    raw = one(FIND, cover, node("read", "cover", context=reads("covered")))
    assert ("PROVIDER_MAY_BE_SKIPPED" in codes(raw)) is doubtful


def test_the_list_is_not_passed_on_with_the_rest() -> None:
    inside = place(
        "cover", node("write", context=reads("files")), needs=("find",), context={"passthrough": True} | reads("files")
    )
    raw = one(FIND, inside | {"forEach": {"items": "files"}})
    assert [code for code, _ in errors(raw)] == ["INPUT_WITHOUT_PROVIDER"]


@pytest.mark.parametrize(
    ("shape", "output", "wrong"),
    [
        ({}, {}, True),
        ({}, {"merge": "append"}, True),
        ({"key": "$"}, {}, False),
        ({}, {"merge": "merge"}, False),
        ({}, {"merge": "concat"}, False),
    ],
)
def test_a_member_of_a_collection_is_read_by_its_item(shape: Raw, output: Raw, *, wrong: bool) -> None:
    made = each(reads("files") | writes("results", **output), **shape)
    takes = node("take", "cover", context={"inputs": [{"key": "results", "transform": "$.passed"}]})
    waits = node("wait", "cover", context=reads("results"), repeat={"until": "results.passed == true"})
    found_ = [
        ("COLLECTION_AS_VALUE", "/phases/0/agents/2/context/inputs/0/transform"),
        ("COLLECTION_AS_VALUE", "/phases/0/agents/3/repeat/until"),
    ]
    assert errors(one(FIND, made, takes, waits)) == (found_ if wrong else [])


def test_lengths_items_and_failed_items_of_a_collection_may_be_read() -> None:
    made = each(MAKES, failures="failed")
    reader = node("read", "cover", context={"inputs": [{"key": "results", "transform": "$[0].passed"}]})
    raw = one(FIND, made, asks("results.length == 0"), reader)
    assert errors(raw) == []
    skip = {"type": "context", "expression": "failed.length == 0"}
    last = node("tell", "cover", context=reads("failed"), skipCondition=skip)
    assert errors(one(FIND, made, last)) == []


def test_the_name_of_an_agent_or_a_command_has_no_placeholder() -> None:
    inside = place("cover", node("write", agent="${file}"), needs=("find",), context=reads("files"))
    calls = call("deploy", "/${file} now", dependencies=["find"], context=reads("files"))
    for raw in (inside, calls):
        problems = validate(one(FIND, raw | {"forEach": {"items": "files", "as": "file"}})).problems
        [problem] = [problem for problem in problems if problem.code in {"AGENT_NOT_FOUND", "UNKNOWN_COMMAND"}]
        assert "placeholder" in (problem.suggestion or "")


@pytest.mark.parametrize(
    ("merge", "schema", "fits"),
    [
        ("concat", {"type": "string"}, True),
        ("concat", {"type": ["array", "null"]}, True),
        ("concat", {"type": "number"}, False),
        ("concat", {}, True),
        ("merge", {"type": "object"}, True),
        ("merge", {"type": "array"}, False),
        ("append", {"type": "object"}, True),
        ("replace", {"type": "number"}, True),
    ],
)
def test_a_value_of_a_type_that_does_not_join_is_an_error(merge: str, schema: dict[str, object], fits: bool) -> None:  # noqa: FBT001 - a value of the table
    raw = node("build", context={"outputs": [{"key": "found", "merge": merge, "schema": schema}]})
    place = "/phases/0/agents/0/context/outputs/0/merge"
    assert errors(one(raw)) == ([] if fits else [("MERGE_TYPE", place)])
