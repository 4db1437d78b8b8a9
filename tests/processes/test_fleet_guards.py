"""A fleet whose server wants TLS with certificates, or an API key."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.executors.fleet.connection import API_KEY_VARIABLE, Address, connect
from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest, open_project
from tests.support.fleet import Server, Yard, command, node
from tests.support.fleet_tls import Authority, Gate
from tests.support.real_agents import ended

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.run.state import Run

pytestmark = [
    pytest.mark.processes,
    pytest.mark.measured,
]


async def refused(address: Address, environment: Mapping[str, str]) -> str:
    """The code of the error of a connection, which comes within ten seconds."""
    async with asyncio.timeout(10):
        with pytest.raises(EnvironmentFault) as fault:
            await connect(address, environment)
    return fault.value.code


async def played(yard: Yard) -> Run:
    async with open_project(yard.project, home=yard.home) as project:
        engine = await project.engine()
        return await ended(engine, await project.start(RunRequest(source=command(node("a", "go")))))


async def test_certificates_open_the_way_and_others_are_refused_in_time(fleet_server: Server, tmp_path: Path) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    cert, key = map(str, ours.issue("client"))
    foreign_cert, foreign_key = map(str, others.issue("foreign"))
    ca = str(ours.file)
    with closing(Gate(fleet_server.port, ours.issue("server"), clients=ours)) as gate:
        wrong = [
            Address(connect=gate.address, tls_ca=str(others.file), tls_cert=cert, tls_key=key),
            Address(connect=gate.address, tls_ca=ca),
            Address(connect=gate.address, tls_ca=ca, tls_cert=foreign_cert, tls_key=foreign_key),
            Address(connect=gate.address),
        ]
        assert set(await asyncio.gather(*(refused(one, {}) for one in wrong))) == {"FLEET_UNREACHABLE"}
        files = {"tls_ca": ca, "tls_cert": cert, "tls_key": key}
        with closing(Yard(tmp_path, gate.address, **files)) as yard:
            yard.start_worker("w1", "--tls-ca", ca, "--tls-cert", cert, "--tls-key", key)
            assert (await played(yard)).status is RunStatus.COMPLETED


async def test_an_api_key_is_sent_with_each_request(
    fleet_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Authority(tmp_path, "ours")
    ca = str(ours.file)
    with closing(Gate(fleet_server.port, ours.issue("server"), api_key="ace012")) as gate:
        address = Address(connect=gate.address, tls_ca=ca)
        keys: tuple[dict[str, str], ...] = ({}, {API_KEY_VARIABLE: "ace010"})
        assert set(await asyncio.gather(*(refused(address, one) for one in keys))) == {"FLEET_UNREACHABLE"}
        monkeypatch.setenv(API_KEY_VARIABLE, "ace012")
        with closing(Yard(tmp_path, gate.address, tls_ca=ca)) as yard:
            yard.start_worker("w1", "--tls-ca", ca)
            assert (await played(yard)).status is RunStatus.COMPLETED
