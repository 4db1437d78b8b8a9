"""Traces and metrics as a collector gets them, from real programs that run commands, die, and cannot reach it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mcp import Client

from engine.run.events import RunStatus
from engine.views.status import questions
from mcp_server.project.project import RunRequest, open_project
from tests.interaction.projects import call, environment, make_project, open_gate, stdio_parameters
from tests.support.definitions import command, node, phase
from tests.support.installed import ORCHESTRATE
from tests.support.otlp import Collector, collecting
from tests.support.real_agents import until
from tests.support.trust import trust_all
from tests.support.workers import kill_worker, owner_of, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FLAKY = """
import json, os, sys
order = json.load(sys.stdin)
with open("headers", "a") as file:
    print(order["attempt"].partition(":")[2], os.environ.get("TRACEPARENT"), os.environ.get("TRACESTATE"), file=file)
if order["node"] == "flaky" and not os.path.exists("tried"):
    open("tried", "w").close()
    sys.exit("the first attempt fails")
if order["node"] == "last":
    sys.exit(json.dumps({"code": "BROKEN", "kind": "error", "message": "password=hunter22 was refused"}))
print(json.dumps({"outputs": {}}))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder)
    (folder / "flaky.py").write_text(FLAKY, encoding="utf-8")
    text = (folder / ".claude" / "agents" / "worker.md").read_text(encoding="utf-8").replace("worker", "flaky")
    (folder / ".claude" / "agents" / "flaky.md").write_text(text, encoding="utf-8")
    lock = {"locks": [{"resource": "disk"}], "maxWaitTime": 60_000}
    saga = command(
        phase(
            "work",
            node("steady", agent="flaky", resources=lock, compensation={"type": "rollback", "task": "undo"}),
            node("flaky", agent="flaky", retryPolicy={"maxAttempts": 1, "initialDelay": 0}),
        ),
        phase("end", node("last", agent="flaky")),
        name="/saga",
    )
    (folder / ".claude" / "commands" / "v2" / "saga.json").write_text(json.dumps(saga), encoding="utf-8")
    trust_all(folder, folder / "home")
    return folder


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def orchestrate(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TRACE"))}
    env |= environment(root) | variables
    return subprocess.run(
        [ORCHESTRATE, *words], cwd=root, env=env, capture_output=True, text=True, timeout=50, check=False
    )


def headers(root: Path) -> dict[str, list[str]]:
    """What each attempt was given: trace, span, flags; and the state of the caller."""
    lines = [line.split() for line in (root / "headers").read_text(encoding="utf-8").splitlines()]
    return {attempt: [*header.split("-")[1:], state] for attempt, header, state in lines}


def test_a_trace_has_the_shape_of_the_run_and_the_numbers_of_its_report(root: Path, collector: Collector) -> None:
    done = orchestrate(root, "run", "/saga", TRACESTATE="vendor=1", **collector.environment)
    assert (done.returncode, done.stderr.count("cannot be exported")) == (1, 0), done.stderr
    report = json.loads(orchestrate(root, "report", "--format", "json").stdout)
    run = collector.one("invoke_workflow /saga")
    assert run.parent == ""
    assert {span.trace for span in collector.spans} == {run.trace}
    assert run.attributes["orchestration.run.id"] == report["runId"]
    assert run.attributes["orchestration.run.status"] == report["state"] == "compensated"
    assert run.attributes["error.type"] == "BROKEN"
    assert round(run.seconds * 1000) == report["totalMs"]
    assert round(run.attributes["orchestration.run.work"] * 1000) == report["workMs"]
    assert round(run.attributes["orchestration.run.undo"] * 1000) == report["rollbackMs"]
    assert run.attributes["orchestration.run.retries"] == report["retries"] == 1
    phases = {
        span.attributes["orchestration.phase.id"]: span for span in collector.spans if span.name.startswith("phase")
    }
    assert {name: span.parent for name, span in phases.items()} == {"work": run.id, "end": run.id}
    nodes = {one["node"]: one for one in report["nodes"]}
    for name in ("steady", "flaky", "last"):
        span = collector.one(f"node {name}")
        assert span.parent == phases["end" if name == "last" else "work"].id
        assert round(span.attributes["orchestration.node.work"] * 1000) == nodes[name]["durationMs"]
    tries = {
        (span.attributes["orchestration.node.id"], span.attributes["orchestration.attempt.number"]): span
        for span in collector.named("attempt flaky")
    }
    assert sorted(tries) == [("flaky", 1), ("flaky", 2), ("last", 1), ("steady", 1)]
    assert tries["flaky", 2].links == [(tries["flaky", 1].id, "retries")]
    assert tries["flaky", 1].failed
    undo = collector.one("undo flaky")
    assert (undo.parent, undo.links) == (run.id, [(tries["steady", 1].id, "undoes")])
    spans = {f"{name}#{number}": span for (name, number), span in tries.items()} | {"steady#2": undo}
    assert headers(root) == {name: [span.trace, span.id, "01", "None"] for name, span in spans.items()}
    work = collector.total("orchestration.attempt.duration", orchestration__attempt__role="forward")
    assert round(work * 1000) == report["workMs"]
    assert round(collector.total("gen_ai.workflow.duration") * 1000) == report["totalMs"]
    told = json.dumps([[span.name, span.attributes, span.message] for span in collector.spans])
    assert "hunter22" not in told
    assert "refused" in told


def test_a_run_joins_the_trace_of_its_caller(root: Path, collector: Collector) -> None:
    orchestrate(root, "run", "/hello", TRACEPARENT=CALLER, **collector.environment)
    run = collector.one("invoke_workflow /hello")
    assert (run.trace, run.parent) == (CALLER.split("-")[1], CALLER.split("-")[2])


def test_a_caller_that_does_not_record_its_trace_records_none_here(root: Path, collector: Collector) -> None:
    orchestrate(root, "run", "/saga", TRACEPARENT=CALLER[:-2] + "00", **collector.environment)
    assert collector.spans == []
    assert collector.total("gen_ai.workflow.duration") > 0
    assert {given[2] for given in headers(root).values()} == {"00"}


async def test_a_resumed_run_continues_its_trace(
    root: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**collector.environment, "OTEL_BSP_SCHEDULE_DELAY": "50"}.items():
        monkeypatch.setenv(name, value)
    async with open_project(root, home=root / "home") as project:
        run = await project.start_in_background(RunRequest(source="/wait"))
        engine = await project.engine()
        await until(engine, run, lambda _run: bool(collector.named("phase greet")))
        await kill_worker(engine, run)
        await engine.archive.look_after_all()
        await project.resume_in_background(run)
        open_gate(root)
        seen = await until(engine, run, lambda run: run.ended)
        wait_for_end(await owner_of(engine, run))
    assert seen.status is RunStatus.COMPLETED
    whole = collector.one("invoke_workflow /wait")
    assert whole.moments == ["paused", "continued"]
    first, second = sorted(collector.named("attempt gated"), key=lambda span: span.start)
    assert first.attributes["error.type"] == "LOST"
    assert second.links == [(first.id, "retries")]
    assert {span.trace for span in collector.spans} == {whole.trace}
    known = {span.id for span in collector.spans}
    assert {span.parent for span in collector.spans} <= {"", *known}, "the killed process has exported a part of it"


async def test_a_wait_counts_up_to_the_end_of_the_process(
    root: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in collector.environment.items():
        monkeypatch.setenv(name, value)
    async with open_project(root, home=root / "home") as project:
        run = await project.start(RunRequest(source="/ask"))
        await until(await project.engine(), run, lambda run: bool(questions(run)))
    assert collector.total("orchestration.wait.duration", **{"orchestration.wait.reason": "approval"}) > 0


@pytest.mark.parametrize("how", ["slow", "broken"])
def test_a_collector_that_takes_nothing_costs_a_run_nothing(root: Path, collector: Collector, how: str) -> None:
    if how == "slow":
        collector.holds.clear()
    else:
        collector.status = 500
    done = orchestrate(root, "run", "/hello", "--json", **collector.environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "completed"
    assert done.stderr.count("cannot be exported") == 1
    assert "Traceback" not in done.stderr
    assert "opentelemetry" not in done.stderr


LOADED = """
import asyncio, json, sys
from pathlib import Path
from mcp_server.project.project import RunRequest, open_project
async def main():
    async with open_project(Path(sys.argv[1]), home=Path(sys.argv[1]) / "home") as project:
        run = await project.start(RunRequest(source="/hello"))
        engine = await project.engine()
        while not (await engine.view(run)).run.ended:
            await engine.wait(run, 60)
asyncio.run(main())
print(json.dumps(sorted(sys.modules)))
"""
FOREIGN = {"google", "opentelemetry", "requests", "urllib3"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"},
    ],
    ids=["unset", "console"],
)
def test_nothing_is_loaded_unless_the_variables_ask_for_what_is_done_here(
    root: Path, variables: dict[str, str]
) -> None:
    env = environment(root) | variables
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(root)], env=env, capture_output=True, text=True, timeout=50, check=True
    )
    loaded = json.loads(done.stdout)  # stdout has nothing else
    assert not {name.partition(".")[0] for name in loaded} & FOREIGN
    assert [name for name in loaded if name.startswith("engine.telemetry") or name.endswith(".otel")] == []


async def test_a_server_exports_and_its_stdout_stays_its_clients(root: Path, collector: Collector) -> None:
    parameters = stdio_parameters(root)
    assert parameters.env is not None
    parameters.env |= {**collector.environment, "OTEL_TRACES_EXPORTER": "otlp"}
    async with Client(parameters) as client:
        await call(client, "run", command="/hello")
        status = await call(client, "status", wait_seconds=30)
        assert status["state"] == "completed"
    run = collector.one("invoke_workflow /hello")
    assert run.attributes["orchestration.run.id"] == status["runId"]
