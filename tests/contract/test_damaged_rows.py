"""Rows of the tables beside the journals that cannot be read: each costs what it tells of, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from engine.errors import EnvironmentFault
from engine.run.events import RunStatus
from engine.storage.codec import encode_value
from engine.storage.port import Batch
from engine.storage.sqlite import SqliteStorage
from engine.tables.breakers import BreakerState
from tests.contract.test_storage import OTHER, a_run, a_summary
from tests.support.by_hand import NOON, OWNER, RUN

if TYPE_CHECKING:
    from pathlib import Path


def harm(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "journal.sqlite3", isolation_level=None)) as db:
        db.execute(statement)


ROWS = {
    "status": ("'nonsense'", "running"),
    "created_at": ("'yesterday'", "completed"),
    "ended_at": ("'2026-01-01'", "completed"),
    "cost_usd": ("'much'", "completed"),
    "done": ("x'ff'", "completed"),
    "idle": ("'long'", "completed"),
    "owner": ("x'ff'", "completed"),
    "command": ("x'ff'", "completed"),
}


@pytest.mark.parametrize("column", ROWS)
async def test_a_row_of_a_run_that_cannot_be_read_costs_no_other_run_and_not_its_own_journal(
    tmp_path: Path, column: str
) -> None:
    value, status = ROWS[column]
    storage = SqliteStorage(tmp_path)
    for run in (RUN, OTHER):
        row = replace(a_summary(run), status=RunStatus.COMPLETED)
        await storage.commit(Batch(events=a_run(run), summaries={run: row}), OWNER)
    harm(tmp_path, f"UPDATE runs SET {column}={value} WHERE id='{RUN}'")  # noqa: S608 - constants only
    found = {row.id: row for row in await storage.summaries()}
    assert found[OTHER] == replace(a_summary(OTHER), status=RunStatus.COMPLETED)
    assert found[RUN] == await storage.summary(RUN)
    assert found[RUN].status.value == status
    assert all(isinstance(part, str) for part in (found[RUN].command, found[RUN].owner))
    assert len(await storage.events(RUN)) == len(a_run())
    if column == "status":  # whoever finds it as that of a dead process writes it again
        row = replace(row, id=RUN)
        await storage.commit(Batch(summaries={RUN: row}), OWNER)
        assert await storage.summary(RUN) == row
    await storage.close()


@pytest.mark.parametrize("damage", ["data=x'00'", "data=x''", "encoding='zstd'", "encoding='unheard of'", "data='7'"])
async def test_a_value_that_is_not_what_was_written_is_lost_until_it_is_written_again(
    tmp_path: Path, damage: str
) -> None:
    storage = SqliteStorage(tmp_path)
    ref, data = encode_value(1000)
    for _ in range(2):
        batch = Batch(values={ref.digest: data}, summaries={RUN: a_summary()})
        await storage.commit(batch, OWNER)
        assert storage.value(ref.digest) == data
        harm(tmp_path, f"UPDATE vals SET {damage}")  # noqa: S608 - constants only
        assert storage.value(ref.digest) is None
    await storage.close()


SIDE_TABLES = (
    "INSERT INTO session VALUES ('k', 'd', 'x', 'r', '2026-01-01T00:00:00+00:00', NULL)",
    "INSERT INTO session VALUES ('k', 'd', 1, 'r', 'never', NULL)",
    "INSERT INTO session VALUES ('k', 'd', 1, 'r', '2026-01-01T00:00:00', 'never')",
    "INSERT INTO samples(command, node, seconds) VALUES ('/test', 'a', 'x'), ('/test', 'a', 'x'), ('/test', 'a', 'x')",
)


@pytest.mark.parametrize("damage", SIDE_TABLES)
async def test_what_was_learned_or_kept_and_cannot_be_read_is_as_good_as_forgotten(tmp_path: Path, damage: str) -> None:
    storage = SqliteStorage(tmp_path)
    harm(tmp_path, damage)
    assert await storage.session_values(NOON) == []
    assert await storage.estimates("/test") == {}
    await storage.close()


@pytest.mark.parametrize("data", ["x'7b'", "'{}'", "7"])
async def test_a_lock_that_cannot_be_read_is_one_clear_fault_of_whoever_locks(tmp_path: Path, data: str) -> None:
    storage = SqliteStorage(tmp_path)
    harm(tmp_path, f"INSERT INTO claims VALUES ('{RUN}:a', {data})")  # noqa: S608 - constants only
    await storage.commit(Batch(summaries={RUN: a_summary()}), OWNER)
    with pytest.raises(EnvironmentFault) as caught:
        await storage.claims()
    assert caught.value.code == "CORRUPT_DATABASE"
    assert f"{RUN}:a" in caught.value.message
    await storage.close()


@pytest.mark.parametrize("data", ["x'7b'", "'[]'", "7"])
async def test_a_circuit_breaker_that_cannot_be_read_is_closed(tmp_path: Path, data: str) -> None:
    storage = SqliteStorage(tmp_path)
    harm(tmp_path, f"INSERT INTO breakers VALUES ('api', {data})")  # noqa: S608 - constants only
    seen: list[BreakerState] = []

    def look(state: BreakerState) -> tuple[BreakerState, None]:
        seen.append(state)
        return state, None

    await storage.commit(Batch(breaker_ops=[("api", look)]), OWNER)
    assert seen == [BreakerState()]
    await storage.close()
