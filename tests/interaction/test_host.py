"""The client does the agents' work: work orders, reports, renewals, late reports, cancel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.interaction.projects import BYTES_OF_10_000_TOKENS, call, connected, refused, text_of
from tests.interaction.promises import keeps
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client


@pytest.fixture(autouse=True)
def review(project: Path) -> Path:
    """A command of model agents: one, then two at a time, then one."""
    (project / ".claude" / "agents" / "reviewer.md").write_text(
        "---\nname: reviewer\ndescription: Reviews code\ntools: Read\n---\nYou review code.\n", encoding="utf-8"
    )

    def reviewed(name: str, *needs: str, inputs: tuple[str, ...] = ()) -> dict[str, Any]:
        reads = [{"key": key} for key in inputs]
        context = {"inputs": reads, "outputs": [{"key": name, "schema": {"type": "string"}}]}
        return node(name, *needs, agent="reviewer", context=context)

    definition = command(
        phase("first", reviewed("analysis")),
        phase("second", reviewed("quality", "analysis", inputs=("analysis",)), reviewed("security", "analysis")),
        phase("third", reviewed("summary", inputs=("quality", "security"))),
        name="/host-review",
    )
    path = project / ".claude" / "commands" / "v2" / "host-review.json"
    path.write_text(json.dumps(definition), encoding="utf-8")
    return project


async def start(client: Client) -> dict[str, Any]:
    return await call(client, "run", command="/host-review", executor="host", wait_seconds=30)


def result_of(work: dict[str, Any], text: str) -> dict[str, Any]:
    return {"attempt": work["attempt"], "outputs": {work["outputs"][0]: text}}


@keeps("host")
async def test_the_client_does_a_whole_command_work_order_by_work_order(client: Client) -> None:
    status = await start(client)
    (first,) = status["work"]
    assert first["subagentType"] == "reviewer"
    assert first["outputs"] == ["analysis"]
    assert first["outputSchema"]["properties"]["analysis"] == {"type": "string"}
    assert "Do analysis" in first["prompt"]
    assert "Agent tool" in status["next"]
    run_id = status["runId"]
    status = await call(client, "report", run_id=run_id, results=[result_of(first, "all good")])
    assert sorted(work["node"] for work in status["work"]) == ["quality", "security"]
    assert "all of them at once" in status["next"]
    assert '"all good"' in next(work["prompt"] for work in status["work"] if work["node"] == "quality")
    results = [result_of(work, work["node"]) for work in status["work"]]
    status = await call(client, "report", run_id=run_id, results=results)
    (last,) = status["work"]
    status = await call(client, "report", run_id=run_id, results=[result_of(last, "fine")])
    assert status["state"] == "completed"
    assert status["outputs"]["summary"] == "fine"
    assert "work" not in status


@keeps("host-fence")
async def test_a_report_that_comes_too_late_is_refused_and_says_so(client: Client) -> None:
    status = await start(client)
    report = {"run_id": status["runId"], "results": [result_of(status["work"][0], "done")]}
    await call(client, "report", **report)
    assert "STALE_ATTEMPT" in await refused(client, "report", report)


@keeps("host-fence")
async def test_a_report_to_a_run_that_has_ended_is_too_late(client: Client) -> None:
    status = await start(client)
    await call(client, "cancel", run_id=status["runId"])
    report = {"run_id": status["runId"], "results": [result_of(status["work"][0], "done")]}
    assert (await refused(client, "report", report)).startswith("STALE_ATTEMPT: report rejected: run")


@keeps("host-fence")
async def test_a_report_to_an_interrupted_run_is_refused_until_it_is_resumed(review: Path) -> None:
    async with connected(review, "auto") as client:
        status = await start(client)
    report = {"run_id": status["runId"], "results": [result_of(status["work"][0], "done")]}
    async with connected(review, "auto") as client:
        text = await refused(client, "report", report)
    assert text.startswith("STALE_ATTEMPT: ")
    assert "interrupted" in text
    assert "Resume the run" in text


@keeps("host-fence")
async def test_of_several_reports_the_good_ones_are_taken_and_the_others_named(client: Client) -> None:
    status = await start(client)
    [first] = status["work"]
    status = await call(client, "report", run_id=status["runId"], results=[result_of(first, "fine")])
    quality, security = sorted(status["work"], key=lambda work: work["node"])
    results = [result_of(quality, "a"), result_of(quality, "again"), result_of(security, "b")]
    answer = [{"node": "quality", "answer": "yes"}]
    status = await call(client, "report", run_id=status["runId"], results=results, decisions=answer)
    assert [(line["of"], line["code"]) for line in status["refused"]] == [
        (quality["attempt"], "STALE_ATTEMPT"),
        ("quality", "NO_DECISION_PENDING"),
    ]
    assert [work["node"] for work in status["work"]] == ["summary"]


@keeps("host-fence")
@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"outputs": {}, "failure": {"message": "no"}}, "results.0: Value error, an attempt has outputs or a failure"),
        ({"failure": {"message": "no", "kind": "denied"}}, "results.0.failure.kind: Input should be 'error'"),
        ({"failure": {}}, "results.0.failure.message: Field required"),
    ],
)
async def test_a_result_of_the_wrong_form_is_refused_with_its_place(
    client: Client, result: dict[str, Any], said: str
) -> None:
    status = await start(client)
    report = {"run_id": status["runId"], "results": [{"attempt": status["work"][0]["attempt"], **result}]}
    assert said in await refused(client, "report", report)


@keeps("host-fence")
async def test_an_answer_that_breaks_its_schema_fails_the_node(client: Client) -> None:
    status = await start(client)
    result = {"attempt": status["work"][0]["attempt"], "outputs": {"analysis": 7}}
    status = await call(client, "report", run_id=status["runId"], results=[result])
    assert status["state"] == "failed"
    assert status["failures"][0]["kind"] == "validation"


@keeps("host-fence")
async def test_a_failure_that_the_client_reports_is_the_node_s(client: Client) -> None:
    status = await start(client)
    failure = {"code": "NO_ACCESS", "message": "the file is locked"}
    result = {"attempt": status["work"][0]["attempt"], "failure": failure}
    status = await call(client, "report", run_id=status["runId"], results=[result])
    assert (status["state"], status["failures"][0]["code"]) == ("failed", "NO_ACCESS")


@keeps("host")
async def test_an_attempt_that_is_still_worked_on_gets_its_time_anew(client: Client) -> None:
    status = await start(client)
    (work,) = status["work"]
    result = {"attempt": work["attempt"]}
    again = await call(client, "report", run_id=status["runId"], results=[result])
    (known,) = again["open"]
    assert known["attempt"] == work["attempt"]
    assert known["deadline"] >= work["deadline"]


@keeps("host")
async def test_a_cancel_says_which_work_to_stop(client: Client) -> None:
    status = await start(client)
    cancelled = await call(client, "cancel", run_id=status["runId"])
    assert cancelled["state"] == "cancelled"
    assert cancelled["stop"] == [status["work"][0]["attempt"]]
    assert cancelled["next"].startswith("Stop the subagents of the attempts in stop")
    again = await call(client, "status", run_id=status["runId"])
    assert "Stop the subagents" not in again["next"]


@keeps("host")
async def test_a_large_input_is_handed_over_as_a_private_file(client: Client, review: Path) -> None:
    status = await start(client)
    results = [result_of(status["work"][0], "long " * 1000)]
    status = await call(client, "report", run_id=status["runId"], results=results)
    prompt = next(work["prompt"] for work in status["work"] if work["node"] == "quality")
    assert "long long" not in prompt
    (path,) = (review / ".claude" / "orchestration" / "tmp").rglob("*.json")
    assert str(path) in prompt
    assert path.stat().st_mode & 0o077 == 0


@keeps("host")
async def test_without_a_claude_program_the_client_does_the_work(client: Client) -> None:
    status = await call(client, "run", command="/host-review", wait_seconds=30)
    assert status["executor"] == "host"
    assert len(status["work"]) == 1


@keeps("host")
async def test_an_order_is_handed_out_once_and_in_full_to_who_has_lost_it(client: Client, review: Path) -> None:
    status = await start(client)
    run_id = status["runId"]
    both = await call(client, "report", run_id=run_id, results=[result_of(status["work"][0], "good")])
    first, second = both["work"]
    rest = await call(client, "report", run_id=run_id, results=[result_of(first, "fine")])
    assert "work" not in rest
    assert [known["attempt"] for known in rest["open"]] == [second["attempt"]]
    assert "Start" not in rest["next"]
    again = await call(client, "status", run_id=run_id, view="nodes")
    assert [(order["attempt"], order["prompt"]) for order in again["work"]] == [(second["attempt"], second["prompt"])]
    async with connected(review, "auto") as other:
        told = await call(other, "status", run_id=run_id)
    assert "work" not in told, "another server of the project does not lead the run"


@keeps("host")
async def test_a_status_waits_where_the_client_has_all_orders_and_ends_with_the_next_one(client: Client) -> None:
    status = await start(client)
    run_id, (first,) = status["runId"], status["work"]
    answers: list[dict[str, Any]] = []

    async def wait() -> None:
        answers.append(await call(client, "status", run_id=run_id, wait_seconds=30))

    with anyio.fail_after(20):
        began = anyio.current_time()
        short = await call(client, "status", run_id=run_id, wait_seconds=0.2)
        assert anyio.current_time() - began >= 0.2
        assert "work" not in short
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            answers.append(await call(client, "report", run_id=run_id, results=[result_of(first, "good")]))
    assert sorted(order["node"] for answer in answers for order in answer.get("work", [])) == ["quality", "security"]


@keeps("host", "few-tokens")
async def test_orders_beyond_what_an_answer_holds_are_told_by_the_next_ones(client: Client) -> None:
    task = "Look into every module and say what its next owner has to know about it. " * 10
    nodes = [node(f"reviewer-number-{number}", agent="reviewer", task=task) for number in range(100)]
    definition = command(phase("many", *nodes), name="/many")
    limits = {"executor": "host", "max_parallelism": 100, "wait_seconds": 30}
    result = await client.call_tool("run", {"command": definition, **limits})
    told: list[str] = []
    while True:
        assert len(text_of(result)) < BYTES_OF_10_000_TOKENS
        status = result.structured_content or {}
        told += [order["node"] for order in status.get("work", [])]
        if "workLeftOut" not in status:
            break
        assert f"({status['workLeftOut']} more)" in status["next"]
        result = await client.call_tool("status", {"run_id": status["runId"], "wait_seconds": 30})
    assert told == [line["id"] for line in nodes]


@keeps("host")
async def test_an_item_that_no_work_order_can_be_made_of_fails_alone_and_is_not_undone(
    review: Path, client: Client
) -> None:
    each = {"items": "files", "as": "file", "continueOnError": True}
    reads = {"inputs": [{"key": "files"}]}
    undo = {"type": "rollback", "task": "Undo it"}
    cover = node("cover", agent="reviewer", task="Cover ${file.path}", forEach=each, context=reads, compensation=undo)
    definition = command(phase("p", cover), name="/host-each", arguments=[{"name": "files"}])
    (review / ".claude" / "commands" / "v2" / "host-each.json").write_text(json.dumps(definition), encoding="utf-8")
    files = {"files": [{"path": "a"}, {"name": "b"}]}
    status = await call(client, "run", command="/host-each", executor="host", arguments=files, wait_seconds=30)
    assert [failure["code"] for failure in status["failures"]] == ["PLACEHOLDER_MISSING"]
    assert [work["node"] for work in status["work"]] == ["cover/1"]
    results = [result_of(work, "covered") for work in status["work"]]
    status = await call(client, "report", run_id=status["runId"], results=results)
    assert (status["state"], status["outputs"]) == ("degraded", {"cover": ["covered"]})
