"""Whether a worker has room to work: while it has none it takes no attempts, and goes on when there is some again.

Effects: writes files without a name where its notes and its agents' files are, for a moment; logs each change. Attempts
fail at once where nothing can be written, so that a worker which went on to take them would be handed most of them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_server.fleet.slots import SharedSlots

LOOK = 5.0
"""Seconds between two looks."""
AMOUNT = 1 << 16
"""Bytes for which there must be room."""
_NONE: frozenset[int | None] = frozenset()
_GUARDED: frozenset[int | None] = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Errors of a folder that may be read-only on purpose."""

log = logging.getLogger(__name__)


class Room:
    """The room of one worker; its slots follow each look."""

    def __init__(self, notes: Path, folder: Path, slots: SharedSlots, *, writes: bool) -> None:
        """*folder* is the worker's copy of the project; it may be read-only unless *writes*."""
        self._places = ((notes, _NONE), (folder, _NONE if writes else _GUARDED))
        self._slots = slots
        self.lacking: str | None = None
        """Why no attempts are taken; None: they are."""

    async def check(self) -> str | None:
        """Look; returns `lacking`."""
        lacking = await asyncio.to_thread(self._look)
        if lacking is not None and self.lacking is None:
            log.warning("no attempts are taken for now: %s", lacking)
        elif lacking is None and self.lacking is not None:
            log.warning("attempts are taken again")
        self.lacking = lacking
        self._slots.pause(lacking is not None)
        return lacking

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK)
            await self.check()

    def _look(self) -> str | None:
        for folder, spared in self._places:
            try:
                with tempfile.TemporaryFile(dir=folder) as file:
                    file.write(bytes(AMOUNT))
                    file.flush()
            except OSError as error:
                if error.errno not in spared:
                    return f"cannot write in {folder}: {error.strerror}"
        return None
