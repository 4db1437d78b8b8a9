"""Agents that a program does itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine import AgentExecutor, AgentFailure, Usage, default_executor
from tests.support.programs import Functions, opened, step, steps
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from engine import Context

ONE = steps([step("a")])
TWO_OUTPUTS = steps([step("a", context={"outputs": [{"key": "x"}, {"key": "y"}]})])
NO_OUTPUTS = steps([step("a", context={})])


def anything(value: object) -> Any:  # noqa: ANN401 - not every program has a type checker
    return value


def replying(reply: object) -> Functions:
    return Functions(worker=lambda _context: reply)


def write_agent(project: Path, name: str, answer: object) -> None:
    """A process agent that answers always the same."""
    folder = project / ".claude" / "agents"
    folder.mkdir(exist_ok=True)
    program = project / f"{name}.py"
    program.write_text(
        f"import json, sys\nasked = json.load(sys.stdin)\nanswer = {answer!r}\nprint(json.dumps(answer))\n"
    )
    head = f"---\nname: {name}\ndescription: Answers\nexecutor: process\ncommand: [python3, {program}]\n---\n"
    (folder / f"{name}.md").write_text(head)


def trust(project: Path) -> None:
    """The user's yes to the project's agents."""
    trust_all(project, Path.home())


@pytest.mark.parametrize(
    ("raw", "reply", "outputs"),
    [
        (ONE, {"a": [1, 2]}, {"a": [1, 2]}),
        (ONE, {"outputs": {"a": "text"}}, {"a": "text"}),
        (ONE, "bare", {"a": "bare"}),
        (ONE, 0, {"a": 0}),
        (TWO_OUTPUTS, {"x": 1, "y": 2, "z": 3}, {"x": 1, "y": 2}),
        (NO_OUTPUTS, None, {}),
        (NO_OUTPUTS, "whatever", {}),
        (steps([step("a", context={"outputs": [{"key": "outputs"}]})]), {"outputs": 5}, {"outputs": 5}),
    ],
)
async def test_what_an_executor_returns_are_the_outputs(
    project: Path, raw: dict[str, Any], reply: object, outputs: dict[str, Any]
) -> None:
    async with opened(project, replying(reply)) as engine:
        assert (await engine.execute(raw)).outputs == outputs


@pytest.mark.parametrize(
    ("raw", "reply", "code", "kind"),
    [
        (ONE, {"failure": {"code": "FULL", "kind": "timeout", "message": "no room"}}, "FULL", "timeout"),
        (NO_OUTPUTS, {"failure": {"code": "FULL", "message": "no room"}}, "FULL", "error"),
        (ONE, {"b": 1}, "MISSING_OUTPUT", "validation"),
        (ONE, None, "MISSING_OUTPUT", "validation"),
        (TWO_OUTPUTS, [1, 2], "INVALID_ANSWER", "validation"),
        (ONE, {"a": object()}, "INVALID_ANSWER", "validation"),
        (ONE, {"a": float("nan")}, "INVALID_ANSWER", "validation"),
    ],
)
async def test_what_is_no_answer_is_a_failure_of_the_node(
    project: Path, raw: dict[str, Any], reply: object, code: str, kind: str
) -> None:
    async with opened(project, replying(reply)) as engine:
        (line,) = (await engine.execute(raw)).failures
    assert (line.failure.code, line.failure.kind) == (code, kind)


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (AgentFailure("rate-limit", "slow down", kind="timeout"), "RATE_LIMIT", "timeout"),
        (AgentFailure("odd", "odd", kind=anything("odd")), "ODD", "error"),
        (AgentFailure("odd", "odd", kind=anything(["odd"])), "ODD", "error"),
        (AgentFailure(anything(404), "no page"), "404", "error"),
        (AgentFailure("", "no code"), "AGENT_ERROR", "error"),
        (AgentFailure("odd", anything(None), hint=anything(5)), "ODD", "error"),
        (AgentFailure("odd", "half a character", hint="\ud800"), "ODD", "error"),
        (KeyError("training_data"), "KEY_ERROR", "error"),
    ],
)
async def test_what_an_executor_raises_is_the_failure_of_the_node(
    project: Path, error: Exception, code: str, kind: str
) -> None:
    def fail(_context: Context) -> None:
        raise error

    async with opened(project, Functions(worker=fail)) as engine:
        (line,) = (await engine.execute(ONE)).failures
    assert (line.failure.code, line.failure.kind) == (code, kind)


async def test_a_failure_is_retried_as_its_code_says(project: Path) -> None:
    tries: list[str] = []

    def work(context: Context) -> int:
        tries.append(context.attempt)
        if len(tries) == 1:
            raise AgentFailure("RATE_LIMIT", "slow down")
        return 1

    retry = {"maxAttempts": 1, "strategy": "immediate", "retryableErrors": ["RATE_LIMIT"]}
    async with opened(project, Functions(worker=work)) as engine:
        done = await engine.execute(steps([step("a", retryPolicy=retry)]))
    assert done.success
    assert done.nodes["a"].attempts == 2
    assert [attempt.rpartition("#")[2] for attempt in tries] == ["1", "2"]


async def test_an_agent_is_told_all_that_it_may_know(project: Path) -> None:
    seen: list[Context] = []

    def work(context: Context) -> dict[str, int]:
        seen.append(context)
        context.progress("counting")
        return dict.fromkeys(context.outputs, 7)

    async with opened(project, Functions(worker=work)) as engine:
        done = await engine.execute(steps([step("a")], [step("b", "a")]))
    context = seen[1]
    assert (context.data, context.outputs, context.node_id, context.role) == ({"a": 7}, ("b",), "b", "forward")
    assert (context.run_id, context.project) == (done.run_id, project)


async def test_an_executor_is_asked_for_the_agents_it_names_and_no_others(project: Path) -> None:
    write_agent(project, "other", {"outputs": {"b": 5}})
    trust(project)
    mine = Functions(worker=lambda _context: 1)
    async with opened(project, mine) as engine:
        done = await engine.execute(steps([step("a")], [step("b", "a", agent="other")]))
    assert done.outputs == {"a": 1, "b": 5}
    assert [agent for agent, _ in mine.asked] == ["worker"]


async def test_one_name_is_enough(project: Path) -> None:
    class Worker(AgentExecutor):
        agent_ids = "worker"

        async def execute(self, agent_id: str, task: str, context: Context) -> Any:  # noqa: ARG002, ANN401
            return agent_id

    async with opened(project, Worker()) as engine:
        assert (await engine.execute(ONE)).outputs == {"a": "worker"}


async def test_several_executors_share_the_agents_and_the_newest_counts(project: Path) -> None:
    async with opened(project, Functions(worker=lambda _context: 1, other=lambda _context: 1)) as engine:
        engine.set_agent_executor(Functions(other=lambda _context: 2))
        assert (await engine.execute(steps([step("a"), step("b", agent="other")]))).outputs == {"a": 1, "b": 2}


async def test_an_agent_of_a_file_can_be_done_by_the_program_and_handed_on(project: Path) -> None:
    write_agent(project, "other", {"outputs": {"a": 5}})
    trust(project)

    async def twice(context: Context) -> dict[str, Any]:
        reply = await default_executor.execute("other", "Do it", context)
        return {"a": reply["a"] * 2}

    async with opened(project, Functions(other=twice)) as engine:
        assert (await engine.execute(steps([step("a", agent="other")]))).outputs == {"a": 10}


async def test_an_executor_without_names_is_asked_for_every_agent(project: Path) -> None:
    write_agent(project, "other", {"outputs": {"b": 5}})
    trust(project)

    async def pass_on(context: Context) -> Any:  # noqa: ANN401
        return await default_executor.execute("other", "Do it", context)

    mine = Functions(every=True, other=pass_on, general_purpose=lambda _context: 1)
    raw = steps([step("a", agent="general-purpose")], [step("b", "a", agent="other")])
    async with opened(project, mine) as engine:
        done = await engine.execute(raw)
    assert done.outputs == {"a": 1, "b": 5}
    assert [agent for agent, _ in mine.asked] == ["general-purpose", "other"]


async def test_an_executor_for_every_agent_takes_up_runs_too(project: Path) -> None:
    tries: list[str] = []

    def work(context: Context) -> int:
        tries.append(context.node_id)
        if len(tries) == 1:
            raise AgentFailure("FLAKY", "once")
        return 1

    write_agent(project, "other", {"outputs": {"a": 5}})
    trust(project)
    mine = Functions(every=True, other=work)
    async with opened(project, mine) as engine:
        failed = await engine.execute(steps([step("a", agent="other")]))
    async with opened(project, mine) as engine:
        assert (await engine.resume(failed.run_id, failed=True)).success
    assert tries == ["a", "a"]


async def test_handing_on_what_nobody_does_is_a_failure(project: Path) -> None:
    async def pass_on(context: Context) -> Any:  # noqa: ANN401
        return await default_executor.execute("worker", "Do it", context)

    async with opened(project, Functions(worker=pass_on)) as engine:
        (line,) = (await engine.execute(ONE)).failures
    assert line.failure.code == "AGENT_NOT_FOUND"
    assert line.failure.hint == "Add an agent file for it, or do its work in `execute`."


async def test_handing_on_needs_the_users_trust_as_any_other_start_does(project: Path) -> None:
    write_agent(project, "other", {"outputs": {"a": 5}})

    async def pass_on(context: Context) -> Any:  # noqa: ANN401
        return await default_executor.execute("other", "Do it", context)

    async with opened(project, Functions(worker=pass_on)) as engine:
        (line,) = (await engine.execute(ONE)).failures
    assert line.failure.code == "NOT_TRUSTED"


async def test_a_failure_of_what_was_handed_on_can_be_caught(project: Path) -> None:
    write_agent(project, "other", {"failure": {"code": "FULL", "kind": "validation", "message": "no room"}})
    trust(project)

    async def recover(context: Context) -> Any:  # noqa: ANN401
        try:
            return await default_executor.execute("other", "Do it", context)
        except AgentFailure as failure:
            return f"{failure.code} {failure.kind} {failure}"

    async with opened(project, Functions(worker=recover)) as engine:
        assert (await engine.execute(ONE)).outputs == {"a": "FULL validation no room"}


async def test_what_is_handed_on_sees_the_values_as_the_program_left_them(project: Path) -> None:
    write_agent(project, "other", None)
    (project / "other.py").write_text(
        "import json, sys\nasked = json.load(sys.stdin)\n"
        "print(json.dumps({'outputs': {'b': [asked['inputs'], asked['task']]}}))\n"
    )
    trust(project)

    async def prepare(context: Context) -> Any:  # noqa: ANN401
        context.data["extra"] = 2
        return await default_executor.execute("other", "Do it well", context)

    program = Functions(worker=lambda _context: 1, careful=prepare)
    async with opened(project, program) as engine:
        done = await engine.execute(steps([step("a")], [step("b", "a", agent="careful")]))
    assert done.outputs["b"] == [{"a": 1, "extra": 2}, "Do it well"]


async def test_what_a_program_used_is_in_the_report(project: Path) -> None:
    def work(context: Context) -> int:
        context.usage.append(Usage(cost_usd=0.5, input_tokens=10, output_tokens=3))
        context.usage.append(Usage(input_tokens=5))
        return 1

    async with opened(project, Functions(worker=work)) as engine:
        report = (await engine.execute(ONE)).metrics
    assert (report.cost_usd, report.input_tokens, report.output_tokens) == (0.5, 15, 3)


async def test_values_are_copies(project: Path) -> None:
    def spoil(context: Context) -> Any:  # noqa: ANN401
        for value in context.data.values():
            value.append("spoiled")
        return {key: ["clean"] for key in context.outputs}

    raw = steps([step("a")], [step("b", "a"), step("c", "a")])
    async with opened(project, Functions(worker=spoil)) as engine:
        done = await engine.execute(raw)
    assert json.dumps(done.outputs["a"]) == '["clean"]'
