from __future__ import annotations

from datetime import timedelta

import pytest

from engine.executors.subprocesses.process_tags import carrying
from engine.executors.subprocesses.search import Searched, end_tagged


@pytest.mark.parametrize("text", ["", "m", "om2", "PATH", " ", "om2-0123456789abcdef-"])
async def test_what_is_no_mark_is_looked_for_nowhere(text: str) -> None:
    with pytest.raises(ValueError, match="not the tag"):
        carrying(text)
    with pytest.raises(ValueError, match="not the tag"):
        Searched(text, leaves_nothing=False)
    with pytest.raises(ValueError, match="not the tag"):
        await end_tagged(text, grace=timedelta(0))


def test_an_environment_carries_a_mark_beside_others() -> None:
    mark = "om2-0123456789abcdef-0123456789ab-12-34-fedcba9876543210"
    assert carrying(mark)(f"A=1\0ORCHESTRATION_MARK=om2-other {mark}\0B=2")
    assert not carrying(mark)(f"ORCHESTRATION_MARK={mark[:-1]}")
