"""Changes of JSON with comments: the value is there, and everything else is what it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.cli.jsonc import MAX_DEPTH, NotJsonc, parse, with_value


@pytest.mark.parametrize(
    ("before", "way", "value", "after"),
    [
        ("", ("a",), 1, '{\n    "a": 1\n}\n'),
        ("{}", ("a",), 1, '{\n    "a": 1\n}'),
        ("{ }", ("a", "b"), 1, '{\n    "a": {\n        "b": 1\n    }\n}'),
        ('{"a": 1}', ("b",), 2, '{"a": 1,\n    "b": 2\n}'),
        ('{\n  "a": 1 // note\n}\n', ("b",), 2, '{\n  "a": 1, // note\n  "b": 2\n}\n'),
        ('{\n  "a": 1, // note\n}\n', ("b",), 2, '{\n  "a": 1, // note\n  "b": 2\n}\n'),
        ('{\n\t"a": 1\n\t/* the end */\n}', ("b",), 2, '{\n\t"a": 1,\n\t/* the end */\n\t"b": 2\n}'),
        ('{\r\n  "a": 1\r\n}\r\n', ("b",), [2], '{\r\n  "a": 1,\r\n  "b": [\r\n    2\r\n  ]\r\n}\r\n'),
        ("{\n  // only a note\n}", ("a",), 1, '{\n  // only a note\n  "a": 1\n}'),
        ('{"a": /* old */ 1, "z": 0}', ("a",), 2, '{"a": /* old */ 2, "z": 0}'),
        ('{"a": [ // first\n 1]}', ("a", "1"), 2, '{"a": [ // first\n 1,\n        2\n    ]}'),
        ('{"a": [1, /* x */ 2]}', ("a", "1"), 3, '{"a": [1, /* x */ 3]}'),
        ('\ufeff{"a": 1}', ("a",), 2, '\ufeff{"a": 2}'),
        ('{"a": "// not a note", "b": "\\"}"}', ("a",), 1, '{"a": 1, "b": "\\"}"}'),
    ],
)  # fmt: skip
def test_a_value_is_set_and_the_rest_stays(before: str, way: tuple[str, ...], value: object, after: str) -> None:
    assert with_value(before, way, value) == after


@pytest.mark.parametrize("text", ['{"a": {"b": [1, 2]}} // end', '{\n  "a":{"b" :[1,2,],},\n}'])
def test_a_value_that_is_there_changes_nothing(text: str) -> None:
    assert with_value(text, ("a", "b"), [1, 2]) == text


@pytest.mark.parametrize(
    "text",
    [
        "{", "[", '{"a"}', '{"a": }', '{"a": 1 "b": 2}', "{a: 1}", '{"a": 1}}', "{'a': 1}", '{"a": 1, "a": 2}', "nope",
        '{"a": 01}', '{"a": "x\ny"}', '{"a": "\\x"}', "/* open", '{"a": [1 2]}', "[1", '{"a": 1,', "{1: 2}",
        "[" * (MAX_DEPTH + 2), '{"a":' * (MAX_DEPTH + 2),
    ],
)  # fmt: skip
def test_what_editors_cannot_read_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(NotJsonc, match=r"line \d+, column \d+"):
        with_value(text, ("b",), 1)


@pytest.mark.parametrize("text", ["1", '{"a": 1}', '{"a": "x"}'])
def test_a_value_has_no_members(text: str) -> None:
    with pytest.raises(NotJsonc):
        with_value(text, ("a", "b"), 1)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An object as a person would keep it: with comments, blank lines and perhaps a last comma."""
    found = draw(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
    notes = st.sampled_from(["", ' // note, with { and "', "/* two\nlines */", "\n\n"])
    colons = st.sampled_from([":", " : "])
    members = [
        f"{draw(notes)}\n  {json.dumps(key)}{draw(colons)}{json.dumps(value, indent=2)}{draw(notes)}\n"
        for key, value in found.items()
    ]
    last = draw(st.sampled_from(["", ","])) if members else ""
    return "{" + ",".join(members) + last + draw(notes) + "\n}", found


@given(documents(), st.text(max_size=3), VALUES)
def test_any_document_has_the_value_and_keeps_its_lines(
    document: tuple[str, dict[str, Any]], key: str, value: object
) -> None:
    text, found = document
    assert parse(text).value == found
    after = with_value(text, (key,), value)
    assert parse(after).value == {**found, key: value}
    assert [*parse(after).value] == [*{**found, key: value}]
    if key not in found:
        added = iter(after)
        assert all(letter in added for letter in "".join(text.replace(",", "").split())), "nothing of the text is lost"
        for note in ("// note", "/* two"):
            assert after.count(note) == text.count(note) + json.dumps({key: value}).count(note)
