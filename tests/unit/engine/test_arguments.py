"""`$ARGUMENTS` in what a run begins with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.arguments import initial_context
from engine.graph import compile_plan
from registry.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path


def node(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"id": "look", "agentId": "general-assistant", "task": "Look", "dependencies": [], **fields}


def command(name: str, first: dict[str, Any], **initial: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    phases = [{"id": "one", "name": "One", "agents": [first]}]
    return {
        "version": "2.0.0",
        "name": name,
        "description": "Looks",
        "globalContext": {"initial": initial},
        "phases": phases,
    }


def test_the_argument_text_is_filled_into_texts_and_nothing_else(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    plan = compile_plan(catalog.bundle(catalog.load(command("/x", node(), a="at $ARGUMENTS", b=["$ARGUMENTS"], c=1))))
    assert initial_context(plan, "src $ARGUMENTS") == {"a": "at src $ARGUMENTS", "b": ["$ARGUMENTS"], "c": 1}


def test_a_sub_command_has_its_own_argument_text(tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    (folder / "inner.json").write_text(json.dumps(command("/inner", node(), a="at $ARGUMENTS")))
    catalog = Catalog(tmp_path)
    outer = command("/outer", node(id="call", agentId="command", task="/inner the $ARGUMENTS"), a="for $ARGUMENTS")
    plan = compile_plan(catalog.bundle(catalog.load(outer)))
    found = initial_context(plan, "docs")
    assert found["a"] == "for docs"
    assert found["call/a"] == "at the docs"
