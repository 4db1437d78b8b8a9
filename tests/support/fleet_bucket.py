"""A server with the protocol of S3 for tests, which checks signatures and keeps its buckets as folders.

Effects: starts a process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.fleet import SECONDS, until

if TYPE_CHECKING:
    from pathlib import Path

BUCKET = "fleet-store"
KEY_ID = "a-key-id-of-tests"
SECRET = "a-secret-of-tests-that-nothing-shows"  # noqa: S105 - of a server on this machine


class BucketServer:
    """The server, with one bucket."""

    def __init__(self, folder: Path) -> None:
        """*folder* has its buckets."""
        self.bucket = folder / BUCKET
        self.bucket.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._words = ["--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(self._port)]
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the bucket is reached."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nanio", "serve", *self._words, "--log-level", "error", "--no-access-log"],
            env=os.environ | {"NANIO_ACCESS_KEY": KEY_ID, "NANIO_SECRET_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "the server of the bucket answers")

    def _answers(self) -> bool:
        assert self.process.poll() is None
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                return True
        except OSError:
            return False

    def files(self, under: str) -> list[Path]:
        """The objects of the bucket below *under*; those with a dot are being written."""
        return [path for path in (self.bucket / under).rglob("[!.]*") if path.is_file()]

    def close(self) -> None:
        """End it, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(SECONDS)
