"""What is news of a run: a question, the first failure of one that goes on, the end."""

from __future__ import annotations

from engine.ids import NodeId
from engine.model.policy import Failure, FailureKind
from engine.run import signals as sig
from engine.views.news import MAX_LENGTH, News, NewsKind, body_of, news
from tests.support.by_hand import RUN, ByHand, locks, rollback
from tests.support.definitions import command, node, phase

ASK = {"message": "Really\nship it?"}


def found(story: ByHand) -> list[News]:
    """The news of each turn of *story*, as its listeners hear of them."""
    return news(story.run, story.events)


def test_a_question_names_its_node_and_how_to_answer_it() -> None:
    story = ByHand(command(phase("p", node("ship", approval=ASK)), name="/release"))
    [asked] = found(story)
    assert (asked.kind, asked.node, asked.answers) == (NewsKind.QUESTION, "ship", ("yes", "no"))
    assert asked.text == "/release asks about ship: Really ship it?"
    assert body_of(story.run, asked, "/home/you/project") == {
        "text": "/release asks about ship: Really ship it?",
        "event": "question",
        "run": RUN,
        "command": "/release",
        "project": "/home/you/project",
        "state": "running",
        "at": "2026-01-01T12:00:00.000+00:00",
        "message": "Really ship it?",
        "seconds": 0.0,
        "costUsd": 0.0,
        "node": "ship",
        "answers": ["yes", "no"],
        "answerWith": f"orchestrate decide {RUN} ship yes|no",
    }


def test_a_question_that_was_answered_meanwhile_is_no_news() -> None:
    story = ByHand(command(phase("p", node("ship", approval=ASK))))
    events = list(story.events)
    story.answer("ship", "yes")
    assert news(story.run, events) == []


def test_a_lost_attempt_that_a_person_decides_about_is_a_question() -> None:
    story = ByHand(command(phase("p", node("ship", idempotent=False))))
    story.crash()
    [asked] = news(story.run, story.resume())
    assert (asked.kind, asked.answers) == (NewsKind.QUESTION, ("retry", "skip", "fail"))


def test_the_first_failure_of_a_run_that_goes_on_is_news_and_others_are_not() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"), node("c"), continueOnError=True)))
    [failed] = news(story.run, story.fail("a", code="BROKEN"))
    assert (failed.kind, failed.node, failed.code) == (NewsKind.FAILURE, "a", "BROKEN")
    assert failed.text == "/test: a failed: a broke"
    assert body_of(story.run, failed, "")["code"] == "BROKEN"
    assert news(story.run, story.fail("b")) == []


def test_a_failure_that_is_undone_is_news_before_the_end() -> None:
    story = ByHand(command(phase("p", node("a", compensation=rollback())), phase("q", node("b"))))
    story.succeed("a")
    assert [one.kind for one in news(story.run, story.fail("b"))] == [NewsKind.FAILURE]
    [end] = news(story.run, story.succeed("a"))
    assert (end.kind, end.message) == (NewsKind.END, 'Node "b" failed: b broke')
    assert "compensated" in end.text
    assert {"node", "code", "answers"}.isdisjoint(body_of(story.run, end, ""))


def test_a_failure_that_ends_the_run_is_its_end_only() -> None:
    story = ByHand(command(phase("p", node("a"))))
    assert [one.kind for one in news(story.run, story.fail("a"))] == [NewsKind.END]


def test_an_interruption_is_news_if_the_run_lacks_something() -> None:
    story = ByHand(command(phase("p", node("a")), resources=locks("house")))
    story.grant()
    story.crash()
    assert [one for one in found(story) if one.kind is NewsKind.END] == []
    story.resume()
    [end] = news(story.run, story.refuse())
    assert (end.kind, end.message) == (NewsKind.END, story.run.message)
    assert "was interrupted" in end.text


def test_no_secret_and_no_long_or_controlling_text_is_in_a_notification() -> None:
    story = ByHand(command(phase("p", node("a"), node("b"), continueOnError=True)))
    failure = Failure(FailureKind.ERROR, "BROKEN", "password=hunter22 \x1b[31m" + "x" * 10_000)
    [one] = news(story.run, story.send(sig.ReportOutcome(NodeId("a"), 1, {}, failure)))
    told = str(body_of(story.run, one, ""))
    assert "hunter22" not in told
    assert "\\x1b" not in told
    assert len(one.text) <= MAX_LENGTH
