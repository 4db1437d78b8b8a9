from __future__ import annotations

from typing import get_args

from mcp_server.answers.status import VIEWS
from mcp_server.answers.wire import ViewName
from mcp_server.cli import runs
from mcp_server.protocol import instructions


def test_every_view_that_a_tool_takes_says_what_it_holds() -> None:
    assert set(VIEWS) == set(get_args(ViewName))
    assert set(runs.VIEWS) <= set(VIEWS)
    assert [view for view in VIEWS if f'"{view}"' not in instructions.STATUS] == [], "a model learns of it there"
