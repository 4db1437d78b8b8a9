"""The MCP Inspector as a second client, independent of Claude Code and of the Python SDK.

Effects: starts the pinned Inspector, which starts the server: its command line for one request, its daemon for many
over one connection. Both check each answer against the protocol's schema, in both eras.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tests.support.node_tools import node_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Era = Literal["legacy", "modern"]
ERAS: tuple[Era, ...] = ("legacy", "modern")
SECONDS = 50.0


def inspect(
    server: Sequence[str],
    *,
    method: str,
    project: Path,
    environ: Mapping[str, str],
    options: Sequence[str] = (),
    program: str = "mcp-inspector",
) -> dict[str, Any]:
    """The result of one method, like `tools/list`; ValueError where it failed, or where anything was said about it."""
    command = [*node_tool(program), "--cli", *server, "--method", method, *options]
    return _answer(command, project, environ)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A server that the Inspector's daemon holds."""

    name: str
    project: Path
    environ: Mapping[str, str]

    def ask(self, method: str, *words: str) -> dict[str, Any]:
        """The result of one method; ValueError with what it printed when it failed, for tools also when they say so."""
        command = [*node_tool("mcpdo"), "--format", "json", f"@{self.name}", method, *words]
        return _answer(command, self.project, self.environ)

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """What *tool* answers."""
        return self.ask("tools/call", tool, json.dumps(arguments))


@contextlib.contextmanager
def connections(server: Sequence[str], *, project: Path, environ: Mapping[str, str]) -> Iterator[dict[Era, Connection]]:
    """A connection for each era, each with a server of its own, to the end of the block."""
    with tempfile.TemporaryDirectory(prefix="inspector-") as home:  # a socket's path has to be short
        environ = {**environ, "MCP_STORAGE_DIR": home, "MCP_INSPECTOR_SECRET_STORE": "memory"}
        try:
            for era in ERAS:
                connect = [*node_tool("mcpdo"), "--format", "json", "--connection", era, "connect", "--era", era, "--"]
                _run([*connect, *server], project, environ)  # says on stderr that it will keep no secrets
            yield {era: Connection(name=era, project=project, environ=environ) for era in ERAS}
        finally:
            _run([*node_tool("mcpdo"), "daemon", "stop"], project, environ)


def _answer(command: Sequence[str], project: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    done = _run(command, project, environ)
    if done.stderr:
        msg = f"the Inspector says: {done.stdout}{done.stderr}"
        raise ValueError(msg)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _run(command: Sequence[str], project: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=project,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    if done.returncode != 0:
        msg = f"the Inspector ended with {done.returncode}: {done.stdout}{done.stderr}"
        raise ValueError(msg)
    return done
