from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.errors import InvalidCommand
from engine.graph import compile_plan, expand
from engine.model.agent import Agent, AgentKind
from engine.model.plan import Bundle, NodeKind, SkipType
from engine.model.policy import (
    ALL_KINDS,
    CompensationType,
    FailureKind,
    InputSpec,
    LockSpec,
    LockType,
    OutputDecl,
    RetryPolicy,
    RetryStrategy,
)
from tests.support.definitions import bundle, command, node, phase, plan

DEPLOY = command(
    phase("prepare", node("build", minutes=2)),
    phase("ship", node("upload", minutes=3), node("announce", minutes=1, task="Tell about $ARGUMENTS")),
    name="/deploy",
)


def call(name: str, *needs: str, task: str, minutes: float = 1, **fields: object) -> dict[str, object]:
    return node(name, *needs, agent="command", minutes=minutes, task=task, **fields)


def test_a_file_without_options_gets_every_default() -> None:
    made = plan(command(phase("one", {"id": "build", "agentId": "worker", "task": "Build"})))
    [only] = made.nodes
    assert only.estimate == timedelta(minutes=1)
    assert only.timeout == timedelta(minutes=5)
    assert only.lock_wait == timedelta(minutes=1)
    assert (only.retry, only.skip, only.compensation, only.breaker, only.approval) == (None,) * 5
    assert (only.kind, only.scope, only.idempotent, only.priority) == (NodeKind.AGENT, "", True, 0)
    assert made.digest == "d" * 64
    assert list(made.agents) == ["worker"]


def test_a_model_agent_that_declares_no_output_says_what_came_of_its_task() -> None:
    greets = node("greet", context={"inputs": [{"key": "seed"}]})
    [first, second] = plan(
        command(phase("one", greets, node("give", context={"outputs": [{"key": "n"}]}))), agents=(Agent(id="worker"),)
    ).nodes
    assert first.outputs == (OutputDecl(key="greet", required=False),)
    assert [output.key for output in second.outputs] == ["n"]


def test_a_program_that_declares_no_output_is_asked_for_none() -> None:
    program = Agent(id="worker", kind=AgentKind.PROCESS, command=("true",))
    assert plan(command(phase("one", node("build"))), agents=(program,)).nodes[0].outputs == ()


@pytest.mark.parametrize(
    ("other", "fields"),
    [
        ({"outputs": [{"key": "greet"}]}, {}),
        ({"inputs": [{"key": "greet", "required": False}]}, {}),
        ({}, {"globalContext": {"initial": {"greet": 1}}}),
        ({}, {"arguments": [{"name": "greet"}]}),
    ],
)
def test_a_key_that_the_command_uses_keeps_its_meaning(other: dict[str, Any], fields: dict[str, Any]) -> None:
    made = plan(command(phase("one", node("greet"), node("other", context=other)), **fields))
    assert made.nodes[0].outputs == ()


def test_nodes_of_a_sub_command_say_it_under_their_own_ids_and_the_group_says_nothing() -> None:
    raw = command(phase("one", call("deploy", task="/deploy")))
    made = plan(raw, DEPLOY)
    said = {item.id: [output.key for output in item.outputs] for item in made.nodes}
    assert said == {
        "deploy": [],
        "deploy/build": ["build"],
        "deploy/upload": ["upload"],
        "deploy/announce": ["announce"],
    }


def test_the_timeout_is_three_times_a_long_estimate() -> None:
    assert plan(command(phase("one", node("build", minutes=10)))).nodes[0].timeout == timedelta(minutes=30)


def test_the_timeout_of_the_file_wins_over_the_default() -> None:
    made = plan(command(phase("one", node("build", minutes=10, timeout=700_000))))
    assert made.nodes[0].timeout == timedelta(milliseconds=700_000)


def test_the_agents_own_timeout_is_a_limit() -> None:
    raw = command(phase("one", node("build"), node("test", timeout=1000, estimatedTime=500)))
    made = plan(raw, agents=(Agent(id="worker", timeout=timedelta(seconds=90)),))
    assert [item.timeout for item in made.nodes] == [timedelta(seconds=90), timedelta(seconds=1)]


def test_policies_are_carried_over_with_their_units() -> None:
    made = plan(
        command(
            phase(
                "one",
                node(
                    "migrate",
                    retryPolicy={"maxAttempts": 2, "initialDelay": 500, "retryableErrors": ["timeout"]},
                    skipCondition={"type": "context", "expression": "ok", "skipMessage": "fine"},
                    resources={"locks": [{"resource": "db", "type": "shared", "priority": 3}], "maxWaitTime": 9000},
                    circuitBreaker="api",
                    idempotent=False,
                    approval={"message": "Really?"},
                    priority=7,
                ),
            )
        )
    ).nodes[0]
    assert made.retry == RetryPolicy(
        2, RetryStrategy.EXPONENTIAL, initial_delay=timedelta(milliseconds=500), retryable=frozenset({"TIMEOUT"})
    )
    assert made.skip is not None
    assert (made.skip.type, made.skip.expression, made.skip.message) == (SkipType.CONTEXT, "ok", "fine")
    assert made.locks == (LockSpec("db", LockType.SHARED, 3),)
    assert made.lock_wait == timedelta(seconds=9)
    assert (made.breaker, made.idempotent, made.approval, made.priority) == ("api", False, "Really?", 7)


def test_a_retry_policy_without_codes_retries_by_kind() -> None:
    made = plan(command(phase("one", node("build", retryPolicy={"maxAttempts": 1})))).nodes[0]
    assert made.retry == RetryPolicy(1)


@pytest.mark.parametrize(
    ("raw", "kind", "task", "on"),
    [
        ({"type": "rollback", "description": "Drop it"}, CompensationType.ROLLBACK, "Drop it", ALL_KINDS),
        (
            {"type": "custom", "description": "d", "task": "Undo", "compensateOn": ["error"]},
            CompensationType.CUSTOM,
            "Undo",
            ALL_KINDS - {FailureKind.CANCEL},
        ),
        (
            {"type": "custom", "task": "Undo", "description": "d", "compensateOn": ["timeout", "cancel"]},
            CompensationType.CUSTOM,
            "Undo",
            frozenset({FailureKind.TIMEOUT, FailureKind.CANCEL}),
        ),
        ({"type": "cascade", "description": "All", "compensateOn": []}, CompensationType.CASCADE, "", frozenset()),
        ({"type": "none", "description": "Kept"}, CompensationType.NONE, "", ALL_KINDS),
    ],
)
def test_what_undoes_a_node(
    raw: dict[str, object], kind: CompensationType, task: str, on: frozenset[FailureKind]
) -> None:
    undo = plan(command(phase("one", node("build", compensation=raw)))).nodes[0].compensation
    assert undo is not None
    assert (undo.type, undo.task, undo.on, undo.agent) == (kind, task, on, "worker")


def test_the_agent_that_undoes_is_part_of_the_plan() -> None:
    made = plan(
        command(phase("one", node("build", compensation={"type": "custom", "task": "Undo", "agentId": "cleaner"})))
    )
    assert sorted(made.agents) == ["cleaner", "worker"]


def test_outputs_get_the_commands_ttl_and_persist_keys() -> None:
    made = plan(
        command(
            phase("one", node("build", context={"outputs": [{"key": "a"}, {"key": "b", "ttl": 5, "merge": "append"}]})),
            globalContext={"cacheTTL": 60, "persistKeys": ["b"], "initial": {"seed": 1}},
        )
    )
    first, second = made.nodes[0].outputs
    assert first == OutputDecl(key="a", ttl=timedelta(seconds=60))
    assert (second.ttl, second.persist, second.merge.value) == (timedelta(seconds=5), True, "append")
    assert made.initial == {"seed": 1}


def test_an_input_knows_a_default_of_null_from_none_at_all() -> None:
    inputs = [{"key": "a", "required": False}, {"key": "b", "required": False, "default": None, "transform": "$.x"}]
    made = plan(command(phase("one", node("build", context={"inputs": inputs, "passthrough": True}))))
    assert made.nodes[0].inputs == (
        InputSpec(key="a", required=False),
        InputSpec(key="b", required=False, has_default=True, transform="$.x"),
    )
    assert made.nodes[0].passthrough


def test_phases_know_the_one_before_and_their_limit() -> None:
    made = plan(
        command(
            phase("one", node("a"), parallel=False, maxParallelism=4),
            phase("two", node("b"), maxParallelism=2, continueOnError=True, timeout=5000, barrier=False),
            phase("three", node("c")),
        )
    )
    assert [(item.limit, item.after) for item in made.phases] == [(1, None), (2, 0), (None, 1)]
    assert (made.phases[1].continue_on_error, made.phases[1].barrier) == (True, False)
    assert made.phases[1].timeout == timedelta(seconds=5)


def test_root_locks_and_arguments_are_the_runs() -> None:
    made = plan(
        command(
            phase("one", node("a")),
            resources={"locks": [{"resource": "db"}], "maxWaitTime": 5},
            arguments=[{"name": "target", "required": True}, {"name": "mode", "default": "fast"}],
        )
    )
    assert made.locks == (LockSpec("db"),)
    assert made.lock_wait == timedelta(milliseconds=5)
    assert [(item.name, item.required, item.has_default, item.default) for item in made.arguments] == [
        ("target", True, False, None),
        ("mode", False, True, "fast"),
    ]


def test_a_double_dependency_counts_once() -> None:
    assert plan(command(phase("one", node("a"), node("b", "a", "a")))).nodes[1].depends_on == ("a",)


def test_a_sub_command_unfolds_after_the_node_that_calls_it() -> None:
    made = plan(
        command(phase("all", node("test"), call("deploy", "test", task="/deploy staging now"), node("tell", "deploy"))),
        DEPLOY,
    )
    assert [item.id for item in made.nodes] == [
        "test", "deploy", "deploy/build", "deploy/upload", "deploy/announce", "tell",
    ]  # fmt: skip
    group = made.nodes[1]
    assert (group.kind, group.inner, group.scope) == (NodeKind.SUB_COMMAND, (1, 2), "")
    assert group.dependents == ("tell",)
    assert [(item.id, item.group, item.after) for item in made.phases] == [
        ("all", None, None), ("deploy/prepare", "deploy", None), ("deploy/ship", "deploy", 1),
    ]  # fmt: skip
    assert [item.phase for item in made.nodes] == [0, 0, 1, 2, 2, 0]
    assert {item.scope for item in made.nodes[2:5]} == {"deploy/"}


def test_the_calls_text_replaces_arguments_inside() -> None:
    made = plan(command(phase("all", call("deploy", task="  /deploy staging now "))), DEPLOY)
    assert made.nodes[3].task == "Tell about staging now"
    assert made.initial == {"deploy/arguments": "staging now"}


def test_a_call_without_text_leaves_no_outer_arguments_inside() -> None:
    made = plan(command(phase("all", call("deploy", task="/deploy"))), DEPLOY)
    assert made.nodes[3].task == "Tell about "
    assert made.initial == {}


def test_the_runs_own_arguments_can_be_passed_on() -> None:
    made = plan(command(phase("all", call("deploy", task="/deploy $ARGUMENTS"))), DEPLOY)
    assert made.nodes[3].task == "Tell about $ARGUMENTS"


def test_initial_values_and_argument_defaults_of_a_sub_command_are_in_its_scope() -> None:
    inner = DEPLOY | {
        "globalContext": {"initial": {"region": "eu"}},
        "arguments": [{"name": "mode", "default": None}, {"name": "who"}],
    }
    made = plan(command(phase("all", call("deploy", task="/deploy")), globalContext={"initial": {"x": 1}}), inner)
    assert made.initial == {"x": 1, "deploy/region": "eu", "deploy/mode": None}


def test_sub_commands_nest() -> None:
    middle = command(phase("go", call("deploy", task="/deploy")), name="/release")
    made = plan(command(phase("all", call("release", task="/release"))), middle, DEPLOY)
    assert [item.id for item in made.nodes][-1] == "release/deploy/announce"
    assert made.nodes[-1].scope == "release/deploy/"
    assert [item.id for item in made.phases] == [
        "all", "release/go", "release/deploy/prepare", "release/deploy/ship",
    ]  # fmt: skip
    assert {item.estimate for item in made.nodes if item.kind is NodeKind.SUB_COMMAND} == {timedelta(minutes=5)}


def test_a_group_is_as_long_as_the_longest_way_through_it() -> None:
    made = plan(command(phase("all", call("deploy", task="/deploy", minutes=100), node("tell", "deploy"))), DEPLOY)
    group = made.nodes[0]
    assert group.estimate == timedelta(minutes=5)
    assert group.timeout == timedelta(minutes=15)
    assert group.rank == timedelta(minutes=6)
    assert made.sequential_time == timedelta(minutes=7)
    assert made.critical_path == ("deploy/build", "deploy/upload", "tell")


def test_a_groups_own_timeout_wraps_it() -> None:
    made = plan(command(phase("all", call("deploy", task="/deploy", timeout=777_000))), DEPLOY)
    assert made.nodes[0].timeout == timedelta(milliseconds=777_000)


def test_a_group_holds_its_nodes_locks_and_the_sub_commands() -> None:
    inner = DEPLOY | {
        "resources": {"locks": [{"resource": "cluster"}, {"resource": "db"}, {"resource": "log", "type": "shared"}]}
    }
    locks = [{"resource": "db", "type": "shared"}, {"resource": "log", "type": "exclusive"}]
    raw = command(phase("all", call("deploy", task="/deploy", resources={"locks": locks, "maxWaitTime": 90_000})))
    group = plan(raw, inner).nodes[0]
    assert set(group.locks) == {LockSpec("db"), LockSpec("log"), LockSpec("cluster")}
    assert group.lock_wait == timedelta(seconds=90)


def test_the_ends_of_a_compensation_stay_in_the_scope() -> None:
    inner = command(
        phase("a", node("backup"), node("check", "backup", compensation={"type": "cascade", "rollbackTo": "backup"})),
        name="/inner",
    )
    undo = plan(command(phase("all", call("sub", task="/inner"))), inner).nodes[2].compensation
    assert undo is not None
    assert undo.rollback_to == "sub/backup"


def test_deprecated_commands_warn_once_and_name_the_one_to_use() -> None:
    old = DEPLOY | {"metadata": {"deprecated": True, "replacedBy": "/ship"}}
    raw = command(phase("all", call("one", task="/deploy"), call("two", task="/deploy")), metadata={"deprecated": True})
    assert plan(raw, old).warnings == ("/test is deprecated", "/deploy is deprecated; use /ship instead")


@pytest.mark.parametrize(
    ("subcommands", "message"),
    [
        ([], "'/deploy' of node 'deploy' is not in the bundle"),
        ([command(phase("a", call("again", task="/test")), name="/deploy")], "/test → /deploy → /test"),
        ([command(phase("a", call("again", task="/deploy")), name="/deploy")], "/deploy → /deploy"),
    ],
)
def test_a_sub_command_that_is_not_there_or_runs_itself_is_refused(
    subcommands: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(InvalidCommand, match=message):
        plan(command(phase("all", call("deploy", task="/deploy"))), *subcommands)


def test_sub_commands_have_a_depth_limit() -> None:
    chain = [
        command(phase("a", call("next", task=f"/c{number + 1}")), name=f"/c{number}")
        for number in range(expand.MAX_DEPTH + 2)
    ]
    with pytest.raises(InvalidCommand, match="deep"):
        plan(*chain)


def test_sub_commands_that_multiply_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MAX_NODES", 50)
    chain = [
        command(
            phase("a", call("left", task=f"/c{number + 1}"), call("right", task=f"/c{number + 1}")), name=f"/c{number}"
        )
        for number in range(10)
    ]
    with pytest.raises(InvalidCommand, match="more than 50 nodes"):
        plan(*chain, command(phase("a", node("leaf")), name="/c10"))


def test_an_agent_that_is_not_in_the_bundle_is_refused() -> None:
    complete = bundle(command(phase("one", node("build"))))
    with pytest.raises(InvalidCommand, match='"worker"'):
        compile_plan(Bundle(command=complete.command, agents={}))
