"""Runs whose attempts workers make: with a real server, and workers as processes in folders of their own."""

from __future__ import annotations

import asyncio
import signal
from contextlib import closing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault, StateError
from engine.ids import NodeId
from engine.run.events import RunStatus, ValueRef
from mcp_server.project.project import RunRequest
from tests.support.fleet import SECONDS, Server, Wire, Worker, Yard, command, node, until
from tests.support.fleet_runs import (
    at_work,
    gone,
    opened,
    resumed_from_an_old_copy,
    started,
    until_never,
    workers_of,
)
from tests.support.real_agents import ended
from tests.support.real_agents import until as until_run
from tests.support.workers import kill_worker, lives

if TYPE_CHECKING:
    from pathlib import Path

    from engine.run.state import Run

pytestmark = [
    pytest.mark.processes,
    pytest.mark.measured,
]


async def test_attempts_run_on_workers_which_the_journal_names(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARK", "of the coordinator")
    yard.start_worker("w1", MARK="of the worker")
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(node("a", "go"), node("b", "go", "a"))))
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert workers_of(seen, "a") == [("w1", "")]
    [first] = seen.nodes[NodeId("a")].attempts
    assert first.started_at is not None
    assert first.ended_at is not None
    assert first.ended_at - first.started_at > timedelta(milliseconds=10)  # it ended before it was asked about
    assert [(line[1], line[3], line[4]) for line in yard.traced()] == [
        ("a", str(yard.folder / "w1"), "of the worker"),
        ("b", str(yard.folder / "w1"), "of the worker"),
    ]


async def test_a_worker_that_dies_is_started_again_and_reports_what_it_has_lost(yard: Yard) -> None:
    worker = yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(node("a", "wait"))))
        await started(yard, 1)
        worker.child.kill()
        await started(yard, 2)
        yard.open()
        seen = await ended(engine, run)
    assert (seen.status, workers_of(seen, "a")) == (RunStatus.COMPLETED, [("w1", "w1"), ("w1", "")])
    await gone([line[2] for line in (*yard.traced(), *yard.traced("child"))])


async def test_a_killed_coordinator_is_resumed_and_no_attempt_is_made_twice(yard: Yard) -> None:
    yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        nodes = [node(f"n{number}", "wait") for number in range(3)]
        run = await project.start_in_background(RunRequest(source=command(*nodes, node("last", "go", "n0"))))
        await started(yard, 3)
        await kill_worker(engine, run)
        await until_run(engine, run, lambda seen: seen.status is RunStatus.INTERRUPTED)
        await project.resume(run)
        yard.open()
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert sorted(line[1] for line in yard.traced()) == ["last", "n0", "n1", "n2"]
    assert not [one for found in seen.nodes.values() for one in found.attempts if one.lost]


async def test_a_cancel_reaches_everything_that_an_agent_has_started(yard: Yard) -> None:
    yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(node("a", "wait"))))
        await asyncio.to_thread(until, lambda: bool(yard.traced("child")), "the grandchild runs")
        await engine.cancel(run)
        seen = await ended(engine, run)
        numbers = [yard.traced()[0][2], yard.traced("child")[0][2]]
        assert not any(map(lives, numbers))
    assert (seen.status, yard.traced("end")) == (RunStatus.CANCELLED, [])


@pytest.mark.nightly
async def test_a_node_that_takes_its_workers_down_fails_after_three(yard: Yard) -> None:
    yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        seen = await ended(engine, await project.start(RunRequest(source=command(node("a", "die")))))
    failure = seen.nodes[NodeId("a")].failure
    assert failure is not None
    assert (failure.code, len(yard.traced())) == ("WORKER_LOST", 3)


async def test_a_worker_with_other_files_or_for_other_projects_refuses(yard: Yard) -> None:
    worker = yard.start_worker("w1")
    (worker.folder / "trace.py").write_text("print('something else')")
    async with opened(yard) as project:
        engine = await project.engine()
        seen = await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))
        assert refusal(seen) == (
            "NOT_TRUSTED",
            'the agent "tracer" is not the same on the worker w1: ./ (Python modules), trace.py',
        )
        worker.terminate()
        yard.start_worker("w2", "--allow-project", "another")
        seen = await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))
    code, message = refusal(seen)
    assert (code, message.startswith("the worker w2 does not work for the project")) == ("NOT_TRUSTED", True)
    failure = seen.nodes[NodeId("a")].failure
    assert failure is not None
    assert "`namespace` each" in (failure.hint or "")
    assert yard.traced() == []


def refusal(run: Run) -> tuple[str, str]:
    failure = run.nodes[NodeId("a")].failure
    assert failure is not None
    return failure.code, failure.message


async def test_what_was_not_encrypted_with_the_workers_key_is_refused(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.start_worker("w1", ORCHESTRATE_FLEET_KEY="ab" * 32)
    for key, why in ((None, "it is not encrypted"), ("cd" * 32, "it was not encrypted with")):
        if key is not None:
            monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", key)
        async with opened(yard) as project:
            engine = await project.engine()
            seen = await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))
        code, message = refusal(seen)
        assert code in {"ORDER_REFUSED", "ANSWER_REFUSED"}, (why, message)
    assert yard.traced() == []
    monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", "ab" * 32)
    async with opened(yard) as project:
        engine = await project.engine()
        seen = await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))
    assert seen.status is RunStatus.COMPLETED, seen.message


async def test_values_of_megabytes_travel_through_the_store_in_both_directions(
    fleet_server: Server, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    with closing(Yard(tmp_path, fleet_server.address, blobs=f"file://{store}")) as yard:
        yard.start_worker("w1", "--blobs", f"file://{store}")
        reads = {"context": {"inputs": [{"key": "made"}], "outputs": [{"key": "size"}]}}
        made = {"context": {"outputs": [{"key": "made"}]}}
        async with opened(yard) as project:
            engine = await project.engine()
            nodes = [node("a", "make 5000000", **made), node("b", "go", "a", **reads)]
            seen = await ended(engine, await project.start(RunRequest(source=command(*nodes))))
        made_by_a = seen.nodes[NodeId("a")].outputs["made"]
        assert isinstance(made_by_a, ValueRef)
        assert made_by_a.size > 5_000_000
        assert max(path.stat().st_size for path in (store / "messages").iterdir()) > 5_000_000
        assert len(yard.traced()) == 2


async def test_a_fleet_that_is_not_there_is_said_at_once(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATION_FLEET__CONNECT", "127.0.0.1:1")
    async with opened(yard) as project, asyncio.timeout(SECONDS):
        with pytest.raises(EnvironmentFault) as refused:
            await project.start(RunRequest(source=command(node("a", "go"))))
    assert refused.value.code == "FLEET_UNREACHABLE"


async def test_a_namespace_that_is_not_there_is_said_at_once(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATION_FLEET__NAMESPACE", "elsewhere")
    async with opened(yard) as project, asyncio.timeout(SECONDS):
        with pytest.raises(EnvironmentFault, match='no namespace "elsewhere"') as refused:
            await project.start(RunRequest(source=command(node("a", "go"))))
    assert refused.value.code == "FLEET_UNREACHABLE"
    worker = yard.start_worker("w1", "--namespace", "elsewhere", says="FLEET_UNREACHABLE")
    assert worker.terminate() == 0
    assert "Traceback" not in worker.log.read_text(encoding="utf-8")


async def test_model_agents_need_a_worker_that_runs_them_and_not_claude_code_here(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATION_FLEET__AGENTS", '["claude", "process"]')
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    agent = yard.project / ".claude" / "agents" / "thinker.md"
    agent.write_text("---\nname: thinker\ndescription: Thinks\n---\nThink.")
    yard.trust()
    async with opened(yard) as project:
        with pytest.raises(EnvironmentFault) as refused:
            await project.start(RunRequest(source=command({**node("a", "go"), "agentId": "thinker"})))
    assert (refused.value.code, "no worker of the fleet" in refused.value.message) == ("EXECUTOR_UNAVAILABLE", True)


def test_a_worker_that_is_told_to_end_finishes_what_it_has_begun(yard: Yard) -> None:
    async def play(worker: Worker) -> Run:
        async with opened(yard) as project:
            engine = await project.engine()
            run = await project.start(RunRequest(source=command(node("a", "wait"))))
            await started(yard, 1)
            worker.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: b"finishes" in worker.log.read_bytes(), "it drains", worker.log)
            yard.open()
            return await ended(engine, run)

    worker = yard.start_worker("w1")
    seen = asyncio.run(play(worker))
    assert (seen.status, worker.process.wait(SECONDS)) == (RunStatus.COMPLETED, 0)
    assert len(yard.traced("end")) == 1


@pytest.mark.nightly
async def test_attempts_of_a_machine_that_is_gone_are_made_elsewhere(watched: Yard) -> None:
    first = watched.start_worker("w1")
    async with opened(watched) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(node("a", "wait"))))
        await started(watched, 1)
        first.kill()
        watched.start_worker("w2")
        await started(watched, 2)
        watched.open()
        seen = await ended(engine, run)
    assert (seen.status, workers_of(seen, "a")) == (RunStatus.COMPLETED, [("w1", "w1"), ("w2", "")])


@pytest.mark.nightly
async def test_a_server_that_is_away_for_a_while_loses_nothing(tmp_path: Path) -> None:
    with (
        closing(Server(tmp_path / "fleet.sqlite3")) as server,
        closing(Yard(tmp_path, server.address, heartbeat=60)) as yard,
    ):
        yard.start_worker("w1")
        async with opened(yard) as project:
            engine = await project.engine()
            nodes = [node(f"n{number}", "wait") for number in range(3)]
            run = await project.start(RunRequest(source=command(*nodes, node("last", "go", "n0"))))
            await started(yard, 3)
            server.kill()
            with suppress(TimeoutError):
                await until_never(engine, run, 10)
            server.start()
            yard.open()
            seen = await ended(engine, run)
        assert (seen.status, len(yard.traced())) == (RunStatus.COMPLETED, 4)
        assert not [one for found in seen.nodes.values() for one in found.attempts if one.lost]


@pytest.mark.nightly
@pytest.mark.parametrize("returns", [True, False])
async def test_a_run_that_is_cancelled_while_the_server_is_away_leaves_no_agent(
    tmp_path: Path, *, returns: bool
) -> None:
    """The worker hears of it when the server is back; or ends by itself what the server must take for lost."""
    with (
        closing(Server(tmp_path / "fleet.sqlite3")) as server,
        closing(Yard(tmp_path, server.address, heartbeat=5)) as yard,
    ):
        worker = yard.start_worker("w1")
        async with opened(yard) as project:
            engine = await project.engine()
            run, numbers = await at_work(yard, project)
            server.kill()
            cancelling = asyncio.create_task(engine.cancel(run))
            if returns:
                server.start()
            seen = await ended(engine, run)
            await cancelling
            assert not any(map(lives, numbers))
    assert (seen.status, len(yard.traced()), yard.traced("end")) == (RunStatus.CANCELLED, 1, [])
    assert "Traceback" not in worker.log.read_text()


@pytest.mark.nightly
async def test_no_two_attempts_of_a_node_live_when_a_worker_is_cut_off(fleet_server: Server, watched: Yard) -> None:
    wire = Wire(fleet_server.port)
    watched.start_worker("w1", wire=wire)
    async with opened(watched) as project:
        engine = await project.engine()
        run, first = await at_work(watched, project)
        wire.cut()
        watched.start_worker("w2")
        await started(watched, 2)
        assert not any(map(lives, first))
        watched.open()
        seen = await ended(engine, run)
    assert (seen.status, workers_of(seen, "a")) == (RunStatus.COMPLETED, [("w1", "w1"), ("w2", "")])


@pytest.mark.nightly
async def test_no_two_attempts_of_a_node_live_when_the_process_of_a_worker_is_stopped(watched: Yard) -> None:
    worker = watched.start_worker("w1")
    async with opened(watched) as project:
        engine = await project.engine()
        run, first = await at_work(watched, project)
        worker.child.suspend()
        await started(watched, 2)
        assert not any(map(lives, first))
        watched.open()
        seen = await ended(engine, run)
    assert (seen.status, workers_of(seen, "a")) == (RunStatus.COMPLETED, [("w1", "w1"), ("w1", "")])


@pytest.mark.nightly
async def test_an_old_copy_of_the_journal_gets_the_answers_that_it_has_missed(yard: Yard) -> None:
    yard.start_worker("w1")
    nodes = [node(f"n{number}", "wait" if number == 5 else "go") for number in range(6)]
    chain = [{**one, "dependencies": [f"n{place - 1}"] if place else []} for place, one in enumerate(nodes)]
    seen = await resumed_from_an_old_copy(yard, *chain)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert sorted(line[1] for line in yard.traced()) == [f"n{number}" for number in range(6)]


async def test_a_run_with_attempts_on_a_fleet_is_not_resumed_without_it(yard: Yard) -> None:
    yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start_in_background(RunRequest(source=command(node("a", "wait"))))
        await started(yard, 1)
        await kill_worker(engine, run)
    (yard.project / ".claude" / "orchestration.toml").unlink()
    async with opened(yard) as project:
        engine = await project.engine()
        await until_run(engine, run, lambda seen: seen.status is RunStatus.INTERRUPTED)
        with pytest.raises((EnvironmentFault, StateError)) as refused:
            await project.resume(run)
        assert refused.value.code == "FLEET_NOT_CONFIGURED"
    yard.open()
