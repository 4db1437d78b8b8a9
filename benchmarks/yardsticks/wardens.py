"""Programs below wardens by the least that could be done: one selector, no engine, no event loop.

Effects: starts processes, reads what they write.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

from engine.executors.subprocesses.wardens import Request, Wardens, packed


def run_all(wardens: Wardens, requests: list[tuple[Request, bytes]], *, at_once: int) -> list[bytes]:
    """Run all *requests*, each with its stdin, *at_once*; gives what each wrote to stdout, as they ended."""
    waiting = list(reversed(requests))
    answers: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(at_once):
            _start(wardens, selector, waiting, answers)
        while selector.get_map():
            for key, _events in selector.select():
                key.data()
    return answers


def _start(
    wardens: Wardens, selector: selectors.BaseSelector, waiting: list[tuple[Request, bytes]], answers: list[bytes]
) -> None:
    if not waiting:
        return
    request, stdin = waiting.pop()
    lifeline, theirs = socket.socketpair()
    pipes = [os.pipe() for _ in range(3)]
    given, streams = [pipes[0][0], pipes[1][1], pipes[2][1]], [pipes[1][0], pipes[2][0]]
    os.write(pipes[0][1], stdin)
    os.close(pipes[0][1])
    wardens.give([theirs.fileno(), *given])
    theirs.close()
    for descriptor in given:
        os.close(descriptor)
    lifeline.sendall(packed(request))
    written = bytearray()
    open_ones = 3

    def closed(descriptor: int) -> None:
        nonlocal open_ones
        selector.unregister(descriptor)
        open_ones -= 1
        if open_ones == 0:
            answers.append(bytes(written))
            _start(wardens, selector, waiting, answers)

    def reader(stream: int, keep: bytearray | None) -> Callable[[], None]:
        def read() -> None:
            data = os.read(stream, 65536)
            if data and keep is not None:
                keep.extend(data)
            elif not data:
                closed(stream)
                os.close(stream)

        return read

    def answered() -> None:
        data = b""
        with suppress(ConnectionError):
            data = lifeline.recv(4096)
        if not data or b"ended" in data:
            closed(lifeline.fileno())
            lifeline.close()

    selector.register(lifeline.fileno(), selectors.EVENT_READ, answered)
    for stream, keep in zip(streams, (written, None), strict=True):
        selector.register(stream, selectors.EVENT_READ, reader(stream, keep))
