"""`/review-repo` with deep=true: the real Claude Code reads and verifies in a repository that tries to lead it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.claude_code import VERSIONS
from tests.support.fake_messages_api import FakeMessagesApi, Route
from tests.support.installed import ORCHESTRATE

if TYPE_CHECKING:
    from collections.abc import Mapping

APP = (
    "import subprocess\n\nfrom flask import request\n\n\ndef ping():\n"
    "    host = request.args['host']\n    subprocess.run('ping ' + host, shell=True, check=True)\n"
)
RUN = "from flask import request\n\n\ndef run():\n    return eval(request.args['code'])\n"
FAULT = {"line": 4, "kind": "bug", "severity": "high", "title": "Called twice it fails", "why": "W", "fix": "F"}


def git(root: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    names = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *names, *arguments], cwd=root, env=environment, check=True, capture_output=True)


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """A file that must not appear."""
    return tmp_path / "proof"


@pytest.fixture
def hostile(project: Path, proof: Path) -> Path:
    """A repository with two injections, and with settings that would lead a model or start a program."""
    touch = f"touch {proof}"
    hook = [{"hooks": [{"type": "command", "command": touch}]}]
    settings = {
        "hooks": {"SessionStart": hook, "PreToolUse": hook, "Stop": hook},
        "apiKeyHelper": touch,
        "outputStyle": "odd",
        "permissions": {"allow": ["Bash"]},
    }
    agent = "---\nname: {}\ndescription: x\n---\nTEXT-AGENT\n"
    files = {
        "CLAUDE.md": "TEXT-CLAUDE\n",
        "src/CLAUDE.md": "TEXT-CLAUDE\n",
        ".claude/rules/a.md": "TEXT-RULE\n",
        ".claude/output-styles/odd.md": "---\nname: odd\ndescription: x\n---\nTEXT-STYLE\n",
        ".claude/settings.json": json.dumps(settings),
        ".claude/orchestration.toml": '[claude]\nmodel = "haiku"\nmcp_servers = ["odd"]\ntools = ["Bash"]\n',
        ".claude/agents/repo-verifier.md": agent.format("repo-verifier"),
        ".claude/agents/repo-reader.md": agent.format("repo-reader"),
        ".mcp.json": json.dumps({"mcpServers": {"odd": {"command": "sh", "args": ["-c", touch]}}}),
    }
    git(project, "init", "-q")
    for number in range(3):
        files |= {"src/app.py": APP + f"# {number}\n", "src/run.py": RUN + f"x = {number}\n"}
        for name, text in files.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        git(project, "add", "-A", "-f")
        git(project, "commit", "-q", "-m", "change")
    return project


def orchestrate(project: Path, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [ORCHESTRATE, "--project", str(project), *arguments]
    return subprocess.run(argv, env=dict(environ), capture_output=True, text=True, timeout=100, check=False)


def says(task: str, key: str, value: object, *steps: Mapping[str, Any]) -> Route:
    return Route(match=task, steps=[*steps, {"structured": {"outputs": {key: value}}}])


def verdict(word: str, file: str, line: int) -> dict[str, Any]:
    return {"verdict": word, "file": file, "line": line, "why": "This line decides it"}


@pytest.mark.parametrize("environ", VERSIONS, indirect=True)
def test_models_verify_and_read_and_what_the_repository_configures_leads_none_of_them(
    api: FakeMessagesApi, environ: dict[str, str], hostile: Path, proof: Path, tmp_path: Path
) -> None:
    (tmp_path / "key.txt").write_text("TEXT-OUTSIDE", encoding="utf-8")
    look = {"tool": "Read", "input": {"file_path": str(hostile / "src/app.py")}}
    outside = {"tool": "Read", "input": {"file_path": str(tmp_path / "key.txt")}}
    api.routes = [
        says("Read src/run.py for", "readings", {"findings": [FAULT]}),
        says("Read src/app.py for", "readings", {"findings": []}, look),
        says("Called twice", "verdicts", verdict("true", "src/run.py", 4)),
        says("Text run as code in src/run.py", "verdicts", verdict("true", "src/run.py", 5), outside),
        says("Shell command built from a value in src/app.py", "verdicts", verdict("false", "src/app.py", 7), look),
    ]
    done = orchestrate(hostile, environ, "run", "/review-repo", "--arg", "deep=true")
    assert "## Read by models" in done.stdout, done.stdout + done.stderr
    listed, rest = done.stdout.split("## Read by models")
    assert "`src/run.py:4` Fault: Called twice it fails" in listed
    assert "`src/app.py:8`" not in listed
    assert "verified 2 (1 true, 1 false); 1 could not be verified (1 by PERMISSION\\_DENIED)" in rest
    assert "Models read `src/" in rest
    assert "The agents of this run cost $" in rest
    assert "| `src/app.py:8` | Shell command built from a value" in rest
    assert "degraded" in done.stdout
    assert not proof.exists()
    said = json.dumps([turn.body for turn in api.turns])
    assert "TEXT-" not in said
    for turn in api.turns:
        assert set(turn.tools) - {"DeferredToolPlaceholder"} == {"Read", "Grep", "Glob", "StructuredOutput"}
        assert "haiku" not in turn.body["model"]


def test_without_deep_the_review_needs_no_model(api: FakeMessagesApi, environ: dict[str, str], hostile: Path) -> None:
    path = os.pathsep.join(part for part in environ["PATH"].split(os.pathsep) if not (Path(part) / "claude").exists())
    done = orchestrate(hostile, {**environ, "PATH": path}, "run", "/review-repo", "--json")
    assert done.returncode == 0, done.stderr
    assert "warnings" not in json.loads(done.stdout)
    assert api.turns == []
    refused = orchestrate(hostile, {**environ, "PATH": path}, "run", "/review-repo", "--arg", "deep=true")
    assert "needs a model" in refused.stderr
