"""Problems of a file carry file, line and column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.validation import Severity
from registry.catalog import Catalog
from registry.files.positions import positions

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
{
  "name": "/ship", "a/b~c": 1,
  "phases": [
    {"id": "one"},
    {
      "id": "tw\\"o",
      "agents": [{}, [1, 2]]
    }
  ]
}
"""


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("/name", (2, 3)),
        ("/a~1b~0c", (2, 20)),
        ("/phases", (3, 3)),
        ("/phases/0", (4, 5)),
        ("/phases/1/id", (6, 7)),
        ("/phases/1/agents/1/1", (7, 26)),
        ("/phases/1/agents/0/task", (7, 18)),
        ("/nothing/here", None),
        ("", None),
    ],
)
def test_a_pointer_has_the_place_of_its_part_or_of_the_nearest_around_it(
    pointer: str, place: tuple[int, int] | None
) -> None:
    assert positions(TEXT, [pointer, "/phases/0"], yaml=False).get(pointer) == place


def test_an_exact_place_is_none_where_the_part_is_not_there() -> None:
    assert positions(TEXT, ["/phases/0/agents"], yaml=False, exact=True) == {}


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=12,
)


def ways(value: Any, pointer: str = "") -> list[str]:  # noqa: ANN401 - any JSON
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    steps = [(str(step).replace("~", "~0").replace("/", "~1"), item) for step, item in items]
    return [place for step, item in steps for place in (f"{pointer}/{step}", *ways(item, f"{pointer}/{step}"))]


@given(st.dictionaries(st.text(max_size=4), values, max_size=4), st.sampled_from([None, 1, "\t"]))
def test_every_part_has_a_place_of_its_own_in_the_order_of_the_text(value: Any, indent: Any) -> None:  # noqa: ANN401
    text = json.dumps(value, indent=indent)
    wanted = ways(value)
    found = positions(text, wanted, yaml=False, exact=True)
    assert list(found) == wanted
    assert list(found.values()) == sorted(found.values())


def command(**fields: object) -> dict[str, Any]:
    node = {"id": "build", "agentId": "general-assistant", "task": "Build it", "dependencies": ["nobody"]}
    phases = [{"id": "one", "name": "One", "agents": [node]}]
    return {"version": "2.0.0", "name": "/ship", "description": "Ships it", "phases": phases, **fields}


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("ship.json", json.dumps(command(), indent=1), "ship.json:15:7"),
        ("ship.yaml", yaml.safe_dump(command()), "ship.yaml:7:7"),
        ("ship.yml", yaml.safe_dump(command(), default_flow_style=True, width=10_000), "ship.yml:1:"),
    ],
)
def test_a_semantic_problem_carries_file_line_and_column(project: Path, name: str, text: str, place: str) -> None:
    write(project, name, text)
    problem = next(one for one in Catalog(project).load("/ship").errors if one.code == "UNKNOWN_DEPENDENCY")
    assert str(problem.place).startswith(f".claude/commands/v2/{place}")
    assert problem.pointer == "/phases/0/agents/0/dependencies/0"


def test_of_an_older_dialect_only_what_is_in_the_file_has_a_place(project: Path) -> None:
    raw = command()
    raw["phases"][0]["agents"][0]["type"] = raw["phases"][0]["agents"][0].pop("agentId")
    write(project, "ship.json", json.dumps(raw, indent=1))
    loaded = Catalog(project).load("/ship")
    assert loaded.format == "dialect"
    places = {problem.pointer: problem.place for problem in loaded.problems}
    assert places["/phases/0/agents/0/type"] == ".claude/commands/v2/ship.json:16:6"
    assert places.get("/phases/0/agents/0/agentId") is None


def test_a_definition_that_is_handed_over_has_no_place(project: Path) -> None:
    assert {problem.place for problem in Catalog(project).load(command()).problems} == {None}


def test_json_is_run_where_one_name_has_both_and_that_is_said(project: Path) -> None:
    write(project, "ship.yaml", yaml.safe_dump(command()))
    write(project, "b/ship.json", json.dumps(command()))
    catalog = Catalog(project)
    loaded = catalog.load("/ship")
    assert loaded.source == ".claude/commands/v2/b/ship.json"
    twice = next(one for one in loaded.warnings if one.code == "DEFINED_TWICE")
    assert ".claude/commands/v2/ship.yaml" in twice.message
    assert twice.severity is Severity.WARNING
    (project / ".claude/commands/v2/b/ship.json").unlink()
    alone = catalog.load("/ship")
    assert (alone.source, alone.format) == (".claude/commands/v2/ship.yaml", "yaml")
    assert not [one for one in alone.problems if one.code == "DEFINED_TWICE"]


def write(project: Path, name: str, text: str) -> None:
    path = project / ".claude/commands/v2" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path
