"""A fleet whose store is a bucket, of a server that checks the signatures of requests."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from engine.errors import EnvironmentFault
from engine.executors.fleet.store import Store, StoreFault
from engine.ids import NodeId
from engine.run.events import RunStatus, ValueRef
from mcp_server.project.project import RunRequest
from tests.support.fleet import Server, Yard, command, node, until
from tests.support.fleet_bucket import BUCKET, SECRET, BucketServer
from tests.support.fleet_files import LINES, FilesYard
from tests.support.fleet_files import node as isolated
from tests.support.fleet_runs import opened, started, until_never
from tests.support.real_agents import ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from engine.run.state import Run

pytestmark = [
    pytest.mark.processes,
    pytest.mark.measured,
]
URL = f"s3://{BUCKET}/of/a/project"
MADE = {"context": {"outputs": [{"key": "made"}]}}
READS = {"context": {"inputs": [{"key": "made"}]}}
LARGE = 5_000_000


def variables(monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    """The bucket, with the variables that lead to it."""
    variables(monkeypatch, bucket_server.environment)
    yield bucket_server
    for path in bucket_server.files(""):
        path.unlink()


async def ran(yard: Yard, *nodes: dict[str, object]) -> Run:
    async with opened(yard) as project:
        engine = await project.engine()
        return await ended(engine, await project.start(RunRequest(source=command(*nodes))))


def holds(folder: Path, what: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and what in path.read_bytes()]


async def test_values_of_megabytes_travel_through_a_bucket_which_cannot_read_them(
    fleet_server: Server, bucket: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", "ab" * 32)
    with closing(Yard(tmp_path, fleet_server.address, blobs=URL)) as yard:
        yard.start_worker("w1", "--blobs", URL)
        seen = await ran(yard, node("a", f"make {LARGE}", **MADE), node("b", "go", "a", **READS))
        assert seen.status is RunStatus.COMPLETED, seen.message
        made = seen.nodes[NodeId("a")].outputs["made"]
        assert isinstance(made, ValueRef)
        assert made.size > LARGE
        stored = bucket.files("of/a/project/messages")
        assert sorted(path.stat().st_size > LARGE for path in stored) == [True, True]  # an answer and an order
        assert not [path for path in stored if b"x" * 100 in path.read_bytes()]
        assert holds(tmp_path, SECRET.encode()) == []


async def test_isolated_agents_exchange_their_files_through_a_bucket(
    fleet_server: Server, bucket: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", "ab" * 32)
    with closing(FilesYard(tmp_path, fleet_server.address, url=URL)) as yard:
        yard.start_worker("w1")
        large = f"write('large.txt', ''.join(map(str, range({LARGE // 6}))))"
        seen = await ran(yard, isolated("a", f"replace('lines.txt', 'line 2\\n', 'of a\\n'); {large}"))
        assert seen.status is RunStatus.COMPLETED, seen.message
        assert yard.read("lines.txt") == LINES.replace("line 2\n", "of a\n")
        assert len(yard.read("large.txt")) > LARGE * 0.9
        bundles = bucket.files("of/a/project/git")
        assert len(bundles) >= 2
        assert not [path for path in bundles if b"git bundle" in path.read_bytes()]


async def test_a_bucket_that_is_away_for_longer_than_a_heartbeat_loses_nothing(
    fleet_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets").mkdir()
    with closing(BucketServer(tmp_path / "buckets")) as bucket:
        variables(monkeypatch, bucket.environment)
        with closing(Yard(tmp_path, fleet_server.address, blobs=URL, heartbeat=2)) as yard:
            yard.start_worker("w1", "--blobs", URL)
            async with opened(yard) as project:
                engine = await project.engine()
                nodes = [node("a", "wait"), node("b", f"make {LARGE}", "a", **MADE)]
                run = await project.start(RunRequest(source=command(*nodes)))
                await started(yard, 1)
                bucket.close()
                yard.open()
                await asyncio.to_thread(until, lambda: len(yard.traced("end")) == 2, "both programs have ended")
                with suppress(TimeoutError):
                    await until_never(engine, run, 6)
                bucket.start()
                seen = await ended(engine, run)
            assert (seen.status, len(yard.traced())) == (RunStatus.COMPLETED, 2), seen.message
            assert [len(one.attempts) for one in seen.nodes.values()] == [1, 1]


@pytest.mark.parametrize("fault", ["altered", "removed"])
async def test_an_order_that_was_altered_or_removed_in_the_bucket_is_refused(
    fault: str, fleet_server: Server, bucket: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATE_FLEET_KEY", "ab" * 32)
    with closing(Yard(tmp_path, fleet_server.address, blobs=URL)) as yard:
        yard.start_worker("w1", "--blobs", URL, "--once")
        async with opened(yard) as project:
            engine = await project.engine()
            nodes = [node("a", f"make {LARGE}", **MADE), node("b", "go", "a", **READS)]
            run = await project.start(RunRequest(source=command(*nodes)))
            under = "of/a/project/messages"
            await asyncio.to_thread(until, lambda: len(bucket.files(under)) == 2, "the order is in the bucket")
            for path in bucket.files(under):
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 1
                path.unlink() if fault == "removed" else path.write_bytes(data)
            yard.start_worker("w2", "--blobs", URL)
            seen = await ended(engine, run)
        failure = seen.nodes[NodeId("b")].failure
        assert failure is not None
        assert (failure.code, "w2" in failure.message) == ("ORDER_REFUSED", True), failure.message
        assert [line[1] for line in yard.traced()] == ["a"]


def taken_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("url", "changed", "why"),
    [
        (URL, {"AWS_SECRET_ACCESS_KEY": "a-wrong-one"}, "SignatureDoesNotMatch"),
        (URL, {"AWS_ACCESS_KEY_ID": "a-wrong-one"}, "InvalidAccessKeyId"),
        ("s3://no-such-bucket/x", {}, "NoSuchBucket"),
        (URL, {"AWS_ENDPOINT_URL": taken_port()}, "error sending request"),
    ],
)
async def test_a_bucket_that_cannot_be_used_is_said_in_time(
    url: str, changed: dict[str, str], why: str, bucket: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables(monkeypatch, changed)
    async with asyncio.timeout(10):
        with pytest.raises(StoreFault) as fault:
            await Store(url).check()
    assert (why in fault.value.message, "\n" in fault.value.message) == (True, False), fault.value.message
    assert (fault.value.code, "AWS_ACCESS_KEY_ID" in str(fault.value.hint)) == ("FLEET_STORE_FAILED", True)
    assert not [one for one in ("a-wrong-one", SECRET) if one in str(fault.value)]
    if why == "NoSuchBucket":
        with pytest.raises(StoreFault, match="NoSuchBucket"):
            await Store(url).get("messages/1")
    assert bucket.files("") == []


async def test_a_bucket_that_does_not_answer_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        variables(monkeypatch, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        variables(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
        async with asyncio.timeout(10):
            with pytest.raises(StoreFault, match="no answer within 8 s"):
                await Store(URL).check()


async def test_neither_a_run_nor_a_worker_starts_without_its_bucket(
    fleet_server: Server, bucket: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-one")
    assert bucket.process.poll() is None
    with closing(Yard(tmp_path, fleet_server.address, blobs=URL)) as yard:
        async with opened(yard) as project:
            with pytest.raises(EnvironmentFault) as refused:
                await project.start(RunRequest(source=command(node("a", "go"))))
        yard.start_worker(
            "w1", "--blobs", URL, says=f"FLEET_STORE_FAILED: the store {URL} of the fleet failed: Signature"
        )
    assert refused.value.code == "FLEET_STORE_FAILED"
