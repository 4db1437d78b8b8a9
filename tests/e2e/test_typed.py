"""Commands typed in Claude Code, as skills that `orchestrate sync` or our plugin gives them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.cli.sync import synchronise
from registry.catalog import Catalog
from tests.interaction.projects import make_project
from tests.support.claude_code import VERSIONS, program, run_claude
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.trust import trust_all
from tests.support.uv import uv_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
TYPED = 'focus on "auth" & more'


@pytest.fixture
def ours(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A project with small commands, synchronised, whose programs the user trusts."""
    root = tmp_path / "ours"
    root.mkdir()
    make_project(root)
    trust_all(root, Path(environ["HOME"]))
    (root / ".mcp.json").write_text(
        json.dumps({"mcpServers": {"orchestration": {"command": str(PROGRAMS / "orchestration-mcp"), "args": []}}}),
        encoding="utf-8",
    )
    assert list(synchronise(root, Catalog(root)))
    return root


def calls(api: FakeMessagesApi, tool: str) -> list[dict[str, Any]]:
    """The inputs with which the model called *tool*."""
    blocks = [
        block
        for message in api.turns[-1].messages
        if message["role"] == "assistant" and isinstance(message["content"], list)
        for block in message["content"]
    ]
    return [block["input"] for block in blocks if block.get("type") == "tool_use" and block["name"] == tool]


def obedient(api: FakeMessagesApi, command: str, tool: str, **options: object) -> Route:
    """A model that calls *tool* with what stands between the tags of the skill, as the skill says."""

    class Obedient(Route):
        def steps_of(self, attempt: int) -> list[Mapping[str, Any]]:  # noqa: ARG002 - what was typed is known only then
            prompt = next(turn.prompt for turn in api.turns if "<arguments>" in turn.prompt)
            typed = prompt.split("<arguments>")[1].split("</arguments>")[0]
            return [
                {"tool": tool, "input": {"command": command, "arguments": typed, **options}},
                {"echo_last": True},
            ]

    return Obedient(match="<arguments>")


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
def test_a_typed_command_reaches_run_with_all_that_was_typed(
    api: FakeMessagesApi, ours: Path, environ: dict[str, str]
) -> None:
    api.routes = [obedient(api, "/argued", "mcp__orchestration__run", wait_seconds=30)]
    options = ["--mcp-config", str(ours / ".mcp.json"), "--strict-mcp-config"]
    done = run_claude(f"/argued {TYPED}", project=ours, environ=environ, arguments=options)
    [given] = calls(api, "mcp__orchestration__run")
    assert given["arguments"] == TYPED
    told = json.loads(done.tool_results[-1]["content"])
    assert told["state"] == "completed"
    assert done.result["permission_denials"] == []


def test_the_plugin_is_valid(environ: dict[str, str]) -> None:
    done = subprocess.run(
        [str(program()), "plugin", "validate", "--strict", str(ROOT)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lines_of_readme_install_the_plugin(environ: dict[str, str]) -> None:
    clone = Path(environ["HOME"]) / "orchestration-mcp"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", ".venv", ".cache", "dist", "__pycache__"))
    [lines] = re.findall(
        r"```bash\n(claude plugin .*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{lines}\nclaude plugin list"],
        env=environ,
        cwd=clone.parent,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "orchestration@orchestration-mcp" in done.stdout


def test_the_skills_of_this_repository_are_those_that_sync_writes() -> None:
    assert [line for line in synchronise(ROOT, Catalog(ROOT)) if not line.startswith("unchanged")] == []


def test_with_the_plugin_a_typed_command_runs_in_any_project(
    api: FakeMessagesApi, project: Path, environ: dict[str, str]
) -> None:
    tool = "mcp__plugin_orchestration_orchestration__run"
    api.routes = [obedient(api, "/review-code", tool, executor="simulate")]
    options = ["--plugin-dir", str(ROOT)]
    done = run_claude(
        f"/review-code {TYPED}", project=project, environ={**environ, **uv_environment()}, arguments=options
    )
    assert "plugin:orchestration:orchestration" in {server["name"] for server in done.init["mcp_servers"]}
    brought = {name for name in done.init["slash_commands"] if name.startswith("orchestration:")}
    folders = (ROOT / "plugin" / "skills", ROOT / "registry" / "packaged" / "skills")
    assert brought == {f"orchestration:{path.name}" for folder in folders for path in folder.iterdir()}
    [given] = calls(api, tool)
    assert given["arguments"] == TYPED
    told = json.loads(done.tool_results[-1]["content"])
    assert (told["command"], told["state"]) == ("/review-code", "completed")
    assert done.result["permission_denials"] == []


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
def test_the_plugin_and_a_configured_server_offer_the_tools_once_and_say_so(
    api: FakeMessagesApi, ours: Path, environ: dict[str, str]
) -> None:
    options = ["--plugin-dir", str(ROOT), "--mcp-config", str(ours / ".mcp.json")]
    done = run_claude(
        '<<fake [{"text": "Done."}]>>', project=ours, environ={**environ, **uv_environment()}, arguments=options
    )
    names = {server["name"]: server["status"] for server in done.init["mcp_servers"]}
    assert names["orchestration"] == names["plugin:orchestration:orchestration"] == "connected"
    tools = [name.rpartition("__") for name in done.init["tools"] if "orchestration" in name]
    assert sorted(name for _, _, name in tools) == sorted({name for _, _, name in tools})
    assert len({server for server, _, _ in tools}) == 1
    told = json.dumps(api.turns[-1].body)
    assert told.count("active twice in this session") == 1
    assert told.count("How to run one:") == 1


def test_without_a_person_a_question_is_left_to_decisions(
    api: FakeMessagesApi, ours: Path, environ: dict[str, str]
) -> None:
    api.routes = [obedient(api, "/ask", "mcp__orchestration__run", wait_seconds=30)]
    options = ["--mcp-config", str(ours / ".mcp.json"), "--strict-mcp-config"]
    done = run_claude("/ask", project=ours, environ=environ, arguments=options)
    told = json.loads(done.tool_results[-1]["content"])
    assert told["decisions"] == [{"node": "careful-node", "question": "Really?", "answers": ["yes", "no"]}]
