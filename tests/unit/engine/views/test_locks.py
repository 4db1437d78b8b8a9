from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.ids import NodeId, RunId
from engine.views.locks import LockLine


@pytest.mark.parametrize(("node", "who"), [(NodeId("migrate"), "migrate"), (None, "the run")])
def test_a_waiting_lock_says_who_waits_for_what(node: NodeId | None, who: str) -> None:
    line = LockLine(
        resource="database",
        type="exclusive",
        run=RunId("r-2"),
        node=node,
        state="waiting",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        waits_for=("database (locked by r-1:deploy)",),
    )
    assert str(line) == f"{who} waits for database (locked by r-1:deploy)"
