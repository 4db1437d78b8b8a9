"""Commands of the gallery in a project of a test, as `orchestrate new` writes them there.

Effects: writes files, starts git; `played` opens a project and runs a command to its end.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.executors.simulate import Fault
from engine.ids import NodeId
from engine.model.policy import FailureKind
from engine.runtime.observations import values_of
from mcp_server.project.project import RunRequest, open_project
from registry.templates import find, templates
from tests.support.repositories import git, make_repository, write_files
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.run.state import Run
    from engine.service import Engine

NAMES = tuple(name for one in templates() if (name := one.name.removeprefix("gallery/")) != one.name)
SECONDS = 240
"""Longest run of a command: each of its agents is a Claude Code of its own."""
PROGRAMS = Path(sys.executable).parent
"""Where pytest is, which the commands run."""


ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "migrate-files": {"goal": "from unittest to pytest", "pattern": "*.py"},
    "upgrade-dependency": {"package": "react", "version": "19.0.0"},
    "research": {"question": "Why?"},
    "release": {"version": "1.0.0"},
}
"""The arguments that commands need."""


@dataclass(frozen=True)
class Played:
    """A run at its end."""

    run: Run
    values: Mapping[str, Any]
    """The values of the whole command, by key."""

    @property
    def states(self) -> dict[str, str]:
        return {name: str(node.status) for name, node in self.run.nodes.items()}

    @property
    def failures(self) -> dict[str, str]:
        return {name: node.failure.code for name, node in self.run.nodes.items() if node.failure is not None}


def write_command(root: Path, name: str, kind: str = "gallery") -> None:
    """The files of a command of the gallery, or of another *kind* of templates, under its own name."""
    write_files(root, {str(path): text for path, text in find(f"{kind}/{name}").files(f"/{name}").items()})


def repository(root: Path, name: str, files: Mapping[str, str]) -> Path:
    """A project with the command, and one commit of all."""
    write_command(root, name)
    make_repository(root, {".gitignore": "__pycache__/\n.pytest_cache/\nnode_modules/\n", **files})
    git(root, "config", "user.name", "A Person")
    git(root, "config", "user.email", "person@example.com")
    return root


async def played(
    root: Path, name: str, *, home: Path, arguments: Mapping[str, Any] | None = None, answers: Mapping[str, str] = {}
) -> Played:
    """A run of the command to its end; *answers* are a person's, by node. The programs have the user's yes."""
    trust_all(root, home)
    async with open_project(root, home=home) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=f"/{name}", arguments=arguments or {}))
        async with asyncio.timeout(SECONDS):
            while not (seen := (await engine.view(run)).run).ended:
                asks = [node for node in answers if node in seen.nodes and seen.nodes[NodeId(node)].waiting]
                for node in asks:
                    await project.decide(run, node, answers[node])
                await engine.wait(run, 1)
        return _at_its_end(engine, seen)


async def simulated(root: Path, name: str, outputs: Mapping[str, Any], failures: Mapping[str, str], /) -> Played:
    """A simulated run; *outputs* by node and key, *failures* are kinds by node."""
    write_command(root, name)
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        request = RunRequest(
            source=f"/{name}",
            arguments=ARGUMENTS.get(name),
            executor="simulate",
            values={NodeId(node): values for node, values in outputs.items()},
            faults={(NodeId(node), None): Fault(FailureKind(kind), "BROKEN") for node, kind in failures.items()},
        )
        return _at_its_end(engine, (await engine.view(await project.start(request))).run)


def _at_its_end(engine: Engine, run: Run) -> Played:
    keys = [key for key in run.context if "/" not in key]
    return Played(run, values_of(run, "", keys, run.version, engine.values))
