"""The pinned Claude Codes as tests run them: with a home of their own, no account and no network beyond loopback.

Effects: starts the real program, and looks at the processes of this machine. It installs nothing: `.ci/tools` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import psutil

from tests.support.node_tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Version = Literal["current", "legacy"]
"""2.1.332 speaks protocol 2026-07-28; 2.1.197, which npm installs on node 20, shakes hands."""
VERSIONS: tuple[Version, ...] = ("current", "legacy")
LOOK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class ClaudeRun:
    """What one `claude -p` said."""

    exit_code: int
    messages: Sequence[Mapping[str, Any]]
    """The lines of its stream-json output."""
    stderr: str

    @property
    def init(self) -> Mapping[str, Any]:
        """The first message: tools, MCP servers and their states, agents, model."""
        return next(message for message in self.messages if message.get("subtype") == "init")

    @property
    def result(self) -> Mapping[str, Any]:
        """The last result message."""
        return next(message for message in reversed(self.messages) if message.get("type") == "result")

    @property
    def tool_results(self) -> list[Mapping[str, Any]]:
        """What the tools answered, in order, as the model was told."""
        contents = [message["message"]["content"] for message in self.messages if message.get("type") == "user"]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        return [block for block in blocks if block.get("type") == "tool_result"]


def program(version: Version = "current") -> Path:
    """The pinned native program, named `claude`; FileNotFoundError where the tools are not installed.

    The current one is the Agent SDK's own, the same bytes as in npm's Claude Code of that version: once is enough.
    """
    packages, name = (
        (TOOLS, "agent-sdk") if version == "current" else (TOOLS / "claude-code-legacy" / "node_modules", "code")
    )
    found = sorted((packages / "@anthropic-ai").glob(f"claude-{name}-*/claude"))
    if not found:
        msg = f"Claude Code is not installed under {packages}: run .ci/tools"
        raise FileNotFoundError(msg)
    return found[0]


def environment(
    *, home: Path, api_url: str, version: Version = "current", extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """A complete environment: `claude` first on the path, an own home, a key that opens nothing, no retries.

    Nothing of the caller's environment passes but the path.
    """
    return {
        "PATH": os.pathsep.join([str(program(version).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "SHELL": shutil.which("bash") or "/bin/sh",  # without it Claude Code takes zsh where there is one
        "LANG": "C.UTF-8",
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": api_url,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "MCP_CONNECTION_NONBLOCKING": "0",  # a scripted model does not wait for servers, as a real one does
        "MCP_CONNECT_TIMEOUT_MS": "30000",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        **(extra or {}),
    }


@contextlib.contextmanager
def claude(
    prompt: str, *, project: Path, environ: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A `claude -p`, of the path of *environ*, in the project's folder; leaving the context kills its process group."""
    command = [
        shutil.which("claude", path=environ["PATH"]) or "claude",
        "-p",
        prompt,
        "--output-format",
        "stream-json",
        "--verbose",
        *arguments,
    ]
    with subprocess.Popen(
        command,
        cwd=project,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def run_claude(
    prompt: str,
    *,
    project: Path,
    environ: Mapping[str, str],
    arguments: Sequence[str] = (),
    timeout: float = 50.0,
) -> ClaudeRun:
    """One `claude -p` in the project's folder, to its end; subprocess.TimeoutExpired after `timeout` seconds."""
    with claude(prompt, project=project, environ=environ, arguments=arguments) as process:
        stdout, stderr = process.communicate(timeout=timeout)
    messages = [json.loads(line) for line in stdout.splitlines() if line.strip()]
    return ClaudeRun(exit_code=process.returncode, messages=messages, stderr=stderr)


def processes_marked(name: str, value: str | None = None) -> list[psutil.Process]:
    """Living processes, zombies apart, which carry this environment variable (with this value, where one is given)."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            carried = process.environ().get(name)
            if carried is not None and value in {None, carried}:
                found.append(process)
    return found


def wait_until_gone(name: str, value: str | None = None, *, timeout: float = 10.0) -> list[psutil.Process]:
    """The processes marked so which still live after at most `timeout` seconds: an empty list is what a test wants."""
    end = time.monotonic() + timeout
    while (alive := processes_marked(name, value)) and time.monotonic() < end:
        psutil.wait_procs(alive, timeout=LOOK_SECONDS)  # a zombie whose parent takes its time would be waited for
    return alive
