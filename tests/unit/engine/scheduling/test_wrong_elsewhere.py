"""What other engines' loops and fan-outs are known to get wrong: each fault is a test that ours does not have it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.ids import NodeId
from engine.model.policy import QUOTA_EXHAUSTED
from engine.run import events as ev
from engine.run import signals as sig
from tests.support.by_hand import ByHand
from tests.support.definitions import node
from tests.unit.engine.scheduling.test_for_each import begun, each, value
from tests.unit.engine.scheduling.test_repeat import begun as looping
from tests.unit.engine.scheduling.test_repeat import loop

GOES_ON = {"continueOnError": True}


def begun_attempts(run: ByHand) -> list[str]:
    """The nodes whose attempts were started, in order."""
    return [event.node for event in run.events if isinstance(event, ev.AttemptScheduled)]


def code_of(run: ByHand, name: str = "cover") -> str:
    failure = run.node(name).failure
    assert failure is not None
    return failure.code


def test_a_resumed_loop_does_not_begin_again_with_its_first_iteration() -> None:
    run = looping(loop(shape={"maxIterations": 5}))
    for number in (1, 2):
        run.succeed(f"fix/{number}", result={"passed": False})
    run.crash()
    run.resume()
    assert run.live() == ["fix/3"]
    run.succeed("fix/3", result={"passed": True})
    attempts = [name for name in begun_attempts(run) if "/" in name]
    assert (run.state(), attempts) == ("completed", ["fix/1", "fix/2", "fix/3", "fix/3"])


def test_the_retries_of_a_node_hold_for_each_of_its_items() -> None:
    run = begun(each(retryPolicy={"maxAttempts": 2, "strategy": "immediate"}))
    for name in ("cover/1", "cover/3"):
        run.fail(name)
        run.fail(name)
        run.succeed(name, covered=1)
    run.succeed("cover/2", covered=1)
    assert (run.state(), [len(run.node(f"cover/{at}").attempts) for at in (1, 2, 3)]) == ("completed", [3, 1, 3])


def test_an_item_that_waits_holds_no_place() -> None:
    run = begun(each(shape={"maxParallelism": 1}, retryPolicy={"maxAttempts": 1, "initialDelay": 60_000}))
    run.fail("cover/1")
    assert (run.status("cover/1"), run.live()) == ("waiting", ["cover/2"])


def test_a_retry_of_the_failed_items_neither_repeats_the_others_nor_leaves_one_out() -> None:
    run = begun(each(shape=GOES_ON))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    run.fail("cover/3")
    run.resume(failed=True)
    assert run.live() == ["cover/2", "cover/3"]
    run.succeed("cover/2", covered=2)
    run.succeed("cover/3", covered=3)
    assert (run.state(), value(run, "covered")) == ("completed", [1, 2, 3])


@pytest.mark.parametrize("skip", [False, True])
def test_an_empty_or_skipped_list_does_not_hang_who_reads_it(*, skip: bool) -> None:
    reads = {"inputs": [{"key": "covered", "required": not skip}]}
    condition: dict[str, Any] = {"skipCondition": {"type": "context", "expression": "true"}} if skip else {}
    run = begun(each(**condition), node("read", "cover", context=reads), files=["a"] if skip else [])
    assert (run.live(), run.status("cover")) == (["read"], "skipped" if skip else "completed")
    run.succeed("read")
    assert run.state() == "completed"


@pytest.mark.parametrize("one_by_one", [{"shape": {"maxParallelism": 1}}, {}])
def test_no_item_is_left_out_where_one_runs_at_a_time(one_by_one: dict[str, Any]) -> None:
    run = begun(each(**one_by_one), files=tuple(range(12)), parallel=bool(one_by_one))
    for number in range(1, 13):
        assert run.live() == [f"cover/{number}"]
        run.succeed(f"cover/{number}", covered=number)
    assert (run.state(), value(run, "covered")) == ("completed", list(range(1, 13)))


def test_a_dead_item_leaves_no_null_and_is_not_called_completed() -> None:
    run = begun(each(shape={**GOES_ON, "failures": "lost"}))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    run.succeed("cover/3", covered=None)
    assert value(run, "covered") == [1, None], "the agent of the third has written it"
    assert (run.status("cover/2"), run.state()) == ("failed", "degraded")
    assert [lost["number"] for lost in value(run, "lost")] == [2]


def test_a_failed_item_is_known_by_its_name() -> None:
    run = begun(each(shape={**GOES_ON, "failures": "lost", "key": "$"}))
    run.fail("cover/2")
    run.succeed("cover/1", covered=1)
    run.succeed("cover/3", covered=3)
    [lost] = value(run, "lost")
    assert {key: lost[key] for key in ("number", "key", "item", "code")} == {
        "number": 2, "key": "b", "item": "b", "code": "AGENT_ERROR",
    }  # fmt: skip
    assert value(run, "covered") == {"a": 1, "c": 3}


def test_no_agent_is_started_into_a_used_up_quota() -> None:
    run = begun(each(circuitBreaker="api", shape=GOES_ON), files=tuple(range(50)))
    run.send(sig.AnswerBreaker(NodeId("cover/1"), admitted=True))
    assert run.live() == ["cover/1"]
    run.fail("cover/1", code=QUOTA_EXHAUSTED)
    assert (run.status("cover/1"), run.live()) == ("waiting", [])
    assert [name for name in begun_attempts(run) if "/" in name] == ["cover/1"], "the others ask the breaker first"


def test_the_next_item_starts_when_one_ends_and_not_when_all_of_a_batch_have() -> None:
    run = begun(each(shape={"maxParallelism": 2}), files=tuple(range(5)))
    for number in (2, 3, 4):
        run.succeed(f"cover/{number}", covered=1)
        assert run.live() == ["cover/1", f"cover/{number + 1}"]


def test_later_items_do_not_overwrite_those_of_an_equal_key() -> None:
    run = begun(each(shape={"key": "$.path"}), files=[{"path": "a"}, {"path": "b"}, {"path": "a"}])
    assert (code_of(run), begun_attempts(run)) == ("BAD_ITEM_KEY", ["find"])


def test_the_values_of_items_do_not_overwrite_each_other() -> None:
    run = begun(each())
    for number in (1, 2, 3):
        run.succeed(f"cover/{number}", covered="the same")
    assert value(run, "covered") == ["the same"] * 3


@pytest.mark.parametrize("files", ["abc", '["a", "b"]', "a\nb"])
def test_a_text_is_no_list_of_its_characters_lines_or_json(files: str) -> None:
    run = begun(each(), files=files)
    assert (code_of(run), begun_attempts(run)) == ("ITEMS_NOT_A_LIST", ["find"])


def test_a_cancel_leaves_no_item_running() -> None:
    run = begun(each(shape={"maxParallelism": 2}), files=tuple(range(5)))
    told = [event.node for event in run.cancel() if isinstance(event, ev.AttemptStopping)]
    assert {"cover/1", "cover/2"} <= set(told)
    run.stopped("cover/1")
    run.stopped("cover/2")
    assert (run.state(), run.live()) == ("cancelled", [])
    assert {run.status(f"cover/{number}") for number in range(1, 6)} == {"cancelled"}
    assert "cover/3" not in begun_attempts(run)


def test_a_budget_does_not_burn_while_nothing_changes() -> None:
    run = looping(loop(shape={"maxIterations": 100, "stopWhenUnchanged": ["result"]}))
    for number in (1, 2):
        run.succeed(f"fix/{number}", result={"passed": False, "errors": 7})
    assert (run.state(), code_of(run, "fix")) == ("failed", "NO_PROGRESS")


def test_a_name_that_is_not_there_does_not_end_a_loop() -> None:
    run = looping(loop("!result.errors"))
    run.succeed("fix/1", result={"passed": False})
    assert (run.state(), code_of(run, "fix")) == ("failed", "CONDITION_ERROR")
