"""The identity of a process among all processes of all machines that may see a project's folder.

Effects: reads facts about the machine and its processes.

A pid alone identifies nothing: it is reused, and each PID namespace (a container) has its own. A pid with the start
time of its process identifies one process of one *world*: one boot of one machine, seen from one PID namespace.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
import sys
from pathlib import Path

import msgspec
import psutil

HAS_PROC = Path("/proc/self/stat").exists()
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process; all fields but host name and pid are hashes, and may be empty if unknown."""

    hostname: str
    machine: str
    """Unchanged by a restart of the machine."""
    boot: str
    """New after each restart; containers of one machine share it, and the locks of its kernel."""
    world: str
    """The scope in which *pid* and *start* identify a process."""
    pid: int
    start: int
    """When it started, in a unit that setting the clock does not change."""

    def shares_locks_with(self, other: Process) -> bool:
        """Whether both run on one kernel, so that each sees the locks of the other."""
        if self.boot and other.boot:
            return self.boot == other.boot
        return self.machine == other.machine


def this_process() -> Process:
    """The current process."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> Process:
    """Cached by pid, since a fork is another process."""
    hostname, boot = socket.gethostname(), _boot()
    return Process(
        hostname=hostname,
        machine=_hash(_machine() or hostname),
        boot=_hash(boot) if boot else "",
        world=_hash("\0".join((boot or hostname, _namespace("pid"), _namespace("user")))),
        pid=pid,
        start=started(pid) or 0,
    )


def started(pid: int) -> int | None:
    """When the process *pid* of this world started; None if there is none, or it has already ended."""
    try:
        if HAS_PROC:
            status = Path(f"/proc/{pid}/stat").read_bytes()
            state, *fields = status[status.rindex(b")") + 2 :].split()
            return None if state in {b"Z", b"X"} else int(fields[18])
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 100)
    except (OSError, ValueError, psutil.Error):
        return None


def _machine() -> str:
    if sys.platform == "darwin":
        return _sysctl("kern.uuid")
    for path in _MACHINE_IDS:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = Path(path).read_text(encoding="ascii").strip()
            if len(text) == 32:  # noqa: PLR2004 -- any other content means that there is none yet
                return text
    return ""


def _boot() -> str:
    if sys.platform == "darwin":
        return _sysctl("kern.bootsessionuuid")
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""


def _namespace(kind: str) -> str:
    with contextlib.suppress(OSError):
        return str(os.stat(f"/proc/self/ns/{kind}").st_ino)  # noqa: PTH116 -- the link itself has no content
    return ""


def _sysctl(name: str) -> str:
    """A value from the kernel of macOS; empty if unavailable."""
    import ctypes  # noqa: PLC0415 -- there only

    with contextlib.suppress(OSError, AttributeError):
        ask, size = ctypes.CDLL(None).sysctlbyname, ctypes.c_size_t(128)
        buffer = ctypes.create_string_buffer(size.value)
        if ask(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            return buffer.value.decode("ascii", "replace")
    return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
