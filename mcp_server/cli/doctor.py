"""The command `doctor`: whether all is there that commands of the project need.

Effects: those of `mcp_server/project/health.py`; prints the findings.
"""

from __future__ import annotations

import typer
from msgspec import structs

from engine.text.shown import clean
from mcp_server.cli import console
from mcp_server.cli.shared import FAILED, OK, Json, errors, project_root

SIGNS = {"ok": "✅", "note": "⚠️", "broken": "❌"}


def doctor(as_json: Json = False) -> None:
    """Check what is installed, trusted and active, and what keeps agents from running.

    The exit code is 1 if something is broken.
    """
    from mcp_server.project.health import BROKEN, examine  # noqa: PLC0415 - brings all that a project needs

    with errors():
        found = examine(project_root())
        healthy = all(one.state != BROKEN for one in found)
        if as_json:
            console.print_json({"healthy": healthy, "checks": [structs.asdict(one) for one in found]})
        else:
            for one in found:
                console.results.print(clean(f"{SIGNS[one.state]} {one.topic}: {one.text}"), soft_wrap=True)
                if one.hint:
                    console.results.print(f"   {clean(one.hint)}", soft_wrap=True)
    raise typer.Exit(OK if healthy else FAILED)
