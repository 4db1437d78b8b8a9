"""The journal of a project that cannot be written to: a copy, renewed whenever the original has changed.

Effects: copies into a given folder. Commits stay in the copy, for as long as this is open.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from engine.statefolder.links import JOURNAL
from engine.storage.copies import SHARED_ENDING, WAL_ENDING, copy_journal
from engine.storage.database import connect, faults
from engine.storage.sqlite import BUSY_SECONDS, SqliteStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.ids import OwnerId
    from engine.storage.port import Batch, Follow, TableOutcome

T = TypeVar("T")
Signature: TypeAlias = tuple[object, ...]

_HEADER = 136
"""Bytes of the index beside a database that change with each commit, unlike coarse file times."""


class CopiedStorage(SqliteStorage):
    """Shows what others commit at the next query; never writes to their journal."""

    def __init__(self, place: Path, journal: Path, *, found: Callable[[], Path | None]) -> None:
        """*place* is an empty folder for the copy of *journal*.

        *found* returns the folder with the trusted journal, or None; it is called before each copy, and may raise.
        """
        super().__init__(place)
        self._copies = place
        self._original = journal
        self._found = found
        self._copied: Signature | None = None
        self._commits: list[tuple[Batch, OwnerId]] = []

    async def commit(self, batch: Batch, owner: OwnerId, follow: Follow | None = None) -> list[TableOutcome]:
        """Keep *batch* in the copy, and in later copies."""
        outcomes = await super().commit(batch, owner, follow)
        self._commits.append((batch, owner))
        return outcomes

    async def _call(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        return await super()._call(self._renewed, function, *args)

    def _renewed(self, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401 - arguments of *function*
        signature = self._signature()
        if signature != self._copied:
            self._renew()
            self._copied = signature
        return function(*args)

    def _signature(self) -> Signature:
        """A value that changes whenever the original does."""
        states = (_state(_beside(self._original, ending)) for ending in ("", WAL_ENDING))
        try:
            with _beside(self._original, SHARED_ENDING).open("rb") as file:
                return (*states, file.read(_HEADER))
        except OSError:
            return (*states, None)

    def _renew(self) -> None:
        """Copy the current original in one transaction, so that concurrent readers see the earlier state."""
        with faults(self._original), tempfile.TemporaryDirectory(dir=self._copies) as name:
            place = Path(name)
            folder = self._found()
            if folder is not None:
                copy_journal(folder, place)
            with closing(connect(place / JOURNAL.name, BUSY_SECONDS, lambda _owner: False)) as copy:
                copy.backup(self._db)
        self._chains.clear()
        self._data_version = -1
        for batch, owner in self._commits:
            self._begin(batch, owner, followed=False)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}{ending}")


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
