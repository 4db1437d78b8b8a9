"""The examples of forEach and repeat with programs as their agents."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.runtime.observations import values_of
from mcp_server.project.project import RunRequest, open_project
from tests.support.node_tools import ROOT
from tests.support.real_agents import ended, write_agents

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from engine.run.state import Run

pytestmark = pytest.mark.processes

PROGRAM = """
import json, sys
order = json.load(sys.stdin)
inputs = order["inputs"]
path = inputs.get("file", {}).get("path", "")
if path == "broken.py":
    sys.exit("it cannot be tested")
answers = {
    "files": [{"path": name} for name in ("a.py", "broken.py", "c.py")],
    "result": {"passed": inputs.get("iteration", 1) >= 2, "asked": order["task"]},
    "coverage_report": {"covered": inputs.get("covered"), "left": [one["key"] for one in inputs.get("uncovered", ())]},
    "test_results": order["task"],
    "covered": inputs.get("result", {"asked": order["task"]})["asked"],
}
if order["node"] == "analyze-coverage":
    files = [{"name": "parser.py", "coverage": 41}, {"name": "lexer.py", "coverage": 97}]
    answers["coverage_report"] = {"files": files}
keys = [key["key"] if isinstance(key, dict) else key for key in order["outputs"]]
print(json.dumps({"outputs": {key: answers[key] for key in keys}}))
"""
AGENTS = ("senior-reviewer", "test-engineer", "documentation-expert")


async def played(root: Path, file: str, name: str) -> tuple[Run, dict[str, Any]]:
    """A run of one of our commands to its end, and the values that it leaves."""
    folder = root / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    (root / "program.py").write_text(PROGRAM, encoding="utf-8")
    write_agents(root, **dict.fromkeys(AGENTS, ""))
    shutil.copy(ROOT / ".claude" / "commands" / "v2" / file, folder)
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=name))
        seen = await ended(engine, run)
        keys = [key for key in seen.context if "/" not in key]
        return seen, values_of(seen, "", keys, seen.version, engine.values)


async def test_one_agent_for_each_file(tmp_path: Path) -> None:
    run, values = await played(tmp_path, "examples/for-each.json", "/example-for-each")
    assert run.status is RunStatus.DEGRADED
    assert values["covered"] == {"a.py": "Write tests for a.py", "c.py": "Write tests for c.py"}
    [failed] = values["uncovered"]
    assert (failed["number"], failed["key"], failed["item"]) == (2, "broken.py", {"path": "broken.py"})
    assert values["coverage_report"] == {"covered": values["covered"], "left": ["broken.py"]}


async def test_the_adaptive_test_of_the_guide_tests_what_is_not_covered_well(tmp_path: Path) -> None:
    run, values = await played(tmp_path, "adaptive-test.json", "/adaptive-test")
    assert run.status is RunStatus.COMPLETED
    assert values["test_results"] == {"parser.py": "Generate tests for parser.py to improve coverage"}
    well = run.nodes["generate-tests/2"]  # type: ignore[index]
    assert (well.status, well.skip_message) == (NodeStatus.SKIPPED, "lexer.py is covered well enough")


async def test_again_until_the_tests_pass(tmp_path: Path) -> None:
    run, values = await played(tmp_path, "examples/repeat.json", "/example-repeat")
    assert run.status is RunStatus.COMPLETED
    assert values["result"] == {"passed": True, "asked": "Make the failing tests pass, try 2"}
    assert [name for name in run.nodes if name.count("/") == 1] == ["fix-tests/1", "fix-tests/2"]


async def test_a_pipeline_of_both(tmp_path: Path) -> None:
    run, values = await played(tmp_path, "examples/pipeline.json", "/example-pipeline")
    assert run.status is RunStatus.DEGRADED
    asked = "Make the tests of {} pass, try 2"
    assert values["covered"] == {name: asked.format(name) for name in ("a.py", "c.py")}
    states = {name: node.status for name, node in run.nodes.items()}
    assert states["cover-files/2"] is NodeStatus.FAILED  # type: ignore[index]
    assert states["cover-files/3/write-tests/2"] is NodeStatus.COMPLETED  # type: ignore[index]
    assert "cover-files/2/sum-up" in states
    assert json.dumps(values["coverage_report"]["left"]) == '["broken.py"]'
