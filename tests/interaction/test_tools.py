from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, get_args

import anyio
import jsonschema
import pytest

from mcp_server.answers.guidance import CANCEL_PENDING, CANCEL_UNHEARD
from mcp_server.answers.wire import ViewName
from mcp_server.protocol import instructions, tools
from tests.interaction.projects import (
    BYTES_OF_10_000_TOKENS,
    call,
    connected,
    ended,
    environment,
    open_gate,
    refused,
    text_of,
)
from tests.interaction.promises import keeps
from tests.support.definitions import command, node, phase
from tests.support.installed import ORCHESTRATE
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from pathlib import Path

    from mcp import Client

VIEWS = get_args(ViewName)
TODO_WRITE = {
    "type": "object",
    "required": ["todos"],
    "additionalProperties": False,
    "properties": {
        "todos": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["content", "status", "activeForm"],
                "additionalProperties": False,
                "properties": {
                    "content": {"type": "string", "minLength": 1},
                    "status": {"enum": ["pending", "in_progress", "completed"]},
                    "activeForm": {"type": "string", "minLength": 1},
                },
            },
        }
    },
}
PARAMETERS = {
    "load_command": {"source"},
    "validate": {"source", "strict"},
    "run": {
        "command",
        "arguments",
        "executor",
        "dry_run",
        "wait_seconds",
        "detach",
        "max_parallelism",
        "max_cost_usd",
        "max_attempts_total",
        "max_duration_seconds",
    },
    "status": {"run_id", "wait_seconds", "until", "view", "node", "offset"},
    "report": {"run_id", "results", "decisions"},
    "cancel": {"run_id", "reason", "compensate"},
    "resume": {
        "run_id",
        "failed",
        "max_parallelism",
        "max_cost_usd",
        "max_attempts_total",
        "max_duration_seconds",
    },
    "live": {"run_id", "feed", "number", "wait_seconds"},
}


@keeps("tool-list", "eras")
async def test_tools_have_fixed_names_and_short_texts(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {name: set(tool.input_schema["properties"]) for name, tool in tools.items()} == PARAMETERS
    assert all(len(tool.description or "") < 2048 for tool in tools.values())
    assert len(instructions.SERVER.encode()) < 2048
    loaded = {name for name, tool in tools.items() if (tool.meta or {}).get("anthropic/alwaysLoad")}
    assert loaded == {"run", "status"}
    read_only = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    assert read_only == {"load_command", "validate", "status", "live"}
    assert {name for name, tool in tools.items() if tool.output_schema is not None} == {"status"}
    properties = (tools["status"].output_schema or {})["properties"]
    assert "todos" in properties
    assert properties["next"]["description"] == "Instructions for the next step."


@keeps("tool-list")
async def test_the_list_of_tools_is_short_since_every_session_reads_it(client: Client) -> None:
    listed = [
        tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in (await client.list_tools()).tools
    ]
    assert sum(len(json.dumps(tool)) for tool in listed) <= 20_000


@keeps("tool-list", "eras")
async def test_what_a_person_types_is_plain_text_in_every_schema_that_a_form_fills(client: Client) -> None:
    tools = {tool.name: tool.input_schema["properties"] for tool in (await client.list_tools()).tools}
    typed = [
        tools["validate"]["source"],
        tools["load_command"]["source"],
        tools["run"]["command"],
        tools["run"]["arguments"],
    ]
    assert [(field["type"], "anyOf" in field) for field in typed] == [("string", False)] * 4


GREETS = command(
    phase("greet", node("greets", agent="general-purpose", task="Greet $ARGUMENTS")),
    arguments=[{"name": "name", "description": "Whom"}],
)


@keeps("eras", "run-waits")
@pytest.mark.parametrize(
    ("arguments", "bound"),
    [
        ({"name": "Ada"}, "Greet name=Ada "),
        ('{"name": "Ada"}', "Greet name=Ada "),
        ("Ada", "Greet Ada "),
        ('["Ada", "Bo"]', 'Greet ["Ada", "Bo"] '),
        ('{"name": ', 'Greet {"name": '),
        ("7", "Greet 7 "),
    ],
)
async def test_arguments_are_a_json_object_or_text(client: Client, arguments: object, bound: str) -> None:
    status = await call(client, "run", command=GREETS, arguments=arguments, wait_seconds=30, executor="simulate")
    assert status["todos"]["todos"][0]["content"].startswith(bound)


@keeps("eras")
async def test_a_definition_may_be_text_or_an_object(client: Client) -> None:
    assert (await call(client, "validate", source=GREETS))["valid"]
    assert (await call(client, "validate", source=json.dumps(GREETS)))["valid"]


@keeps("eras", "run-waits", "todos")
async def test_run_waits_for_the_end_and_gives_the_outputs(client: Client) -> None:
    status = await call(client, "run", command="/hello", wait_seconds=30)
    assert status["state"] == "completed"
    assert status["executor"] == "native"
    assert status["outputs"] == {"greeting": "hello from first-greeting"}
    assert status["progress"] == {"done": 1, "total": 1, "percent": 100}
    assert status["phases"] == [{"id": "greet", "name": "Greet", "state": "completed", "done": 1, "total": 1}]
    jsonschema.validate(status["todos"], TODO_WRITE)
    assert status["todos"]["todos"][0]["status"] == "completed"
    assert {"nodes", "tasks", "timeline", "failures"} & set(status) == set()
    assert status["next"] == "Present the outputs to the user."
    assert await call(client, "status") == status


@keeps("eras")
async def test_a_command_is_loaded_with_its_plan(client: Client) -> None:
    loaded = await call(client, "load_command", source=".claude/commands/v2/wait.json")
    assert loaded["name"] == "/wait"
    assert loaded["format"] == "json"
    assert [phase["nodes"] for phase in loaded["phases"]] == [["first-greeting"], ["gate-keeper"]]
    assert (loaded["nodeCount"], loaded["criticalPath"]) == (2, ["first-greeting", "gate-keeper"])
    assert (loaded["sequentialMs"], loaded["criticalPathMs"], loaded["speedupPercent"]) == (12_000, 12_000, 0)
    assert loaded["mermaid"].startswith("flowchart")
    jsonschema.validate(loaded["todos"], TODO_WRITE)


@keeps("eras")
async def test_validate_names_all_problems_and_strict_counts_warnings(client: Client) -> None:
    answer = await call(client, "validate", source="/unknown-agent")
    assert not answer["valid"]
    assert [problem["code"] for problem in answer["errors"]] == ["AGENT_NOT_FOUND"]
    assert answer["errors"][0]["pointer"] == "/phases/0/agents/0/agentId"
    relaxed = await call(client, "validate", source="/large")
    strict = await call(client, "validate", source="/large", strict=True)
    assert (relaxed["valid"], strict["valid"]) == (True, False)
    assert strict["warnings"] == relaxed["warnings"] != []


@keeps("few-tokens")
async def test_many_errors_of_one_kind_do_not_repeat_what_there_is(client: Client) -> None:
    unknown = [node(f"node-number-{number}", agent=f"nobody-{number}") for number in range(70)]
    result = await client.call_tool("validate", {"source": command(phase("work", *unknown), name="/many")})
    assert len(text_of(result)) < BYTES_OF_10_000_TOKENS
    assert text_of(result).count("Available agents") == 1


@keeps("eras")
async def test_a_definition_is_run_as_it_is_given(client: Client) -> None:
    definition = command(phase("work", node("only-node", minutes=0.1)), name="/given")
    status = await call(client, "run", command=definition, wait_seconds=30)
    assert (status["command"], status["state"]) == ("/given", "completed")
    again = await call(client, "run", command=json.dumps(definition), wait_seconds=30)
    assert again["state"] == "completed"


@keeps("run-at-once", "status-early")
async def test_status_answers_at_the_next_change(client: Client, project: Path) -> None:
    started = await call(client, "run", command="/wait")
    assert started["state"] == "running"
    assert 'until="end", wait_seconds=50.' in started["next"]
    seen = started
    with anyio.fail_after(30):
        while seen["progress"]["done"] == 0:
            seen = await call(client, "status", run_id=started["runId"], wait_seconds=30)
        await anyio.to_thread.run_sync(open_gate, project)
        while seen["state"] == "running":
            seen = await call(client, "status", run_id=started["runId"], wait_seconds=30)
    assert seen["state"] == "completed"


@keeps("status-missed")
async def test_status_does_not_wait_where_a_change_was_missed(client: Client, project: Path) -> None:
    started = await call(client, "run", command="/wait")
    await anyio.to_thread.run_sync(open_gate, project)
    with anyio.fail_after(30):
        ended = started
        while ended["state"] == "running":  # each call ends long before its hour
            ended = await call(client, "status", run_id=started["runId"], wait_seconds=3600)
        again = await call(client, "status", run_id=started["runId"], wait_seconds=3600)
    assert again["state"] == "completed"


@keeps("progress")
async def test_a_waiting_call_tells_how_the_run_goes_on(client: Client, project: Path) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, open_gate, project)
        arguments = {"command": "/wait", "wait_seconds": 30}
        result = await client.call_tool("run", arguments, progress_callback=listen)
    assert not result.is_error, text_of(result)
    lines = [message or "" for _, _, message in told]
    assert all(0 < len(line) < 200 and "\n" not in line for line in lines)
    assert lines[0].startswith("Phase 1/2 Greet · 0/2")
    assert any(line.startswith("Phase 2/2 Gate · 1/2") for line in lines)
    numbers = [progress for progress, _, _ in told]
    assert numbers == sorted(set(numbers))


@keeps("dry-run")
async def test_a_dry_run_predicts_and_records_nothing(client: Client, project: Path) -> None:
    status = await call(client, "run", command="/wait", dry_run=True)
    assert status["dryRun"] is True
    assert status["estimate"] == {"agents": 2, "sequentialMs": 12_000, "expectedMs": 12_000}
    assert "runId" not in status
    spans = [(span["node"], span["startMs"], span["durationMs"]) for span in status["timeline"]]
    assert spans == [("first-greeting", 0, 6000), ("gate-keeper", 6000, 6000)]
    assert not (project / ".claude" / "orchestration").exists()
    assert (await refused(client, "status", {})).startswith("RUN_NOT_FOUND")


@keeps("simulate")
async def test_a_simulated_run_is_recorded_as_one(client: Client) -> None:
    first = await call(client, "run", command="/model", executor="simulate")
    second = await call(client, "run", command="/model", executor="simulate")
    assert (first["state"], first["executor"]) == ("completed", "simulate")
    assert first["runId"] != second["runId"]
    assert (await call(client, "status", run_id=first["runId"]))["executor"] == "simulate"
    assert (await refused(client, "resume", {"run_id": first["runId"]})).startswith("NOT_RESUMABLE")


@pytest.mark.parametrize(("detach", "ending"), [(False, "cancelled"), (True, "completed")])
@keeps("cancelled-run-call")
async def test_cancelling_a_run_call_cancels_the_run_unless_detached(
    client: Client, project: Path, *, detach: bool, ending: str
) -> None:
    await given_up(client, "run", command="/wait", wait_seconds=3600, detach=detach)
    if detach:
        await anyio.to_thread.run_sync(open_gate, project)
    assert (await ended(client))["state"] == ending


@keeps("cancelled-status-call")
async def test_cancelling_a_status_call_only_ends_the_wait(client: Client, project: Path) -> None:
    await call(client, "run", command="/wait")
    await given_up(client, "status", wait_seconds=3600, view="outputs")
    await anyio.to_thread.run_sync(open_gate, project)
    assert (await ended(client))["state"] == "completed"


async def given_up(client: Client, tool: str, **arguments: object) -> None:
    """Call *tool* and cancel the call once the gated agent runs."""
    async with anyio.create_task_group() as group:

        async def listen(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK gives all three by position
            if "Gate" in (message or ""):
                group.cancel_scope.cancel()

        while True:  # a status call that answers before that is called again
            await client.call_tool(tool, arguments, progress_callback=listen)


@keeps("cancel")
async def test_a_cancel_that_is_not_obeyed_in_time_says_that_it_is_pending(
    client: Client, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = project / "gated.py"
    program.write_text(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{program.read_text('utf-8')}")
    trust_all(project, project / "home")
    monkeypatch.setattr(tools, "CANCEL_SECONDS", 0)
    started = await call(client, "run", command="/wait")
    gate = await anyio.to_thread.run_sync(os.open, project / "gate", os.O_WRONLY)
    status = await call(client, "cancel", run_id=started["runId"])
    os.close(gate)
    assert status["state"] == "running"
    assert status["next"].startswith(CANCEL_PENDING)


def a_run_in_a_terminal(project: Path) -> subprocess.Popen[bytes]:
    """A process that runs a command and is no server."""
    return subprocess.Popen(
        [ORCHESTRATE, "run", "/wait"],
        cwd=project, env=environment(project), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip


@keeps("cancel")
async def test_a_cancel_whose_run_is_in_a_process_that_is_stopped_says_so_each_time(
    client: Client, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "CANCEL_SECONDS", 1)
    with a_run_in_a_terminal(project) as owner:
        gate = await anyio.to_thread.run_sync(os.open, project / "gate", os.O_WRONLY)
        run_id = (await call(client, "status"))["runId"]
        owner.send_signal(signal.SIGSTOP)
        for _again in range(2):
            status = await call(client, "cancel", run_id=run_id)
            assert status["state"] == "running"
            assert status["next"].startswith(CANCEL_UNHEARD.format(process=owner.pid))
        owner.send_signal(signal.SIGCONT)
        await anyio.to_thread.run_sync(owner.wait, 30)
        os.close(gate)
    assert (await call(client, "status", run_id=run_id))["state"] == "cancelled"


@keeps("cancel")
async def test_cancel_answers_when_no_agent_runs_any_more(client: Client) -> None:
    started = await call(client, "run", command="/wait")
    status = await call(client, "cancel", run_id=started["runId"], reason="not needed")
    assert status["state"] == "cancelled"
    assert status["message"] == "cancelled: not needed"
    nodes = (await call(client, "status", view="nodes"))["nodes"]
    assert "running" not in {line["state"] for line in nodes}
    again = await call(client, "cancel", run_id=started["runId"])
    assert again["state"] == "cancelled"


@keeps("decisions")
async def test_an_approval_is_asked_for_and_answered(client: Client) -> None:
    asked = await call(client, "run", command="/ask", wait_seconds=3600)
    assert asked["decisions"] == [{"node": "careful-node", "question": "Really?", "answers": ["yes", "no"]}]
    assert "report" in asked["next"]
    answer = [{"node": "careful-node", "answer": "yes"}]
    await call(client, "report", run_id=asked["runId"], decisions=answer)
    assert (await ended(client))["state"] == "completed"
    assert (await refused(client, "report", {"run_id": asked["runId"], "decisions": answer})).startswith(
        "INVALID_STATE"
    )


@keeps("report-fence")
async def test_work_that_is_not_the_clients_cannot_be_reported(client: Client) -> None:
    started = await call(client, "run", command="/wait")
    attempt = f"{started['runId']}:gate-keeper#1"
    result = {"attempt": attempt, "outputs": {}}
    text = await refused(client, "report", {"run_id": started["runId"], "results": [result]})
    assert text.startswith("INVALID_STATE")
    other = {"attempt": "r-1:gate-keeper#1", "outputs": {}}
    text = await refused(client, "report", {"run_id": started["runId"], "results": [other]})
    assert text.startswith("INVALID_ATTEMPT")
    assert (await call(client, "cancel", run_id=started["runId"]))["state"] == "cancelled"


@keeps("large-outputs")
async def test_large_outputs_are_references_and_secrets_are_masked(client: Client) -> None:
    status = await call(client, "run", command="/large", wait_seconds=30)
    run_id = status["runId"]
    assert status["outputs"]["report"] == {"$ref": f"orchestration://runs/{run_id}/outputs/report", "bytes": 20_002}
    assert status["outputs"]["short"] == "sk-ant-[redacted]"
    failed = await call(client, "run", command="/fail", wait_seconds=30)
    assert failed["state"] == "failed"
    [failure] = failed["failures"]
    assert (failure["node"], failure["code"], failure["compensated"]) == ("failing-node", "BROKEN", False)
    assert "hunter22" not in json.dumps(failed)


@pytest.mark.parametrize("view", VIEWS)
@keeps("few-tokens")
async def test_no_view_of_200_nodes_is_too_long(project: Path, view: str) -> None:
    task = "Review the module and write down everything that the next reviewer has to know"
    many = [node(f"review-number-{number}", agent="large", task=task) for number in range(198)]
    for line in many:
        line["context"] = {"outputs": [{"key": line["id"]}]}
    definition = command(phase("first", node("opening")), phase("many", *many), phase("last", node("closing")))
    async with connected(project, "auto") as client:
        plan = await client.call_tool("load_command", {"source": definition})
        assert len(text_of(plan)) < BYTES_OF_10_000_TOKENS
        await call(client, "run", command=definition, executor="simulate", max_parallelism=50)
        result = await client.call_tool("status", {"view": view})
        assert len(text_of(result)) < BYTES_OF_10_000_TOKENS
        assert (result.structured_content or {})["progress"]["total"] == 200


@keeps("few-tokens")
async def test_many_long_outputs_are_told_as_far_as_there_is_room(project: Path) -> None:
    made = "import json, os, sys\nkey = json.load(sys.stdin)['outputs'][0]\n"
    (project / "failer.py").write_text(
        f"{made}print(json.dumps({{'outputs': {{key: 'long ' * 300}}}}))", encoding="utf-8"
    )
    trust_all(project, project / "home")
    many = [
        node(f"make-{number}", agent="failer", context={"outputs": [{"key": f"k{number}"}]}) for number in range(80)
    ]
    definition = command(phase("many", *many), name="/outputs")
    async with connected(project, "auto") as client:
        status = await call(client, "run", command=definition, wait_seconds=50)
        result = await client.call_tool("status", {"view": "outputs"})
    assert status["state"] == "completed"
    whole = [value for value in status["outputs"].values() if isinstance(value, str)]
    assert len(whole) == 10
    assert len(status["outputs"]) - len(whole) == 50
    assert status["outputsLeftOut"] == 20
    assert len(text_of(result)) < BYTES_OF_10_000_TOKENS


@pytest.mark.parametrize("executor", ["simulate", "auto"])
@keeps("few-tokens")
async def test_long_tasks_and_long_failures_do_not_make_long_answers(project: Path, executor: str) -> None:
    said = "The reviewer had this to say, and took its time to say it. " * 150
    failing = f"import json, sys\nsys.exit(json.dumps({{'code': 'BAD', 'kind': 'error', 'message': {said!r}}}))"
    (project / "failer.py").write_text(failing, encoding="utf-8")
    trust_all(project, project / "home")
    task = "Look into every single module. " * 120
    long = [node(f"review-{number}", agent="failer", task=task) for number in range(40)]
    definition = command(phase("many", *long, continueOnError=True), name="/long")
    async with connected(project, "auto") as client:
        await call(client, "run", command=definition, executor=executor, wait_seconds=50)
        for view in VIEWS:
            result = await client.call_tool("status", {"view": view})
            most = 60_000 if view == "todos" else 40_000  # four characters a token; a list of both kinds is told once
            assert len(text_of(result)) < most, view


@keeps("pages")
async def test_a_large_run_shows_its_nodes_in_pages_and_one_of_them_with_its_plan(client: Client) -> None:
    many = [node(f"node-{number}", agent="general-purpose", minutes=1) for number in range(450)]
    last = node("last-node", "node-7", agent="general-purpose", minutes=2)
    definition = command(phase("work", *many), phase("end", last), name="/many")
    run = (await call(client, "run", command=json.dumps(definition), executor="simulate"))["runId"]
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = await call(client, "status", run_id=run, view="nodes", offset=offset)
        assert page["nodesLeftOut"] == 451 - len(page["nodes"])
        assert len(json.dumps(page)) < BYTES_OF_10_000_TOKENS * 2
        seen += [line["id"] for line in page["nodes"]]
        offset = page.get("nextOffset")
    assert seen == [*(f"node-{number}" for number in range(450)), "last-node"]
    spans = [await call(client, "status", run_id=run, view="timeline", offset=start) for start in (0, 200, 400)]
    assert [span["node"] for page in spans for span in page["timeline"]] == seen
    assert [page.get("nextOffset") for page in spans] == [200, 400, None]
    assert (await call(client, "status", run_id=run, view="nodes", offset=900))["nodes"] == []
    asked = await call(client, "status", run_id=run, node="last-node")
    [line] = asked["nodes"]
    assert (line["dependsOn"], line["task"], line["estimateMs"]) == (["node-7"], last["task"], 120_000)
    assert "dependsOn" not in (await call(client, "status", run_id=run, view="nodes"))["nodes"][0]
    unknown = await client.call_tool("status", {"run_id": run, "node": "lost-node"})
    assert unknown.is_error
    assert "NODE_NOT_FOUND" in text_of(unknown)


@keeps("pages")
async def test_a_node_is_found_by_its_id_whatever_that_says_in_json(client: Client) -> None:
    definition = command(
        phase("work", *(node(name, agent="general-purpose") for name in ("null", "true"))), name="/two"
    )
    run = (await call(client, "run", command=json.dumps(definition), executor="simulate"))["runId"]
    for name in ("null", "true"):
        asked = await call(client, "status", run_id=run, node=name)
        assert [(line["id"], "task" in line) for line in asked["nodes"]] == [(name, True)]
    everything = await client.call_tool("status", {"run_id": run, "view": "nodes", "node": None})
    assert [line["id"] for line in everything.structured_content["nodes"]] == ["null", "true"]
