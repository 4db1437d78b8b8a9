"""A node with forEach stands for one instance for each item of a list."""

from __future__ import annotations

from typing import Any

import pytest

from engine.ids import OwnerId
from engine.model.policy import FailureKind
from engine.run import events as ev
from engine.run.lookup import keys_at, parts_at
from engine.runtime.projections import summary_of
from engine.scheduling import iterations
from engine.values.reading import joined
from engine.views.progress import progress
from tests.support.by_hand import ByHand, locks, rollback
from tests.support.definitions import Raw, command, in_place, node, phase

FIND = node("find", context={"outputs": [{"key": "files"}]})


def each(name: str = "cover", *needs: str, body: Raw | None = None, **fields: Any) -> Raw:  # noqa: ANN401 - JSON
    """A node that covers each of the files that `find` has found."""
    shape = {"items": "files", "as": "file", **fields.pop("shape", {})}
    context = {
        "inputs": [{"key": "files"}],
        "outputs": [{"key": "covered", **fields.pop("output", {})}],
        **fields.pop("context", {}),
    }
    raw = body or node(name, *needs or ("find",))
    return {**raw, "dependencies": list(needs) or ["find"], "forEach": shape, "context": context, **fields}


def value(run: ByHand, key: str) -> Any:  # noqa: ANN401 - JSON
    """The value of *key* at the top; `...` if it has none."""
    parts = parts_at(run.run, key, run.run.version)
    return joined(parts, run.values.get) if parts else ...


def begun(*nodes: Raw, files: object = ("a", "b", "c"), **fields: Any) -> ByHand:  # noqa: ANN401 - JSON
    """A run whose list is known."""
    run = ByHand(command(phase("one", FIND, *nodes, **fields)))
    run.succeed("find", files=list(files) if isinstance(files, tuple) else files)
    return run


def test_each_item_is_done_once_and_the_values_are_in_the_order_of_the_items() -> None:
    run = begun(each())
    assert run.live() == ["cover/1", "cover/2", "cover/3"]
    for name in ("cover/3", "cover/1", "cover/2"):
        run.succeed(name, covered=name)
    assert run.state() == "completed"
    assert value(run, "covered") == ["cover/1", "cover/2", "cover/3"]


def test_an_instance_sees_its_item_and_number_and_not_the_list() -> None:
    run = begun(each(context={"inputs": [{"key": "files"}, {"key": "style", "default": "short"}]}))
    plan = run.node("cover/2").plan
    seen = {spec.key: value(run, plan.scope + spec.key) for spec in plan.inputs}
    assert seen == {"file": "b", "number": 2, "style": "short"}
    assert value(run, "cover/2/files") is ...


def test_no_more_than_allowed_run_at_once_and_the_next_starts_when_one_ends() -> None:
    run = begun(each(shape={"maxParallelism": 2}))
    assert run.live() == ["cover/1", "cover/2"]
    run.succeed("cover/2", covered=2)
    assert run.live() == ["cover/1", "cover/3"]


def test_instances_use_the_places_of_their_phase() -> None:
    run = begun(each(), node("other", "find"), parallel=False)
    assert run.live() == ["cover/1"]
    for name in ("cover/1", "cover/2", "cover/3"):
        run.succeed(name, covered=1)
    assert run.live() == ["other"]


def test_two_lists_share_the_places_of_their_phase() -> None:
    run = begun(each("one", shape={"maxParallelism": 2}), each("two", output={"key": "other"}), maxParallelism=3)
    assert run.live() == ["one/1", "one/2", "two/1"]
    run.succeed("one/1", covered=1)
    assert run.live() == ["one/2", "one/3", "two/1"]
    run.succeed("two/1", other=1)
    assert run.live() == ["one/2", "one/3", "two/2"]


def test_an_instance_that_waits_for_its_retry_gives_its_place_away() -> None:
    policy = {"maxAttempts": 1, "initialDelay": 60_000}
    run = begun(each(shape={"maxParallelism": 1}, retryPolicy=policy))
    run.fail("cover/1")
    assert run.live() == ["cover/2"]
    run.wait(minutes=1)
    assert run.live() == ["cover/2"]
    run.succeed("cover/2", covered=2)
    assert run.live() == ["cover/1"]


def test_a_list_without_items_completes_the_node_at_once() -> None:
    run = begun(each(approval={"message": "Go on?"}), files=[])
    assert (run.state(), value(run, "covered")) == ("completed", [])


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ("a text", "ITEMS_NOT_A_LIST"),
        (None, "ITEMS_NOT_A_LIST"),
        ({"a": 1}, "ITEMS_NOT_A_LIST"),
        (["x"] * 101, "TOO_MANY_ITEMS"),
    ],
)
def test_a_list_that_cannot_be_used_fails_the_node_before_anything_starts(files: object, code: str) -> None:
    run = begun(each(), files=files)
    failure = run.node("cover").failure
    assert failure is not None
    assert (failure.code, failure.kind, run.state()) == (code, FailureKind.VALIDATION, "failed")
    assert list(run.run.nodes) == ["find", "cover"]


@pytest.mark.parametrize("files", [[{"p": "x"}, {"p": "x"}], [{"p": "x"}, {}], [{"p": "x"}, {"p": None}], ["x"]])
def test_items_without_a_name_of_their_own_are_refused(files: list[Any]) -> None:
    failure = begun(each(shape={"key": "$.p"}), files=files).node("cover").failure
    assert failure is not None
    assert failure.code == "BAD_ITEM_KEY"


def test_named_items_make_the_outputs_objects() -> None:
    run = begun(each(shape={"key": "$.p"}), files=[{"p": "x"}, {"p": 2}])
    run.succeed("cover/1", covered="one")
    run.succeed("cover/2", covered="two")
    assert value(run, "covered") == {"x": "one", "2": "two"}


@pytest.mark.parametrize(
    ("merge", "given", "made"),
    [
        ("append", [1, [2], 3], [1, [2], 3]),
        ("concat", [[1], [2, 3], []], [1, 2, 3]),
        ("merge", [{"a": 1}, {"b": 2}, {"a": 3}], {"a": 3, "b": 2}),
    ],
)
def test_outputs_are_joined_as_their_merge_says(merge: str, given: list[Any], made: object) -> None:
    run = begun(each(output={"merge": merge}))
    for number in (3, 2, 1):
        run.succeed(f"cover/{number}", covered=given[number - 1])
    assert value(run, "covered") == made


def test_without_continue_on_error_the_first_failed_item_ends_the_node() -> None:
    run = begun(each(shape={"maxParallelism": 2}))
    run.fail("cover/1", code="BROKEN")
    assert run.live() == ["cover/2"]
    run.stopped("cover/2")
    assert run.state() == "failed"
    assert run.status("cover/3") == "cancelled"
    assert run.run.message.startswith('Node "cover/1" failed')


def test_a_failed_item_fails_the_node_alone_where_its_phase_goes_on() -> None:
    run = begun(each(shape={"maxParallelism": 2}), continueOnError=True)
    run.fail("cover/1", code="BROKEN")
    run.stopped("cover/2")
    failure = run.node("cover").failure
    assert failure is not None
    assert (failure.code, run.state(), value(run, "covered")) == ("BROKEN", "degraded", ...)
    assert "cover/1" in failure.message


def test_with_continue_on_error_the_other_items_go_on_and_failed_ones_are_listed() -> None:
    run = begun(each(shape={"continueOnError": True, "failures": "uncovered"}))
    run.succeed("cover/1", covered="one")
    run.fail("cover/2", code="BROKEN")
    run.succeed("cover/3", covered="three")
    assert (run.state(), run.status("cover")) == ("degraded", "completed")
    assert value(run, "covered") == ["one", "three"]
    assert value(run, "uncovered") == [{"number": 2, "item": "b", "code": "BROKEN", "message": "cover/2 broke"}]


def test_the_list_of_failed_items_is_empty_where_all_went_well() -> None:
    run = begun(each(shape={"continueOnError": True, "failures": "uncovered", "key": "$"}))
    for name in ("cover/1", "cover/2", "cover/3"):
        run.succeed(name, covered=name)
    assert (run.state(), value(run, "uncovered")) == ("completed", [])


def test_the_node_fails_where_all_items_failed() -> None:
    run = begun(each(shape={"continueOnError": True}))
    for name in ("cover/1", "cover/2", "cover/3"):
        run.fail(name, code="BROKEN")
    failure = run.node("cover").failure
    assert failure is not None
    assert (failure.code, run.state()) == ("ALL_ITEMS_FAILED", "failed")


def test_a_failed_item_is_undone_by_itself() -> None:
    run = begun(each(shape={"continueOnError": True}, compensation=rollback()))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    assert run.undone() == ["cover/2"]
    run.succeed("cover/3", covered=3)
    assert run.state() == "running"
    run.succeed("cover/2")
    assert (run.state(), value(run, "covered")) == ("degraded", [1, 3])


def test_all_instances_that_started_are_undone_the_last_to_start_first() -> None:
    run = begun(each(shape={"maxParallelism": 1}, compensation=rollback()), node("last", "cover"))
    for number in (1, 2, 3):
        run.succeed(f"cover/{number}", covered=number)
    run.fail("last")
    for number in (3, 2, 1):
        run.succeed(f"cover/{number}")
    assert run.undone() == ["cover/3", "cover/2", "cover/1"]
    assert run.state() == "compensated"


def test_a_target_of_a_rollback_keeps_all_of_its_instances() -> None:
    cascade = {"type": "cascade", "rollbackTo": "cover"}
    run = begun(each(compensation=rollback()), node("last", "cover", compensation=cascade))
    for number in (1, 2, 3):
        run.succeed(f"cover/{number}", covered=number)
    run.fail("last")
    assert (run.undone(), run.state()) == ([], "failed")


def test_a_condition_that_reads_the_item_is_evaluated_for_each_one() -> None:
    skip = {"type": "context", "expression": "file == 'b' || number == 3"}
    run = begun(each(skipCondition=skip))
    run.succeed("cover/1", covered=1)
    assert [run.status(f"cover/{number}") for number in (1, 2, 3)] == ["completed", "skipped", "skipped"]
    assert (run.state(), value(run, "covered")) == ("completed", [1])


def test_any_other_condition_skips_the_whole_before_its_list_is_looked_at() -> None:
    skip = {"type": "context", "expression": "1 == 1"}
    run = begun(each(skipCondition=skip), files="no list")
    assert (run.status("cover"), run.state()) == ("skipped", "completed")


def test_an_approval_is_asked_once_when_the_list_is_known() -> None:
    run = begun(each(approval={"message": "Go on?"}), files=tuple(range(12)))
    waiting = run.node("cover").waiting
    assert waiting is not None
    assert waiting.detail == "Go on? (12 items: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more)"
    assert run.live() == []
    run.answer("cover", "yes")
    assert len(run.live()) == 12


def test_a_no_fails_the_node_without_a_start() -> None:
    run = begun(each(approval={"message": "Go on?"}))
    run.answer("cover", "no")
    assert (run.status("cover"), run.status("cover/1"), run.state()) == ("failed", "cancelled", "failed")


def test_a_resumed_run_goes_on_with_its_items_and_looks_no_list_up() -> None:
    run = begun(each(shape={"maxParallelism": 1}))
    run.succeed("cover/1", covered=1)
    run.crash()
    run.resume()
    assert run.live() == ["cover/2"]
    run.succeed("cover/2", covered=2)
    run.succeed("cover/3", covered=3)
    assert (run.state(), value(run, "covered")) == ("completed", [1, 2, 3])
    assert sum(isinstance(event, ev.NodesUnfolded) for event in run.events) == 1


def test_a_retried_run_does_the_failed_items_again_and_whatever_reads_them() -> None:
    read = node("read", "cover", context={"inputs": [{"key": "covered"}]})
    run = begun(each(shape={"continueOnError": True}), read)
    run.succeed("cover/1", covered="one")
    run.fail("cover/2")
    run.succeed("cover/3", covered="three")
    run.succeed("read")
    assert run.state() == "degraded"
    run.resume(failed=True)
    assert run.live() == ["cover/2"]
    run.succeed("cover/2", covered="two")
    assert value(run, "covered") == ["one", "two", "three"]
    run.succeed("read")
    assert run.state() == "completed"
    assert len(run.node("cover/1").attempts) == 1


def test_a_retried_run_does_the_items_again_that_were_ended_or_never_began() -> None:
    run = begun(each(shape={"maxParallelism": 2}))
    run.fail("cover/1")
    run.stopped("cover/2")
    run.resume(failed=True)
    assert run.live() == ["cover/1", "cover/2"]
    for name in ("cover/1", "cover/2", "cover/3"):
        run.succeed(name, covered=name)
    assert run.state() == "completed"


def test_the_list_of_runs_counts_the_nodes_of_the_file_as_the_status_does() -> None:
    def counted() -> tuple[int, int]:
        row = summary_of(run.run, OwnerId("me"))
        seen = progress(run.run)
        assert (row.done, row.total) == (seen.done, seen.total)
        return row.done, row.total

    run = begun(each(shape={"continueOnError": True}))
    assert counted() == (1, 2)
    run.fail("cover/1")
    run.succeed("cover/2", covered="b")
    assert counted() == (1, 2)
    run.succeed("cover/3", covered="c")
    assert counted() == (2, 2)
    run.resume(failed=True)
    assert counted() == (1, 2)


def test_where_the_list_is_made_again_after_a_stop_in_the_middle_of_it_nothing_of_the_old_one_is_left_open() -> None:
    find = node("find", "prepare", context={"outputs": [{"key": "files"}]})
    stops = {"type": "cascade"}
    run = ByHand(command(phase("one", node("prepare"), find, each(compensation=stops), continueOnError=True)))
    run.fail("prepare")
    run.succeed("find", files=["a", "b"])
    run.fail("cover/1")
    run.stopped("cover/2")
    assert run.state() == "failed"
    run.resume(failed=True)
    run.succeed("prepare")
    run.succeed("find", files=["d"])
    run.succeed("cover/1", covered="new")
    assert run.state() == "completed"


def test_where_the_list_is_made_again_it_is_looked_up_again_and_no_attempt_has_an_old_number() -> None:
    find = node("find", "prepare", context={"outputs": [{"key": "files"}]})
    run = ByHand(command(phase("one", node("prepare"), find, each(shape={"maxParallelism": 2}), continueOnError=True)))
    run.fail("prepare")
    run.succeed("find", files=["a", "b", "c"])
    for number in (1, 2, 3):
        run.succeed(f"cover/{number}", covered=number)
    assert (run.state(), value(run, "covered")) == ("degraded", [1, 2, 3])
    run.resume(failed=True)
    assert value(run, "covered") is ...
    assert "cover/1" not in run.run.nodes
    run.succeed("prepare")
    run.succeed("find", files=["d", "e"])
    assert run.live() == ["cover/1", "cover/2"]
    assert [run.number(name) for name in run.live()] == [2, 2]
    assert value(run, "cover/1/file") == "d"
    for number in (1, 2):
        run.succeed(f"cover/{number}", covered=f"new {number}")
    assert (run.state(), value(run, "covered")) == ("completed", ["new 1", "new 2"])


def test_phases_in_place_run_for_each_item() -> None:
    body = in_place(
        "cover",
        phase("write", node("draft", context={"inputs": [{"key": "file"}], "outputs": [{"key": "text"}]})),
        phase("check", node("review", context={"inputs": [{"key": "text"}], "outputs": [{"key": "covered"}]})),
    )
    run = begun(each(body=body, shape={"maxParallelism": 2}))
    assert run.live() == ["cover/1/draft", "cover/2/draft"]
    run.succeed("cover/2/draft", text="second")
    assert run.live() == ["cover/1/draft", "cover/2/review"]
    run.succeed("cover/2/review", covered="b is covered")
    assert run.live() == ["cover/1/draft", "cover/3/draft"]
    assert value(run, "cover/2/text") == "second"
    for number in (1, 3):
        run.succeed(f"cover/{number}/draft", text="text")
        run.succeed(f"cover/{number}/review", covered=f"{number} is covered")
    assert (run.state(), value(run, "covered")) == ("completed", ["1 is covered", "b is covered", "3 is covered"])


def test_a_failure_in_the_phases_of_an_item_undoes_what_was_done_for_that_item() -> None:
    body = in_place(
        "cover",
        phase("write", node("draft", compensation=rollback())),
        phase("check", node("review", context={"outputs": [{"key": "covered"}]})),
    )
    run = begun(each(body=body, shape={"continueOnError": True}), files=("a", "b"))
    run.succeed("cover/1/draft")
    run.succeed("cover/2/draft")
    run.fail("cover/2/review")
    assert run.undone() == ["cover/2/draft"]
    run.succeed("cover/1/review", covered="a")
    run.succeed("cover/2/draft")
    assert (run.state(), value(run, "covered"), run.undone()) == ("degraded", ["a"], ["cover/2/draft"])


def test_an_item_that_is_undone_when_the_run_crashes_is_undone_although_it_has_the_only_place() -> None:
    body = in_place("cover", phase("in", node("write", compensation=rollback()), node("check", "write")))
    run = begun(each(body=body, shape={"continueOnError": True}), files=("a", "b"), parallel=False)
    run.succeed("cover/1/write", covered=1)
    run.fail("cover/1/check")
    assert run.live() == ["cover/1/write"]
    run.crash()
    run.resume()
    assert (run.live(), run.status("cover")) == (["cover/1/write"], "pending")
    run.succeed("cover/1/write")
    assert (run.status("cover/1"), run.live()) == ("failed", ["cover/2/write"])


def test_locks_are_those_of_each_instance() -> None:
    run = begun(each(resources=locks("db")), files=("a", "b"))
    assert [run.status(f"cover/{number}") for number in (1, 2)] == ["waiting", "waiting"]
    run.grant("cover/2")
    assert run.live() == ["cover/2"]


def test_the_lists_of_lists_are_unfolded_inside_each_other() -> None:
    inner = each(
        "line", body=node("line"), shape={"items": "file", "as": "word"}, context={"inputs": [{"key": "file"}]}
    )
    inner["dependencies"] = []
    run = begun(each(body=in_place("cover", phase("in", inner))), files=(["a", "b"], ["c"]))
    assert run.live() == ["cover/1/line/1", "cover/1/line/2", "cover/2/line/1"]
    assert value(run, "cover/1/line/2/word") == "b"
    for name in run.live():
        run.succeed(name, covered=name[-3:])
    assert value(run, "covered") == [["e/1", "e/2"], ["e/1"]]


def test_one_answer_decides_for_all_instances_that_were_lost() -> None:
    run = begun(each(idempotent=False, shape={"continueOnError": True}))
    run.succeed("cover/1", covered=1)
    run.crash()
    run.resume()
    assert [run.status(f"cover/{number}") for number in (2, 3)] == ["waiting", "waiting"]
    run.answer("cover", "retry")
    assert run.live() == ["cover/2", "cover/3"]


def test_an_answer_that_ends_the_run_is_no_answer_to_the_other_instances() -> None:
    run = begun(each(idempotent=False))
    run.crash()
    run.resume()
    run.answer("cover", "fail")
    assert run.state() == "failed"
    assert [event.node for event in run.events if isinstance(event, ev.NodeFailed)] == ["cover/1", "cover"]


def test_a_list_that_would_make_too_many_nodes_fails_before_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterations, "MAX_NODES", 4)
    run = begun(each())
    failure = run.node("cover").failure
    assert failure is not None
    assert (failure.code, list(run.run.nodes)) == ("TOO_MANY_NODES", ["find", "cover"])
    assert begun(each(), files=("a", "b")).live() == ["cover/1", "cover/2"]


def test_an_optional_list_without_a_value_has_no_items() -> None:
    optional = each(context={"inputs": [{"key": "files", "required": False}]})
    optional["dependencies"] = []
    run = ByHand(command(phase("one", optional)))
    assert run.state() == "completed"


def test_passthrough_passes_all_values_but_the_list() -> None:
    run = begun(each(context={"inputs": [{"key": "files"}], "passthrough": True}))
    plan = run.node("cover/2").plan
    assert plan.passthrough
    assert sorted(keys_at(run.run, plan.scope, run.run.version)) == ["file", "number"]
    other = node("other", context={"outputs": [{"key": "style"}]})
    run = ByHand(
        command(
            phase(
                "one",
                FIND,
                other,
                each("cover", "find", "other", context={"inputs": [{"key": "files"}], "passthrough": True}),
            )
        )
    )
    run.succeed("other", style="short")
    run.succeed("find", files=["a"])
    assert sorted(keys_at(run.run, "cover/1/", run.run.version)) == ["file", "number", "style"]


def test_no_values_leave_what_another_node_has_written() -> None:
    first = node("first", context={"outputs": [{"key": "covered"}]})
    run = ByHand(command(phase("zero", first), phase("one", FIND, each())))
    run.succeed("first", covered="before")
    run.succeed("find", files=[])
    assert value(run, "covered") == "before"


def test_no_values_of_named_items_are_an_object() -> None:
    assert value(begun(each(shape={"key": "$"}), files=[]), "covered") == {}
    assert value(begun(each(output={"merge": "merge"}), files=[]), "covered") == {}


def test_an_instance_joins_what_its_nodes_have_added() -> None:
    adds = [node(name, context={"outputs": [{"key": "covered", "merge": "append"}]}) for name in ("left", "right")]
    run = begun(each(body=in_place("cover", phase("in", *adds))), files=("a", "b"))
    for number in (1, 2):
        run.succeed(f"cover/{number}/left", covered=f"left {number}")
        run.succeed(f"cover/{number}/right", covered=f"right {number}")
    assert value(run, "covered") == [["left 1", "right 1"], ["left 2", "right 2"]]


def test_a_target_of_a_rollback_is_beside_the_node_or_inside_the_item() -> None:
    undo = rollback()
    cascade = {"type": "cascade", "rollbackTo": "keep"}
    inside = (
        node("keep", compensation=undo),
        node("work", "keep", compensation=undo),
        node("last", "work", compensation=cascade),
    )
    run = begun(
        each(body=in_place("cover", phase("in", *inside)), context={"inputs": [{"key": "files"}]}), files=("a",)
    )
    run.succeed("cover/1/keep")
    run.succeed("cover/1/work")
    run.fail("cover/1/last")
    assert run.run.stop is not None
    assert (run.run.stop.rollback_to, run.undone()) == ("cover/1/keep", ["cover/1/work"])
    beside = each(compensation={"type": "cascade", "rollbackTo": "find"})
    run = begun(beside, files=("a",))
    run.fail("cover/1")
    assert run.run.stop is not None
    assert run.run.stop.rollback_to == "find"


def test_a_sub_command_has_its_own_initial_values_unless_the_item_has_their_name() -> None:
    inner = command(
        phase("in", node("do", context={"inputs": [{"key": "file"}, {"key": "mode"}]})),
        name="/inner",
        globalContext={"initial": {"mode": "fast", "file": "none"}},
    )
    calls = each(body=node("cover", agent="command", task="/inner"), context={"inputs": [{"key": "files"}]})
    deeper = in_place("deep", phase("in", node("call", agent="command", task="/inner")), needs=("find",))
    deeper |= {"forEach": {"items": "files"}, "context": {"inputs": [{"key": "files"}]}}
    run = ByHand(command(phase("one", FIND, calls, deeper)), inner)
    run.succeed("find", files=["a"])
    assert (value(run, "cover/1/file"), value(run, "cover/1/mode")) == ("a", "fast")
    assert (value(run, "deep/1/call/file"), value(run, "deep/1/call/mode")) == ("none", "fast")


def test_money_is_granted_for_the_items_that_may_start_beside_each_other() -> None:
    limits = ev.Limits(max_cost_usd=12.0)
    run = ByHand(
        command(phase("one", FIND, each(shape={"maxParallelism": 3}), maxParallelism=2)),
        limits=limits,
        executor="claude",
    )
    run.succeed("find", files=["a", "b", "c", "d"])
    assert [run.node(name).attempts[-1].budget for name in run.live()] == [6.0, 6.0]


def test_a_retried_list_is_judged_no_more_than_its_items() -> None:
    skip = {"type": "context", "expression": "again == true"}
    late = node("late", "cover", context={"outputs": [{"key": "again"}]})
    raw = each(shape={"continueOnError": True}, skipCondition=skip, approval={"message": "Go on?"})
    run = begun(raw, late)
    run.answer("cover", "yes")
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    run.wait(seconds=1)
    run.succeed("cover/3", covered=3)
    run.wait(seconds=1)
    run.succeed("late", again=True)
    run.resume(failed=True)
    waiting = run.node("cover").waiting
    assert waiting is not None
    assert waiting.detail == "Go on? (3 items)"
    run.answer("cover", "yes")
    assert run.live() == ["cover/2"]
    run.succeed("cover/2", covered=2)
    assert value(run, "covered") == [1, 2, 3]


@pytest.mark.parametrize("tolerant", [False, True])
def test_a_failed_item_fails_its_list_with_its_code_whatever_its_phase_does_then(*, tolerant: bool) -> None:
    run = begun(each(), continueOnError=tolerant)
    run.fail("cover/2")
    for name in ("cover/1", "cover/3"):
        run.fail(name, FailureKind.CANCEL)
    failure = run.node("cover").failure
    assert (run.status("cover"), failure.code, failure.message) == (  # type: ignore[union-attr]
        "failed",
        "AGENT_ERROR",
        'Node "cover/2" failed: cover/2 broke',
    )
    assert run.state() == ("degraded" if tolerant else "failed")
