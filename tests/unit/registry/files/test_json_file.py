from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import InputError, NotFound
from registry.files import json_file

SLIPS = [
    ("", 1, 1, "the file is empty"),
    ("{", 1, 2, "before its brackets are closed"),
    ('{"a": 1,', 1, 9, "the file ends after a comma"),
    ('{"a": 1,}', 1, 8, "trailing comma"),
    ("[1, 2, ]", 1, 6, "trailing comma"),
    ('{\n  "a": 1\n  "b": 2\n}', 2, 9, "a comma is missing"),
    ("{'a': 1}", 1, 2, "single quotes"),
    ("{`a`: 1}", 1, 2, "backquotes"),
    ('{"a": \u201cx\u201d}', 1, 7, "typographic quotes"),
    ("{a: 1}", 1, 2, "a without quotes"),
    ('{"a": True}', 1, 7, "True is not JSON"),
    ('{"a": NaN}', 1, 7, "NaN is not JSON"),
    ('{"NaN": -Infinity}', 1, 9, "-Infinity is not JSON"),
    ('{"a": 1} {}', 1, 10, "more text after the end"),
    ('{\n  "a": 1, // why\n  "b": 2\n}', 2, 11, "a comment"),
    ('{"a": 1 /* why */}', 1, 9, "a comment"),
    ("# why\n{}", 1, 1, "a comment"),
    ('{"a": "x\ny"}', 1, 9, "a line break or tab inside a string"),
    ('{"a": "C:\\Users"}', 1, 10, "a backslash that does not start a JSON escape"),
    ('{"a": "x', 1, 7, "a string is not closed"),
    ('{"a": "say "hi" now"}', 1, 13, "a double quote inside a string"),
    ('{"a": 01}', 1, 8, "a number that is not JSON"),
    ('{"a": +1}', 1, 7, "a number that is not JSON"),
    ('{"a": 5_000}', 1, 8, "a number that is not JSON"),
    ('{"a" 1}', 1, 6, "a colon is missing"),
    ('{"a": =}', 1, 7, "= is not JSON"),
    ('{"a": 1]', 1, 8, "] where } or a comma"),
    ("[1}", 1, 3, "} where ] or a comma"),
    ("[, 1]", 1, 2, "a comma without a value"),
    ('{"a": }', 1, 7, "where a value was expected"),
    ("{5: 1}", 1, 2, "a key in double quotes was expected"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), SLIPS, ids=[slip[3] + repr(slip[0]) for slip in SLIPS])
def test_a_slip_is_named_with_its_line_and_column(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        json_file.parse(text, name="x.json")
    assert caught.value.code == "INVALID_JSON"
    assert f"line {line}, column {column}: " in caught.value.message
    assert message in caught.value.message


def test_a_comment_comes_with_the_advice_to_use_the_comment_field() -> None:
    with pytest.raises(InputError) as caught:
        json_file.parse('{"a": 1} // why')
    assert caught.value.hint is not None
    assert '"$comment"' in caught.value.hint


@pytest.mark.parametrize("text", ["[" * 10_000, '{"a":' * 10_000, "[" * 101 + "]" * 101])
def test_deep_nesting_is_an_error_and_no_recursion(text: str) -> None:
    with pytest.raises(InputError, match="nested deeper than 100 levels") as caught:
        json_file.parse(text)
    assert caught.value.code == "TOO_DEEP"


def test_brackets_inside_strings_are_no_nesting() -> None:
    assert json_file.parse('["' + "[" * 500 + '\\""]') == ["[" * 500 + '"']
    assert json_file.parse("[" * 100 + "]" * 100) is not None


def test_a_duplicate_key_is_an_error_with_its_pointer() -> None:
    with pytest.raises(InputError) as caught:
        json_file.parse('{"a": {"b/c": 1, "x": [1, {"d": 1,\n "d": 2}]}}')
    assert caught.value.code == "DUPLICATE_KEY"
    assert caught.value.pointer == "/a/x/1/d"
    assert "line 2, column 2" in caught.value.message


def test_one_key_in_two_objects_is_no_duplicate() -> None:
    assert json_file.parse('[{"a": "a"}, {"a": {"a": ["a", "a"]}}]') == [{"a": "a"}, {"a": {"a": ["a", "a"]}}]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9223372036854775808", "9" * 100_000])
def test_a_number_that_cannot_be_stored_is_an_error(number: str) -> None:
    with pytest.raises(InputError, match="line 1, column 15") as caught:
        json_file.parse(f'{{"1e999": [1, {number}]}}')
    assert caught.value.code == "NUMBER_TOO_LARGE"


def test_the_largest_numbers_are_read_as_they_are() -> None:
    assert json_file.parse("[9223372036854775807, -9223372036854775807, 1e308]") == [2**63 - 1, 1 - 2**63, 1e308]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b'{"a": "\xff"}', "not valid UTF-8: line 1, byte 7"),
        (b'{"a": 1}\x00', "NUL character at line 1, column 9"),
    ],
)
def test_bytes_that_are_no_text_are_an_error(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        json_file.decode(data)
    assert caught.value.code == "INVALID_ENCODING"


def test_a_byte_order_mark_is_accepted() -> None:
    assert json_file.parse(json_file.decode(b"\xef\xbb\xbf{}")) == {}


@pytest.mark.parametrize(
    "text", ['"\\ud800"', '{"\\udc00": 1}', '["\\u0000"]', '{"a\\u0000": 1}', '{"a": ["\\u0000"]}']
)
def test_escapes_that_make_no_text_are_an_error(text: str) -> None:
    with pytest.raises(InputError) as caught:
        json_file.parse(text)
    assert caught.value.code == "INVALID_ENCODING"


def test_an_escaped_backslash_before_zeros_is_no_nul() -> None:
    assert json_file.parse('["\\\\u0000"]') == ["\\u0000"]


def test_a_file_of_a_megabyte_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"[]" + b" " * (json_file.MAX_FILE_BYTES - 2))
    assert json_file.parse(json_file.read_text(path)) == []
    path.write_bytes(b"[]" + b" " * (json_file.MAX_FILE_BYTES - 1))
    with pytest.raises(InputError) as caught:
        json_file.read_text(path)
    assert caught.value.code == "FILE_TOO_LARGE"


def test_a_missing_file_a_folder_and_a_pipe_are_errors_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, code in [
        (tmp_path / "none.json", "FILE_NOT_FOUND"),
        (tmp_path, "FILE_UNREADABLE"),
        (tmp_path / "pipe", "FILE_UNREADABLE"),
        (tmp_path / "a\0b", "FILE_UNREADABLE"),
    ]:
        with pytest.raises(InputError) as caught:
            json_file.read_bytes(path)
        assert caught.value.code == code
    with pytest.raises(NotFound):
        json_file.read_bytes(tmp_path / "none.json")


@pytest.mark.parametrize(("value", "kind"), [([], "an array"), (None, "null"), (3, "a int")])
def test_what_is_no_object_is_an_error(value: object, kind: str) -> None:
    with pytest.raises(InputError, match=kind):
        json_file.as_object(value)


def test_an_object_is_one() -> None:
    assert json_file.as_object({"a": 1}) == {"a": 1}


def test_a_definition_that_is_handed_over_becomes_data_of_our_own() -> None:
    given = {"a": ({"b": 1},), "c": {"d": None}}
    adopted = json_file.adopt(given)
    given["c"] = {}
    assert adopted == {"a": [{"b": 1}], "c": {"d": None}}


def test_a_definition_that_is_no_json_is_an_error() -> None:
    circle: list[object] = []
    circle.append(circle)
    values: list[tuple[dict[str, object], str]] = [
        ({"a": {1, 2}}, "INVALID_JSON"),
        ({"a": float("nan")}, "INVALID_JSON"),
        ({"a": 10**30}, "NUMBER_TOO_LARGE"),
        ({"a": circle}, "TOO_DEEP"),
        ({"a": "x" * (json_file.MAX_OBJECT_BYTES + 1)}, "FILE_TOO_LARGE"),
    ]
    for value, code in values:
        with pytest.raises(InputError) as caught:
            json_file.adopt(value)
        assert caught.value.code == code


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert json_file.digest({"a": 1, "b": "\u00e9"}) == json_file.digest({"b": "\u00e9", "a": 1})
    assert json_file.digest({"a": 1}) != json_file.digest({"a": 2})
