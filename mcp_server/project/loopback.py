"""A port that only programs of this machine reach.

Effects: listens on it.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"


@contextlib.contextmanager
def loopback(port: int = 0) -> Iterator[tuple[socket.socket, int]]:
    """A listening socket on the loopback interface, and its port: *port*, or a free one.

    Raises `EnvironmentFault` (PORT_UNUSABLE).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen()
        except OSError as error:
            raise EnvironmentFault(
                f"port {port} cannot be used: {error.strerror}",
                code="PORT_UNUSABLE",
                hint="Choose another port; 0 picks a free one.",
            ) from None
        yield listening, listening.getsockname()[1]
