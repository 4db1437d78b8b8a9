"""Journals of earlier engines decode and fold to what they folded to when they were written, for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from engine.run import events as ev
from engine.run.reducer import fold
from engine.storage.codec import decode_event
from tests.support.record_golden import end_of

JOURNALS = sorted(Path(__file__).parent.glob("*.jsonl"))


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_an_old_journal_folds_to_the_end_that_was_recorded_with_it(path: Path) -> None:
    *rows, last = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    run = fold(decode_event(row["kind"], json.dumps(row["data"]).encode()) for row in rows)
    assert end_of(run) == last["end"]


def test_the_journals_hold_the_events_that_a_run_of_its_own_can_have() -> None:
    kinds = {
        json.loads(line).get("kind") for path in JOURNALS for line in path.read_text(encoding="utf-8").splitlines()
    }
    assert {kind.__name__ for kind in get_args(ev.Event)} - kinds <= {"AttemptRenewed", "NodeSkipped"}
