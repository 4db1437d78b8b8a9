"""The command `commands`: every command of a project, where it is from, and how its runs went.

Effects: reads command files and the list of runs.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.text.shown import clean
from engine.views.durations import rounded
from engine.views.marks import MARKS
from engine.views.money import dollars
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, Json, finish, project_root
from mcp_server.project.track_record import track_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_server.project.track_record import TrackRecord
    from registry.commands import CommandSummary

HEADS = {
    "name": "COMMAND",
    "source": "SOURCE",
    "last": "LAST RUN",
    "rate": "SUCCESS",
    "time": "TIME",
    "cost": "COST",
    "description": "DESCRIPTION",
}


def commands(as_json: Json = False) -> None:
    """List the commands of this project, and how their runs went. Simulations do not count."""
    finish(_commands(as_json=as_json))


async def _commands(*, as_json: bool) -> int:
    root = project_root()
    async with lazy.open_runs(root) as project:
        engine = await project.reader()
        records = track_records(await engine.archive.look_after_all())
    found = lazy.open_catalog(root, lazy.load_settings(root)).commands()
    used = [one for one in found if one.shadowed_by is None]
    if as_json:
        console.print_json({"commands": [_as_data(root, one, records.get(one.name)) for one in used]})
        return OK
    console.print_lines(HEADS, [_row(one, records.get(one.name)) for one in used])
    for one in found:
        if one.shadowed_by is not None:
            text = f"{lazy.shown(root, one.path)} is hidden by {lazy.shown(root, one.shadowed_by)}"
            console.notes.print(f"note: {clean(text)}", soft_wrap=True)
    return OK


def _as_data(root: Path, one: CommandSummary, record: TrackRecord | None) -> dict[str, Any]:
    """One command as JSON data."""
    problem = one.problem
    return {
        "name": one.name,
        "description": one.description,
        "source": one.source.value,
        "path": lazy.shown(root, one.path),
        "format": one.format,
        "arguments": [*one.arguments],
        "deprecated": one.deprecated,
        "problem": None if problem is None else {"code": problem.code, "message": problem.message},
        "lastRun": None if record is None else console.run_row(record.last),
        "runs": 0 if record is None else record.judged,
        "successRate": None if record is None else record.success_rate,
        "usualSeconds": None if record is None else record.seconds,
        "usualCostUsd": None if record is None else record.cost_usd,
    }


def _row(one: CommandSummary, record: TrackRecord | None) -> Mapping[str, str]:
    """One command as cells of a table."""
    words = one.description if one.problem is None else f"{one.problem.code}: {one.problem.message}"
    cells = dict.fromkeys(HEADS, "") | {"name": one.name, "source": one.source.value, "description": words}
    if one.deprecated:
        cells["description"] = f"(deprecated) {words}"
    if record is not None:
        last = record.last
        cells["last"] = f"{MARKS[last.status]} {last.created_at.astimezone().strftime('%Y-%m-%d %H:%M')}"
        if record.success_rate is not None:
            cells["rate"] = f"{record.succeeded}/{record.judged}"
        if record.seconds is not None:
            cells["time"] = rounded(timedelta(seconds=record.seconds))
        if record.cost_usd is not None:
            cells["cost"] = dollars(record.cost_usd)
    return {key: clean(text) for key, text in cells.items()}
