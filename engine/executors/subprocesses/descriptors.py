"""Descriptor helpers for small processes, which import little and have no event loop.

Effects: reads, writes and closes the given descriptors, makes pipes.
"""

from __future__ import annotations

import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


def polled(*descriptors: int | None) -> select.poll:
    poll = select.poll()
    for descriptor in descriptors:
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    return poll


def woken_by_children() -> int:
    """A descriptor that becomes readable when a child changes its state."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def handle_of(pid: int) -> int | None:
    """A descriptor that becomes readable when *pid* has ended; None if the kernel has no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def emptied(reading: int) -> None:
    try:
        while os.read(reading, 4096):
            pass
    except BlockingIOError:
        return


def exactly(descriptor: int, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = read(descriptor, count - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)


def read(descriptor: int, count: int = 4096) -> bytes:
    """Empty at the end, also after an error."""
    try:
        return os.read(descriptor, count)
    except OSError:
        return b""


def write(descriptor: int, line: bytes) -> None:
    try:
        os.write(descriptor, line)
    except OSError:  # the server is gone
        return


def close(descriptors: Collection[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def close_all_but(*kept: int) -> None:
    """Close all descriptors of this process except *kept*. Linux only."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:  # the folder itself, closed by now
                continue
