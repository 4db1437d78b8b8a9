from __future__ import annotations

from engine.executors.environment import Environment
from engine.model.log import LogKind, LogLine
from engine.text.redaction import MASK, Mask
from tests.support.orders import Beats

SECRET = "s3cretvalue"  # noqa: S105 - of no one


def test_the_lines_of_a_log_have_no_secret_that_the_agent_was_given() -> None:
    beats = Beats()
    heartbeat = Environment(variables={}, withheld=frozenset(), mask=Mask([SECRET])).heartbeat(beats)
    heartbeat(log=[LogLine(LogKind.SAID, f"It is {SECRET}.", f"by {SECRET}")])
    heartbeat(said=f"printed {SECRET[:4]}")
    heartbeat(said=f"{SECRET[4:]}\n")
    assert beats.log == [LogLine(LogKind.SAID, f"It is {MASK}.", f"by {MASK}")]
    assert beats.said == f"printed {MASK}\n"
