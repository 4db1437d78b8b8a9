"""Git repositories for tests, and an agent that does in its working folder what its task says, in Python.

Effects: starts git, writes files. The agent meets a test at named pipes, as those of `real_agents` do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from engine.model.agent import Agent, AgentKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

_WHO = ("-c", "user.name=A Person", "-c", "user.email=person@example.com", "-c", "commit.gpgSign=false")

EDITOR = """
import json, os, pathlib, shutil, subprocess, sys, time
order = json.load(sys.stdin)

def write(path, text):
    place = pathlib.Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text if isinstance(text, bytes) else text.encode())

def replace(path, old, new):
    text = pathlib.Path(path).read_text()
    assert old in text, (path, text)
    write(path, text.replace(old, new))

def meet():
    with open(f"{sys.argv[1]}/{order['node']}.ready", "w") as ready:
        ready.write("x")
    with open(f"{sys.argv[1]}/{order['node']}.go") as go:
        go.read()

exec(order["task"])
print(json.dumps({"outputs": {}}))
"""
"""Runs its task; `write`, `replace` and `meet` are at hand."""


def editor(project: Path, name: str = "worker", **fields: Any) -> Agent:  # noqa: ANN401 - fields of Agent
    """An isolated agent whose task is Python code that runs in its working folder."""
    command = (sys.executable, "-c", EDITOR, str(project))
    return Agent(**{"id": name, "kind": AgentKind.PROCESS, "isolation": "worktree", "command": command, **fields})


def git(folder: Path, *words: str, accept: tuple[int, ...] = (0,), **variables: str) -> str:
    """What git answers in *folder*, as somebody without any configuration of their own."""
    ran = subprocess.run(
        ["git", *_WHO, *words],
        cwd=folder,
        capture_output=True,
        timeout=30,
        check=False,
        env={**_environment(), **variables},
    )
    assert ran.returncode in accept, ran.stderr.decode("utf-8", "replace")
    return os.fsdecode(ran.stdout).removesuffix("\n")


def make_repository(folder: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """A repository with one commit of *files*; without any files it has no commit yet."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    if files:
        write_files(folder, files)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message=The beginning")
    return folder


def configure_user(patch: pytest.MonkeyPatch, folder: Path, **settings: str) -> None:
    """Let git find *settings* in the configuration of the user, a file in *folder*, and none of the system's."""
    file = folder / "the-users-config"
    for name, value in settings.items():
        git(folder, "config", "--file", str(file), name, value)
    patch.setenv("GIT_CONFIG_GLOBAL", str(file))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)


def branches(folder: Path) -> list[str]:
    """The branches of the engine, without the word that all begin with."""
    listed = git(folder, "for-each-ref", "--format=%(refname)", "refs/heads/orchestration/")
    return [name.removeprefix("refs/heads/orchestration/") for name in listed.splitlines()]


def on_branch(folder: Path, branch: str, path: str) -> str:
    """A file as a branch of the engine has it."""
    return git(folder, "show", f"orchestration/{branch}:{path}")


def leftovers(project: Path) -> list[str]:
    """Worktrees that git or the engine still knows of, and folders of them."""
    listed = git(project, "worktree", "list", "--porcelain").split("\n\n")
    known = [entry.splitlines()[0] for entry in listed if "/.claude/worktrees/" in entry]
    state, place = project / ".claude" / "orchestration" / "worktrees", project / ".claude" / "worktrees"
    folders = [path.name for root in (state, place) if root.is_dir() for path in root.iterdir() if path.is_dir()]
    return known + folders


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
