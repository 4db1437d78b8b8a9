"""Journals and databases that earlier engines have recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.run import events as ev
from engine.storage.codec import decode_event
from engine.storage.compression import ZSTD, unpack

GOLDEN = Path(__file__).parents[1] / "golden"
DATA = Path(__file__).parents[1] / "data"
JOURNALS = sorted(GOLDEN.glob("*.jsonl"))
DATABASES = sorted(DATA.glob("schema-*"))


def journal(path: Path) -> tuple[list[ev.Event], dict[str, Any]]:
    """The events of a file of `tests/golden`, and what they folded to when they were written."""
    *rows, last = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [decode_event(row["kind"], json.dumps(row["data"]).encode()) for row in rows], last["end"]


def put_database(recorded: Path, folder: Path) -> dict[str, Any]:
    """Lay a recorded database into a state folder; gives what its runs folded to when they were written, by run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "journal.sqlite3").write_bytes(unpack(ZSTD, (recorded / "journal.sqlite3.zst").read_bytes()))
    ends: dict[str, Any] = json.loads((recorded / "ends.json").read_text(encoding="utf-8"))
    return ends
