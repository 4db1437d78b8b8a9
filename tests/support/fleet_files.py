"""A project in a git repository whose isolated agents work on a fleet, and workers that have none of its files.

Effects: starts processes, writes files.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.executors.fleet import wire
from engine.executors.fleet.clones import Away, Bounds, Clones
from engine.executors.fleet.connection import Link
from engine.executors.fleet.files import ProjectFiles, Sent
from engine.executors.fleet.sealing import Sealer
from engine.executors.fleet.store import Store
from engine.executors.port import Outcome
from tests.support.fleet import Worker, Yard
from tests.support.fleet import node as any_node
from tests.support.orders import Beats, order_for
from tests.support.repositories import editor, git, make_repository, write_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from engine.executors.port import WorkOrder

DONE = Outcome()
NO_CLIENT: Any = None
"""Nothing is asked of a server."""
LINES = "".join(f"line {number}\n" for number in range(1, 21))
PROGRAM = """\
import json, os, pathlib, sys, time
asked = json.load(sys.stdin)
trace = os.environ["TRACE"]

def tell(*what):
    with open(trace, "a") as file:
        file.write(json.dumps([*what, asked["node"], os.getcwd()]) + "\\n")

def write(path, text):
    place = pathlib.Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)

def replace(path, old, new):
    text = pathlib.Path(path).read_text()
    assert old in text, (path, text)
    write(path, text.replace(old, new))

def wait():
    while not os.path.exists(trace + ".open"):
        time.sleep(0.05)

def open_all():
    write(trace + ".open", "")

tell("start")
outputs = {"made": None}
exec(asked["task"])
tell("end")
print(json.dumps({"outputs": outputs}))
"""
"""Runs its task, with `write`, `replace`, `wait` and `open_all` at hand."""
AGENT = """\
---
name: editor
description: Edits
executor: process
command: ["{python}", "edit.py"]
isolation: worktree
env:
  TRACE: "$TRACE"
---
"""


class FilesYard(Yard):
    """See above; what workers and the coordinator exchange is in `store`."""

    def __init__(
        self, folder: Path, address: str, *, blobs: bool = True, url: str | None = None, **fleet: object
    ) -> None:
        """Without *blobs* the project's settings name no store; *url* is that of another one."""
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        self.url = url or f"file://{self.store}"
        super().__init__(folder, address, **(fleet | ({"blobs": self.url} if blobs else {})))
        make_repository(self.project)
        write_files(
            self.project,
            {"edit.py": PROGRAM, ".claude/agents/editor.md": AGENT, "lines.txt": LINES, "keep.txt": "kept\n"},
        )
        write_files(self.project, {".gitignore": ".claude/orchestration/\n"})
        self.commit()
        self.trust()
        self.environment["XDG_STATE_HOME"] = str(self.home / "state")

    def commit(self) -> None:
        """Commit all of the project."""
        git(self.project, "add", "--all")
        git(self.project, "commit", "--quiet", "--message=All")

    def start_worker(self, name: str, *options: str, **more: Any) -> Worker:  # noqa: ANN401 - as there
        """Start a worker whose own folder is empty."""
        (self.folder / name).mkdir(exist_ok=True)
        return super().start_worker(name, "--blobs", self.url, *options, **more)

    def read(self, name: str) -> str:
        """A file of the project."""
        return (self.project / name).read_text()

    def bundles(self) -> dict[str, int]:
        """The bundles in the store, with their sizes."""
        return {path.name: path.stat().st_size for path in (self.store / "git").glob("*")}

    def clones(self) -> list[Path]:
        """The repositories that workers keep."""
        return sorted(self.home.glob("state/orchestration-mcp/workers/*/clones/*"))


def node(name: str, task: str, *needs: str, **fields: object) -> dict[str, Any]:
    """A node of the editing agent."""
    return {**any_node(name, task, *needs), "agentId": "editor", **fields}


class Bench:
    """Both sides in this process, and a store between them: no server, no worker."""

    def __init__(
        self, folder: Path, files: Mapping[str, str | bytes] | None = None, *, bounds: Bounds | None = None
    ) -> None:
        """A project with *files*; *bounds* are those of the worker's repositories."""
        self.folder = folder
        self.store = folder / "store"
        self.store.mkdir()
        self.project = make_repository(folder / "project", {"a.txt": "a\n", "lines.txt": LINES, **(files or {})})
        self.link = Link(NO_CLIENT, Sealer(b"k" * 32), Store(f"file://{self.store}"))
        self.files = ProjectFiles(lambda _run, _agent, _node: None)
        self.clones = Clones(folder / "clones", folder, bounds)
        self.beats = Beats()

    def order(self, number: int = 1, **given: Any) -> WorkOrder:  # noqa: ANN401 - those of an order
        """An attempt of an isolated agent."""
        return order_for(editor(self.project), project=self.project, outputs=(), number=number, **given)

    async def send(self, order: WorkOrder) -> Sent:
        """Send the project's files for *order*."""
        return await self.files.send(self.link, order, self.beats)

    def worktree(self, sent: Sent) -> AbstractAsyncContextManager[Away]:
        """A worktree on the worker."""
        return self.clones.worktree(self.link, self.packed(sent), self.beats)

    def packed(self, sent: Sent) -> wire.Order:
        """The order for the worker."""
        return wire.order_of(sent.order, project="p", package="1", trust=None, files=sent.files)

    async def work(self, sent: Sent, do: Callable[[Path], object], outcome: Outcome = DONE) -> Answer:
        """Have an agent *do* its work in a worktree, and end with *outcome*."""
        async with self.worktree(sent) as away:
            await asyncio.to_thread(do, away.tree.folder)
            return Answer(*await away.returned(self.link, sent.order, outcome))

    async def settle(self, sent: Sent, answer: Answer) -> Outcome:
        """Merge what came back."""
        return await sent.settle(answer.outcome, answer.changes, "w1", self.beats)

    async def attempt(self, do: Callable[[Path], object], number: int = 1, outcome: Outcome = DONE) -> Outcome:
        """One attempt, from the beginning to the end."""
        sent = await self.send(self.order(number))
        return await self.settle(sent, await self.work(sent, do, outcome))

    def shared(self) -> dict[str, int]:
        """The bundles in the store, with their sizes."""
        return {path.name: path.stat().st_size for path in (self.store / "git").glob("*")}


class Answer(NamedTuple):
    """What a worker answers."""

    outcome: Outcome
    changes: str | None
