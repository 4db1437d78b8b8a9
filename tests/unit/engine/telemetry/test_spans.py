"""The spans of runs: their tree, links, times, and what they say of failures."""

from __future__ import annotations

from datetime import timedelta

from engine.ids import NodeId, attempt_id, session_id
from engine.model.agent import Agent, AgentKind
from engine.model.policy import Failure, FailureKind, Usage
from engine.run import signals as sig
from engine.telemetry.ids import first_span
from engine.telemetry.spans import MAX_MESSAGE_LENGTH, Link
from engine.views.metrics import metrics
from tests.support.by_hand import NOON, RUN, ByHand, all_queue, calling, locks, rollback
from tests.support.definitions import command, in_place, node, phase, plan
from tests.unit.engine.telemetry.story import by_hand, told

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECOND = timedelta(seconds=1)
CLAUDE = Agent(id="thinker", kind=AgentKind.CLAUDE, model="opus")
RETRY = {"maxAttempts": 1, "initialDelay": 60_000}


def test_attempt_node_phase_and_run_are_one_below_the_other() -> None:
    story = by_hand(command(phase("p", node("a"))))
    story.wait(seconds=5)
    story.succeed("a")
    seen = told(story)
    assert seen.names() == ["attempt worker", "node a", "phase p", "invoke_workflow /test"]
    attempt, inner, around, run = seen.spans
    assert [span.parent for span in seen.spans] == [inner.id, around.id, run.id, None]
    assert {span.trace for span in seen.spans} == {run.trace}
    assert {(span.start, span.end) for span in seen.spans} == {(NOON, NOON + 5 * SECOND)}
    assert not any(span.failed or span.calls or span.links or span.moments for span in seen.spans)
    assert attempt.attributes == {
        "orchestration.run.id": RUN,
        "orchestration.node.id": "a",
        "orchestration.agent.id": "worker",
        "orchestration.attempt.number": 1,
        "orchestration.attempt.role": "forward",
    }


def test_a_run_with_a_caller_is_below_it_in_its_trace() -> None:
    story = by_hand(command(phase("p", node("a"))))
    story.succeed("a")
    seen = told(story, CALLER)
    assert f"{seen.spans[0].trace:032x}-{seen['invoke_workflow /test'].parent:016x}" == CALLER[3:-3]


def test_a_retry_is_linked_to_the_attempt_before_and_its_wait_is_in_the_node() -> None:
    story = by_hand(command(phase("p", node("a", retryPolicy=RETRY))))
    story.fail("a")
    story.wait(minutes=1)
    story.succeed("a")
    first, second = told(story).all("attempt worker")
    assert (first.failed, first.message, first.attributes["error.type"]) == (True, "a broke", "AGENT_ERROR")
    assert second.links == (Link(first.id, "retries"),)
    around = told(story)["node a"]
    assert around.attributes["orchestration.wait.retry"] == 60
    assert around.attributes["orchestration.node.attempts"] == 2
    assert around.end - around.start == 60 * SECOND


def test_undoing_is_below_the_run_and_linked_to_what_it_undoes() -> None:
    story = by_hand(command(phase("p", node("a", compensation=rollback(), retryPolicy=RETRY)), phase("q", node("b"))))
    story.succeed("a")
    story.fail("b")
    story.fail("a")
    story.wait(minutes=1)
    story.succeed("a")
    seen = told(story)
    run, [first, second] = seen["invoke_workflow /test"], seen.all("undo worker")
    assert first.parent == second.parent == run.id
    done = next(span for span in seen.all("attempt worker") if span.attributes["orchestration.node.id"] == "a")
    assert first.links == (Link(done.id, "undoes"),)
    assert second.links == (Link(first.id, "retries"), Link(done.id, "undoes"))
    assert (run.failed, run.message) == (True, 'Node "b" failed: b broke')
    assert run.attributes["error.type"] == "AGENT_ERROR"


def test_the_span_of_a_run_that_was_interrupted_goes_on_and_says_when_it_paused() -> None:
    story = by_hand(command(phase("p", node("a"))))
    story.wait(seconds=5)
    story.crash()
    story.now += timedelta(hours=1)
    story.resume()
    story.wait(seconds=5)
    story.succeed("a")
    seen = told(story)
    run, [lost, again] = seen["invoke_workflow /test"], seen.all("attempt worker")
    assert run.id == first_span(RUN)
    assert run.moments == (("paused", NOON + 5 * SECOND), ("continued", NOON + 3605 * SECOND))
    assert run.end - run.start == 3610 * SECOND
    assert run.attributes["orchestration.run.duration"] == 10
    assert (lost.failed, lost.attributes["error.type"]) == (True, "LOST")
    assert again.links == (Link(lost.id, "retries"),)
    assert again.parent == lost.parent == seen["node a"].id


def test_a_retried_run_has_a_second_span_below_the_first_and_linked_to_it() -> None:
    story = by_hand(command(phase("p", node("done"), node("a")), phase("q", node("b")), phase("r", node("c"))))
    story.succeed("done")
    story.succeed("a")
    story.fail("b")
    story.now += timedelta(hours=1)
    story.resume(failed=True)
    story.succeed("b")
    story.wait(seconds=5)
    story.succeed("c")
    seen = told(story)
    first, second = seen.all("invoke_workflow /test")
    assert (first.id, first.failed, second.failed) == (first_span(RUN), True, False)
    assert (second.parent, second.links) == (first.id, (Link(first.id, "retries_run"),))
    assert second.start == NOON + timedelta(hours=1)
    assert second.moments == ()
    assert {span.parent for span in seen.all("phase q")} == {first.id, second.id}
    assert len(seen.all("phase p")) == 1
    assert len({span.id for span in seen.spans}) == len(seen.spans)
    tries = [span for span in seen.all("attempt worker") if span.attributes["orchestration.node.id"] == "b"]
    assert tries[1].links == (Link(tries[0].id, "retries"),)


def test_what_is_done_again_after_it_was_undone_is_linked_to_that() -> None:
    story = by_hand(
        command(
            phase("p", node("a", compensation=rollback()), continueOnError=True),
            phase(
                "q",
                in_place("deep", phase("x", node("s", compensation=rollback())), phase("y", node("t"))),
                continueOnError=True,
            ),
        )
    )
    story.succeed("a")
    story.succeed("deep/s")
    story.fail("deep/t")
    story.succeed("deep/s")
    assert story.state() == "degraded"
    story.resume(failed=True)
    story.succeed("deep/s")
    story.succeed("deep/t")
    seen = told(story)
    tries = [
        span
        for span in seen.spans
        if span.attributes.get("orchestration.node.id") == "deep/s" and "worker" in span.name
    ]
    assert [span.name for span in tries] == ["attempt worker", "undo worker", "attempt worker"]
    assert tries[2].links == (Link(tries[1].id, "retries"),)
    assert seen.all("node deep/s")[-1].attributes["orchestration.node.attempts"] == 2


def test_the_phases_of_a_sub_command_are_below_its_node_also_if_they_end_with_it() -> None:
    inner = command(phase("x", node("s"), node("t")), name="/inner")
    story = by_hand(command(phase("p", calling("call", "/inner"), continueOnError=True)), inner)
    story.fail("call/s")
    story.stopped("call/t")
    seen = told(story)
    around = seen["node call"]
    assert seen["phase call/x"].parent == around.id
    assert seen["node call/s"].parent == seen["phase call/x"].id
    assert "orchestration.node.work" not in around.attributes
    assert around.failed
    assert seen.all("attempt ") == []


def test_the_undoing_of_a_sub_command_has_a_span_although_its_doing_has_none() -> None:
    inner = command(phase("x", node("s")), name="/inner")
    undo = {"type": "custom", "task": "undo it", "agentId": "worker"}
    story = by_hand(command(phase("p", calling("call", "/inner", compensation=undo)), phase("q", node("b"))), inner)
    story.succeed("call/s")
    story.fail("b")
    story.succeed("call")
    seen = told(story)
    assert seen["undo worker"].links == (Link(seen["node call"].id, "undoes"),)
    assert seen["undo worker"].attributes["orchestration.node.id"] == "call"


def test_a_cancelled_run_is_no_error_and_what_never_started_has_no_span() -> None:
    story = by_hand(command(phase("p", node("a"), node("b", approval={"message": "Really?"}))))
    story.wait(seconds=1)
    story.cancel()
    story.stopped("a")
    seen = told(story)
    run, cancelled = seen["invoke_workflow /test"], seen["node a"]
    assert (run.failed, run.message, run.attributes["orchestration.run.status"]) == (False, "", "cancelled")
    assert (cancelled.failed, cancelled.attributes["orchestration.node.status"]) == (False, "cancelled")
    assert seen.all("node b") == []
    assert seen["phase p"].end == run.end


def test_a_skipped_node_has_a_span_without_a_length() -> None:
    story = by_hand(
        command(phase("p", node("a", skipCondition={"type": "context", "expression": "1 == 1"}), node("b")))
    )
    story.succeed("b")
    skipped = told(story)["node a"]
    assert (skipped.start, skipped.attributes["orchestration.node.status"]) == (skipped.end, "skipped")


def test_an_attempt_begins_when_its_turn_comes() -> None:
    story = by_hand(command(phase("p", node("a"))), queues=all_queue)
    story.wait(seconds=3)
    story.began("a", "w-7")
    story.wait(seconds=2)
    story.succeed("a")
    attempt = told(story)["attempt worker"]
    assert attempt.end - attempt.start == 2 * SECOND
    assert attempt.attributes["orchestration.wait.turn"] == 3
    assert attempt.attributes["orchestration.worker"] == "w-7"


def test_model_work_is_named_as_the_conventions_name_it() -> None:
    thinker = command(phase("p", node("a", agent="thinker")), phase("q", node("b", agent="other")))
    story = ByHand(plan(thinker, agents=(CLAUDE, Agent(id="other", kind=AgentKind.CLAUDE))), executor="claude")
    usage = Usage(cost_usd=0.25, input_tokens=1000, output_tokens=50)
    story.send(sig.ReportOutcome(NodeId("a"), 1, {}, None, usage))
    story.succeed("b")
    seen = told(story)
    attempt = seen["invoke_agent thinker"]
    assert attempt.calls
    assert attempt.attributes == {
        "orchestration.run.id": RUN,
        "orchestration.node.id": "a",
        "orchestration.agent.id": "thinker",
        "orchestration.attempt.number": 1,
        "orchestration.attempt.role": "forward",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": "thinker",
        "gen_ai.request.model": "opus",
        "gen_ai.conversation.id": session_id(attempt_id(RUN, NodeId("a"), 1)),
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 50,
        "orchestration.cost.usd": 0.25,
    }
    assert "gen_ai.request.model" not in seen["invoke_agent other"].attributes
    run = seen["invoke_workflow /test"].attributes
    assert (run["gen_ai.usage.input_tokens"], run["orchestration.cost.usd"]) == (1000, 0.25)


def test_model_work_of_the_client_has_no_session_of_ours() -> None:
    raw = command(phase("p", node("a", agent="thinker")))
    story = ByHand(plan(raw, agents=(CLAUDE,)), executor="host")
    story.succeed("a")
    assert "gen_ai.conversation.id" not in told(story)["invoke_agent thinker"].attributes


def test_no_secret_and_no_long_text_is_in_a_span() -> None:
    story = by_hand(command(phase("p", node("a"))))
    failure = Failure(FailureKind.ERROR, "BROKEN", "password=hunter22 was refused " + "x" * 10_000)
    story.send(sig.ReportOutcome(NodeId("a"), 1, {}, failure))
    for span in told(story).spans:
        assert "hunter22" not in f"{span.message} {span.attributes}"
        assert len(span.message) <= MAX_MESSAGE_LENGTH


def test_the_numbers_of_a_run_are_those_of_its_report() -> None:
    raw = command(
        phase("p", node("a", resources=locks("disk"), compensation=rollback(), retryPolicy=RETRY)),
        phase("q", node("b")),
        resources=locks("house"),
    )
    story = by_hand(raw)
    story.wait(seconds=2)
    story.grant()
    story.queue("a")
    story.wait(seconds=3)
    story.grant("a")
    story.wait(seconds=4)
    story.fail("a")
    story.wait(minutes=1)
    story.succeed("a")
    story.fail("b")
    story.grant("a")
    story.wait(seconds=6)
    story.succeed("a")
    numbers, run = metrics(story.run, story.now), told(story)["invoke_workflow /test"].attributes
    assert (run["orchestration.run.duration"], run["orchestration.run.work"]) == (
        numbers.total.total_seconds(),
        numbers.work.total_seconds(),
    )
    assert run["orchestration.run.undo"] == numbers.undo.total_seconds() == 6
    assert run["orchestration.wait.locks"] == numbers.lock_wait.total_seconds() == 5
    assert run["orchestration.run.retries"] == numbers.retries == 1


def test_ids_stay_when_the_clock_is_set_back() -> None:
    story = by_hand(command(phase("p", node("a", retryPolicy=RETRY))))
    story.wait(seconds=5)
    story.fail("a")
    story.leap(hours=-6)
    story.wait(minutes=1)
    story.succeed("a")
    seen = told(story)
    assert {span.parent for span in seen.all("attempt worker")} == {seen["node a"].id}


def test_instances_have_spans_of_their_own_with_the_names_of_their_template() -> None:
    find = node("find", context={"outputs": [{"key": "files"}]})
    shape = {"items": "files", "as": "file"}
    body = in_place("cover", phase("deep", node("write")), needs=["find"])
    cover = {**body, "forEach": shape, "context": {"inputs": [{"key": "files"}]}}
    story = by_hand(command(phase("one", find, cover)))
    story.succeed("find", files=["a", "b"])
    story.succeed("cover/1/write")
    story.fail("cover/2/write")
    seen = told(story)
    instances, containers = seen.all("node cover/*"), seen["node cover"]
    assert {span.parent for span in instances} == {seen["phase cover/items"].id}
    assert seen["phase cover/items"].parent == containers.id
    assert {span.parent for span in seen.all("phase cover/*/deep")} == {span.id for span in instances}
    assert {span.parent for span in seen.all("node cover/*/write")} == {
        span.id for span in seen.all("phase cover/*/deep")
    }
    writes = [span.attributes["orchestration.node.id"] for span in seen.all("node cover/*/write")]
    assert writes == ["cover/1/write", "cover/2/write"]


def test_iterations_have_spans_of_their_own_with_one_name() -> None:
    write = node(
        "write", repeat={"until": "iteration >= 2", "maxIterations": 5}, context={"outputs": [{"key": "text"}]}
    )
    story = by_hand(command(phase("one", write)))
    story.succeed("write/1", text="a")
    story.succeed("write/2", text="b")
    seen = told(story)
    assert story.state() == "completed"
    assert len(seen.all("phase write/*")) == len(seen.all("node write/*")) == 2
    assert {span.parent for span in seen.all("phase write/*")} == {seen["node write"].id}
