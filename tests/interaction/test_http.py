from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS

from mcp_server.protocol.http import TOKEN
from tests.interaction.projects import ERAS, Era, call, environment
from tests.interaction.promises import keeps
from tests.interaction.task_client import EXTENSION
from tests.support.installed import ORCHESTRATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SERVE = [ORCHESTRATE, "serve", "--http"]


@contextlib.contextmanager
def served(
    project: Path, *, port: str = "0", token: str | None = None
) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    """Address, token and process of the program `orchestrate serve --http`."""
    env = {**environment(project), **({} if token is None else {TOKEN: token})}
    with subprocess.Popen([*SERVE, port], cwd=project, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = process.stderr.readline().strip()
            told = process.stderr.readline().rpartition(": ")[2].strip()
            yield address, told, process
        finally:
            process.kill()


def client_of(address: str, token: str, era: Era) -> tuple[httpx2.AsyncClient, Client]:
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=40)
    return http, Client(streamable_http_client(address, http_client=http), mode=era, read_timeout_seconds=40)


@pytest.mark.parametrize("era", ERAS)
@keeps("http", "eras")
async def test_a_client_with_the_token_runs_commands(project: Path, era: Era) -> None:
    with served(project) as (address, token, process):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/mcp", address)
        http, client = client_of(address, token, era)
        async with http, client:
            status = await call(client, "run", command="/hello", wait_seconds=30)
            assert status["state"] == "completed"
        process.terminate()
        process.wait(timeout=30)


REQUEST = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic c2VjcmV0OnNlY3JldA=="}, 401),
        ({"Authorization": "Bearer right", "Host": "evil.example"}, 421),
        ({"Authorization": "Bearer right", "Origin": "http://evil.example"}, 403),
    ],
)
@keeps("http")
def test_a_request_without_the_token_or_from_elsewhere_is_refused(
    project: Path, headers: dict[str, str], status: int
) -> None:
    with served(project, token="right") as (address, told, _):  # noqa: S106 - made up
        assert told == "as set"
        answer = httpx2.post(address, json=REQUEST, headers={**ACCEPT, **headers}, timeout=30)
        assert answer.status_code == status


@pytest.mark.parametrize("given", ["Bearer right", "bearer right", "BEARER  right"])
@keeps("http")
def test_the_scheme_of_the_token_may_be_written_in_any_case(project: Path, given: str) -> None:
    with served(project, token="right") as (address, _, _process):  # noqa: S106 - made up
        answer = httpx2.post(address, json=REQUEST, headers={**ACCEPT, "Authorization": given}, timeout=30)
    assert answer.status_code not in {401, 403}


@pytest.mark.parametrize(
    ("name", "code"), [("r-000000000000", INVALID_PARAMS), ("r-other", HEADER_MISMATCH), (None, INVALID_PARAMS)]
)
@keeps("http", "task-errors")
def test_a_header_that_names_another_task_than_the_request_is_refused(
    project: Path, name: str | None, code: int
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}},
    }
    request = {**REQUEST, "method": "tasks/get", "params": {"taskId": "r-000000000000", "_meta": meta}}
    headers = {**ACCEPT, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tasks/get"}
    headers |= {"Mcp-Name": name} if name is not None else {}
    with served(project, token="right") as (address, _, _process):  # noqa: S106 - made up
        answer = httpx2.post(address, json=request, headers={**headers, "Authorization": "Bearer right"}, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@keeps("http", "signals")
async def test_on_a_signal_what_runs_is_interrupted(project: Path, number: signal.Signals) -> None:
    with served(project) as (address, token, process):
        http, client = client_of(address, token, "legacy")
        async with http, client:
            started = await call(client, "run", command="/wait")
            process.send_signal(number)
            process.wait(timeout=30)
    rows = listed(project, ["status", started["runId"], "--json"])
    assert '"state": "interrupted"' in rows


@keeps("http", "errors")
def test_a_port_that_is_taken_is_named(project: Path) -> None:
    with served(project) as (address, _, _process):
        port = address.split(":")[2].removesuffix("/mcp")
        done = subprocess.run(
            [*SERVE, port],
            cwd=project,
            env=environment(project),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 2
    assert "PORT_UNUSABLE" in done.stderr


def listed(project: Path, arguments: Sequence[str]) -> str:
    done = subprocess.run(
        [ORCHESTRATE, *arguments],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout
