"""Every example of the Python API's page runs, in order, and prints what stands below it."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import engine
from tests.docs.pages import DOCS, ROOT, blocks, make_project, matches

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DOCS / "python-api.md"


async def run(code: str, name: str, names: dict[str, Any]) -> str:
    """What *code*, which may await, prints."""
    printed = io.StringIO()
    compiled = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(printed):
        waiting = eval(compiled, names)  # noqa: S307 - our own page
        if inspect.isawaitable(waiting):
            await waiting
    return printed.getvalue()


async def test_the_examples_run_in_order_and_print_what_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    home.mkdir()
    make_project(project)
    shutil.copytree(ROOT / ".claude" / "commands", project / ".claude" / "commands")
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CLAUDE_PROJECT_DIR", raising=False)
    names: dict[str, Any] = {"__name__": "page"}
    printed = ""
    found = blocks(PAGE)
    assert len([block for block in found if block.language == "python"]) > 8
    for block in found:
        if block.language == "python":
            assert not printed, f"{block}: what the example before it prints is not shown"
            printed = await run(block.text, str(block), names)
        else:
            assert block.language == "text"
            assert matches(block.text, printed), f"{block}: it printed\n{printed}"
            printed = ""


def test_every_name_that_a_program_can_import_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [
        name for name in engine.__all__ if not re.search(rf"`[^`]*\b{name}\b[^`]*`|import .*\b{name}\b", text)
    ] == []
