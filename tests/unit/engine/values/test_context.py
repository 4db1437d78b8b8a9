"""Values between nodes: merging, binding inputs, checking outputs."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.policy import Failure, FailureKind, InputSpec, Merge, OutputDecl
from engine.values.context import (
    MergeError,
    Part,
    bind_inputs,
    check_outputs,
    declared_outputs,
    fill_arguments,
    json_problem,
    merge_values,
    missing_input_message,
)

R, M, A, C = Merge.REPLACE, Merge.MERGE, Merge.APPEND, Merge.CONCAT


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([(R, 1)], 1),
        ([(R, 1), (R, None)], None),
        ([(A, 1)], [1]),
        ([(A, [1])], [[1]]),
        ([(R, 1), (A, 2)], [1, 2]),
        ([(R, [1]), (A, [2])], [1, [2]]),
        ([(R, None), (A, 2)], [None, 2]),
        ([(C, [1])], [1]),
        ([(C, [1]), (C, [2, 3])], [1, 2, 3]),
        ([(R, "a"), (C, "b"), (C, "")], "ab"),
        ([(M, {"a": 1})], {"a": 1}),
        ([(M, {"a": {"x": 1, "y": 1}, "b": 1}), (M, {"a": {"y": 2}, "c": 3})], {"a": {"x": 1, "y": 2}, "b": 1, "c": 3}),
        ([(M, {"a": {"x": 1}}), (M, {"a": [1]})], {"a": [1]}),
        ([(M, {"a": 1}), (M, {"a": {"x": 1}})], {"a": {"x": 1}}),
        ([(R, "text"), (M, {"a": 1}), (R, 5), (A, 6)], [5, 6]),
    ],
)
def test_contributions_are_joined_from_left_to_right(parts: list[tuple[Merge, Any]], value: object) -> None:
    assert merge_values([Part(merge, part) for merge, part in parts]) == value


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(M, 1)], "`merge` joins two objects, not nothing and a number"),
        ([(R, [1]), (M, {})], "`merge` joins two objects, not a list and an object"),
        ([(M, {}), (M, None)], "`merge` joins two objects, not an object and null"),
        ([(C, 1)], "`concat` joins two lists or two strings, not nothing and a number"),
        ([(R, "a"), (C, ["b"])], "`concat` joins two lists or two strings, not a string and a list"),
        ([(R, ["a"]), (C, "b")], "`concat` joins two lists or two strings, not a list and a string"),
        ([(R, True), (C, "b")], "`concat` joins two lists or two strings, not a boolean and a string"),
    ],
)
def test_values_that_cannot_be_joined_are_an_error_that_names_their_types(
    parts: list[tuple[Merge, Any]], message: str
) -> None:
    with pytest.raises(MergeError) as caught:
        merge_values([Part(merge, part) for merge, part in parts])
    assert caught.value.code == "MERGE_TYPE"
    assert caught.value.message == message


def test_a_value_has_at_least_one_part() -> None:
    with pytest.raises(ValueError, match="at least one part"):
        merge_values([])


def test_merging_changes_none_of_the_values_it_is_given() -> None:
    old, new, listed = {"a": {"x": 1}}, {"a": {"y": 2}}, [1]
    merge_values([Part(M, old), Part(M, new)])
    merge_values([Part(R, listed), Part(A, 2), Part(C, [3])])
    assert (old, new, listed) == ({"a": {"x": 1}}, {"a": {"y": 2}}, [1])


VALUES = {"report": {"findings": [{"s": "high"}, {"s": "low"}], "none": None}, "other": 1, "empty": None}


def bound(*specs: InputSpec, passthrough: bool = False) -> dict[str, Any]:
    result = bind_inputs(specs, VALUES, passthrough=passthrough)
    assert result.missing == ()
    assert result.failure is None
    return result.inputs


def test_a_node_is_given_its_declared_inputs_and_nothing_else() -> None:
    assert bound(InputSpec(key="other"), InputSpec(key="empty")) == {"other": 1, "empty": None}


def test_a_transform_selects_part_of_the_value() -> None:
    assert bound(InputSpec(key="report", transform="$.findings[0].s")) == {"report": "high"}
    assert bound(InputSpec(key="report", transform="$.findings[?@.s == 'low']")) == {"report": [{"s": "low"}]}
    assert bound(InputSpec(key="report", transform="$.none")) == {"report": None}


def test_passthrough_gives_all_other_values_beside_the_declared_ones() -> None:
    spec = InputSpec(key="report", transform="$.findings[0].s")
    assert bound(spec, passthrough=True) == {"report": "high", "other": 1, "empty": None}
    assert bound(passthrough=True) == VALUES


def test_an_absent_optional_input_takes_its_default_or_is_left_out() -> None:
    assert bound(InputSpec(key="absent", required=False)) == {}
    assert bound(InputSpec(key="absent", required=False, has_default=True, default=[1])) == {"absent": [1]}
    assert bound(InputSpec(key="absent", required=False, has_default=True)) == {"absent": None}


def test_a_default_serves_a_required_input_too_and_is_not_transformed() -> None:
    assert bound(InputSpec(key="absent", has_default=True, default={"a": 1}, transform="$.a")) == {"absent": {"a": 1}}


def test_a_transform_that_finds_nothing_counts_as_no_value() -> None:
    spec = InputSpec(key="report", transform="$.absent", required=False)
    assert bound(spec) == {}
    assert bound(spec, passthrough=True) == {"other": 1, "empty": None}
    assert bound(InputSpec(key="report", transform="$.absent", has_default=True, default=0)) == {"report": 0}


def test_missing_required_inputs_are_all_named_in_order() -> None:
    specs = [InputSpec(key="z"), InputSpec(key="other"), InputSpec(key="report", transform="$.absent")]
    result = bind_inputs(specs, VALUES, passthrough=False)
    assert result.missing == ("z", "report")
    assert result.inputs == {"other": 1}


@pytest.mark.parametrize(
    ("transform", "code"), [("$[*]" + "[0,0,0,0]" * 9, "TRANSFORM_ERROR"), ("no path", "INVALID_TRANSFORM")]
)
def test_a_transform_that_fails_is_a_failure_not_an_exception(transform: str, code: str) -> None:
    deep: Any = [1]
    for _ in range(12):
        deep = [deep]
    result = bind_inputs([InputSpec(key="deep", transform=transform)], {"deep": deep}, passthrough=False)
    assert result.failure is not None
    assert (result.failure.kind, result.failure.code) == (FailureKind.VALIDATION, code)
    assert result.failure.message.startswith('The transform of input "deep" failed: ')


def test_binding_changes_no_value_of_the_context() -> None:
    values = {"a": {"b": [1]}}
    bind_inputs([InputSpec(key="a", transform="$.b")], values, passthrough=True)
    assert values == {"a": {"b": [1]}}


def test_a_missing_input_is_told_in_the_guides_words() -> None:
    assert missing_input_message("reviewer", "analysis_results", ["file_list", "code_structure"]) == (
        'Required input "analysis_results" not found for node "reviewer"\n'
        'Available context keys: ["code_structure", "file_list"]'
    )


def test_arguments_replace_their_placeholder_once_and_as_they_are() -> None:
    assert (
        fill_arguments("Fix $ARGUMENTS, then $ARGUMENTS", "a $ARGUMENTS `b`")
        == "Fix a $ARGUMENTS `b`, then a $ARGUMENTS `b`"
    )
    assert fill_arguments("Fix it", "x") == "Fix it"


def checked(specs: list[OutputDecl], outputs: dict[str, Any], *, cascade: bool = False) -> Failure | None:
    failure = check_outputs(specs, outputs, cascade_on_validation=cascade)
    assert failure is None or failure.kind is FailureKind.VALIDATION
    return failure


def test_outputs_that_are_there_and_keep_to_their_schemas_are_fine() -> None:
    specs = [OutputDecl(key="a"), OutputDecl(key="b", schema={"type": "integer"}), OutputDecl(key="c", schema=True)]
    assert checked(specs, {"a": None, "b": 1, "c": False, "undeclared": object()}) is None


def test_an_output_that_is_not_required_may_be_missing() -> None:
    assert checked([OutputDecl(key="a"), OutputDecl(key="b", required=False)], {"a": 1}) is None
    failure = checked([OutputDecl(key="b", required=False)], {"b": float("nan")})
    assert failure is not None
    assert failure.code == "INVALID_OUTPUT"


def test_all_missing_outputs_are_named_with_those_given() -> None:
    failure = checked([OutputDecl(key="a"), OutputDecl(key="b"), OutputDecl(key="c")], {"b": 1, "x": 1})
    assert failure == Failure(
        FailureKind.VALIDATION, "MISSING_OUTPUT", 'Declared outputs are missing: "a", "c"\nOutputs given: "b", "x"'
    )
    nothing = checked([OutputDecl(key="a")], {})
    assert nothing is not None
    assert nothing.message.endswith("Outputs given: none")


def test_an_output_that_breaks_its_schema_fails_with_the_place_and_what_was_expected() -> None:
    schema = {"type": "array", "items": {"required": ["severity"]}}
    failure = checked([OutputDecl(key="findings", schema=schema)], {"findings": [{"severity": 1}, {}]})
    assert failure is not None
    assert failure.code == "OUTPUT_SCHEMA"
    assert failure.message == 'Output "findings" does not match its schema: at /1: lacks ["severity"]'


def test_an_output_that_is_no_json_fails() -> None:
    failure = checked([OutputDecl(key="a")], {"a": {"b": float("nan")}})
    assert failure is not None
    assert failure.code == "INVALID_OUTPUT"
    assert failure.message == 'Output "a" is not a JSON value: nan is not a JSON number at /b'


def test_a_schema_that_slipped_through_validation_is_refused_and_not_run() -> None:
    failure = checked([OutputDecl(key="a", schema={"pattern": "(a"})], {"a": "a"})
    assert failure is not None
    assert failure.code == "INVALID_OUTPUT_SCHEMA"


def test_a_false_output_fails_the_node_only_where_validation_cascades() -> None:
    specs = [OutputDecl(key="integrity_valid"), OutputDecl(key="count"), OutputDecl(key="other_valid")]
    outputs = {"integrity_valid": False, "count": 0, "other_valid": True}
    assert checked(specs, outputs) is None
    failure = checked(specs, outputs, cascade=True)
    assert failure == Failure(
        FailureKind.VALIDATION, "VALIDATION_FAILED", 'Validation failed: "integrity_valid" is false'
    )
    assert checked(specs, {**outputs, "integrity_valid": True}, cascade=True) is None


def test_a_false_output_that_is_not_declared_fails_nothing() -> None:
    assert checked([OutputDecl(key="a")], {"a": 1, "b": False}, cascade=True) is None


def test_only_declared_outputs_enter_the_context() -> None:
    specs = [OutputDecl(key="b"), OutputDecl(key="a"), OutputDecl(key="absent")]
    assert list(declared_outputs(specs, {"a": 1, "b": 2, "c": 3}).items()) == [("b", 2), ("a", 1)]


def test_what_is_json_is_asked_here_too() -> None:
    assert json_problem({"a": (1,)}) == "a tuple is not a JSON value at /a"
