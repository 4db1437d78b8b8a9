"""The programs of package.json, and the node that they run on: `.ci/tools` has installed both.

Effects: none; it looks for files. Newer programs want a newer node than this machine may have.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".cache" / "npm" / "node_modules"


def node_tool(name: str) -> list[str]:
    """The command that starts *name*; FileNotFoundError where the tools are not installed."""
    nodes = sorted(TOOLS.glob("node-*/bin/node"))
    program = TOOLS / ".bin" / name
    if not nodes or not program.exists():
        msg = f"{name} is not installed under {TOOLS}: run .ci/tools"
        raise FileNotFoundError(msg)
    return [str(nodes[0]), str(program)]
