"""Programs of a fleet end when they are told to, also if the fleet's server has gone."""

from __future__ import annotations

import json
import platform
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.fleet import SECONDS, Server, Yard, command, node, until
from tests.support.installed import ORCHESTRATE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

IS_FREED = """
import os
from engine.executors.fleet.connection import _runtime
class Witness:
    def __del__(self, tell=os.write):
        tell(1, b"freed")
_runtime().witness = Witness()
"""
HEAPS = """
import ctypes, re, sys, threading
from engine.executors.fleet.connection import _runtime
_runtime()
together = threading.Barrier(12)
def allocate():
    together.wait()
    kept.append([bytes(2000) for _ in range(100)])
    together.wait()
kept = []
threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(len(re.findall("<heap nr=", open(sys.argv[1]).read())))
"""
LOSES_ITS_SERVER = """
import asyncio, os, sys
from engine.errors import EnvironmentFault
from engine.executors.fleet.connection import Address, connect
async def main():
    while True:
        try:
            link = await connect(Address(connect=sys.argv[1]))
            break
        except EnvironmentFault:  # it has just been started
            pass
    os.kill(int(sys.argv[2]), 9)
    try:
        await asyncio.wait_for(link.client.get_activity_handle("r-1:a#1").result(), 4)
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)
asyncio.run(main())
"""


def test_no_program_waits_for_the_librarys_threads_when_it_ends() -> None:
    """They may wait for the interpreter: in one of twenty ends on a busy machine, for ever."""
    ran = subprocess.run([sys.executable, "-c", IS_FREED], capture_output=True, check=True, timeout=SECONDS)
    assert ran.stdout == b""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps by thread are of the GNU C library")
def test_the_librarys_threads_share_two_heaps(tmp_path: Path) -> None:
    """Dozens of them had one each."""
    words = [sys.executable, "-c", HEAPS, str(tmp_path / "heaps.xml")]
    ran = subprocess.run(words, capture_output=True, check=True, timeout=SECONDS)
    assert int(ran.stdout) <= 2


def test_nothing_is_written_to_stdout_when_the_server_is_away() -> None:
    """It belongs to the client of an MCP server."""
    with closing(Server()) as server:
        words = [sys.executable, "-c", LOSES_ITS_SERVER, server.address, str(server.process.pid)]
        ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert (ran.stdout, bool(ran.stderr)) == ("", True)


def test_a_run_whose_server_has_gone_is_left_at_once_and_can_be_resumed(tmp_path: Path) -> None:
    with closing(Server()) as server, closing(Yard(tmp_path, server.address)) as yard:
        yard.start_worker("w1")
        (yard.project / "traced.json").write_text(json.dumps(command(node("a", "wait"))))
        words = [ORCHESTRATE, "run", "traced.json"]
        process = subprocess.Popen(
            words, cwd=yard.project, env=yard.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            try:
                until(lambda: len(yard.traced()) == 1, "the program has started")
                server.kill()
                process.send_signal(signal.SIGINT)
                assert process.stderr is not None
                while "repeat to exit at once" not in process.stderr.readline():
                    pass
                process.send_signal(signal.SIGINT)
                _, stderr = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        assert (process.returncode, "Traceback" in stderr) == (130, False), stderr
        words = [ORCHESTRATE, "status", "--json"]
        asked = subprocess.run(words, cwd=yard.project, env=yard.environment, capture_output=True, check=True)
        assert json.loads(asked.stdout)["state"] == "interrupted"


def test_a_worker_whose_server_has_gone_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with closing(Server()) as server, closing(Yard(tmp_path, server.address)) as yard:
        worker = yard.start_worker("w1")
        server.kill()
        assert worker.terminate() == 0


def test_a_worker_that_hangs_ends_when_it_is_told_to_a_second_time(yard: Yard) -> None:
    worker = yard.start_worker("w1")
    worker.child.suspend()
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: b"asked to end" in worker.log.read_bytes(), "it has heard that", worker.log)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(SECONDS) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_of_a_lab_ends_with_the_program_that_has_started_it(tmp_path: Path, number: signal.Signals) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    words = ["fleet", "up", "--port", str(port), "--state", str(tmp_path / "state.sqlite3")]
    with subprocess.Popen([ORCHESTRATE, *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            until(answers, "the server answers")
            parts = [psutil.Process(process.pid), *psutil.Process(process.pid).children()]
            process.send_signal(number)
            assert process.wait(SECONDS) == 0
            assert not [one for one in parts if one.is_running()]
        finally:
            process.kill()


def test_a_worker_that_is_asked_to_end_before_it_is_ready_ends_as_asked(yard: Yard) -> None:
    worker = yard.start_worker("w1", at="127.0.0.1:1", says="FLEET_UNREACHABLE")
    assert worker.terminate() == 0
