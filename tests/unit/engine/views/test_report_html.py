"""The report as a page: complete, safe, and in need of nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from msgspec import structs

from engine.model.policy import Failure, FailureKind
from engine.run.reducer import fold
from engine.simulation import Scenario, Simulated, simulate
from engine.views.metrics import CacheUse, metrics
from engine.views.report_html import html_report
from engine.views.timeline import timeline
from tests.support.definitions import command, node, phase, plan, review_code
from tests.support.runs import simulated

MINUTE = timedelta(minutes=1)
VOID = {"meta"}
UNDO = {"type": "rollback", "task": "Undo it"}
RETRY = {"maxAttempts": 1, "initialDelay": 60_000}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def bars(self) -> list[tuple[str, str, str]]:
        """Class, style and title of every bar of the chart."""
        return [
            (str(attributes["class"]), str(attributes["style"]), str(attributes["title"]))
            for tag, attributes in self.elements
            if tag == "i" and "title" in attributes
        ]


def page(done: Simulated, cache: CacheUse | None = None) -> str:
    now = done.events[-1].at
    return html_report(done.run, metrics(done.run, now, cache), timeline(done.run, now))


def test_a_page_tells_the_numbers_the_phases_and_the_slowest_agents() -> None:
    shown = Page(page(simulated(review_code()), CacheUse(hits=9, misses=1))).text
    for part in (
        "/review-code completed simulated",
        "Total time 20.0 min",
        "Parallelism efficiency 100% 20.0 min at best, 30.0 min of work",
        "Context cache hit rate 90%",
        "Retries 0",
        "Lock waits none",
        "Reviews 10.0 min 2 2 100%",
        "quality-review worker 10.0 min 10 min 1",
    ):
        assert part in shown


def test_only_a_simulated_run_is_marked_as_one() -> None:
    done = simulated(review_code())
    assert "simulated" in Page(page(done)).text
    done.run.executor = "native"
    assert "simulated" not in Page(page(done)).text


def test_a_bar_stands_where_its_attempt_ran() -> None:
    bars = Page(page(simulated(review_code()))).bars()
    assert ("bar run", "left:0.000%;width:25.000%", "analyzer: ran, 5.0 min from 0.0s") in bars
    assert ("bar run", "left:75.000%;width:25.000%", "report-generator: ran, 5.0 min from 15.0 min") in bars


def test_failed_attempts_waits_and_rollback_have_bars_of_their_own() -> None:
    raw = command(phase("one", node("a", compensation=UNDO)), phase("two", node("b", "a", retryPolicy=RETRY)))
    titles = {kind: title for kind, _, title in Page(page(simulated(raw, fail=("b=error/NO_DISK",)))).bars()}
    assert titles["bar run failed"].startswith("b: attempt 2, 30.0s from 2.5 min: NO_DISK: simulated failure of b")
    assert titles["bar wait"] == "b: waiting for retry, 1.0 min from 1.5 min"
    assert titles["bar undo"] == "a: rolling back, 1.0 min from 3.0 min"


def test_the_critical_path_is_marked_and_estimates_stand_beside() -> None:
    text = page(simulated(review_code()))
    rows = [attributes for tag, attributes in Page(text).elements if str(attributes.get("class", "")).startswith("row")]
    assert [row["class"] for row in rows] == ["row critical", "row critical", "row", "row critical"]
    assert text.count('<i class="est" style=') == 4
    assert "10.0 min</span> <small>/ 10 min</small>" in text


def test_a_node_that_took_longer_than_estimated_stands_out() -> None:
    raw = command(phase("one", node("a", retryPolicy=RETRY)))
    text = page(simulated(raw, fail=("a:1=error",)))
    assert '<span class="late">1.5 min &times;2</span>' in text


def test_what_never_ran_says_why() -> None:
    skip = {"type": "context", "expression": "1 == 1", "skipMessage": "nothing <to> do"}
    raw = command(phase("one", node("a", skipCondition=skip), node("b")), phase("two", node("c", "b")))
    shown = Page(page(simulated(raw, fail=("b=error",)))).text
    assert "skipped: nothing <to> do" in shown
    assert "not reached" in shown
    assert "Failures b · AGENT_ERROR" in shown


def test_sub_commands_are_set_off() -> None:
    inner = command(phase("x", node("p")), name="/inner")
    text = page(simulate(plan(command(phase("one", node("call", agent="command", task="/inner"))), inner), Scenario()))
    assert 'class="row group"' in text
    assert 'class="row critical depth1"' in text
    assert "sub-command" in text


def test_a_failure_shows_what_its_agent_said_last() -> None:
    events = simulated(command(phase("one", node("a"))), fail=("a=error",)).events
    said = Failure(FailureKind.ERROR, "AGENT_ERROR", "it broke", partial="half\n<b>done</b>\x1b[2J")
    run = fold([structs.replace(one, failure=said) if hasattr(one, "failure") else one for one in events])
    page = Page(html_report(run, metrics(run, events[-1].at), timeline(run, events[-1].at)))
    assert "half\n<b>done</b> [2J\n" in page.texts
    assert ("pre", {}) in page.elements


def test_a_live_run_is_told_as_one() -> None:
    done = simulated(review_code())
    now = done.events[0].at + 7 * MINUTE
    run = fold([event for event in done.events if event.at <= now])
    read = Page(html_report(run, metrics(run, now), timeline(run, now)))
    assert "so far 7.0 min" in read.text
    assert any(kind == "bar run open" for kind, _, _ in read.bars())


def test_a_run_of_no_length_has_a_page() -> None:
    run = fold(simulated(review_code()).events[:1])
    assert (
        "Parallelism efficiency -"
        in Page(html_report(run, metrics(run, run.created_at), timeline(run, run.created_at))).text
    )


HOSTILE = "<script>alert(1)</script>\"'&\x1b\u202e</div></style><!--"


def test_no_text_can_break_out_of_its_place() -> None:
    raw = command(phase("one", node("a")))
    raw["phases"][0]["name"] = HOSTILE
    done = simulated(raw, fail=("a=error",))
    done.run.message = HOSTILE
    done.run.nodes["a"].failure = Failure(FailureKind.ERROR, HOSTILE, HOSTILE, hint=HOSTILE)  # type: ignore[index]
    text = page(done)
    read = Page(text)
    assert "<script" not in text
    assert "\x1b" not in text
    assert {tag for tag, _ in read.elements} <= {
        "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "span", "p", "dl", "div", "dt",
        "dd", "small", "strong", "i", "ul", "li", "table", "tr", "th", "td", "footer",
    }  # fmt: skip
    assert "<script>alert(1)</script>" in read.text


def test_secrets_are_masked_and_long_texts_cut() -> None:
    done = simulated(command(phase("one", node("a"))), fail=("a=error",))
    done.run.message = "key sk-ant-" + "a" * 40 + "\nsecond line " + "x" * 900
    text = page(done)
    assert "a" * 40 not in text
    assert "x" * 700 not in text
    assert "\nsecond line" in text


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    text = page(simulated(review_code()))
    assert not re.search(r"https?:|url\(|@import|\bsrc=|\bhref=|\bon\w+=", text)
    policy = next(attributes for tag, attributes in Page(text).elements if "http-equiv" in attributes)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "prefers-color-scheme:dark" in text


@pytest.mark.parametrize(
    ("minutes", "marks"),
    [
        (20, ["0", "5 min", "10 min", "15 min"]),
        (0.05, ["0", "0.5s", "1s", "1.5s", "2s", "2.5s"]),
        (2.0, ["0", "15s", "30s", "45s", "1 min", "1:15", "1:30", "1:45"]),
        (600, ["0", "2 h", "4 h", "6 h", "8 h"]),
        (150, ["0", "30 min", "1 h", "1h30", "2 h"]),
        (60 * 24 * 30, ["0"]),
    ],
)
def test_the_axis_has_round_marks(minutes: float, marks: list[str]) -> None:
    text = page(simulated(command(phase("one", node("a", minutes=minutes)))))
    axis = re.search(r'<div class="axis">(.*)</div>', text)
    assert axis is not None
    assert re.findall(r"%\">([^<]+)</span>", axis.group(1))[: len(marks)] == marks
