"""A node with forEach or repeat is one line, however many instances it has."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from engine.graph import predict
from engine.model.agent import Agent
from engine.run import events as ev
from engine.scheduling.readiness import WAITS
from engine.scheduling.succession import before
from engine.views import timeline as views_timeline
from engine.views.diagram import mermaid, svg, text_tree
from engine.views.lanes import MAX_LANES, lanes
from engine.views.metrics import metrics
from engine.views.progress import progress
from engine.views.report_html import html_report
from engine.views.report_text import text_report
from engine.views.status import snapshot
from engine.views.timeline import SpanEnd, SpanKind, timeline
from engine.views.todos import display, todos
from tests.support.by_hand import ByHand, rollback
from tests.support.definitions import command, in_place, node, phase, plan
from tests.unit.engine.scheduling.test_for_each import begun, each
from tests.unit.engine.scheduling.test_repeat import begun as looping
from tests.unit.engine.scheduling.test_repeat import loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from engine.ids import NodeId
    from engine.run.state import NodeState, Run


def test_a_list_is_one_todo_with_its_counts() -> None:
    run = begun(
        each(shape={"continueOnError": True, "maxParallelism": 2}, task="Cover the files"), node("last", "cover")
    )
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    [_, todo, last] = todos(run.run, run.now, {})
    assert (todo.content, todo.status, todo.active_form) == (
        "Cover the files",
        "in_progress",
        "Covering the files (2/3, 1 failed)",
    )
    assert last.status == "pending"


def test_the_time_between_two_iterations_is_a_wait_of_the_timeline_and_of_the_report() -> None:
    run = looping(loop(shape={"interval": 60_000}))
    run.succeed("fix/1", result={"passed": False})
    for outcome, wait in ((SpanEnd.OPEN, 30), (SpanEnd.OK, 30)):
        run.wait(seconds=wait)
        chart = timeline(run.run, run.now)
        [span] = [one for part in chart.phases for row in part.rows for one in row.spans if one.kind is SpanKind.WAIT]
        assert (span.outcome, span.note) == (outcome, "the next iteration")
        assert text_report(run.run, metrics(run.run, run.now), chart)


def test_there_are_words_for_every_wait() -> None:
    assert WAITS.keys() == set(ev.WaitReason)


def test_a_list_whose_items_are_rolled_back_says_how_many_were() -> None:
    run = begun(each(task="Cover the files", compensation=rollback()), node("last", "cover"), files=("a", "b"))
    for name in ("cover/1", "cover/2"):
        run.succeed(name, covered=1)
    run.fail("last")
    run.succeed("cover/2")
    assert todos(run.run, run.now, {})[1].content == "Cover the files (completed in 0.0s, 2/2, 1 rolled back)"
    run.succeed("cover/1")
    assert "2/2, 2 rolled back" in display(run.run, run.now, {})


def test_a_list_that_failed_says_how_many_of_its_items_were_rolled_back() -> None:
    shape = {"maxParallelism": 1}
    run = begun(each(shape=shape, task="Cover the files", compensation=rollback()), files=("a", "b", "c"))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    for name in ("cover/2", "cover/1"):
        run.succeed(name)
    assert todos(run.run, run.now, {})[1].content.endswith("cover/2 broke, 2 rolled back)")


def test_the_text_lists_running_and_failed_items_by_name_and_counts_the_rest() -> None:
    files = tuple(f"f{number}" for number in range(20))
    shape = {"continueOnError": True, "maxParallelism": 7, "key": "$"}
    run = begun(each(shape=shape, task="Cover the files"), files=files)
    run.fail("cover/2")
    lines = [text.strip() for text in display(run.run, run.now, {}).splitlines()]
    at = lines.index("⚙️ Covering the files (1/20, 1 failed)")
    assert lines[at + 1 : at + 8] == ["⚙️ f0", "⚙️ f2", "⚙️ f3", "⚙️ f4", "⚙️ f5", "❌ f1: cover/2 broke", "⏳ 12 more"]


def test_a_loop_shows_its_iteration() -> None:
    run = looping(loop(task="Fix the tests"))
    run.succeed("fix/1", result={"passed": False})
    [todo] = todos(run.run, run.now, {})
    assert todo.active_form == "Fixing the tests (iteration 2)"
    run.succeed("fix/2", result={"passed": True})
    [todo] = todos(run.run, run.now, {})
    assert todo.content == "Fix the tests (completed in 0.0s, iteration 2)"


def test_the_text_says_what_the_condition_of_a_loop_has_lacked() -> None:
    run = looping(loop(task="Fix the tests"))
    assert "until" not in display(run.run, run.now, {})
    run.succeed("fix/1", result={"passed": False, "failed": 3})
    lines = [text.strip() for text in display(run.run, run.now, {}).splitlines()]
    lacked = 'result = {"failed": 3, "passed": false}'
    assert f"↻ until result.passed == true: {lacked}" in lines
    token = "ghp_" + "a1B2" * 9
    run.succeed("fix/2", result={"passed": False, "note": f"{token} {'x' * 500}"})
    assert token not in display(run.run, run.now, {})
    assert all(len(line) <= 200 for line in display(run.run, run.now, {}).splitlines())
    run.succeed("fix/3", result={"passed": True})
    assert "until" not in display(run.run, run.now, {})
    names = [phase.name for phase in timeline(run.run, run.now).phases]
    assert names[1:3] == ["Fix the tests", f"Fix the tests, since {lacked}"]


def test_progress_counts_the_nodes_of_the_file_and_never_goes_back() -> None:
    run = begun(each(), node("last", "cover"), files=("a", "b", "c", "d"))
    seen = [progress(run.run).percent]
    for number in (1, 2, 3, 4):
        run.succeed(f"cover/{number}", covered=1)
        seen.append(progress(run.run).percent)
    assert (progress(run.run).total, seen) == (3, [33, 41, 50, 58, 66])


def test_a_status_names_the_nodes_of_the_file_and_the_instances_that_do_something() -> None:
    run = begun(each(shape={"continueOnError": True, "maxParallelism": 2}), files=tuple(range(100)))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    now = snapshot(run.run, run.now)
    assert [line.id for line in now.nodes] == ["find", "cover", "cover/2", "cover/3", "cover/4"]
    assert [phase.id for phase in now.phases] == ["one"]


def test_plans_show_how_often_a_node_runs() -> None:
    inner = loop(shape={"maxIterations": 4})
    cover = {**in_place("cover", phase("in", inner)), "forEach": {"items": "files", "maxParallelism": 2}}
    cover["context"] = {"inputs": [{"key": "files"}]}
    made = plan(command(phase("one", cover)))
    tree = text_tree(made, predict(made))
    assert "cover  phases for each of files (3 assumed, 2 at once), 2 min" in tree
    assert "└─  cover/*/fix  worker until result.passed == true (at most 4 times)" in tree
    assert "cover \u00d73 · 2 min" in svg(made, predict(made))
    assert "phases for each of files" in mermaid(made)
    assert "  0: cover\n" in tree


def test_a_plan_names_the_most_attempts_and_what_they_can_cost() -> None:
    raw = command(phase("one", loop(shape={"maxIterations": 4})))
    free = plan(raw)
    assert "\nAt most 4 attempts\n" in text_tree(free, predict(free))
    capped = plan(raw, agents=(Agent(id="worker", max_budget_usd=0.5),))
    assert "\nAt most 4 attempts, and $2.00 by the budgets of its agents\n" in text_tree(capped, predict(capped))


def test_plans_show_plain_nodes_inside_instances() -> None:
    cover = {**in_place("cover", phase("in", node("write"), node("check", "write"))), "forEach": {"items": "files"}}
    cover["context"] = {"inputs": [{"key": "files"}]}
    made = plan(command(phase("one", cover)))
    lines = [line.strip() for line in text_tree(made, predict(made)).splitlines()]
    assert [line for line in lines if "cover/*" in line] == ["├─  cover/*/write  worker", "└─  cover/*/check  worker"]


def test_a_report_has_rows_for_failed_and_slow_items_only() -> None:
    run = begun(each(shape={"continueOnError": True}), files=tuple(range(60)))
    for number in range(1, 61):
        run.wait(seconds=1)
        if number == 7:
            run.fail("cover/7")
        else:
            run.succeed(f"cover/{number}", covered=1)
    chart = timeline(run.run, run.now)
    assert [phase.id for phase in chart.phases] == ["one", "cover/items"]
    shown = [row.node for row in chart.phases[1].rows]
    assert shown == ["cover/7", *(f"cover/{number}" for number in range(42, 61))]
    assert len(metrics(run.run, run.now).phases) == 1
    assert [lane.items for lane in chart.phases[1].lanes] == [1] * MAX_LANES


def test_items_without_a_row_share_lanes_with_those_that_ran_before_and_after_them() -> None:
    run = begun(each(shape={"continueOnError": True, "maxParallelism": 2}), files=tuple(range(30)))
    for number in range(1, 31):
        run.wait(seconds=1 if number < 21 else 5)
        if number <= 22:
            run.fail(f"cover/{number}")
        else:
            run.succeed(f"cover/{number}", covered=1)
    [_, items] = timeline(run.run, run.now).phases
    assert (sum(lane.items for lane in items.lanes), len(items.rows), len(items.lanes)) == (10, 20, 2)
    assert sum(block.failed for lane in items.lanes for block in lane.blocks) == 2
    text = text_report(run.run, metrics(run.run, run.now), timeline(run.run, run.now))
    hidden = [line for line in text.splitlines() if " items " in line]
    assert (len(hidden), sum(line.count("✗") for line in hidden)) == (2, 2)
    page = html_report(run.run, metrics(run.run, run.now), timeline(run.run, run.now))
    assert page.count("more items</small>") == 2


def test_a_lane_joins_what_follows_without_a_gap_and_marks_what_failed() -> None:
    run = begun(each(shape={"continueOnError": True, "maxParallelism": 1}), files=("a", "b", "c", "d"))
    for name in ("cover/1", "cover/2"):
        run.wait(seconds=1)
        run.succeed(name, covered=1)
    run.wait(seconds=1)
    run.fail("cover/3")
    nodes = [node for name, node in run.run.nodes.items() if name.startswith("cover/")]
    run.wait(seconds=1)
    [lane] = lanes(run.run, nodes, run.now)
    assert [(block.start.total_seconds(), block.end.total_seconds(), block.failed) for block in lane.blocks] == [
        (0, 2, False),
        (2, 3, True),
        (3, 4, False),
    ]
    assert lane.items == 4


def test_the_critical_path_through_places_looks_at_no_predecessors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would look through all items."""
    run = begun(each(shape={"maxParallelism": 1}), files=tuple(range(20)))
    for number in range(1, 21):
        run.wait(seconds=1)
        run.succeed(f"cover/{number}", covered=1)
    asked: list[str] = []

    def counted(run: Run, node: NodeState) -> Iterator[NodeId]:
        asked.append(node.plan.id)
        return before(run, node)

    monkeypatch.setattr(views_timeline, "before", counted)
    path = views_timeline.critical_path(run.run, run.now)
    assert path == ("find", *(f"cover/{number}" for number in range(1, 21)))
    assert len(asked) <= 3


def test_who_starts_late_without_a_place_to_wait_for_comes_after_its_predecessor() -> None:
    run = ByHand(command(phase("one", node("find"), node("read", "find"))))
    run.wait(seconds=1)
    run.succeed("find")
    run.cut(next(at for at, event in enumerate(run.events, 1) if isinstance(event, ev.AttemptSucceeded)))
    run.now += timedelta(seconds=5)
    run.crash()
    run.resume()
    run.succeed("read")
    assert views_timeline.critical_path(run.run, run.now) == ("find", "read")


def test_a_report_shows_iterations_behind_their_loop() -> None:
    run = looping(loop(), node("last", "fix"))
    run.succeed("fix/1", result={"passed": False})
    run.succeed("fix/2", result={"passed": True})
    assert [phase.id for phase in timeline(run.run, run.now).phases] == ["one", "fix/1", "fix/2"]


def test_what_could_have_been_counts_the_instances() -> None:
    run = begun(each(shape={"maxParallelism": 1}), files=("a", "b"))
    run.wait(seconds=5)
    run.succeed("cover/1", covered=1)
    run.wait(seconds=10)
    run.succeed("cover/2", covered=1)
    seen = metrics(run.run, run.now)
    assert (seen.total.total_seconds(), seen.work.total_seconds(), seen.best.total_seconds()) == (15, 15, 15)


def test_what_could_have_been_of_a_loop_is_one_iteration_after_the_other() -> None:
    run = looping(loop())
    for passed in (False, True):
        run.wait(seconds=5)
        run.succeed(f"fix/{1 + passed}", result={"passed": passed})
    assert metrics(run.run, run.now).best.total_seconds() == 10
