from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine.executors.environment import Environment, open_environment
from engine.model.agent import Agent, AgentKind
from engine.model.log import LogKind, LogLine
from engine.text.redaction import MASK, Mask
from tests.support.orders import Beats, order_for

SECRET = "s3cretvalue"  # noqa: S105 - of no one


def test_the_lines_of_a_log_have_no_secret_that_the_agent_was_given() -> None:
    beats = Beats()
    heartbeat = Environment(variables={}, withheld=frozenset(), mask=Mask([SECRET])).heartbeat(beats)
    heartbeat.started("machine-1", timedelta(seconds=3))
    heartbeat(log=[LogLine(LogKind.SAID, f"It is {SECRET}.", f"by {SECRET}")])
    heartbeat(said=f"printed {SECRET[:4]}")
    heartbeat(said=f"{SECRET[4:]}\n")
    assert (beats.workers, beats.ages) == (["machine-1"], [timedelta(seconds=3)])
    assert beats.log == [LogLine(LogKind.SAID, f"It is {MASK}.", f"by {MASK}")]
    assert beats.said == f"printed {MASK}\n"


def test_each_attempt_has_the_variables_of_its_time_and_of_its_agent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def region(env: dict[str, str], **added: str) -> str | None:
        order = order_for(Agent(id="worker", kind=AgentKind.PROCESS, env=env), project=tmp_path)
        opened = open_environment(order, "", added)
        assert isinstance(opened, Environment)
        assert opened.variables["LANG"] == "C"
        return opened.variables.get("REGION")

    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("WHERE", "north")
    assert region({"REGION": "$WHERE"}) == "north"
    assert region({"REGION": "south"}) == "south"
    assert region({}, REGION="east") == "east"
    assert region({}) is None
    monkeypatch.setenv("WHERE", "west")
    assert region({"REGION": "$WHERE"}) == "west"
