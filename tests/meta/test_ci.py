"""Continuous integration runs what the README tells people to run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SHELL_BLOCK = re.compile(r"^```(?:bash|sh|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = re.compile(r"Programming Language :: Python :: (3\.\d+)")
SUPPORTED = [found[1] for text in PROJECT["classifiers"] if (found := VERSION.fullmatch(text))]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def readme_commands() -> list[str]:
    """The lines of the README's shell blocks, in order, without prompts, comments and continuations."""
    blocks = SHELL_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ").split(" #")[0].strip() for line in lines if line.strip() and line[0] != "#"]


def script(name: str) -> list[str]:
    return (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()


def test_ci_runs_the_test_command_of_the_readme_and_waits_for_lint_beside_it() -> None:
    test_command = readme_commands()[1]
    *beside, compiles, waits, tests, end = script("run")[-8:]
    assert beside == [".ci/lint &", "lint=$!", ".ci/tools &", "tools=$!"]
    assert "pytest --collect-only" in compiles
    assert (waits, tests, end) == ('wait "$tools"', test_command, 'wait "$lint"')


def test_every_script_can_be_run_and_stops_at_the_first_error() -> None:
    for path in sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file()):
        lines = script(path.name)
        assert lines[0] == "#!/usr/bin/env bash"
        assert "set -euo pipefail" in lines
        assert os.access(path, os.X_OK), path.name


def test_the_supported_versions_are_those_from_the_oldest_that_installers_take() -> None:
    oldest = int(PROJECT["requires-python"].removeprefix(">=3."))
    assert [f"3.{minor}" for minor in range(oldest, oldest + len(SUPPORTED))] == SUPPORTED
    assert len(SUPPORTED) == 4


@pytest.mark.parametrize("job", ["linux", "macos"])
def test_the_workflow_of_forks_tests_each_supported_version(job: str) -> None:
    found = WORKFLOW["jobs"][job]
    assert found["strategy"]["matrix"] == {"python": SUPPORTED}
    assert found["env"] == {"UV_PYTHON": "${{ matrix.python }}"}
    assert {"python-version": "${{ matrix.python }}"} in [step.get("with") for step in found["steps"]]


def test_the_workflow_of_forks_runs_what_every_commit_must_pass() -> None:
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in WORKFLOW["jobs"].items()}
    assert runs["linux"][-1] == ".ci/run"
    assert all(line.startswith((".ci/uv ", ".ci/test ")) for line in runs["macos"])


def test_the_workflow_of_forks_may_read_and_runs_actions_of_one_commit_each() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [job for job in WORKFLOW["jobs"].values() if "permissions" in job]
    used = [step for job in WORKFLOW["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [step["uses"] for step in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])] == []
    checkouts = [step for step in used if step["uses"].startswith("actions/checkout@")]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_the_nightly_run_names_each_supported_version_as_found_or_not() -> None:
    done = subprocess.run([ROOT / ".ci" / "pythons"], capture_output=True, text=True, check=True, timeout=50)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    absent = re.findall(r"^Python (3\.\d+) was not found", done.stderr, re.MULTILINE)
    assert sorted([*found, *absent]) == SUPPORTED
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in found
    for version, path in found.items():
        tell = "import sys; print('%d.%d' % sys.version_info[:2])"
        told = subprocess.run([path, "-c", tell], capture_output=True, text=True, check=True, timeout=50)
        assert told.stdout.strip() == version
