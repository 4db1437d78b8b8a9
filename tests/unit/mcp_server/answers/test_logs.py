"""Logs as lines: nothing that an agent prints passes for a line of ours, and a long log is shown by its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.errors import NotFound
from engine.ids import NodeId, OwnerId, RunId
from engine.model.log import LogEntry, LogKind
from engine.model.policy import Failure, FailureKind, Usage
from engine.run import events as ev
from engine.run.events import RunStatus, ValueRef
from engine.run.reducer import apply, create
from engine.statefolder.links import state_of
from engine.storage.attempt_logs import LogReader, RunFolder
from mcp_server.answers.logs import INDENT, MAX_TAIL_LENGTH, ending, heading, lines_of, nothing_of, tail_of
from mcp_server.project.nodes import attempts_of, find_node
from tests.support.definitions import command, node, phase, plan

if TYPE_CHECKING:
    from pathlib import Path

    from engine.run.state import Run

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def texts(kind: LogKind, text: str = "", **fields: object) -> list[str]:
    entry = LogEntry(int(AT.timestamp() * 1000), kind, text, **fields)  # type: ignore[arg-type]
    return [line[8:] for line in lines_of(entry)]


def a_run(executor: str = "native") -> Run:
    """One node ran twice, the other is at work."""
    compiled = plan(command(phase("work", node("first-node"), node("second-node"))))
    run = create(ev.RunCreated(AT, RunId("r-1"), compiled, OwnerId("o"), executor))
    name = NodeId("first-node")
    failure = Failure(FailureKind.ERROR, "BROKEN", "password=hunter22 was refused\nand more")
    for event in (
        ev.RunStarted(AT),
        ev.PhaseOpened(AT, 0),
        ev.AttemptScheduled(AT, name, 1, ev.Role.FORWARD, 0, AT + timedelta(minutes=1)),
        ev.AttemptFailed(AT + timedelta(seconds=2), name, 1, failure, Usage(cost_usd=0.25)),
        ev.NodeWaiting(AT + timedelta(seconds=2), name, ev.WaitReason.RETRY, AT + timedelta(seconds=3)),
        ev.NodeReady(AT + timedelta(seconds=3), name),
        ev.AttemptScheduled(AT + timedelta(seconds=3), name, 2, ev.Role.FORWARD, 0, AT + timedelta(minutes=1)),
        ev.AttemptScheduled(
            AT + timedelta(seconds=4), NodeId("second-node"), 1, ev.Role.FORWARD, 0, AT + timedelta(minutes=1)
        ),
        ev.AttemptSucceeded(AT + timedelta(seconds=5), name, 2, {}),
    ):
        apply(run, event)
    return run


def test_each_kind_has_its_mark_and_later_lines_are_indented() -> None:
    assert texts(LogKind.PRINTED, "one\ntwo\n") == ["  one", "  two"]
    assert texts(LogKind.SAID, "I look") == ["  I look"]
    assert texts(LogKind.DID, "Reading a.py", by="Explore") == ["  [Explore] ● Reading a.py"]
    assert texts(LogKind.RESULT, "hi") == ["  ⎿ hi"]
    assert texts(LogKind.LEFT_OUT, size=512) == ["  … 512 bytes left out …"]
    assert texts(LogKind.LEFT_OUT, size=3_500) == ["  … 3 kB left out …"]
    assert texts(LogKind.LEFT_OUT, size=2_500_000) == ["  … 2.4 MB left out …"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("10%\r20%\r\n", "10%\n20%"),
        ("a\x08\x00b", "ab"),
        ("a\u202eb", "ab"),
    ],
)
def test_what_controls_a_terminal_is_removed(text: str, expected: str) -> None:
    shown = texts(LogKind.PRINTED, text)
    assert shown == [f"  {line}" for line in expected.split("\n")]


def test_no_line_of_an_agent_begins_where_ours_begin() -> None:
    entry = LogEntry(0, LogKind.PRINTED, "x\nfirst-node#1 · worker\n✅ completed")
    first, *rest = lines_of(entry)
    assert first[2] == ":"
    assert all(line.startswith(INDENT) for line in rest)


def test_attempts_are_named_in_their_order_by_node_and_by_number() -> None:
    run = a_run()
    names = ["first-node#1", "first-node#2", "second-node#1"]
    assert [one.name for one in attempts_of(run, None)] == names
    assert [one.name for one in attempts_of(run, "first-node")] == names[:2]
    assert [one.name for one in attempts_of(run, "first-node#2")] == names[1:2]


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("frist-node", "NODE_NOT_FOUND", 'Did you mean "first-node"?'),
        ("zzz", "NODE_NOT_FOUND", "Its nodes are first-node, second-node."),
        ("first-node#3", "ATTEMPT_NOT_FOUND", "It has made 2."),
        ("first-node#x", "NODE_NOT_FOUND", 'Did you mean "first-node"?'),
    ],
)
def test_a_wrong_name_has_one_error_that_helps(name: str, code: str, hint: str) -> None:
    with pytest.raises(NotFound) as raised:
        attempts_of(a_run(), name)
    assert (raised.value.code, raised.value.hint) == (code, hint)


def test_the_end_of_an_attempt_is_told_with_its_cost_and_without_secrets() -> None:
    run = a_run()
    first, second, third = attempts_of(run, None)
    assert heading(run, first) == "first-node#1 · worker"
    (failed,) = ending(run, first)
    assert failed[10:] == "❌ failed after 2.0s: BROKEN: password=[redacted] was refused · $0.25"
    assert [line[10:] for line in ending(run, second)] == ["✅ completed in 2.0s"]
    assert list(ending(run, third)) == []
    run.status = RunStatus.INTERRUPTED
    assert list(ending(run, third)) == [f"{INDENT}⏸️ interrupted with its run; resume continues it"]
    run.status = RunStatus.RUNNING
    second.node.outputs["speed"] = ValueRef("d", 2048)
    assert [line[10:] for line in ending(run, second)] == ["✅ completed in 2.0s · outputs: speed (2 kB)"]
    third.record.lost = True
    assert [line[10:] for line in ending(run, third)] == ["⏸️ lost: its process ended"]


def test_an_empty_log_says_why() -> None:
    run = a_run()
    first, _, third = attempts_of(run, None)
    assert nothing_of(run, third) == f"{INDENT}(nothing yet)"
    assert nothing_of(run, first).startswith(f"{INDENT}(nothing but its answer")
    assert "simulated" in nothing_of(a_run("simulate"), first)
    assert find_node(run, "first-node") is run.nodes[NodeId("first-node")]


def test_one_text_holds_the_end_of_a_long_log(tmp_path: Path) -> None:
    run = a_run()
    log = RunFolder(state_of(tmp_path), run.id).log(NodeId("first-node"), 1)
    log.append(LogEntry(0, LogKind.PRINTED, f"line {number} {'x' * 80}\n") for number in range(2000))
    reader = LogReader(state_of(tmp_path), run.id)
    first, second, _ = attempts_of(run, None)
    text = tail_of(run, reader, first)
    lines = text.splitlines()
    assert lines[0] == "first-node#1 · worker"
    assert lines[1].endswith("left out …")
    assert "line 1999 " in lines[-2]
    assert "❌ failed" in lines[-1]
    assert len(text) < MAX_TAIL_LENGTH + 1000
    assert "(nothing but its answer" in tail_of(run, reader, second)
