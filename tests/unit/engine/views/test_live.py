"""The document of the live page: what a graph, a timeline and lists need of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.ids import NodeId
from engine.model.policy import Usage
from engine.run import signals as sig
from engine.views import live
from engine.views.live import run_document
from engine.views.todos import MAX_TASK_LENGTH
from tests.support.by_hand import ByHand, rollback
from tests.support.definitions import command, in_place, node, phase
from tests.unit.engine.scheduling.test_for_each import begun, each
from tests.unit.engine.scheduling.test_repeat import begun as looping
from tests.unit.engine.scheduling.test_repeat import loop

if TYPE_CHECKING:
    import pytest


def document(run: ByHand, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - as `run_document` takes it
    return run_document(run.run, run.now, {}, **given)


def test_a_node_has_what_its_card_shows() -> None:
    run = ByHand(command(phase("one", node("first", minutes=2), node("second", "first"))))
    run.wait(seconds=1)
    found = document(run)
    assert found["phases"] == {"0": {"id": "one", "name": "One", "done": 0, "total": 2, "openedMs": 0}}
    assert found["nodes"]["first"] == {
        "phase": 0,
        "place": (0, 0),
        "agent": "worker",
        "task": "Do first",
        "estimateMs": 120_000,
        "state": "running",
        "tries": ({"startMs": 0},),
        "attempts": 1,
        "critical": True,
    }
    second = found["nodes"]["second"]
    assert (second["needs"], second["waitingFor"]) == (("first",), "first")
    assert "asks" not in second
    assert found["run"]["can"] == ("cancel",)
    assert "totalMs" not in found["run"]


def test_time_alone_changes_nothing() -> None:
    run = ByHand(command(phase("one", node("first"))))
    before = document(run)
    run.wait(seconds=30)
    assert document(run) == before


def test_attempts_say_when_they_were_and_how_they_ended() -> None:
    retries = {"maxAttempts": 1, "backoffStrategy": "fixed", "initialDelay": 1000}
    run = ByHand(command(phase("one", node("first", retryPolicy=retries))))
    run.wait(seconds=1)
    run.fail("first")
    waiting = document(run)["nodes"]["first"]
    assert (waiting["state"], waiting["waitingFor"]) == ("waiting", "retry: 1 of 1 after AGENT_ERROR")
    run.wait(seconds=1)
    run.send(sig.Tick())
    run.wait(seconds=2)
    run.fail("first")
    found = document(run)
    assert found["nodes"]["first"]["tries"] == (
        {"startMs": 0, "endMs": 1000, "how": "failed"},
        {"startMs": 2000, "endMs": 4000, "how": "failed"},
    )
    assert found["nodes"]["first"]["error"].endswith("first broke")
    assert [one["node"] for one in found["failures"]] == ["first"]
    assert (found["run"]["ended"], found["run"]["totalMs"], found["run"]["can"]) == (True, 4000, ("retry",))


def test_an_attempt_that_was_cancelled_has_not_failed() -> None:
    run = ByHand(command(phase("one", node("first"), node("last", "first"))))
    run.wait(seconds=1)
    run.cancel()
    run.stopped("first")
    found = document(run)
    assert (found["run"]["state"], found["nodes"]["first"]["state"]) == ("cancelled", "cancelled")
    assert [one["how"] for one in found["nodes"]["first"]["tries"]] == ["cancelled"]


def test_the_phases_of_a_run_that_is_over_are_over_and_those_of_an_interrupted_one_are_not() -> None:
    run = ByHand(
        command(
            phase("one", node("first", compensation=rollback()), node("second", "first")), phase("two", node("last"))
        )
    )
    run.succeed("first")
    run.wait(seconds=1)
    run.send(sig.Interrupt(dead=True))
    assert "endedMs" not in document(run)["phases"]["0"]
    run.resume()
    run.wait(seconds=1)
    run.fail("second")
    run.wait(seconds=1)
    assert "endedMs" not in document(run)["phases"]["0"]
    run.succeed("first")
    found = document(run)
    assert found["run"]["state"] == "compensated"
    assert found["phases"]["0"]["endedMs"] == 2000
    assert "endedMs" not in found["phases"]["1"], "it was never opened"


def test_a_question_comes_with_its_answers_and_marks_its_node() -> None:
    run = ByHand(command(phase("one", node("first", approval={"message": "Really?"}))))
    found = document(run)
    assert found["questions"] == ({"node": "first", "text": "Really?", "answers": ("yes", "no")},)
    assert found["nodes"]["first"]["asks"]


def test_a_question_is_there_to_its_end_and_in_its_lines() -> None:
    asked = "Really?\n\n" + "- a thing to look at\n" * 50 + "and the last one"
    run = ByHand(command(phase("one", node("first", approval={"message": asked}))))
    [question] = document(run)["questions"]
    assert question["text"] == asked


def test_the_time_of_a_node_is_without_its_rollback_and_without_what_the_run_had_no_process() -> None:
    run = ByHand(command(phase("one", node("first", compensation=rollback())), phase("two", node("last"))))
    run.wait(seconds=1)
    run.succeed("first")
    run.send(sig.Interrupt(dead=True))
    run.wait(seconds=60)
    run.resume()
    found = document(run)
    assert (found["run"]["idleMs"], found["phases"]["1"]["idleMs"], found["nodes"]["last"]["idleMs"]) == (60_000,) * 3
    assert "idleMs" not in found["nodes"]["first"]
    run.wait(seconds=4)
    run.fail("last")
    run.wait(seconds=8)
    run.succeed("first")
    found = document(run)
    assert (found["run"]["totalMs"], found["run"]["idleMs"]) == (73_000, 60_000)
    assert [found["nodes"][name]["tookMs"] for name in ("first", "last")] == [1000, 4000]
    ended = found["phases"]["1"]
    assert ended["endedMs"] - ended["openedMs"] - ended["idleMs"] == 4000


def test_undoing_is_seen_in_attempts_and_states() -> None:
    run = ByHand(command(phase("one", node("first", compensation=rollback())), phase("two", node("last"))))
    run.succeed("first")
    run.fail("last")
    first = document(run)["nodes"]["first"]
    assert (first["state"], first["tries"][-1]["how"], first["attempts"]) == ("compensating", "undo", 1)
    run.succeed("first")
    found = document(run)
    assert found["nodes"]["first"]["state"] == "compensated"
    assert "can" not in found["run"]


def test_an_interrupted_run_can_be_resumed_or_cancelled_unless_it_was_simulated() -> None:
    run = ByHand(command(phase("one", node("first"))))
    run.send(sig.Interrupt(dead=True))
    found = document(run)
    assert found["run"]["can"] == ("resume", "cancel")
    assert found["nodes"]["first"]["state"] == "interrupted"
    run.resume()
    assert [one.get("how") for one in document(run)["nodes"]["first"]["tries"]] == ["lost", None]
    run.send(sig.Interrupt(dead=True))
    run.run.executor = "simulate"
    assert document(run)["run"]["can"] == ("cancel",)


def test_costs_are_summed_and_skips_are_explained() -> None:
    skip = {"type": "context", "expression": "1 == 1"}
    run = ByHand(command(phase("one", node("first"), node("second", skipCondition=skip))))
    run.send(sig.ReportOutcome(NodeId("first"), 1, usage=Usage(cost_usd=0.25)))
    found = document(run, warnings=("Mind the gap",))
    assert (found["nodes"]["first"]["costUsd"], found["run"]["costUsd"]) == (0.25, 0.25)
    assert "1 == 1" in found["nodes"]["second"]["skipped"]
    assert found["warnings"] == ("Mind the gap",)
    assert [one["status"] for one in found["todos"]] == ["completed", "completed"]


def test_phases_in_place_are_a_level_of_their_own() -> None:
    run = ByHand(command(phase("one", in_place("part", phase("in", node("inner"))))))
    found = document(run)
    assert found["nodes"]["part"]["kind"] == "phases"
    inner = found["nodes"]["part/inner"]
    assert found["phases"][str(inner["phase"])]["group"] == "part"


def test_a_list_has_its_items_by_name_and_counts_them() -> None:
    shape = {"continueOnError": True, "maxParallelism": 2, "key": "$"}
    run = begun(each(shape=shape), files=("a.py", "b.py", "c.py"))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    nodes = document(run)["nodes"]
    assert (nodes["cover"]["kind"], nodes["cover"]["limit"]) == ("list", 2)
    assert nodes["cover"]["fold"] == {"total": 3, "settled": 2, "failed": 1, "running": 1}
    assert [nodes[f"cover/{number}"]["item"] for number in (1, 2, 3)] == ["a.py", "b.py", "c.py"]
    assert "item" not in nodes["cover"]


def test_of_a_long_list_only_items_are_sent_of_which_there_is_something_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_INSTANCES", 5)
    shape = {"continueOnError": True, "maxParallelism": 2}
    inner = in_place("cover", phase("in", node("write"), node("check", "write")))
    run = begun(each(body=inner, shape=shape, output={"default": 1}), files=tuple(range(50)))
    run.fail("cover/1/write")
    found = document(run)
    inside = found["nodes"].keys() - {"find", "cover"}
    assert len(inside) == 5
    assert {"cover/1", "cover/1/write"} <= inside, "what failed comes first"
    assert {name.rpartition("/")[0] for name in inside} <= inside | {"cover"}, "what is around comes with it"
    assert found["nodes"]["cover"]["fold"]["total"] == 50
    monkeypatch.setattr(live, "MAX_INSTANCES", 20)
    assert {"cover/2/write", "cover/3/write"} <= document(run)["nodes"].keys()
    assert {one["phase"] for one in found["nodes"].values()} == {int(key) for key in found["phases"]}


def test_the_phase_of_items_has_no_more_of_the_task_than_a_list_does() -> None:
    task = "Look at every file, " * 60
    run = begun(each(task=task), files=("a.py", "b.py"))
    [name] = {one["name"] for one in document(run)["phases"].values() if one.get("group") == "cover"}
    assert len(name) <= MAX_TASK_LENGTH
    assert name.startswith("Look at every file, ")


def test_a_loop_has_its_iterations_one_after_the_other() -> None:
    run = looping(loop())
    run.succeed("fix/1", result={"passed": False})
    found = document(run)
    assert (found["nodes"]["fix"]["kind"], found["nodes"]["fix"]["limit"]) == ("loop", 3)
    assert [found["nodes"][f"fix/{number}"]["item"] for number in (1, 2)] == ["iteration 1", "iteration 2"]
    first, second = (found["nodes"][f"fix/{number}"]["phase"] for number in (1, 2))
    assert found["phases"][str(second)]["after"] == first


def test_secrets_and_deceptive_text_are_taken_out() -> None:
    key = "sk-ant-" + "a" * 30
    run = ByHand(command(phase("one", node("first", approval={"message": f"Use {key}\u202e?"}))))
    [question] = document(run)["questions"]
    assert key not in question["text"]
    assert "\u202e" not in question["text"]
