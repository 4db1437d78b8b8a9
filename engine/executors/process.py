"""Runs agents that are programs: one JSON object in on stdin, one out on stdout.

Effects: starts a process for each work order. Tasks and values never go through a shell or into an argument.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.executors.answer import failed
from engine.executors.dialogue import ask
from engine.executors.environment import open_environment
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.executors.subprocesses.process_tags import tag_of
from engine.model.policy import FailureKind

PYTHON_ENTRY = "{python}"
"""Stands in an argv for our own Python interpreter."""


class ProcessExecutor:
    """Runs an agent's `command` in the project root, or in the agent's worktree."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """*environment* is added to that of every agent; `$NAME` in it stands for a variable of this process."""
        self._environment = environment or {}

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Execute *order* in a process of its own; it and all it started have ended when this returns."""
        agent = order.agent
        tag = tag_of(order.attempt, order.project, keep=agent.keep_processes)
        environment = open_environment(order, tag, self._environment)
        if isinstance(environment, Outcome):
            return environment
        path = environment.variables.get("PATH")
        argv = resolve(agent.command, order.project, path=path, worktree=order.worktree)
        if isinstance(argv, Outcome):
            return argv
        name = os.path.basename(argv[0])  # noqa: PTH119 -- no Path is needed
        sources = (order.folder / word for word in argv)  # words that are not files are skipped
        return await ask(order, argv, name=name, environment=environment, tag=tag, heartbeat=heartbeat, sources=sources)


def resolve(
    command: Sequence[str], project: Path, *, path: str | None, worktree: Path | None = None
) -> list[str] | Outcome:
    """The argv to start for *command*, or the failure that says why it cannot be started.

    A bare name is looked up in *path*, a relative path in *worktree*, if there is one, and then in *project*, which it
    must not leave: a program finds its tree by its own path, and one that git ignores is in the project only.
    """
    argv = [sys.executable if word == PYTHON_ENTRY else word for word in command]
    if not argv or not argv[0]:
        return failed(
            FailureKind.ERROR,
            "PROGRAM_NOT_FOUND",
            "the agent does not name a program",
            hint='Add `command` to its file, a list such as ["{python}", "scripts/check.py"].',
            begun=False,
        )
    program = argv[0]
    if os.path.isabs(program):  # noqa: PTH117 -- no Path is needed
        found: str | None = program
    elif os.sep in program:
        found = _inside(program, project)
        if found is None:
            return failed(
                FailureKind.ERROR,
                "PATH_OUTSIDE_PROJECT",
                f"the program {program} is outside the project root {project}",
                hint="Keep the agent's program inside the project, or name one that is on the PATH.",
                begun=False,
            )
        copy = None if worktree is None else _inside(program, worktree)
        found = copy if copy is not None and os.path.isfile(copy) else found  # noqa: PTH113 -- no Path is needed
    else:
        found = shutil.which(program, path=_from(project if worktree is None else worktree, path))
    if found is None or not os.path.isfile(found):  # noqa: PTH113 -- no Path is needed
        place = "in the project" if os.sep in program else "on the PATH"
        return failed(
            FailureKind.ERROR,
            "PROGRAM_NOT_FOUND",
            f"the program {program} was not found {place}",
            hint=f"Install it, or correct `command` in the agent's file; a relative path starts at {project}.",
            begun=False,
        )
    if not os.access(found, os.X_OK):
        return failed(
            FailureKind.ERROR,
            "PROGRAM_NOT_EXECUTABLE",
            f"the program {program} is not executable",
            hint=f'Run `chmod +x {program}`, or start it with its interpreter: ["{PYTHON_ENTRY}", "{program}"].',
            begun=False,
        )
    return [found, *argv[1:]]


def _from(folder: Path, path: str | None) -> str | None:
    """The search *path* as the agent will see it, which starts in *folder*, unlike this process."""
    return path and os.pathsep.join(os.path.join(folder, entry) for entry in path.split(os.pathsep))  # noqa: PTH118


def _inside(program: str, project: Path) -> str | None:
    """The absolute path of *program*, None if it leaves *project*.

    The folder is followed through links, the program itself is not: `.venv/bin/python` is a link to somewhere else, and
    has to be started by that name.
    """
    root = project.resolve()
    folder, name = os.path.split(program)
    place = (root / folder).resolve()
    if name in {"", ".", ".."} or not place.is_relative_to(root):
        return None
    return str(place / name)
