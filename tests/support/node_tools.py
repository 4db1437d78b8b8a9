"""The programs of package.json, and the node that they run on: `.ci/tools` has installed both.

Effects: none; it looks for files. Newer programs want a newer node than this machine may have.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".cache" / "npm" / "node_modules"


def node() -> str:
    """The pinned node; FileNotFoundError where the tools are not installed."""
    return str(_installed("node", *TOOLS.glob("node-*/bin/node")))


def node_tool(name: str) -> list[str]:
    """The command that starts *name*; FileNotFoundError where the tools are not installed."""
    return [node(), str(_installed(name, TOOLS / ".bin" / name))]


def _installed(name: str, *places: Path) -> Path:
    found = next((place for place in places if place.exists()), None)
    if found is None:
        msg = f"{name} is not installed under {TOOLS}: run .ci/tools"
        raise FileNotFoundError(msg)
    return found
