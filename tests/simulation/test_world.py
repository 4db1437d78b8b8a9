"""Whole projects under faults: whatever goes wrong, the laws hold, and every run comes to its end.

A world is everything from a seed (`tests.support.world`): servers that are killed, disks that fail, clocks that jump,
agents that lie or hang, people who cancel and resume. `python -m tests.support.world SEED` plays one and tells it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from engine.run.events import Event
from engine.storage.sqlite import SqliteStorage
from tests.support.node_tools import ROOT
from tests.support.world.transitions import ALLOWED, watch
from tests.support.world.world import World

pytestmark = pytest.mark.worlds
EVERY_COMMIT = 400
EVERY_NIGHT = 10_000
MAX_FOR_ALL = 2_000
"""Worlds in which each transition happens; most do in the first hundred."""
RICH = (6, 20, 84, 288, 19, 48, 191, 317, 848)
"""Seeds of worlds that have all transitions between them, found in a thousand; others follow where these miss one."""
AT_ONCE = 100
ENDS = {"completed", "degraded", "failed", "compensated", "compensation_failed", "cancelled"}


@pytest.mark.parametrize("seed", range(EVERY_COMMIT))
def test_whatever_goes_wrong_the_laws_hold_and_every_run_comes_to_its_end(seed: int) -> None:
    World(seed).play()


@pytest.mark.timeout(600)  # where worlds have changed, it plays all that it needs
def test_every_change_of_status_that_the_tables_allow_happens_in_some_world() -> None:
    missing = set(ALLOWED)
    for seed in (*RICH, *range(MAX_FOR_ALL)):
        if not missing:
            break
        with pytest.MonkeyPatch.context() as patch:
            taken = watch(patch)
            World(seed).play()
        missing -= taken
    assert missing == set()


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(EVERY_COMMIT, EVERY_NIGHT, AT_ONCE))
def test_the_laws_hold_in_thousands_of_worlds(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        World(seed).play()


@pytest.mark.parametrize("seed", range(1000, 1060))
def test_the_laws_hold_with_a_real_database_behind_the_servers(seed: int, tmp_path: Path) -> None:
    opened: list[SqliteStorage] = []

    def connect() -> SqliteStorage:
        opened.append(SqliteStorage(tmp_path / "state"))
        return opened[-1]

    try:
        World(seed, storage=connect).play()
    finally:
        for storage in opened:  # those of killed servers too, which close nothing
            storage._thread.shutdown()
            storage._db.close()
            storage._reader.close()


@pytest.mark.parametrize("seed", [3, 7, 23])
def test_equal_seeds_give_equal_journals_to_the_byte(seed: int) -> None:
    assert World(seed).play() == World(seed).play()
    assert World(seed).play() != World(seed + 1).play()


def test_no_world_depends_on_how_the_interpreter_orders_its_sets() -> None:
    def told(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        shown = subprocess.run(
            [sys.executable, "-m", "tests.support.world", "23"],
            capture_output=True, text=True, check=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        return shown.stdout

    assert told("1") == told("2")


def test_worlds_hold_what_they_are_for() -> None:
    """Over some seeds of a commit each kind of event of a journal happens, and each kind of end."""
    every = {event.__name__ for event in get_args(Event)}
    kinds: set[str] = set()
    ends: set[str] = set()
    for seed in range(100):
        world = World(seed)
        world.play()
        kinds.update(kind for record in world.audit.records.values() for kind, _data in record.log)
        ends.update(record.run.status for record in world.audit.present())
        if kinds >= every and len(ends) == len(ENDS):
            break
    assert kinds >= every
    assert ends == ENDS
