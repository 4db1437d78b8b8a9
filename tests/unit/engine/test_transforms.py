"""Transforms: what RFC 9535 paths select, what is refused, and where large values stop."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import jsonpath
import pytest

from engine.transforms import MISSING, TransformError, TransformSyntaxError, parse_transform
from engine.transforms.rfc9535 import Compiler

DATA: dict[str, Any] = {
    "list": [{"n": 1, "s": "x"}, {"n": 2, "s": [1, 2, 3]}, {"n": None}, 5, "str", True],
    "deep": {"er": {"n": 7}},
    "text": "abc",
    "odd key": 3,
    "null": None,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DATA),
        ("$.deep.er.n", 7),
        ("$['odd key']", 3),
        ('$["odd key"]', 3),
        ("$.list[0].s", "x"),
        ("$.list[-1]", True),
        ("$.null", None),
        ("$.absent", MISSING),
        ("$.absent.more", MISSING),
        ("$.list[6]", MISSING),
        ("$.list[-7]", MISSING),
        ("$.text[0]", MISSING),
        ("$.list.n", MISSING),
        ("$.deep[0]", MISSING),
    ],
)
def test_a_path_to_one_place_gives_the_value_there(path: str, value: object) -> None:
    transform = parse_transform(path)
    assert transform.singular
    assert transform.apply(DATA) is value or transform.apply(DATA) == value


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("$.list[*].n", [1, 2, None]),
        ("$.deep.*", [{"n": 7}]),
        ("$..n", [1, 2, None, 7]),
        ("$.list[1:3]", [{"n": 2, "s": [1, 2, 3]}, {"n": None}]),
        ("$.list[::-5]", [True, {"n": 1, "s": "x"}]),
        ("$.list[::0]", []),
        ("$.text[0:1]", []),
        ("$.list[0,3,3]", [{"n": 1, "s": "x"}, 5, 5]),
        ("$['text','odd key']", ["abc", 3]),
        ("$.list[?@.n > 1].n", [2]),
        ("$.list[?@.n >= 1].n", [1, 2]),
        ("$.list[?@.n < 2].n", [1]),
        ("$.list[?@.n <= 2 && @.s].n", [1, 2]),
        ("$.list[?@.n == null || @ == 5]", [{"n": None}, 5]),
        ("$.list[?@ == true]", [True]),
        ("$.list[?@ == 'str']", ["str"]),
        ("$.list[?@ > 'a']", ["str"]),
        ("$.list[?@.n != 1].n", [2, None]),
        ("$.list[?!@.n]", [5, "str", True]),
        ("$.list[?!(@.n == 1)].n", [2, None]),
        ("$.list[?@.x == @.y].n", [1, 2, None]),
        ("$.list[?@.n == $.absent]", [5, "str", True]),
        ("$.list[?length(@.s) == 3].n", [2]),
        ("$.list[?length(@.n) == 1]", []),
        ("$.list[?count(@.*) == 2].n", [1, 2]),
        ("$.list[?value(@.*) == null].n", [None]),
        ("$.list[?value(@..n) == 1].n", [1]),
        ("$.list[?@.s[0]].n", [2]),
        ("$[?@ == $.deep.er.n]", []),
        ("$.deep[?@.n == $.deep.er.n]", [{"n": 7}]),
        ("$[?@.er]", [{"er": {"n": 7}}]),
        ("$[?@ == 3.0]", [3]),
        ("$.absent[*]", []),
    ],
)
def test_any_other_path_gives_the_list_of_matches(path: str, matches: list[object]) -> None:
    transform = parse_transform(path)
    assert not transform.singular
    assert repr(transform.apply(DATA)) == repr(matches)


@pytest.mark.parametrize("value", [None, 1, "text", True, '{"a": 1}'])
def test_a_scalar_has_no_members_and_text_is_not_read_as_json(value: object) -> None:
    assert parse_transform("$").apply(value) == value
    assert parse_transform("$.a").apply(value) is MISSING
    assert parse_transform("$..a").apply(value) == []


def test_nested_lists_are_compared_without_coercion() -> None:
    assert parse_transform("$[?@ == $[0]]").apply([[1], [True], [1.0]]) == [[1], [1.0]]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "Start the path with $"),
        ("name", "Start the path with $"),
        ("$.", None),
        ("$..", None),
        ("$.a ", None),
        ("$[0", None),
        ("$[01]", None),
        ("$[99999999999999999999]", None),
        ("$['\\x']", None),
        ("$[?match(@.a, 'a*')]", "exponential time"),
        ("$[?search(@.a, 'a*')]", "exponential time"),
        ("$[?@.a <> 1]", "not part of JSONPath"),
        ("$[?@.a == 1e999]", None),
        ("$[?length(@.*) == 1]", None),
        ("$.a | $.b", None),
        ("$[$.a]", None),
        ("$.~", None),
        ("$" + "[?@" * 17 + "]" * 17, "more than 16 levels"),
        ("$[?" + "&&".join(["@.a"] * 66) + "]", "64 operators"),
        ("$" + ".a" * 500, "1,001 characters"),
    ],
)
def test_what_is_no_path_of_the_rfc_is_refused(path: str, reason: str | None) -> None:
    with pytest.raises(TransformSyntaxError) as caught:
        parse_transform(path)
    assert caught.value.code == "INVALID_TRANSFORM"
    assert reason is None or reason in str(caught.value)


@pytest.mark.parametrize("path", ["$.a.~b", "$[?_.a]"])
def test_what_the_library_knows_beyond_the_rfc_is_refused(path: str) -> None:
    beyond = jsonpath.compile(path)
    assert isinstance(beyond, jsonpath.JSONPath)
    with pytest.raises(TransformSyntaxError, match="not part of JSONPath"):
        Compiler().query(beyond)


def test_brackets_inside_names_are_no_levels() -> None:
    name = "[" * 30
    assert parse_transform(f"$['{name}', 'a']").apply({name: 1}) == [1]


def test_a_parsed_transform_is_its_text_when_compared_copied_and_pickled() -> None:
    transform = parse_transform("$..n")
    assert transform == parse_transform("$..n")
    assert len({transform, parse_transform("$..n"), parse_transform("$.n")}) == 2
    for twin in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):  # noqa: S301 - our own bytes
        assert twin == transform
        assert twin.apply({"n": 1}) == [1]


def wide(levels: int) -> object:
    return [wide(levels - 1)] * 10 if levels else 0


@pytest.mark.parametrize(
    "path", ["$..*..*..*", "$..[?@..[0]]", "$[*][*][*][*][*][0:5,0:5,0:5,0:5,0:5]", "$[?@ == $[9]]"]
)
def test_a_path_that_looks_at_too_much_stops(path: str) -> None:
    with pytest.raises(TransformError, match="selects too much") as caught:
        parse_transform(path).apply(wide(6))
    assert caught.value.code == "TRANSFORM_ERROR"


def test_matches_that_repeat_a_large_value_stop() -> None:
    large = ["x" * 6_000_000]
    assert parse_transform("$[0,0]").apply(large) == [large[0]] * 2
    with pytest.raises(TransformError):
        parse_transform("$[0,0,0]").apply(large)


def test_values_as_deep_as_json_may_be_are_searched() -> None:
    value: Any = {"n": 1}
    for _ in range(199):
        value = [value]
    assert parse_transform("$..n").apply(value) == [1]


def test_plain_paths_do_not_import_the_jsonpath_library() -> None:
    program = (
        "import sys; from engine.transforms import parse_transform as p;"
        "assert p('$.a[0][*].b').apply({'a': [[{'b': 1}]]}) == [1];"
        "assert 'jsonpath' not in sys.modules; p('$..a'); assert 'jsonpath' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


@pytest.mark.parametrize(("path", "value", "misses"), [("$.a", {}, False), ("$.a[*]", {"a": 1}, True)])
def test_only_a_wildcard_can_stand_at_what_holds_nothing(path: str, value: object, misses: bool) -> None:  # noqa: FBT001
    assert parse_transform(path).misses(value) is misses
