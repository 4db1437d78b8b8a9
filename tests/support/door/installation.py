"""A copy of the program whose store of answers is its own, and its server, whose import of the SDK can be held up.

Effects: copies the packages with their bytecode, and starts servers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-P", "-m", "mcp_server")
PACKAGES = ("engine", "registry", "mcp_server")
SECONDS = 20
GATE = """
import os, subprocess, sys
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name != "mcp":
            return None
        sys.meta_path.remove(self)
        if noise := os.environ.get("NOISE"):
            print("printed", flush=True)
            os.write(1, b"written\\n")
            child = "import sys; print('by a child:', sys.stdin.read() or 'the end')"
            subprocess.run([sys.executable, "-I", "-S", "-c", child])
        if gate := os.environ.get("GATE"):
            open(f"{gate}.reached", "w").close()
            with open(gate) as file:
                if file.read():
                    raise ImportError("the gate was closed")
        return None
sys.meta_path.insert(0, Gate())
"""


def small_project(root: Path, *names: str) -> Path:
    """A project at *root* with a command of each name, by default `hello`."""
    (root / ".git").mkdir(parents=True)
    (root / ".claude" / "commands" / "v2").mkdir(parents=True)
    for name in names or ("hello",):
        write_command(root, name)
    return root


def write_command(root: Path, name: str, description: str = "Says hello") -> None:
    """Write the command *name* into the project *root*."""
    definition = command(
        phase("greet", node("first-node", agent="general-purpose")), name=f"/{name}", description=description
    )
    (root / ".claude" / "commands" / "v2" / f"{name}.json").write_text(json.dumps(definition), encoding="utf-8")


@dataclass(frozen=True)
class Installation:
    """The program, a project and a user."""

    packages: Path
    project: Path
    home: Path
    bytecode: Path
    """The folder for the bytecode of the door."""

    @property
    def store(self) -> Path:
        """The folder for its answers."""
        return self.bytecode / "answers"

    def fresh(self, folder: Path) -> Installation:
        """The same program with another project and another user, and without answers."""
        shutil.rmtree(self.store, ignore_errors=True)
        self.store.unlink(missing_ok=True)
        (folder / "home").mkdir()
        return replace(self, project=small_project(folder / "project"), home=folder / "home")

    def add_command(self, name: str, **fields: str) -> None:
        """Add a command to the project."""
        write_command(self.project, name, **fields)

    def answers(self) -> dict[str, bytes]:
        """All stored answers."""
        return {file.name: file.read_bytes() for file in self.store.iterdir()}

    def falsify(self, old: str, new: str) -> None:
        """Write *new* for *old* into every answer, as somebody would who can write there."""
        for file in self.store.iterdir():
            text = file.read_bytes().partition(b"\n")[2].replace(old.encode(), new.encode())
            file.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)

    @property
    def _gate(self) -> Path:
        return self.home / "gate"

    def environ(self, *, gated: bool) -> dict[str, str]:
        """The variables of a server; *gated*: its import of the SDK waits."""
        (self.home / "gate.reached").unlink(missing_ok=True)
        if gated and not self._gate.exists():
            os.mkfifo(self._gate)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(self.packages),
            "HOME": str(self.home),
            **({"GATE": str(self._gate)} if gated else {}),
        }

    @contextlib.contextmanager
    def server(
        self, *arguments: str, gated: bool = False, noisy: bool = False, variables: Mapping[str, str] | None = None
    ) -> Iterator[Server]:
        """A server; *gated*: its import of the SDK waits, *noisy*: it prints."""
        environ = {**self.environ(gated=gated), **({"NOISE": "1"} if noisy else {}), **(variables or {})}
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.project,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        server = Server(process, self._gate)
        with process:
            try:
                yield server
                if process.poll() is None:
                    server.leave()
            finally:
                process.kill()


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], gate: Path) -> None:
        """*gate* is the pipe that holds up its import."""
        self.process = process
        self._gate = gate
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def stderr(self) -> str:
        """What it has written to stderr, when it has ended."""
        self._listener.join(SECONDS)
        return "".join(self._said)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self._said += self.process.stderr

    def send(self, *messages: dict[str, Any]) -> None:
        """Write *messages*."""
        self.write("".join(f"{json.dumps(one)}\n" for one in messages))

    def write(self, text: str) -> None:
        """Write *text*."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """The next message."""
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def close_stdin(self) -> None:
        """Say that nothing more will come."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def leave(self) -> tuple[int, list[dict[str, Any]]]:
        """Close the streams; returns the exit code, and the messages that still came, but for open requests."""
        assert self.process.stdout is not None
        self.close_stdin()
        rest = [json.loads(line) for line in self.process.stdout]
        code = self.process.wait(SECONDS)
        return code, [one for one in rest if one.get("error", {}).get("code") != -32000]

    def open_gate(self, text: str = "") -> None:
        """Let the import go on, or with a *text*, fail."""
        with self._gate.open("w") as gate:
            gate.write(text)

    def wait_for_import(self) -> None:
        """Wait until the import has come to the gate."""
        while not Path(f"{self._gate}.reached").exists() and self.process.poll() is None:
            os.sched_yield()


def make_installation(folder: Path) -> Installation:
    """A copy of the program in *folder*."""
    packages = folder / "packages"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, packages / name)
    (packages / "sitecustomize.py").write_text(GATE, encoding="utf-8")
    bytecode = packages / "mcp_server" / "door" / "__pycache__"
    found = Installation(packages, folder, folder, bytecode)
    shutil.rmtree(found.store, ignore_errors=True)
    with found.server("--version") as server:  # so that all bytecode is there
        server.process.wait(SECONDS)
    return found
