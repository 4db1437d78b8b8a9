"""Phases in place become a group of the plan, as the phases of a sub-command do."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.errors import InvalidCommand
from engine.graph import predict
from engine.model.agent import Agent
from engine.model.plan import IN_PLACE, NodeKind, NodePlan
from engine.model.policy import OutputDecl
from engine.views.diagram import mermaid, svg, text_tree
from tests.support.definitions import Raw, command, in_place, node, phase, plan

BODY = (
    phase("prepare", node("build", context={"outputs": [{"key": "image"}]})),
    phase("ship", node("upload", minutes=3), node("announce", task="Announce $ARGUMENTS"), maxParallelism=1),
)


def test_the_plan_is_that_of_a_sub_command_with_the_same_phases() -> None:
    fields: dict[str, Any] = {"minutes": 1, "context": {"inputs": [{"key": "image"}], "outputs": [{"key": "image"}]}}
    called = command(phase("one", node("first"), node("deploy", "first", agent="command", task="/deploy", **fields)))
    placed = command(
        phase("one", node("first"), in_place("deploy", *BODY, needs=("first",), context=fields["context"]))
    )

    def shown(raw: Raw, *subcommands: Raw) -> tuple[list[NodePlan], object]:
        made = plan(raw, *subcommands)
        return [replace(one, agent="", task="", outputs=()) for one in made.nodes], made.phases

    assert shown(placed) == shown(called, command(*BODY, name="/deploy"))


def test_the_node_is_a_group_without_an_agent() -> None:
    group = plan(command(phase("one", in_place("deploy", *BODY)))).nodes[0]
    assert (group.kind, group.agent, group.inner, group.doer) == (NodeKind.SUB_COMMAND, IN_PLACE, (1, 2), "phases")


def test_arguments_are_those_of_the_command_around_it() -> None:
    tasks = {str(one.id): one.task for one in plan(command(phase("one", in_place("deploy", *BODY)))).nodes}
    assert tasks["deploy/announce"] == "Announce $ARGUMENTS"
    inner = command(phase("one", in_place("deploy", *BODY)), name="/inner")
    outer = command(phase("one", node("call", agent="command", task="/inner now")))
    tasks = {str(one.id): one.task for one in plan(outer, inner).nodes}
    assert tasks["call/deploy/announce"] == "Announce now"


def test_a_model_agent_inside_returns_its_words_unless_its_name_comes_from_outside() -> None:
    body = phase("prepare", node("build"), node("check"))
    raw = command(phase("one", in_place("deploy", body, context={"inputs": [{"key": "build"}]})))
    [_, build, check] = plan(raw, agents=(Agent(id="worker"),)).nodes
    assert build.outputs == ()
    assert check.outputs == (OutputDecl(key="check", required=False),)


def test_a_sub_command_inside_phases_in_place_has_the_whole_path_as_its_id() -> None:
    raw = command(phase("one", in_place("deploy", phase("in", node("call", agent="command", task="/inner")))))
    made = plan(raw, command(phase("one", node("build")), name="/inner"))
    assert [one.id for one in made.nodes] == ["deploy", "deploy/call", "deploy/call/build"]


def test_an_agent_and_phases_exclude_each_other() -> None:
    with pytest.raises(InvalidCommand, match='Node "deploy" has an agent and phases'):
        plan(command(phase("one", in_place("deploy", *BODY, agentId="worker"))))


def test_phases_are_as_deep_as_sub_commands_at_most() -> None:
    def nested(levels: int) -> Raw:
        return in_place(f"p{levels}", phase("in", nested(levels - 1) if levels > 1 else node("leaf")))

    assert len(plan(command(phase("one", nested(20)))).nodes) == 21
    with pytest.raises(InvalidCommand, match="more than 20 deep"):
        plan(command(phase("one", nested(21))))


def test_plans_show_phases_in_place_as_such() -> None:
    made = plan(command(phase("one", in_place("deploy", *BODY))))
    tree, picture = text_tree(made, predict(made)), mermaid(made)
    assert "└─  deploy           phases, 5 min, starts at 0 s\n" in tree
    assert "deploy<br/>phases" in picture
    assert "deploy (phases)" in svg(made, predict(made))
    assert IN_PLACE not in tree + picture
