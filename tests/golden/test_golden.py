"""Journals of earlier engines decode and fold to what they folded to when they were written, for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from msgspec import NODEFAULT
from msgspec.structs import fields

from engine.ids import RunId
from engine.model.plan import NodePlan
from engine.run import events as ev
from engine.run.reducer import fold
from engine.storage.sqlite import SqliteStorage
from tests.support.record_golden import end_of
from tests.support.recorded import DATABASES, JOURNALS, journal, put_database

DEFAULTS = Path(__file__).with_name("defaults.json")
"""What journals that were stored without it mean, by class and field."""


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


def test_no_default_has_changed_that_journals_rely_on() -> None:
    found = {
        f"{kind.__name__}.{field.name}": repr(
            field.default if field.default_factory is NODEFAULT else field.default_factory()
        )
        for kind in (*get_args(ev.Event), NodePlan)
        for field in fields(kind)
        if not field.required
    }
    recorded = json.loads(DEFAULTS.read_text(encoding="utf-8"))
    assert recorded == {name: found.get(name) for name in recorded}
    assert found.keys() == recorded.keys(), "add the new ones"


@pytest.mark.parametrize("recorded", DATABASES, ids=lambda path: path.name)
async def test_a_database_of_an_earlier_engine_holds_the_runs_that_it_wrote(recorded: Path, tmp_path: Path) -> None:
    ends = put_database(recorded, tmp_path)
    for _again in range(2):
        storage = SqliteStorage(tmp_path)
        assert {row.id for row in await storage.summaries()} == set(ends)
        for run, end in ends.items():
            assert end_of(fold(await storage.events(RunId(run)))) == end
        await storage.close()
