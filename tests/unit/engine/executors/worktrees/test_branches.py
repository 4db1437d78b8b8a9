from __future__ import annotations

import pytest

from engine.executors.worktrees.branches import branch_of, branches_of, folder_of
from engine.ids import NodeId, RunId

RUN = RunId("r-0123456789ab")


def test_a_plain_name_is_used_as_it_is() -> None:
    assert branch_of(RUN, NodeId("build-api_2"), 3) == "orchestration/r-0123456789ab/build-api_2/3"
    assert folder_of(RUN, NodeId("build-api_2"), 3) == "r-0123456789ab-build-api_2-3"


@pytest.mark.parametrize("node", ["deploy/build", "Build", "x.lock", "a..b", "-rf", "a" * 200])
def test_a_name_that_git_or_a_file_system_could_mistake_is_made_plain(node: str) -> None:
    part = branch_of(RUN, NodeId(node), 1).removeprefix(branches_of(RUN)).removesuffix("/1")
    assert set(part) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not part.startswith("-")
    assert len(part) <= 69
