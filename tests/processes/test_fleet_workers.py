"""Which worker takes which attempt, and when a worker ends."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import urllib.request

import pytest

from engine.executors.fleet.connection import Address, connect
from engine.ids import NodeId, attempt_id
from engine.run.events import RunStatus
from engine.views.status import warnings_of
from mcp_server.project.project import RunRequest
from tests.support.fleet import AGENT, SECONDS, Yard, command, node, until
from tests.support.fleet_runs import opened, started, workers_of
from tests.support.real_agents import ended
from tests.support.real_agents import until as until_run
from tests.support.small_disks import full, may_mount, small_disk

pytestmark = pytest.mark.processes


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def probed(port: int) -> str:
    """The answer to a probe."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as answer:
        assert answer.status == 200
        return str(answer.read().decode())


async def test_an_agent_with_labels_waits_for_a_worker_that_has_them(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of those that wait, and a worker of another version, are said too."""
    agent = AGENT.replace("name: tracer", "name: trainer\nlabels: [gpu]")
    (yard.project / ".claude" / "agents" / "trainer.md").write_text(agent)
    yard.trust()
    monkeypatch.setattr("mcp_server.project.fleet.version", lambda: "0.0.0-other")
    yard.start_worker("w1")
    async with opened(yard) as project:
        engine = await project.engine()
        nodes = [node("plain", "go"), {**node("labelled", "go", priority=20), "agentId": "trainer"}]
        run = await project.start(RunRequest(source=command(*nodes)))
        await until_run(engine, run, lambda seen: bool(seen.nodes[NodeId("plain")].outputs))
        link = await connect(Address(connect=yard.address))
        waiting = await link.client.get_activity_handle(attempt_id(run, NodeId("labelled"), 1)).describe()
        assert (waiting.last_started_time, waiting.priority.priority_key) == (None, 1)
        yard.start_worker("w2", "--label", "gpu", "--label", "linux", "--slots", "1")
        seen = await ended(engine, run)
        warnings = warnings_of(seen)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert [one.worker for one in seen.nodes[NodeId("labelled")].attempts] == ["w2"]
    assert any("w1 has version" in one and "the coordinator 0.0.0-other" in one for one in warnings), warnings


async def test_a_worker_for_one_attempt_answers_probes_takes_it_and_ends(yard: Yard) -> None:
    port = free_port()
    worker = yard.start_worker("w1", "--once", "--health", str(port))
    assert await asyncio.to_thread(probed, port) == "ok"
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(node("a", "go"), node("b", "go", "a"))))
        assert await asyncio.to_thread(worker.process.wait, SECONDS) == 0
        assert len(yard.traced()) == 1
        last = yard.start_worker("w2", "--idle-exit", "1")
        seen = await ended(engine, run)
    assert [seen.nodes[NodeId(name)].attempts[0].worker for name in ("a", "b")] == ["w1", "w2"]
    assert await asyncio.to_thread(last.process.wait, SECONDS) == 0


def test_a_worker_whose_port_for_probes_is_in_use_says_so(yard: Yard) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        worker = yard.start_worker("w1", "--health", str(taken.getsockname()[1]), says="PORT_UNUSABLE")
    assert "Traceback" not in worker.log.read_text()
    worker.terminate()


async def test_a_worker_that_cannot_keep_notes_returns_attempts_until_it_can(yard: Yard) -> None:
    """It would fail them at once, and so be handed most of them."""
    port = free_port()
    first = yard.start_worker("w1", "--health", str(port), XDG_STATE_HOME=str(yard.folder / "state"))
    (notes,) = (yard.folder / "state" / "orchestration-mcp" / "workers").iterdir()
    shutil.move(notes, yard.folder / "away")
    async with opened(yard) as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=command(*(node(f"n{number}", "go") for number in range(6)))))
        await asyncio.to_thread(until, lambda: b"cannot write in" in first.log.read_bytes(), "it says so", first.log)
        assert (await asyncio.to_thread(probed, port)).startswith(f"cannot write in {notes}: ")
        second = yard.start_worker("w2")
        seen = await ended(engine, run)
        assert seen.status is RunStatus.COMPLETED, seen.message
        assert [workers_of(seen, name) for name in seen.nodes] == [[("w2", "")]] * 6
        second.terminate()
        shutil.move(yard.folder / "away", notes)
        again = await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))
    assert workers_of(again, "a") == [("w1", "")]
    assert await asyncio.to_thread(probed, port) == "ok"
    log = first.log.read_text()
    assert [log.count(text) for text in ("no attempts are taken", "taken again", "Traceback")] == [1, 1, 0]


@pytest.mark.skipif(not may_mount(), reason="this user may not mount a small disk here")
async def test_a_worker_whose_project_is_on_a_full_disk_takes_attempts_when_there_is_space_again(yard: Yard) -> None:
    with small_disk(yard.folder / "w1"):
        shutil.copytree(yard.project, yard.folder / "w1", dirs_exist_ok=True)
        worker = yard.start_worker("w1")
        async with opened(yard) as project:
            engine = await project.engine()
            with full(yard.folder / "w1"):
                run = await project.start(RunRequest(source=command(node("a", "go"))))
                said = f"cannot write in {worker.folder}: No space left on device".encode()
                await asyncio.to_thread(until, lambda: said in worker.log.read_bytes(), "it says so", worker.log)
            seen = await ended(engine, run)
        worker.terminate()
    assert (seen.status, workers_of(seen, "a")) == (RunStatus.COMPLETED, [("w1", "")])


async def test_all_queues_of_a_worker_are_served_though_they_share_its_slots(yard: Yard) -> None:
    agents = yard.project / ".claude" / "agents"
    for label in ("gpu", "linux", "big"):
        (agents / f"{label}.md").write_text(AGENT.replace("name: tracer", f"name: {label}\nlabels: [{label}]"))
    yard.trust()
    yard.start_worker("w1", "--label", "gpu", "--label", "linux", "--label", "big", "--slots", "1")
    async with opened(yard) as project:
        engine = await project.engine()
        named = ["tracer", "gpu", "linux", "big"] * 3
        nodes = [{**node(f"n{number}", "go"), "agentId": name} for number, name in enumerate(named)]
        seen = await ended(engine, await project.start(RunRequest(source=command(*nodes))))
    assert seen.status is RunStatus.COMPLETED, seen.message
    until(lambda: len(yard.traced("end")) == len(named), "all have ended")


def labelled(yard: Yard, *labels: str) -> None:
    """An agent for each of *labels*, of its name."""
    for label in labels:
        agent = AGENT.replace("name: tracer", f"name: {label}\nlabels: [{label}]")
        (yard.project / ".claude" / "agents" / f"{label}.md").write_text(agent)
    yard.trust()


async def test_a_worker_for_one_attempt_with_several_queues_takes_one_in_all_and_gives_the_others_back(
    yard: Yard,
) -> None:
    labelled(yard, "gpu", "linux", "big")
    options = ("--label", "gpu", "--label", "linux", "--label", "big")
    first = yard.start_worker("w1", *options, "--once")
    async with opened(yard) as project:
        engine = await project.engine()
        named = ["tracer", "gpu", "linux", "big"] * 2
        nodes = [{**node(f"n{number}", "go"), "agentId": name} for number, name in enumerate(named)]
        run = await project.start(RunRequest(source=command(*nodes)))
        assert await asyncio.to_thread(first.process.wait, SECONDS) == 0
        yard.start_worker("w2", *options)
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED, seen.message
    places = [line[3] for line in yard.traced()]
    assert (len(places), places.count(str(yard.folder / "w1"))) == (len(named), 1)
    assert [len(one.attempts) for one in seen.nodes.values()] == [1] * len(named)


async def test_a_worker_that_is_told_to_end_takes_nothing_new_from_any_of_its_queues(yard: Yard) -> None:
    labelled(yard, "gpu")
    first = yard.start_worker("w1", "--label", "gpu")
    async with opened(yard) as project:
        engine = await project.engine()
        long = await project.start(RunRequest(source=command({**node("a", "wait"), "agentId": "gpu"})))
        await started(yard, 1)
        first.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(until, lambda: b"finishes" in first.log.read_bytes(), "it drains", first.log)
        short = await project.start(RunRequest(source=command(node("b", "go"))))
        yard.start_worker("w2")
        assert workers_of(await ended(engine, short), "b") == [("w2", "")]
        yard.open()
        assert workers_of(await ended(engine, long), "a") == [("w1", "")]
    assert await asyncio.to_thread(first.process.wait, SECONDS) == 0


async def test_workers_that_are_told_to_end_lose_nothing_of_what_waits(yard: Yard) -> None:
    """The server loses an attempt that it hands to a poll which its worker ends at that moment."""
    labelled(yard, "gpu", "linux", "big")
    options = ("--label", "gpu", "--label", "linux", "--label", "big", "--slots", "2")
    workers = [yard.start_worker(f"w{number}", *options) for number in range(3)]
    async with opened(yard) as project:
        engine = await project.engine()
        named = ["tracer", "gpu", "linux", "big"] * 12
        nodes = [{**node(f"n{number}", "go"), "agentId": name} for number, name in enumerate(named)]
        run = await project.start(RunRequest(source=command(*nodes)))
        for number, worker in enumerate(workers[1:]):
            await started(yard, 6 * (number + 1))
            worker.process.send_signal(signal.SIGTERM)
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPLETED, seen.message
    assert [len(one.attempts) for one in seen.nodes.values()] == [1] * len(named)
    assert [await asyncio.to_thread(worker.process.wait, SECONDS) for worker in workers[1:]] == [0, 0]
    assert not [worker.name for worker in workers if "Traceback" in worker.log.read_text()]
