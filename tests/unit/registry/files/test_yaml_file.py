"""Commands in YAML: the core schema of YAML 1.2, nothing that JSON lacks, every fault with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from engine.errors import InputError
from registry.files import yaml_file
from registry.files.json_file import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With libyaml, and without it as where PyYAML was installed from its source."""
    if request.param == "SafeLoader":
        monkeypatch.delattr(yaml, "CSafeLoader")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: yes\noff: no\ny: n", {"on": "yes", "off": "no", "y": "n"}),
        ("true: 1\n1: 2\nnull: 3", {"true": 1, "1": 2, "null": 3}),
        ("[true, True, TRUE, false, tRUE]", [True, True, True, False, "tRUE"]),
        ("[null, Null, NULL, ~, nUll, '~', '']", [None, None, None, None, "nUll", "~", ""]),
        ("a:\nb: ", {"a": None, "b": None}),
        ("[12, -12, +12, 012, 0o17, 0x1F, 1_000, 12:30:45]", [12, -12, 12, 12, 15, 31, "1_000", "12:30:45"]),
        ("[1.5, -.5, 1., 1e3, 1.5E-3, 0b1, 1.2.3]", [1.5, -0.5, 1.0, 1000.0, 0.0015, "0b1", "1.2.3"]),
        ("[2026-11-28, =, 'no', \"5\"]", ["2026-11-28", "=", "no", "5"]),
        ("'<<': 1", {"<<": 1}),
        ("a: |\n  one\n  two\nb: >-\n  three\n  four", {"a": "one\ntwo\n", "b": "three four"}),
        ('{"a":[1,{"b":"c"}]}', {"a": [1, {"b": "c"}]}),
        ("# a note\n--- # the document\na: 1\n...\n", {"a": 1}),
        ("\ufeffa: é😀", {"a": "é😀"}),
        ("! a", "a"),
        ("", None),
    ],
)
def test_a_text_is_read_by_the_core_schema(text: str, value: object) -> None:
    assert json.dumps(yaml_file.parse(text.removeprefix("\ufeff"))) == json.dumps(value)


@pytest.mark.parametrize(
    ("text", "code", "place", "message"),
    [
        ("a: &x 1", "INVALID_YAML", (1, 4), "&x names a value for aliases"),
        ("a: 1\nb: *x", "INVALID_YAML", (2, 4), "*x repeats a value"),
        ("a: !!int 5", "INVALID_YAML", (1, 4), "the tag tag:yaml.org,2002:int is not supported"),
        ("a: !python/name:os.system x", "INVALID_YAML", (1, 4), "the tag !python/name:os.system"),
        ("a: 1\n<<: {b: 2}", "INVALID_YAML", (2, 1), "<< merges other fields in"),
        ("a: 1\n---\nb: 2", "INVALID_YAML", (2, 1), "a second document starts"),
        ("? [a]\n: 1", "INVALID_YAML", (1, 3), "a key is a list or a mapping"),
        ("- a: .inf", "INVALID_YAML", (1, 6), ".inf is not a JSON number"),
        ("- a: .NaN", "INVALID_YAML", (1, 6), ".NaN is not a JSON number"),
        ("a: b: c", "INVALID_YAML", (1, 5), "mapping values are not allowed"),
        ("a: [1,\n", "INVALID_YAML", (2, 1), "is not valid YAML"),
        ("\ta: 1", "INVALID_YAML", (1, 1), "cannot start any token"),
        ("a: 1\nb:\n  c: 1\n  c: 2", "DUPLICATE_KEY", (4, 3), 'the key "c" twice'),
        ("1: a\n1: b", "DUPLICATE_KEY", (2, 1), 'the key "1" twice'),
        ("a: 9223372036854775808", "NUMBER_TOO_LARGE", (1, 4), "too large"),
        ("a: " + "9" * 10_000, "NUMBER_TOO_LARGE", (1, 4), "too large"),
        ("a: 1e999", "NUMBER_TOO_LARGE", (1, 4), "too large"),
        ("[" * (MAX_DEPTH + 1), "TOO_DEEP", (1, MAX_DEPTH + 1), "nested deeper"),
    ],
)
def test_what_json_lacks_is_refused_with_line_and_column(
    text: str, code: str, place: tuple[int, int], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        yaml_file.parse(text, name="x.yaml")
    assert caught.value.code == code
    assert message in caught.value.message
    assert f"line {place[0]}, column {place[1]}" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1", "Indent with spaces; YAML takes no tabs there."),
        ("a: 1\n  \tb: 1", "Indent with spaces; YAML takes no tabs there."),
        ('a: 1\nb: "one\nc: 2\n', "Close the quote that opens in line 2."),
        ("a: @x", "Put quotes around text that begins with @, ` or %."),
        (
            "a:\n  - id: x\n   task: y",
            "Indent the line as those that it belongs to, or put quotes around the whole text.",
        ),
        ("a: 'it's'", "Indent the line as those that it belongs to, or put quotes around the whole text."),
        ("a: b: c", "Put quotes around text with : # [ ] or { }."),
    ],
)
def test_a_hint_is_about_the_mistake(text: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        yaml_file.parse(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("# nothing yet\n", "is empty"),
        ("- a", "holds a list, not a mapping"),
        ("hello", "holds one value, not a mapping"),
    ],
)
def test_a_command_is_a_mapping(text: str, what: str) -> None:
    with pytest.raises(InputError) as caught:
        yaml_file.as_mapping(yaml_file.parse(text), name="x.yaml")
    assert (caught.value.code, caught.value.message) == ("INVALID_YAML", f'"x.yaml" {what}')
    assert "version:" in (caught.value.hint or "")
    assert yaml_file.as_mapping({"a": 1}) == {"a": 1}


def test_a_control_character_is_refused() -> None:
    with pytest.raises(InputError, match="is not valid YAML"):
        yaml_file.parse("a: \x01")


def test_places_are_those_of_keys_and_items() -> None:
    text = "name: /x\nphases:\n  - id: one\n    agents: [{id: a}]\n"
    found = yaml_file.places(text)
    assert found["name",] == (1, 1)
    assert found["phases", 0] == (3, 5)
    assert found["phases", 0, "agents"] == (4, 5)
    assert found["phases", 0, "agents", 0, "id"] == (4, 15)


@pytest.mark.parametrize("dumped", [json.dumps, yaml.safe_dump], ids=["json", "yaml"])
def test_what_others_write_is_read_back(dumped: Callable[[object], str]) -> None:
    value = {"a": [1, 2.5, True, None, "yes", "on", "012", ".inf", "~", "x: y", "# no"], "b": {"": [[], {}]}}
    assert yaml_file.parse(dumped(value)) == value
