"""Writes `tests/data/schema-N`: a database of today's engine, which every later engine must be able to open and fold.

Run it when the schema is about to change, while the engine still writes the old one:
`python -m tests.support.record_database`. The journals are those of `tests/golden`, and of as many worlds as it takes
to see each event of a node follow upon each one that can come before it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from engine.ids import OwnerId, RunId
from engine.run import events as ev
from engine.run.reducer import fold
from engine.runtime.projections import summary_of
from engine.storage import codec, schema
from engine.storage.compression import pack
from engine.storage.port import Batch
from engine.storage.sqlite import SqliteStorage
from tests.support.record_golden import end_of
from tests.support.recorded import DATA, JOURNALS, journal
from tests.support.world.world import Broken, World

SEEDS = range(20_000, 21_000)
OWNER = OwnerId("o-recorded")


def shapes(events: Sequence[ev.Event]) -> set[tuple[Any, ...]]:
    """What follows upon what, in the run and at each of its nodes."""
    lines: dict[str, list[str]] = {"": []}
    for event in events:
        kind = type(event).__name__
        if isinstance(event, ev.AttemptScheduled):
            kind = f"{kind} {event.role}"
        elif isinstance(event, ev.NodeWaiting):
            kind = f"{kind} {event.reason}"
        lines.setdefault(getattr(event, "node", ""), []).append(kind)
    return {pair for line in lines.values() for pair in pairwise(line)}


def golden() -> Iterator[list[ev.Event]]:
    """The journals that were recorded one by one."""
    for path in JOURNALS:
        yield journal(path)[0]


def lived() -> Iterator[list[ev.Event]]:
    """The journals of worlds, each world's smallest first."""
    for seed in SEEDS:
        world = World(seed)
        try:
            world.play()
        except Broken:
            continue
        for record in sorted(world.audit.records.values(), key=lambda one: len(one.log)):
            yield [codec.decode_event(*row) for row in record.log]


def chosen() -> list[list[ev.Event]]:
    """As few journals as show all shapes."""
    seen: set[tuple[Any, ...]] = set()
    found = []
    for events in golden():
        seen |= shapes(events)
        found.append(events)
    for events in lived():
        new = shapes(events) - seen
        if new:
            seen |= new
            found.append(events)
    return found


async def write(folder: Path, journals: Sequence[list[ev.Event]]) -> dict[str, object]:
    """Put *journals* into a database in *folder*; gives what each folds to, by run."""
    storage = SqliteStorage(folder)
    ends: dict[str, object] = {}
    for place, events in enumerate(journals):
        name = RunId(f"r-{place:012x}")
        created = msgspec.structs.replace(events[0], run=name)
        renamed = [created, *events[1:]]
        run = fold(renamed)
        rows = [(name, at, event) for at, event in enumerate(renamed)]
        await storage.commit(Batch(events=rows, summaries={name: summary_of(run, OWNER)}), OWNER)
        ends[name] = end_of(run)
    await storage.close()
    return ends


def main() -> None:
    """Record."""
    target = DATA / f"schema-{schema.VERSION}"
    target.mkdir()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ends = asyncio.run(write(folder, chosen()))
        with closing(sqlite3.connect(folder / "journal.sqlite3", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("VACUUM")
        data = (folder / "journal.sqlite3").read_bytes()
    (target / "journal.sqlite3.zst").write_bytes(pack(data)[1])
    lines = [f"{json.dumps(run)}: {json.dumps(end)}" for run, end in ends.items()]
    (target / "ends.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
