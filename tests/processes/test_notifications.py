"""Notifications of real runs: to whom they go, and that nothing depends on them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_server.project.settings import SETTINGS_FILE
from tests.interaction.projects import environment, make_project
from tests.support.hook import Hook, hooked
from tests.support.installed import ORCHESTRATE
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
KEEP = """#!/bin/sh
cat >> kept
echo >> kept
printf %s "${AWS_PROFILE-unset}" > variable
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder)
    (folder / "keep").write_text(KEEP, encoding="utf-8")
    (folder / "keep").chmod(0o755)
    return folder


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as found:
        yield found


def users(root: Path, text: str) -> None:
    """Write the user's settings."""
    folder = root / "home" / ".config" / "orchestration-mcp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.toml").write_text(f"[notify]\n{text}\n", encoding="utf-8")


def run(root: Path, name: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = environment(root) | {"AWS_PROFILE": "mine"} | variables
    return subprocess.run(
        [ORCHESTRATE, "run", name, *options],
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_the_users_program_and_web_hook_hear_of_a_question_and_of_the_end(root: Path, hook: Hook) -> None:
    users(root, f'command = ["{root}/keep"]\nwebhook = "{hook.address}"')
    done = run(root, "/ask", "--json")
    assert done.returncode == 1, done.stderr
    assert [body["event"] for body in hook.bodies] == ["question", "end"]
    asked, end = hook.bodies
    assert (asked["node"], asked["message"], asked["answers"]) == ("careful-node", "Really?", ["yes", "no"])
    assert (end["state"], end["run"], end["project"]) == ("failed", json.loads(done.stdout)["runId"], str(root))
    kept = (root / "kept").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in kept] == hook.bodies
    assert (root / "variable").read_text(encoding="utf-8") == "mine"


def test_the_user_chooses_the_occasions(root: Path, hook: Hook) -> None:
    users(root, f'events = ["end"]\nwebhook = "{hook.address}"')
    run(root, "/ask")
    assert [body["event"] for body in hook.bodies] == ["end"]
    run(root, "/hello", "--executor", "simulate")
    assert len(hook.bodies) == 1


def test_targets_that_fail_are_named_once_and_harm_no_run(root: Path, hook: Hook) -> None:
    hook.status = 500
    users(root, f'command = ["no-such-program"]\nwebhook = "{hook.address}"')
    done = run(root, "/hello", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "completed"
    assert done.stderr.count("the program no-such-program of the notifications failed (it was not found)") == 1
    assert done.stderr.count("the web hook at 127.0.0.1 of the notifications failed (it answered 500)") == 1
    assert "secret-path" not in done.stderr


def test_those_of_a_project_wait_for_the_users_yes(root: Path, hook: Hook) -> None:
    settings = root / SETTINGS_FILE
    text = f'{settings.read_text(encoding="utf-8")}\n[notify]\ncommand = ["./keep"]\nwebhook = "{hook.address}"\n'
    settings.write_text(text, encoding="utf-8")
    done = run(root, "/hello")
    assert done.returncode == 0, done.stderr
    assert hook.bodies == []
    assert not (root / "kept").exists()
    assert "wait for your yes" in done.stderr
    run(root, "/hello", ORCHESTRATION_NOTIFY__WEBHOOK=hook.address)  # the user's own needs no yes
    assert [body["event"] for body in hook.bodies] == ["end"]
    assert not (root / "kept").exists()
    hook.bodies.clear()
    trust_all(root, root / "home")
    done = run(root, "/hello")
    assert [body["event"] for body in hook.bodies] == ["end"]
    assert (root / "variable").read_text(encoding="utf-8") == "unset"  # programs of a project get few variables
    assert "wait for your yes" not in done.stderr
    (root / "keep").write_text(KEEP + "touch marker\n", encoding="utf-8")
    run(root, "/hello")
    assert not (root / "marker").exists()
