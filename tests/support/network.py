"""Machines of a test: network namespaces, each linked with the one of a server by a cable of its own.

Effects: makes network namespaces and interfaces, which only root may.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess


def may_make_networks() -> bool:
    """Whether this user may make network namespaces and interfaces here."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return False
    words = ["unshare", "--net", "ip", "link", "add", "name", "near", "type", "veth", "peer", "name", "far"]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        return False
    try:
        _ip("netns", "add", f"try-{os.getpid()}")
    except subprocess.CalledProcessError:
        return False
    _ip("netns", "delete", f"try-{os.getpid()}")
    return True


class Network:
    """A server's namespace, with a cable to this machine and one to the namespace of a worker.

    Addresses are from the range that is reserved for such tests (RFC 2544).
    """

    server = "198.18.0.2"
    """The server, seen from this machine."""
    server_of_worker = "198.18.1.1"
    """The server, seen from the worker."""

    def __init__(self) -> None:
        self._spaces = [f"{name}-{os.getpid()}" for name in ("srv", "wrk")]
        self._here = f"here{os.getpid()}"
        server, worker = self._spaces
        try:
            for space in self._spaces:
                _ip("netns", "add", space)
                _ip("-n", space, "link", "set", "dev", "lo", "up")
            _ip("link", "add", "name", self._here, "type", "veth", "peer", "name", "near", "netns", server)
            _ip("-n", server, "link", "add", "name", "far", "type", "veth", "peer", "name", "near", "netns", worker)
            ends = [
                ((), self._here, "198.18.0.1"),
                (("-n", server), "near", self.server),
                (("-n", server), "far", self.server_of_worker),
                (("-n", worker), "near", "198.18.1.2"),
            ]
            for where, name, address in ends:
                _ip(*where, "address", "add", f"{address}/24", "dev", name)
                _ip(*where, "link", "set", "dev", name, "up")
        except BaseException:
            self.close()
            raise

    @property
    def at_server(self) -> tuple[str, ...]:
        """The words that start a program in the server's namespace."""
        return ("ip", "netns", "exec", self._spaces[0])

    @property
    def at_worker(self) -> tuple[str, ...]:
        """The words that start a program in the worker's namespace."""
        return ("ip", "netns", "exec", self._spaces[1])

    def cut(self, *, worker: bool) -> None:
        """Pull out the cable between the server and the worker, or this machine: nobody is notified."""
        _ip("-n", self._spaces[0], "link", "set", "dev", "far" if worker else "near", "down")

    def heal(self, *, worker: bool) -> None:
        """Put it in again."""
        _ip("-n", self._spaces[0], "link", "set", "dev", "far" if worker else "near", "up")

    def close(self) -> None:
        """Remove all of it."""
        for space in self._spaces:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", space)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)
