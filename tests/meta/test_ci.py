"""Continuous integration runs what the README tells people to run."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL_BLOCK = re.compile(r"^```(?:bash|sh|shell|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def readme_commands() -> list[str]:
    """The lines of the README's shell blocks, in order, without prompts, comments and continuations."""
    blocks = SHELL_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.removeprefix("$ ").split(" #")[0].strip() for line in lines if line.strip() and line[0] != "#"]


def script(name: str) -> list[str]:
    return (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()


def test_ci_runs_the_test_command_of_the_readme_and_waits_for_lint_beside_it() -> None:
    test_command = readme_commands()[1]
    assert script("run")[-4:] == [".ci/lint &", "lint=$!", test_command, 'wait "$lint"']


def test_every_script_can_be_run_and_stops_at_the_first_error() -> None:
    for path in sorted(path for path in (ROOT / ".ci").iterdir() if path.is_file()):
        lines = script(path.name)
        assert lines[0] == "#!/usr/bin/env bash"
        assert "set -euo pipefail" in lines
        assert os.access(path, os.X_OK), path.name
