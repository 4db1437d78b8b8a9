"""The output of the SDK, without the answers that the door has already given.

Effects: writes to the client; the door compares and stores answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.door.handover import HandOver


class Stdout:
    """The standard output that the SDK gets in place of its own."""

    def __init__(self, door: HandOver) -> None:
        """*door* has the stream."""
        self._door = door

    async def write(self, line: str) -> None:
        """Write *line*. Raises `OSError` if the client has gone."""
        await asyncio.to_thread(self._door.write, line, _is_secret)

    async def flush(self) -> None:
        """Do nothing: each line is written at once."""


def _is_secret(text: str) -> bool:
    from engine.text.redaction import redact  # noqa: PLC0415 - compiles patterns that a good start does not need

    return redact(text) != text
