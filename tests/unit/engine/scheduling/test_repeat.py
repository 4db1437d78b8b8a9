"""A node with repeat runs until its condition holds."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.scheduling import iterations
from tests.support.by_hand import ByHand, rollback
from tests.support.definitions import Raw, command, in_place, node, phase
from tests.unit.engine.scheduling.test_for_each import value


def loop(until: str = "result.passed == true", *, body: Raw | None = None, **fields: Any) -> Raw:  # noqa: ANN401 - JSON
    """A node that is repeated until its result has passed."""
    shape = {"until": until, "maxIterations": 3, **fields.pop("shape", {})}
    context = {"outputs": [{"key": "result", **fields.pop("output", {})}], **fields.pop("context", {})}
    return {**(body or node("fix")), "repeat": shape, "context": context, **fields}


def begun(*nodes: Raw, **fields: Any) -> ByHand:  # noqa: ANN401 - JSON
    """A run of these nodes in one phase."""
    return ByHand(command(phase("one", *nodes, **fields)))


def failure_of(run: ByHand, name: str = "fix") -> str:
    """The code with which *name* has failed."""
    failure = run.node(name).failure
    assert failure is not None
    return failure.code


def test_it_runs_again_until_the_condition_holds_and_never_after() -> None:
    run = begun(loop(), node("last", "fix"))
    assert run.live() == ["fix/1"]
    run.succeed("fix/1", result={"passed": False})
    assert run.live() == ["fix/2"]
    run.succeed("fix/2", result={"passed": True})
    assert run.live() == ["last"]
    assert value(run, "result") == {"passed": True}
    run.succeed("last")
    assert run.state() == "completed"


def test_an_iteration_sees_its_number_and_what_the_last_one_gave() -> None:
    run = begun(loop(context={"inputs": [{"key": "goal", "default": "green"}]}))
    plan = run.node("fix/1").plan
    assert {spec.key: value(run, plan.scope + spec.key) for spec in plan.inputs} == {
        "goal": "green",
        "result": ...,
        "iteration": 1,
    }
    run.succeed("fix/1", result={"passed": False, "note": "x"})
    plan = run.node("fix/2").plan
    assert value(run, plan.scope + "result") == {"passed": False, "note": "x"}
    assert value(run, plan.scope + "iteration") == 2


def test_outputs_that_append_show_all_that_was_tried() -> None:
    run = begun(loop("size(result) == 2", output={"merge": "append"}))
    run.succeed("fix/1", result="first")
    assert value(run, run.node("fix/2").plan.scope + "result") == ["first"]
    run.succeed("fix/2", result="second")
    assert (run.state(), value(run, "result")) == ("completed", ["first", "second"])


def test_an_input_of_the_same_name_is_the_value_before_the_first_iteration() -> None:
    first = node("first", context={"outputs": [{"key": "result"}]})
    run = begun(first, loop(context={"inputs": [{"key": "result"}]}) | {"dependencies": ["first"]})
    run.succeed("first", result={"passed": False, "seed": 1})
    assert value(run, "fix/1/result") == {"passed": False, "seed": 1}
    run.succeed("fix/1", result={"passed": True})
    assert value(run, "result") == {"passed": True}


def test_a_loop_that_is_used_up_fails_with_the_last_values() -> None:
    run = begun(loop())
    for number in (1, 2, 3):
        run.succeed(f"fix/{number}", result={"passed": False, "left": 3 - number})
    assert (failure_of(run), run.state()) == ("NOT_CONVERGED", "failed")
    assert run.run.message.endswith('result = {"left": 0, "passed": false}')


def test_a_loop_that_is_used_up_fails_alone_where_its_phase_goes_on() -> None:
    run = begun(loop(compensation=rollback()), continueOnError=True)
    for number in (1, 2, 3):
        run.succeed(f"fix/{number}", result={"passed": False})
    assert run.live() == ["fix/3"]
    for number in (3, 2, 1):
        run.succeed(f"fix/{number}")
    assert (failure_of(run), run.state(), run.undone()) == ("NOT_CONVERGED", "degraded", ["fix/3", "fix/2", "fix/1"])
    assert value(run, "result") is ...


def test_a_loop_may_go_on_without_its_condition() -> None:
    run = begun(loop(shape={"onExhausted": "continue"}), node("last", "fix"))
    for number in (1, 2, 3):
        run.succeed(f"fix/{number}", result={"passed": False, "number": number})
    run.succeed("last")
    assert (run.status("fix"), run.state()) == ("completed", "degraded")
    assert value(run, "result") == {"passed": False, "number": 3}
    assert run.run.message == "1 node did not converge: fix"
    [warning] = run.node("fix").attempts[-1].warnings
    assert warning.startswith('Node "fix" had 3 iterations without')


@pytest.mark.parametrize(("on", "state"), [("fail", "failed"), ("continue", "degraded")])
def test_a_loop_in_which_nothing_changes_ends_early(on: str, state: str) -> None:
    run = begun(loop(shape={"maxIterations": 9, "stopWhenUnchanged": ["result"], "onExhausted": on}))
    run.succeed("fix/1", result={"passed": False})
    run.succeed("fix/2", result={"passed": False, "other": 1})
    run.succeed("fix/3", result={"other": 1, "passed": False})
    assert run.state() == state
    failures = [event.failure.code for event in run.events if isinstance(event, ev.AttemptFailed)]
    assert failures == ["NO_PROGRESS"] * (on == "fail")


@pytest.mark.parametrize(
    ("until", "result", "code"),
    [
        ("!result.errors", {"passed": True}, "CONDITION_ERROR"),
        ("missing == 1", {}, "CONDITION_ERROR"),
        ("result[0] == 1", [], "CONDITION_ERROR"),
        ("result.passed", {"passed": "yes"}, "CONDITION_ERROR"),
    ],
)
def test_a_name_that_is_not_there_is_no_answer(until: str, result: object, code: str) -> None:
    run = begun(loop(until), continueOnError=True)
    run.succeed("fix/1", result=result)
    assert (failure_of(run), run.live()) == (code, [])


def test_a_failed_iteration_fails_the_node_after_its_own_retries() -> None:
    run = begun(loop(retryPolicy={"maxAttempts": 1, "initialDelay": 0}), continueOnError=True)
    run.fail("fix/1", code="BROKEN")
    assert run.live() == ["fix/1"]
    run.fail("fix/1", code="BROKEN")
    assert (failure_of(run), run.state()) == ("BROKEN", "degraded")


def test_between_two_iterations_no_place_is_held() -> None:
    run = begun(loop(shape={"interval": 60_000}), node("other"), parallel=False)
    run.succeed("fix/1", result={"passed": False})
    assert run.live() == ["other"]
    run.wait(minutes=1)
    assert run.live() == ["other"]
    run.succeed("other")
    assert run.live() == ["fix/2"]


def test_a_resumed_run_goes_on_in_its_iteration() -> None:
    run = begun(loop())
    run.succeed("fix/1", result={"passed": False})
    run.crash()
    run.resume()
    assert run.live() == ["fix/2"]
    assert (run.number("fix/2"), len(run.node("fix/1").attempts)) == (2, 1)
    run.succeed("fix/2", result={"passed": True})
    assert run.state() == "completed"


def test_a_run_that_died_between_two_iterations_goes_on_there() -> None:
    run = begun(loop())
    run.succeed("fix/1", result={"passed": False})
    ended = next(at for at, event in enumerate(run.events) if isinstance(event, ev.PhaseEnded))
    run.cut(ended + 1)
    run.crash()
    run.resume()
    assert run.live() == ["fix/2"]


def test_a_retried_run_gives_an_exhausted_loop_as_many_iterations_more() -> None:
    run = begun(loop())
    for number in (1, 2, 3):
        run.succeed(f"fix/{number}", result={"passed": False, "n": number})
    run.resume(failed=True)
    for number in (4, 5, 6):
        assert run.live() == [f"fix/{number}"]
        run.succeed(f"fix/{number}", result={"passed": False, "n": number})
    assert run.state() == "failed"


@pytest.mark.parametrize("on", ["fail", "continue"])
def test_a_retried_run_goes_on_after_an_iteration_that_changed_nothing(on: str) -> None:
    run = begun(loop(shape={"stopWhenUnchanged": ["result"], "onExhausted": on}))
    run.succeed("fix/1", result={"passed": False})
    run.succeed("fix/2", result={"passed": False})
    assert run.state() in {"failed", "degraded"}
    run.resume(failed=True)
    assert run.live() == ["fix/3"]
    run.succeed("fix/3", result={"passed": True})
    assert run.state() == "completed"


def test_a_retried_run_repeats_a_failed_iteration_and_keeps_those_before() -> None:
    run = begun(loop())
    run.succeed("fix/1", result={"passed": False})
    run.fail("fix/2")
    run.resume(failed=True)
    assert run.live() == ["fix/2"]
    run.succeed("fix/2", result={"passed": True})
    assert (run.state(), value(run, "result")) == ("completed", {"passed": True})


def test_a_retried_run_leaves_what_failed_in_an_iteration_that_another_one_followed() -> None:
    work = phase("work", node("edit"), node("test", context={"outputs": [{"key": "result"}]}), continueOnError=True)
    run = begun(loop(body=in_place("fix", work)), node("last", "fix"))
    run.fail("fix/1/edit")
    run.succeed("fix/1/test", result={"passed": False})
    run.succeed("fix/2/edit")
    run.succeed("fix/2/test", result={"passed": True})
    run.fail("last")
    run.resume(failed=True)
    assert run.live() == ["last"]


def test_phases_in_place_are_repeated() -> None:
    body = in_place(
        "fix",
        phase("work", node("edit", context={"inputs": [{"key": "result", "required": False}]})),
        phase("check", node("test", context={"outputs": [{"key": "result"}]})),
    )
    run = begun(loop(body=body))
    run.succeed("fix/1/edit")
    run.succeed("fix/1/test", result={"passed": False})
    assert run.live() == ["fix/2/edit"]
    assert value(run, "fix/2/result") == {"passed": False}
    run.succeed("fix/2/edit")
    run.succeed("fix/2/test", result={"passed": True})
    assert (run.state(), value(run, "result")) == ("completed", {"passed": True})


def test_a_key_that_until_reads_is_written_by_each_iteration() -> None:
    skip = {"type": "context", "expression": "iteration == 2"}
    body = in_place("fix", phase("check", node("test", context={"outputs": [{"key": "result"}]}, skipCondition=skip)))
    run = begun(loop(body=body), continueOnError=True)
    run.succeed("fix/1/test", result={"passed": False})
    assert (failure_of(run), run.state()) == ("MISSING_OUTPUT", "degraded")


def test_a_key_that_an_iteration_does_not_write_keeps_its_value() -> None:
    skip = {"type": "context", "expression": "iteration == 2"}
    nodes = (
        node("note", context={"outputs": [{"key": "notes"}]}, skipCondition=skip),
        node("test", context={"outputs": [{"key": "result"}]}),
    )
    context = {"outputs": [{"key": "result"}, {"key": "notes"}]}
    run = begun(loop(body=in_place("fix", phase("check", *nodes)), context=context))
    run.succeed("fix/1/note", notes="kept")
    run.succeed("fix/1/test", result={"passed": False})
    run.succeed("fix/2/test", result={"passed": True})
    assert (run.state(), value(run, "notes")) == ("completed", "kept")


def test_only_the_failures_of_the_last_iteration_count() -> None:
    nodes = (node("try"), node("test", context={"outputs": [{"key": "result"}]}))
    body = in_place("fix", phase("check", *nodes, continueOnError=True))
    run = begun(loop(body=body))
    run.fail("fix/1/try")
    run.succeed("fix/1/test", result={"passed": False})
    run.succeed("fix/2/try")
    run.succeed("fix/2/test", result={"passed": True})
    assert run.state() == "completed"


def test_every_iteration_that_started_is_undone_the_last_first() -> None:
    run = begun(loop(compensation=rollback()), node("last", "fix"))
    run.succeed("fix/1", result={"passed": False})
    run.succeed("fix/2", result={"passed": True})
    run.fail("last", FailureKind.ERROR)
    for number in (2, 1):
        run.succeed(f"fix/{number}")
    assert (run.undone(), run.state()) == (["fix/2", "fix/1"], "compensated")


def test_an_approval_is_asked_once_before_the_first_iteration() -> None:
    run = begun(loop(approval={"message": "Go on?"}))
    assert run.live() == []
    run.answer("fix", "yes")
    run.succeed("fix/1", result={"passed": False})
    assert run.live() == ["fix/2"]


def test_a_loop_for_each_item() -> None:
    find = node("find", context={"outputs": [{"key": "files"}]})
    inner = loop(context={"inputs": [{"key": "file"}], "outputs": [{"key": "result"}]})
    body = in_place("cover", phase("in", inner))
    cover = {
        **body,
        "dependencies": ["find"],
        "forEach": {"items": "files", "as": "file", "continueOnError": True},
        "context": {"inputs": [{"key": "files"}], "outputs": [{"key": "result"}]},
    }
    run = begun(find, cover)
    run.succeed("find", files=["a", "b"])
    assert run.live() == ["cover/1/fix/1", "cover/2/fix/1"]
    assert value(run, "cover/2/fix/1/file") == "b"
    run.succeed("cover/1/fix/1", result={"passed": True})
    for number in (1, 2, 3):
        run.succeed(f"cover/2/fix/{number}", result={"passed": False, "n": number})
    assert (run.state(), value(run, "result")) == ("degraded", [{"passed": True}])


def test_an_iteration_that_would_make_too_many_nodes_fails_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterations, "MAX_NODES", 2)
    run = begun(loop(), continueOnError=True)
    run.succeed("fix/1", result={"passed": False})
    assert failure_of(run) == "TOO_MANY_NODES"
    monkeypatch.setattr(iterations, "MAX_NODES", 1)
    assert failure_of(begun(loop(), continueOnError=True)) == "TOO_MANY_NODES"


def test_an_output_that_no_iteration_wrote_fails_the_node() -> None:
    skip = {"type": "context", "expression": "1 == 1"}
    body = in_place("fix", phase("check", node("test", context={"outputs": [{"key": "result"}]}, skipCondition=skip)))
    run = begun(loop("iteration == 1", body=body), continueOnError=True)
    assert failure_of(run) == "MISSING_OUTPUT"


def test_values_that_do_not_join_fail_the_loop() -> None:
    run = begun(loop("size(result) == 3", output={"merge": "concat"}), continueOnError=True)
    run.succeed("fix/1", result=["list"])
    run.succeed("fix/2", result="text")
    assert failure_of(run) == "MERGE_TYPE"


@pytest.mark.parametrize(
    ("until", "holds"),
    [
        ("result.length == 2", True),
        ("result[1] == 'b'", True),
        ("result[-1] == 'b'", True),
        ("size(result) == 2", True),
    ],
)
def test_what_is_there_is_found_in_a_strict_condition(until: str, holds: bool) -> None:  # noqa: FBT001
    run = begun(loop(until))
    run.succeed("fix/1", result=["a", "b"])
    assert (run.state() == "completed") is holds


@pytest.mark.parametrize("until", ["result.lost == 1", "result[2] == 1", "result['a'] == 1", "result[0].more == 1"])
def test_what_is_not_there_is_no_answer_in_a_list_either(until: str) -> None:
    run = begun(loop(until), continueOnError=True)
    run.succeed("fix/1", result=["a", "b"])
    assert failure_of(run) == "CONDITION_ERROR"


def test_a_cancel_between_two_iterations_ends_the_loop() -> None:
    run = begun(loop(shape={"interval": 60_000}))
    run.succeed("fix/1", result={"passed": False})
    run.cancel()
    assert (run.state(), run.status("fix"), run.status("fix/2")) == ("cancelled", "cancelled", "cancelled")
