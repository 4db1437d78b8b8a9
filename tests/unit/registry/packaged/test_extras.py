"""A message that an extra is missing says how to add it to the installation at hand, and to lose none that it has."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from registry.packaged import scanners
from registry.packaged.extras import EXTRAS, how_to_install

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The packages that are found: none at first."""
    found: set[str] = set()
    monkeypatch.setattr(scanners, "is_installed", lambda package: package in found)
    return found


def origin(monkeypatch: pytest.MonkeyPatch, record: dict[str, Any] | None) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if record is None else json.dumps(record)

    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: Installed())


@pytest.mark.parametrize(
    ("record", "requirement"),
    [
        (None, "orchestration-mcp[review]"),
        ({}, "orchestration-mcp[review]"),
        ({"url": "file:///my/clone", "dir_info": {}}, "orchestration-mcp[review] @ file:///my/clone"),
        (
            {"url": "https://example.com/o.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "orchestration-mcp[review] @ git+https://example.com/o.git@abc",
        ),
        (
            {"url": "https://ada:word@example.com/o.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "orchestration-mcp[review] @ git+https://example.com/o.git@abc",
        ),
        (
            {"url": "ssh://git@example.com/o.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "orchestration-mcp[review] @ git+ssh://git@example.com/o.git@abc",
        ),
        (
            {
                "url": "https://example.com/o.git",
                "vcs_info": {"vcs": "git", "requested_revision": "v1", "commit_id": "a"},
            },
            "orchestration-mcp[review] @ git+https://example.com/o.git@v1",
        ),
    ],
)
def test_the_hint_installs_from_where_this_installation_came(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, Any] | None, requirement: str
) -> None:
    origin(monkeypatch, record)
    hint = how_to_install("review")
    assert f'`uv tool install "{requirement}"`' in hint
    assert Requirement(requirement).extras == {"review"}


def test_a_damaged_record_of_the_installation_costs_the_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged:
        def read_text(self, _name: str) -> str:
            return "{"

    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: Damaged())
    assert 'uv tool install "orchestration-mcp[review]"' in how_to_install("review")


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = {
        extra: {Requirement(text).name for text in texts} for extra, texts in project["optional-dependencies"].items()
    }
    assert listed.keys() == EXTRAS.keys()
    assert all(package in listed[extra] for extra, package in EXTRAS.items())


def test_the_extras_that_are_there_are_kept(monkeypatch: pytest.MonkeyPatch, installed: set[str]) -> None:
    origin(monkeypatch, {"url": "file:///my/clone", "dir_info": {}})
    installed |= {EXTRAS["otel"], EXTRAS["review"]}
    assert '"orchestration-mcp[fleet,otel,review] @ file:///my/clone"' in how_to_install("fleet")


def test_a_program_that_follows_its_clone_goes_on_to_do_so(monkeypatch: pytest.MonkeyPatch) -> None:
    origin(monkeypatch, {"url": "file:///my%20own/clone", "dir_info": {"editable": True}})
    hint = how_to_install("fleet")
    assert '`uv tool install --editable "/my own/clone[fleet]"`' in hint
    assert "uvx" not in hint
