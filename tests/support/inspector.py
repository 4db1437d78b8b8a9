"""The MCP Inspector's command line as a second client, independent of Claude Code and of the Python SDK.

Effects: starts the pinned Inspector, which starts the server. It speaks the protocol with `initialize` only.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from tests.support.claude_code import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def inspect(
    server: Sequence[str],
    *,
    method: str,
    project: Path,
    environ: Mapping[str, str],
    tool: str | None = None,
    arguments: Mapping[str, str] | None = None,
    timeout: float = 50.0,
) -> dict[str, Any]:
    """The result of one method, like `tools/list`; ValueError tells what it printed when it failed."""
    command = [str(TOOLS / ".bin" / "mcp-inspector"), "--cli", *server, "--method", method]
    if tool is not None:
        command += ["--tool-name", tool]
    for name, value in (arguments or {}).items():
        command += ["--tool-arg", f"{name}={value}"]
    done = subprocess.run(
        command,
        cwd=project,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        timeout=timeout,
    )
    if done.returncode != 0:
        msg = f"the Inspector ended with {done.returncode}: {done.stdout}{done.stderr}"
        raise ValueError(msg)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
