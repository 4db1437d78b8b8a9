"""What a run may still use, and what of it one attempt may."""

from __future__ import annotations

from typing import Any

import pytest

from engine.ids import NodeId
from engine.model.agent import Agent, AgentKind
from engine.model.policy import Usage
from engine.run import signals as sig
from engine.run.events import Limits
from engine.run.state import NodeState
from engine.scheduling.budget import grant, overspent
from engine.views.headline import headline
from engine.views.status import snapshot
from tests.support.by_hand import ByHand
from tests.support.definitions import command, node, phase, plan

PROGRAM = Agent(id="worker", kind=AgentKind.PROCESS, command=("true",))
MODEST = Agent(id="modest", max_budget_usd=0.25)


def spend(story: ByHand, name: str, dollars: float) -> None:
    """Let a node succeed that has cost *dollars*."""
    story.send(sig.ReportOutcome(NodeId(name), story.number(name), usage=Usage(cost_usd=dollars)))


def budgets(story: ByHand) -> dict[str, float | None]:
    """What each live attempt may cost."""
    live = {name: story.node(name).live for name in story.live()}
    return {name: record.budget for name, record in live.items() if record is not None}


def model(name: str, *needs: str, agent: str = "modeller") -> dict[str, Any]:
    """A node whose work a model agent does."""
    return node(name, *needs, agent=agent)


def story_of(*phases: dict[str, Any], limits: Limits, executor: str = "native") -> ByHand:
    """A run in which `modeller` and `modest` are model agents, and all others are programs."""
    return ByHand(plan(command(*phases), agents=(PROGRAM, MODEST)), limits=limits, executor=executor)


def test_what_runs_at_once_may_together_cost_what_the_run_may() -> None:
    story = story_of(
        phase("p", *(model(name) for name in "abcdef")), limits=Limits(max_cost_usd=1.0, max_parallelism=4)
    )
    assert budgets(story) == {"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}
    spend(story, "a", 0.1)
    assert budgets(story) == {"b": 0.25, "c": 0.25, "d": 0.25, "e": 0.15}
    assert story.run.budget_left == 0


def test_a_node_alone_may_cost_all_that_is_left() -> None:
    story = story_of(phase("p", model("a"), model("b", "a")), limits=Limits(max_cost_usd=1.0))
    assert budgets(story) == {"a": 1.0}
    spend(story, "a", 0.4)
    assert budgets(story) == {"b": 0.6}


def test_an_agent_is_granted_no_more_than_it_may_cost_by_its_file() -> None:
    story = story_of(phase("p", model("a", agent="modest"), model("b")), limits=Limits(max_cost_usd=1.0))
    assert budgets(story) == {"a": 0.25, "b": 0.75}


def test_a_phase_that_runs_one_node_at_a_time_gives_it_all() -> None:
    story = story_of(phase("p", model("a"), model("b"), parallel=False), limits=Limits(max_cost_usd=1.0))
    assert budgets(story) == {"a": 1.0}


def test_a_node_for_which_all_is_granted_waits_until_something_comes_back_and_programs_do_not() -> None:
    limits = Limits(max_cost_usd=1.0)
    story = story_of(phase("p", model("a"), node("quick"), model("b", "quick"), node("c", "quick")), limits=limits)
    story.succeed("quick")
    assert story.live() == ["a", "c"]
    spend(story, "a", 0.75)
    assert budgets(story) == {"b": 0.25, "c": None}


def test_the_run_stops_where_what_runs_gives_nothing_back() -> None:
    story = story_of(phase("p", model("a"), node("quick"), model("b", "quick")), limits=Limits(max_cost_usd=1.0))
    story.succeed("quick")
    spend(story, "a", 1.0)
    assert story.run.message == "the run reached its budget of $1.00 ($1.00 spent)"


@pytest.mark.parametrize(
    ("limits", "executor"), [(Limits(), "native"), (Limits(max_cost_usd=1.0), "host")], ids=["no limit", "the client's"]
)
def test_an_attempt_without_a_limit_is_granted_nothing(limits: Limits, executor: str) -> None:
    story = story_of(phase("p", model("a"), model("b")), limits=limits, executor=executor)
    assert budgets(story) == {"a": None, "b": None}


class Counting(dict[NodeId, NodeState]):
    """Nodes that count how often one is looked at."""

    looks = 0

    def __getitem__(self, name: NodeId) -> NodeState:
        self.looks += 1
        return super().__getitem__(name)


@pytest.mark.parametrize("needs", ["chain", "none"])
def test_what_a_start_looks_at_does_not_grow_with_the_number_of_nodes(needs: str) -> None:
    names = [f"n{number}" for number in range(1000)]
    nodes = [model(name, *(names[place - 1 : place] if needs == "chain" else ())) for place, name in enumerate(names)]
    story = story_of(phase("p", *nodes), limits=Limits(max_cost_usd=1.0, max_parallelism=200))
    story.run.nodes = counting = Counting(story.run.nodes)
    story.run.limits = Limits(max_cost_usd=5.0)
    assert grant(story.run, story.node(names[-1])) is not None
    assert counting.looks < 400


def test_it_is_told_that_a_run_has_cost_more_than_it_may() -> None:
    story = story_of(phase("p", model("a")), limits=Limits(max_cost_usd=1.0))
    assert not overspent(story.run)
    spend(story, "a", 2.4)
    assert story.state() == "completed"
    now = snapshot(story.run, story.now)
    assert now.warnings == ("The run has cost $2.40, more than its limit of $1",)
    assert " · $2.40, more than its limit of $1 · " in headline(story.run, story.now, {})


def test_a_budget_below_a_cent_is_shown_with_four_decimals() -> None:
    story = story_of(phase("p", model("a"), model("b", "a")), limits=Limits(max_cost_usd=0.004))
    spend(story, "a", 0.0045)
    assert story.run.message == "the run reached its budget of $0.0040 ($0.0045 spent)"
