"""The agents of `/review-repo` through the real executors, in repositories that try to be run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from engine.conditions import parse
from engine.executors.port import Executor, OutputSpec
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.model.agent import AgentKind
from registry.catalog import Catalog
from tests.support.orders import Beats, order_for

pytestmark = [pytest.mark.processes, pytest.mark.anyio]


def executors(**environment: str) -> dict[AgentKind, Executor]:
    """The executors of agents that get *environment* beside what all agents get."""
    return {AgentKind.PYTHON: PythonExecutor(environment), AgentKind.PROCESS: ProcessExecutor(environment)}


EXECUTORS = executors()


def git(root: Path, *arguments: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    names = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *names, *arguments], cwd=root, env=environment, check=True, capture_output=True)


def repository(root: Path, **files: str) -> Path:
    root.mkdir()
    git(root, "init", "-q")
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


async def review(
    root: Path,
    running: dict[AgentKind, Executor] = EXECUTORS,
    **arguments: Any,  # noqa: ANN401 - JSON
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All outputs, and the failures by node, of the nodes run one after the other in file order."""
    catalog = Catalog(root)
    bundle = catalog.bundle(catalog.load("/review-repo"))
    context: dict[str, Any] = dict(arguments)
    failures: dict[str, Any] = {}
    for node in (node for phase in bundle.command.phases for node in phase.agents):
        skip = node.skip_condition
        if skip is not None and parse(skip.expression).evaluate(context):
            continue
        agent = bundle.agents[node.agent_id]
        keys = tuple(OutputSpec(key=output.key) for output in node.context.outputs)
        inputs = {item.key: context.get(item.key, item.default) for item in node.context.inputs}
        order = order_for(agent, project=root, inputs=inputs, outputs=keys, node=node.id)
        outcome = await running[agent.kind].execute(order, Beats())
        if outcome.failure is not None:
            failures[node.id] = outcome.failure
        context.update(outcome.outputs)
    return context, failures


def snapshot(root: Path) -> dict[str, str]:
    """Hash and modification time of everything below *root*, the git folder too."""
    return {
        str(path.relative_to(root)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in root.rglob("*")
        if path.is_file()
    }


async def test_a_repository_is_reviewed_and_nothing_is_written_into_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", **{"app.py": "exec(input())\n", "README.md": "[x](gone.md)\n"})
    before = snapshot(root)
    context, failures = await review(root)
    assert failures == {}
    assert {(entry["tool"], entry["rule"]) for entry in context["findings"]} == {
        ("ruff", "S102"),
        ("hygiene", "broken-link"),
    }
    assert context["report"].startswith("# Repository review")
    assert snapshot(root) == before


async def test_code_of_the_reviewed_repository_is_never_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    trap = f"open({str(proof)!r}, 'a').write(__file__)\n"
    modules = ("json", "ruff", "lizard", "pathspec", "csv", "yaml", "psutil", "sitecustomize", "usercustomize", "re")
    files = {f"{name}.py": trap for name in modules}
    files |= {"registry/__init__.py": trap, "ruff/__init__.py": trap, "ruff/__main__.py": trap, "conftest.py": trap}
    script = f"require('fs').writeFileSync({str(proof)!r}, 'config')\n"
    shell = f"#!/bin/sh\necho program >> {proof}\n"
    files |= {
        ".gitattributes": "*.py diff=trap filter=trap\n",
        "oxlint.config.ts": script,
        ".oxlintrc.json": '{"jsPlugins": ["./plugin.js"]}',
        "plugin.js": script,
        "sgconfig.yml": "ruleDirs: [rules]\ncustomLanguages: {python: {libraryPath: trap.so, extensions: [py]}}\n",
        "package.json": '{"scripts": {"postinstall": "node plugin.js"}}',
        ".github/workflows/ci.yml": "on: push\njobs: {a: {runs-on: x, steps: [{run: echo}]}}\n",
        "run.sh": f". ./trap.sh\necho $(cat {proof})\n",
        **dict.fromkeys(("trap.sh", "git", "shellcheck", "pyflakes", "node", "bin/ruff"), shell),
    }
    root = repository(tmp_path / "repo", **files)
    for number in range(3):
        (root / "more.py").write_text(f"x = {number}\n")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "more")
    command = f"sh -c 'echo run >> {proof}'"
    for setting in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "diff.external", "diff.trap.textconv",
        "diff.trap.command", "filter.trap.clean", "filter.trap.smudge", "gpg.program", "pager.log", "alias.log",
    ):  # fmt: skip
        git(root, "config", setting, command)
    git(root, "config", "log.showSignature", "true")
    hooks = root / ".git" / "hooks"
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (hooks / hook).write_text(f"#!/bin/sh\necho hook >> {proof}\n")
        (hooks / hook).chmod(0o755)
    proof.unlink(missing_ok=True)
    for name in ("git", "shellcheck", "pyflakes", "node", "bin/ruff"):
        (root / name).chmod(0o755)
    path = os.pathsep.join([str(root), str(root / "bin"), os.environ["PATH"]])
    context, failures = await review(root, executors(PATH=path))
    assert failures == {}
    assert "more.py" in {file["path"] for file in context["history"]["files"]}
    assert not proof.exists(), proof.read_text()


async def test_reviewers_with_nothing_to_look_at_are_skipped_and_the_report_copes(tmp_path: Path) -> None:
    root = tmp_path / "empty"
    root.mkdir()
    git(root, "init", "-q")
    context, failures = await review(root)
    assert failures == {}
    assert "There is nothing to review" in context["report"]


async def test_a_failed_agent_leaves_the_report_to_the_others(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", **{"app.py": "exec(input())\n"})
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tomllib.py").write_text("raise RuntimeError('tomllib is broken')\n")
    context, failures = await review(root, executors(PYTHONPATH=str(broken)))
    assert set(failures) == {"scan-text"}
    assert "tomllib is broken" in failures["scan-text"].message
    assert "**Incomplete**: the search for secrets and broken data files did not finish." in context["report"]
    assert "- 1 commit by 1 person" in context["report"]


async def test_a_run_fails_from_a_severity_on(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", **{"app.py": "from flask import request\nexec(request.args['code'])\n"})
    limit: Any = {"fail-on": "medium"}
    _, failures = await review(root, **limit)
    assert {node: failure.code for node, failure in failures.items()} == {"check-limit": "FINDINGS"}


async def test_a_folder_that_is_no_repository_fails_clearly(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    agent = catalog.bundle(catalog.load("/review-repo")).agents["repo-structure"]
    order = order_for(agent, project=tmp_path, outputs=(OutputSpec(key="structure"),), node="map-structure")
    outcome = await EXECUTORS[agent.kind].execute(order, Beats())
    assert outcome.failure is not None
    assert outcome.failure.code == "NOT_A_REPOSITORY"
    assert "git init" in outcome.failure.message


AS_SOMEONE_ELSE = """
import json, os, sys
from registry.packaged.review_repo import conclusion, history, structure, texts
def review():
    context = {}
    for agent in (structure.review, texts.text, history.review, conclusion.review):
        context |= agent({"inputs": context})["outputs"]
    return context
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    review()  # imports what may be out of reach afterwards
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(json.dumps(review()))
"""


def test_what_may_not_be_read_is_said_and_the_rest_is_reviewed() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    with tempfile.TemporaryDirectory(prefix="review-") as folder:  # that of a test lets no one else in
        root = repository(
            Path(folder) / "repo",
            **{"src/app.py": "x = 1\n", "src/closed.py": "y = 1\n", "shut/in.py": "z = 1\n", "c.json": "{\n"},
        )
        for path in (Path(folder), root):
            path.chmod(0o755)
        (root / "src" / "closed.py").chmod(0)
        (root / "shut").chmod(0)
        try:
            done = subprocess.run(
                [sys.executable, "-c", AS_SOMEONE_ELSE, str(root)],
                cwd=Path(__file__).parents[2],
                env=environment | {"HOME": folder, "GIT_CONFIG_GLOBAL": os.devnull},
                capture_output=True,
                text=True,
                check=False,
                timeout=50,
            )
        finally:
            (root / "shut").chmod(0o755)
    assert done.returncode == 0, done.stderr
    context = json.loads(done.stdout)
    skipped = {item["reason"]: item["examples"] for item in context["structure"]["skipped"]}
    assert skipped["not readable"] == ["shut/in.py", "src/closed.py"]
    assert {entry["file"] for entry in context["findings"]} == {"c.json"}
    assert "- Not read, not readable: 2 paths, such as `shut/in.py`, `src/closed.py`" in context["report"]
