"""Laws of loading: any bytes give a command or an error with advice, nothing written is lost, and v2 stays v2."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError, InvalidCommand
from engine.text.cut import shorten
from registry.catalog import Catalog
from registry.dialects.migrate import migrate
from registry.files import json_file
from registry.markdown.convert import convert
from registry.wording import Names, duration, node_slug, phase_slug

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / ".claude" / "commands" / "v2").rglob("*.json"), *(ROOT / "tests" / "data").glob("*.json")])
TEXTS = [path.read_bytes() for path in FILES]
FIELDS = [
    "type",
    "name",
    "retry",
    "conditional",
    "condition",
    "id",
    "description",
    "input",
    "sequential",
    "parallelism",
    "inputs",
    "outputs",
    "context",
    "dependsOn",
    "locks",
    "compensation",
    "estimatedDuration",
    "phases",
    "resources",
    "metadata",
    "timeout",
    "x-own",
    "loop",
    "agents",
    "key",
    "globalContext",
    "arguments",
    "version",
    "skipCondition",
    "dependencies",
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
ODD = st.sampled_from(
    ["5 min", "a === b", "context.x !== 1", "high", "[", "'", "(" * 50, "command", "/x", "Main", "\u65e5\u672c"]
)
JSON = st.recursive(
    SCALARS | ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
SCRAPS = st.sampled_from([
    *(bytes([one]) for one in b'"{}[],:-\n\0\xff\''), b"null", b"1e999", b"\\u0000", b"\\ud800", b"// x\n", b'"id":{},',
    b'"retry":3,', b'"x":NaN', b"[" * 200, b"9" * 30, b"\xef\xbb\xbf",
])  # fmt: skip
TEXT = """# /x
# Title
## Phase 1: Work (0-20 mins)
### B
1. Do it
1. Do it (depends on 1)
2. **a** - Do (5 min)
2. claude - Do that, depends on steps 1,3, 10 minutes
3) `a`: Do (after step 2)
   - a detail
   depends on 2
```
<!--
-->
---
model: x

Words.
1. (
1. )]
9. depends on do-it
1. \u65e5\u672c
4. x 1 hour"""
LINES = st.sampled_from(TEXT.splitlines())


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside *value*."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """A real file with some bytes cut out, doubled or put in."""
    data = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        new = draw(st.sampled_from([b"", data[start:end] * 2]) | SCRAPS | st.binary(max_size=4))
        data = data[:start] + new + data[end:]
    return data


@st.composite
def mutated_definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A real definition with some values replaced, renamed or taken out."""
    raw: dict[str, Any] = json.loads(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 4))):
        *way, last = draw(st.sampled_from(places(raw) or [("version",)]))
        holder: Any = raw
        for step in way:
            holder = holder[step]
        action = draw(st.sampled_from(["replace", "rename", "remove"]))
        if action == "replace" or not isinstance(holder, dict):
            holder[last] = draw(JSON)
        elif last in holder:
            value = holder.pop(last)
            if action == "rename":
                holder[draw(st.sampled_from(FIELDS))] = value
    return raw


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(Path(tempfile.mkdtemp()), custom_agents=Catalog(ROOT).agents().agents)


def load_and_close(catalog: Catalog, source: str | dict[str, Any]) -> None:
    """Load *source* as far as it goes; only errors that are meant for users may come out."""
    try:
        loaded = catalog.load(source)
    except InputError as error:
        assert (error.code == InputError.code, error.message == "") == (False, False)  # noqa: PT017 - most load
        return
    assert loaded.digest == json_file.digest(loaded.raw)
    assert all(problem.code and problem.message for problem in loaded.problems)
    if loaded.errors:
        assert loaded.definition is None
        with pytest.raises(InvalidCommand):
            catalog.bundle(loaded)
    else:
        assert catalog.bundle(loaded).command is loaded.definition


@given(mutated_files() | st.binary(max_size=60))
def test_any_bytes_give_a_command_or_an_error(catalog: Catalog, data: bytes) -> None:
    (catalog.project / "x.json").write_bytes(data)
    load_and_close(catalog, "x.json")


@given(mutated_definitions() | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_any_definition_gives_a_command_or_its_problems(catalog: Catalog, raw: dict[str, Any]) -> None:
    load_and_close(catalog, raw)


@given(mutated_definitions())
def test_migrating_changes_nothing_that_it_is_given_and_gives_the_same_twice(raw: dict[str, Any]) -> None:
    before = copy.deepcopy(raw)
    first = migrate(raw)
    assert raw == before
    assert migrate(raw) == first
    assert first.changed == bool(first.problems)
    if not first.changed:
        assert first.definition is raw


@given(mutated_definitions())
def test_a_migrated_file_is_not_migrated_again(raw: dict[str, Any]) -> None:
    first = migrate(raw)
    again = migrate(json.loads(json.dumps(first.definition)))
    assert not again.changed


@given(mutated_definitions(), st.text(min_size=12, max_size=30).filter(lambda text: "\0" not in text))
def test_a_note_in_an_unknown_field_is_never_lost(raw: dict[str, Any], note: str) -> None:
    phases = raw.get("phases")
    spots = [raw, *(phase for phase in phases if isinstance(phase, dict))] if isinstance(phases, list) else [raw]
    for number, spot in enumerate(spots):
        spot[f"remark{number}"] = note
    kept = json.dumps(migrate(raw).definition, ensure_ascii=False)
    assert kept.count(json.dumps(note, ensure_ascii=False)) >= len(spots)


@given(st.lists(LINES, max_size=14).map("\n".join) | st.text(max_size=80))
@settings(max_examples=400)
def test_any_text_is_a_v1_command_or_no_command(text: str) -> None:
    try:
        converted = convert(text, stem="some file")
    except InputError as error:
        assert error.code == "NOT_A_COMMAND"  # noqa: PT017 - most texts are commands
        return
    phases = converted.definition["phases"]
    ids = [node["id"] for phase in phases for node in phase["agents"]]
    assert phases
    assert all(phase["agents"] for phase in phases)
    assert len(set(ids)) == len(ids)
    assert len({phase["id"] for phase in phases}) == len(phases)
    assert {need for phase in phases for node in phase["agents"] for need in node["dependencies"]} <= set(ids)
    assert converted == convert(text, stem="some file")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text('ab\u00e9\u65e5"\\\n', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\u00e9/~", max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN, st.booleans())
def test_what_is_json_is_read_as_it_is(value: object, indent: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    text = json.dumps(value, ensure_ascii=not indent, indent=2 if indent else None)
    assert json_file.parse(text) == value
    assert json_file.canonical(json.loads(json_file.canonical(value))) == json_file.canonical(value)


@given(st.text("{}[]\",:0-9a\\/*#'tru \n\u201c", max_size=30))
@settings(max_examples=500)
def test_json_is_accepted_exactly_where_the_standard_reader_accepts_it(text: str) -> None:
    try:
        expected = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError:
        with pytest.raises(InputError) as caught:
            json_file.parse(text)
        assert "line " in caught.value.message
        return
    del expected
    try:
        json_file.parse(text)
    except InputError as error:
        assert error.code in {"DUPLICATE_KEY", "NUMBER_TOO_LARGE", "INVALID_ENCODING"}  # noqa: PT017 - most texts raise nothing


@given(st.lists(st.text(max_size=12), max_size=8))
def test_slugs_are_ids_and_claimed_names_are_unique(texts: list[str]) -> None:
    names = Names()
    claimed = [names.claim(node_slug(text)) for text in texts]
    assert len(set(claimed)) == len(claimed)
    assert all(name in names for name in claimed)
    assert all(phase_slug(text)[0].isalpha() for text in texts)
    assert all(len(shorten(text, 5)) <= 5 for text in texts)


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "sec", "min", "minutes", "h", "hours", "d"]))
def test_durations_are_read_with_any_unit(number: int, unit: str) -> None:
    factor = {
        "ms": 1,
        "s": 1000,
        "sec": 1000,
        "min": 60_000,
        "minutes": 60_000,
        "h": 3_600_000,
        "hours": 3_600_000,
        "d": 86_400_000,
    }
    assert duration(f"{number} {unit}") == number * factor[unit]
    assert duration(f" {number}{unit.upper()} ") == number * factor[unit]
    assert duration(f"{number} {unit} or so") is None
