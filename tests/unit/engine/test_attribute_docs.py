"""Docstrings behind the fields of a model are their descriptions in its schema, and cost nothing before."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
from pydantic import BaseModel, ConfigDict, Field

from engine.model.attribute_docs import Documented, descriptions


class Shelf(Documented, BaseModel):
    """A shelf."""

    model_config = ConfigDict(alias_generator=str.upper)

    books: int = 0
    """Number of
    books."""
    height: float = Field(default=1.0, description="Metres.")
    """Another text."""
    owner: str = ""


class Case(Shelf):
    """A shelf with a door."""

    door: Shelf | None = None
    """What it opens."""
    key: str = Field(default="", exclude=True)
    """Not in every schema."""


def test_a_docstring_is_the_description_of_its_field_under_the_name_that_files_use() -> None:
    shown = Case.model_json_schema()["properties"]
    assert shown["BOOKS"]["description"] == "Number of\nbooks."
    assert shown["DOOR"]["description"] == "What it opens."
    assert "description" not in shown["OWNER"]
    assert Case.model_json_schema()["$defs"]["Shelf"]["properties"]["BOOKS"] == shown["BOOKS"]


def test_a_description_of_its_own_comes_first() -> None:
    assert Shelf.model_json_schema()["properties"]["HEIGHT"]["description"] == "Metres."


def test_a_field_that_a_schema_leaves_out_stays_out() -> None:
    assert "KEY" not in Case.model_json_schema(mode="serialization")["properties"]


def test_without_its_source_a_model_has_a_schema_without_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made")
    module.__file__ = "/nowhere/made.py"
    monkeypatch.setitem(sys.modules, "made", module)
    made = type("Made", (Documented, BaseModel), {"__module__": "made", "__annotations__": {"size": int}})
    assert descriptions(made) == {}
    assert list(made.model_json_schema()["properties"]) == ["size"]  # type: ignore[attr-defined]


BUILT = """
import inspect
from pydantic.main import BaseModel
def refuse(*_args, **_kwargs): raise SystemExit("a source was read")
inspect.getsource = inspect.getsourcelines = inspect.findsource = refuse
import mcp_server.answers.nodes, mcp_server.project.user_settings
from engine.model.command import CommandDefinition
kinds = [*BaseModel.__subclasses__(), CommandDefinition]
ours = [kind for kind in kinds if kind.__module__.startswith(("engine", "mcp_server"))]
assert len(ours) > 5
print([kind.__name__ for kind in ours if kind.__pydantic_complete__])
"""


def test_defining_our_models_reads_no_source_and_builds_none() -> None:
    done = subprocess.run([sys.executable, "-c", BUILT], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"
