"""Which process this is, among all processes of all machines that may see a project's folder.

Effects: reads what the system says of the machine and of processes.

A number alone names nothing: it is given again, and each PID namespace (a container) has its own. A number with the
time at which its process began is one process of one *world*: one start of one machine, seen from one PID namespace.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

HAS_PROC = Path("/proc/self/stat").exists()
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process; all but the name of its host and its number are hashes, or may be empty where nothing is known."""

    hostname: str
    machine: str
    """The same after a restart of the machine."""
    boot: str
    """Another one after each restart; containers of one machine share it, and the locks of its kernel."""
    world: str
    """Where *pid* and *start* say which process is meant."""
    pid: int
    start: int
    """When it began, in a unit that no change of the clock moves."""

    def shares_locks_with(self, other: Process) -> bool:
        """Whether both run on one kernel, so that each sees what the other has locked."""
        if self.boot and other.boot:
            return self.boot == other.boot
        return self.machine == other.machine


def this_process() -> Process:
    """The process that asks."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> Process:
    """Asked for by number, since a fork is another process."""
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
    """When the process *pid* of this world began; None where there is none, or one that has ended already."""
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
            if len(text) == 32:  # noqa: PLR2004 -- anything else says that there is none yet
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
    """What the kernel of macOS says of itself; empty where it does not."""
    import ctypes  # noqa: PLC0415 -- there only

    with contextlib.suppress(OSError, AttributeError):
        ask, size = ctypes.CDLL(None).sysctlbyname, ctypes.c_size_t(128)
        buffer = ctypes.create_string_buffer(size.value)
        if ask(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) == 0:
            return buffer.value.decode("ascii", "replace")
    return ""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
