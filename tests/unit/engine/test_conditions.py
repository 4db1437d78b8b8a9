"""Skip conditions: the language, its answers, its errors and its limits."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from engine.conditions import MAX_LENGTH, MAX_STEPS, ConditionError, ConditionSyntaxError, parse

VALUES: dict[str, Any] = {
    "yes": True,
    "no": False,
    "nothing": None,
    "one": 1,
    "half": 0.5,
    "text": "abc",
    "items": [1, "two", None, [3], {"k": "v"}],
    "empty": [],
    "report": {"passed": False, "count": 3, "nested": {"deep": [10, 20]}, "in": 1, "odd-key": 2},
    "box": {"length": 7},
}


def test_the_guides_feature_condition_skips_when_either_test_failed() -> None:
    condition = parse("unit_test_results.passed == false || integration_test_results.passed == false")
    passed, failed = {"passed": True}, {"passed": False}
    assert condition.names == {"unit_test_results", "integration_test_results"}
    assert not condition.evaluate({"unit_test_results": passed, "integration_test_results": passed})
    assert condition.evaluate({"unit_test_results": failed, "integration_test_results": passed})
    assert condition.evaluate({"unit_test_results": passed, "integration_test_results": failed})
    assert not condition.evaluate({})


def test_the_guides_cleanup_condition_skips_when_a_validation_failed() -> None:
    condition = parse("integrity_valid == false || performance_valid == false")
    assert condition.evaluate({"integrity_valid": True, "performance_valid": False})
    assert not condition.evaluate({"integrity_valid": True, "performance_valid": True})


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "!no",
        "!!yes",
        "!nothing",
        "!missing.member",
        "one == 1.0",
        "half < one",
        "one <= 1 && one >= 1",
        "one > half",
        "-1 < one",
        "1e2 == 100",
        "text == 'abc' && text == \"abc\"",
        "text < 'abd'",
        "'b' in text",
        "'count' in report",
        "'two' in items && 1 in items && null in items",
        "[3.0] in items",
        "{} != one".replace("{}", "report"),
        "one != '1'",
        "true != 1",
        "items.length == 5 && size(items) == 5",
        "text.length == 3 && size(text) == 3",
        "report.length == 5 && size(report) == 5",
        "box.length == 7 && size(box) == 1",
        "empty.length == 0",
        "size(nothing) == null",
        "items[0] == 1 && items[-1].k == 'v' && items[0.0] == 1",
        "items[5] == null && items[-6] == null && items[0.5] == null && items['0'] == null",
        "items[1e300] == null",
        "report['odd-key'] == 2 && report[one] == null",
        "report['nested'].deep[one] == 20",
        "report.in == 1",
        "one[0] == null && one.length == null && nothing.a.b[0] == null",
        "[] == empty && [1, [true]] == [1, [true]]",
        "report == report",
        "no || yes && yes",
        "!(yes && no)",
        "yes == (1 < 2)",
        "missing == null",
        "'\\u0061\\n\\'\\\"\\\\\\/\\t\\r\\b\\f' == \"a\\n'\\\"\\\\/\\t\\r\\b\\f\"",
        "'\\ud83d\\ude00'.length == 1",
        " \n yes \t",
        "yes || 1",
    ],
)
def test_an_expression_holds(text: str) -> None:
    assert parse(text).evaluate(VALUES) is True


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "nothing",
        "missing",
        "yes && nothing",
        "nothing || no",
        "true == 1",
        "false == 0",
        "one == '1'",
        "null < 1",
        "null <= null",
        "'1' < 2",
        "true > false",
        "[1] < [2]",
        "1 in one",
        "5 in text",
        "1 in report",
        "'zz' in items",
        "null in report",
        "[1, 2] == [1]",
        "[1] == ['1']",
        "[[1]] == [[2]]",
        "report == items",
        "items == report",
        "box == report",
        "report.nested == report.other",
        "no && 1",
        "missing.length == 0",
    ],
)
def test_an_expression_does_not_hold(text: str) -> None:
    assert parse(text).evaluate(VALUES) is False


def test_objects_with_the_same_number_of_other_keys_or_values_differ() -> None:
    condition = parse("a == b")
    assert not condition.evaluate({"a": {"x": 1}, "b": {"y": 1}})
    assert not condition.evaluate({"a": {"x": 1}, "b": {"x": True}})
    assert condition.evaluate({"a": {"x": [1]}, "b": {"x": [1.0]}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one", "A condition needs true or false, not a number"),
        ("text", "A condition needs true or false, not a string"),
        ("!items", "`!` needs true or false, not a list"),
        ("report && yes", "`&&` needs true or false, not an object"),
        ("no || 'x'", "`||` needs true or false, not a string"),
        ("size(one) == 1", "size() needs a list, a string or an object, not a number"),
        ("size(yes) == 1", "size() needs a list, a string or an object, not a boolean"),
    ],
)
def test_what_has_no_answer_is_an_error_that_names_the_type(text: str, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text).evaluate(VALUES)
    assert caught.value.code == "CONDITION_ERROR"
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("", 1, None),
        ("a === b", 3, "Write =="),
        ("a !== b", 3, "Write !="),
        ("a = b", 3, "Write =="),
        ("a & b", 3, "Write &&"),
        ("a | b", 3, "Write ||"),
        ("a and b", 3, "Write &&"),
        ("a or b", 3, "Write ||"),
        ("not a", 1, "Write !"),
        ("a == True", 6, "Write true"),
        ("a == None", 6, "Write null"),
        ("a == undefined", 6, "Write null"),
        ("a ? b : c", 3, "?: is not supported"),
        ("unit-tests", 5, "Arithmetic is not supported"),
        ("$.a", 1, "without $"),
        ("a < b < c", 7, "Join them by &&"),
        ("'abc", 1, "does not end"),
        ("'a\\q'", 3, "backslash"),
        ("'\\ud800'", 1, None),
        ("'\\u12'", 2, "backslash"),
        ("f(1)", 1, "size(x)"),
        ("size(1", 7, None),
        ("(a", 3, None),
        ("(a]", 3, None),
        ("a[0", 4, None),
        ("a[]", 3, None),
        ("a.", 3, None),
        ("a.0", 3, None),
        ("[1, 2", 6, None),
        ("[1 2]", 4, None),
        ("[,]", 2, None),
        ("in", 1, None),
        ("01", 1, None),
        ("1x", 1, None),
        ("1e999", 1, None),
        ("a b", 3, None),
        ("a == ", 6, None),
        ("&& a", 1, None),
        ("a #", 3, None),
    ],
)
def test_text_that_is_no_condition_is_refused_at_its_place(text: str, column: int, hint: str | None) -> None:
    with pytest.raises(ConditionSyntaxError) as caught:
        parse(text)
    error = caught.value
    assert error.code == "INVALID_EXPRESSION"
    assert error.position == column - 1
    assert error.message.endswith(f"at column {column}")
    assert hint is None or hint in (error.hint or "")


def test_a_string_that_looks_like_an_operator_is_a_string() -> None:
    assert parse("text != 'in' && 'in' in ['in'] && '&&' != ']'").evaluate(VALUES)


def test_a_condition_is_its_text_when_compared_hashed_copied_and_pickled() -> None:
    condition = parse("a.b == 1")
    assert condition == parse("a.b == 1")
    assert condition != parse("a.b == 2")
    assert len({condition, parse("a.b == 1")}) == 1
    for twin in (pickle.loads(pickle.dumps(condition)), copy.deepcopy(condition)):  # noqa: S301 - our own bytes
        assert twin == condition
        assert twin.names == {"a"}
        assert twin.evaluate({"a": {"b": 1}})


def test_names_are_the_context_keys_and_nothing_else() -> None:
    assert parse("a.b[c.d] in [e, 'f', true] || size(g) > 1").names == {"a", "c", "e", "g"}
    assert parse("size == 1").names == {"size"}


def test_an_expression_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert parse("true".ljust(MAX_LENGTH)).evaluate({})
    with pytest.raises(ConditionSyntaxError, match="4,097 characters"):
        parse("true".ljust(MAX_LENGTH + 1))


@pytest.mark.parametrize(("before", "inside", "after"), [("(", "yes", ")"), ("!", "yes", ""), ("items[", "0", "]")])
def test_nesting_is_limited_to_64_levels(before: str, inside: str, after: str) -> None:
    parse(before * 64 + inside + after * 64)
    with pytest.raises(ConditionSyntaxError, match="More than 64 levels"):
        parse(before * 65 + inside + after * 65)


def test_the_longest_chains_and_deepest_nestings_evaluate_without_recursion_errors() -> None:
    assert parse(" && ".join(["yes"] * 500)).evaluate(VALUES)
    assert not parse("missing" + ".a" * 2000).evaluate({})
    assert parse("!" * 64 + "yes").evaluate(VALUES)
    deep = "[" * 64 + "]" * 64
    assert parse(f"{deep} == {deep}").evaluate({})
    mixed = "(yes && no || !" * 31 + "yes" + ")" * 31
    assert parse(mixed).evaluate(VALUES) in (True, False)


@pytest.mark.parametrize("text", ["a == b", "a != b", "'x' in a"])
def test_comparing_large_values_stops_after_the_allowed_steps(text: str) -> None:
    large = list(range(MAX_STEPS + 1))
    with pytest.raises(ConditionError, match="more than 10,000 steps"):
        parse(text).evaluate({"a": large, "b": list(large)})


def test_only_the_part_that_decides_is_evaluated() -> None:
    large = list(range(MAX_STEPS + 1))
    assert parse("yes || a == b").evaluate({"yes": True, "a": large, "b": list(large)})
    assert not parse("yes && a == b").evaluate({"yes": False, "a": large, "b": list(large)})
