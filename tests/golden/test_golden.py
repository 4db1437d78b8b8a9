"""Journals of earlier engines decode and fold to what they folded to when they were written, for ever."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from engine.ids import RunId
from engine.run import events as ev
from engine.run.reducer import fold
from engine.storage.sqlite import SqliteStorage
from tests.support.record_golden import end_of
from tests.support.recorded import DATABASES, JOURNALS, journal, put_database


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_an_old_journal_folds_to_the_end_that_was_recorded_with_it(path: Path) -> None:
    events, end = journal(path)
    assert end_of(fold(events)) == end


def test_the_journals_hold_the_events_that_a_run_of_its_own_can_have() -> None:
    kinds = {type(event) for path in JOURNALS for event in journal(path)[0]}
    assert {kind.__name__ for kind in set(get_args(ev.Event)) - kinds} <= {
        "AttemptRenewed",
        "AttemptWarned",
        "NodeSkipped",
    }


@pytest.mark.parametrize("recorded", DATABASES, ids=lambda path: path.name)
async def test_a_database_of_an_earlier_engine_holds_the_runs_that_it_wrote(recorded: Path, tmp_path: Path) -> None:
    ends = put_database(recorded, tmp_path)
    for _again in range(2):
        storage = SqliteStorage(tmp_path)
        assert {row.id for row in await storage.summaries()} == set(ends)
        for run, end in ends.items():
            assert end_of(fold(await storage.events(RunId(run)))) == end
        await storage.close()
