"""A fleet on machines of their own, whose cables are pulled out: packets vanish, and nobody is notified."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest
from tests.support.fleet import Server, Yard, command, node, until
from tests.support.fleet_runs import opened, started, until_never, workers_of
from tests.support.network import Network, may_make_networks
from tests.support.real_agents import ended
from tests.support.workers import lives

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.processes,
    pytest.mark.nightly,
    pytest.mark.skipif(not may_make_networks(), reason="this user may not make network namespaces here"),
]


@pytest.fixture
def network() -> Iterator[Network]:
    with closing(Network()) as network:
        yield network


@pytest.fixture
def server(network: Network, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", "ab" * 32)  # needed off this machine
    with closing(Server(host=network.server, inside=network.at_server)) as server:
        yield server


def far(network: Network, server: Server) -> dict[str, object]:
    """How the worker in its namespace is started."""
    return {"at": f"{network.server_of_worker}:{server.port}", "inside": network.at_worker}


async def test_a_worker_that_is_cut_off_ends_what_it_runs_and_works_again_when_it_is_back(
    network: Network, server: Server, tmp_path: Path
) -> None:
    with closing(Yard(tmp_path, server.address, heartbeat=2, insecure=True)) as yard:
        first = yard.start_worker("w1", "--insecure", **far(network, server))  # type: ignore[arg-type]
        async with opened(yard) as project:
            engine = await project.engine()
            run = await project.start(RunRequest(source=command(node("a", "wait"))))
            await asyncio.to_thread(until, lambda: bool(yard.traced("child")), "the grandchild runs")
            numbers = [yard.traced()[0][2], yard.traced("child")[0][2]]
            network.cut(worker=True)
            second = yard.start_worker("w2", "--insecure")
            await started(yard, 2)
            assert not any(map(lives, numbers))
            yard.open()
            seen = await ended(engine, run)
            assert workers_of(seen, "a") == [("w1", "w1"), ("w2", "")]
            second.terminate()
            network.heal(worker=True)
            seen = await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))
        assert (seen.status, workers_of(seen, "a")) == (RunStatus.COMPLETED, [("w1", "")])
        assert first.process.poll() is None


async def test_a_coordinator_that_is_cut_off_for_a_while_loses_nothing(
    network: Network, server: Server, tmp_path: Path
) -> None:
    with closing(Yard(tmp_path, server.address, heartbeat=60, insecure=True)) as yard:
        yard.start_worker("w1", "--insecure", **far(network, server))  # type: ignore[arg-type]
        async with opened(yard) as project:
            engine = await project.engine()
            run = await project.start(RunRequest(source=command(node("a", "wait"), node("b", "go", "a"))))
            await started(yard, 1)
            network.cut(worker=False)
            yard.open()  # it ends while no one can hear that
            with suppress(TimeoutError):
                await until_never(engine, run, 10)
            network.heal(worker=False)
            seen = await ended(engine, run)
    assert (seen.status, len(yard.traced())) == (RunStatus.COMPLETED, 2)
    assert not [one for found in seen.nodes.values() for one in found.attempts if one.lost]


async def test_a_server_behind_a_cable_that_is_out_is_said_within_ten_seconds(
    network: Network, server: Server, tmp_path: Path
) -> None:
    network.cut(worker=False)
    with closing(Yard(tmp_path, server.address, insecure=True)) as yard:
        async with opened(yard) as project, asyncio.timeout(10):
            with pytest.raises(EnvironmentFault) as refused:
                await project.start(RunRequest(source=command(node("a", "go"))))
    assert refused.value.code == "FLEET_UNREACHABLE"
