"""The files with the logs of attempts: one folder for each run, `logs/RUN` in the state folder.

Effects: writes, reads and removes these files.

Theory of operation. A log must not fill the disk however much an agent prints, must lose its oldest part first, and
must be readable by other processes while it grows. So it is a row of segments, files that only grow. Each is named
after the place where it starts, counted from the start of the whole log, so that a place always means the same: a
reader that returns with its last place finds what was added, or sees by how much the log has moved on. Only the two
newest segments of an attempt are kept, and of a run as many as fit `MAX_RUN_BYTES`; the oldest go first. Entries are
lines of JSON, and none lies in two segments. A line without an end is still being written, or its writer was killed.

Files are opened without following links: a project's files are not trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from engine.ids import RunId
from engine.model.log import LogEntry, LogKind
from engine.statefolder.links import make_below
from engine.statefolder.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.ids import NodeId
    from engine.statefolder.links import Place

LOGS = "logs"
"""The folder of all logs in the state folder."""
MAX_SEGMENT_BYTES = 512 * 1024
SEGMENTS_KEPT = 2
"""Segments of one attempt that are kept, the newest ones."""
MAX_RUN_BYTES = 64 * 1024 * 1024
"""Space for the logs of one run."""
MAX_PIECE_LENGTH = 16 * 1024
"""Characters of one entry; longer texts become several."""
_BLOCK = 4096
"""A small file takes this much space."""
_READ_BYTES = 256 * 1024
_RUN = re.compile(r"[A-Za-z0-9-]{1,64}")
_DECODER = msgspec.json.Decoder(LogEntry)


class Page(NamedTuple):
    """A part of a log."""

    entries: list[LogEntry]
    place: int
    """Where the next part starts."""


def name_of(node: NodeId, number: int) -> str:
    """The name of the log of an attempt; two ids never share one, also where case does not matter."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", node)[:40]
    return f"{readable}-{hashlib.sha256(node.encode()).hexdigest()[:16]}-{number}"


class RunFolder:
    """The logs of one run, for the process that runs it."""

    def __init__(self, state: Place, run: RunId) -> None:
        """Find what earlier processes have written. Raises `OSError`, and `EnvironmentFault` for a link."""
        if _RUN.fullmatch(run) is None:
            raise ValueError(run)
        self.folder = make_below(*state.inside(LOGS).inside(run))
        found = sorted(
            (entry.stat().st_mtime_ns, entry.name, entry.stat().st_size) for entry in os.scandir(self.folder)
        )
        self._sizes = {name: _space(size) for _, name, size in found}
        self._total = sum(self._sizes.values())
        self._open: set[str] = set()

    def log(self, node: NodeId, number: int) -> LogFile:
        """A new log for an attempt."""
        return LogFile(self, name_of(node, number))

    def grew(self, name: str, size: int) -> None:
        """Note the size of a segment, and make room if all of them take too much."""
        self._total += _space(size) - self._sizes.get(name, 0)
        self._sizes[name] = _space(size)
        self._open.add(name)
        if self._total > MAX_RUN_BYTES:
            for other in [other for other in self._sizes if other not in self._open]:
                self.remove(other)
                if self._total <= MAX_RUN_BYTES - MAX_SEGMENT_BYTES:  # so that it need not be done each time
                    return

    def closed(self, name: str) -> None:
        """Note that a segment no longer grows."""
        self._open.discard(name)

    def remove(self, name: str) -> None:
        """Remove a segment."""
        self._total -= self._sizes.pop(name, 0)
        self._open.discard(name)
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()


def _space(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


class LogFile:
    """The log of one attempt, which only its owner writes."""

    def __init__(self, run: RunFolder, name: str) -> None:
        """Nothing is written yet."""
        self._run = run
        self._name = name
        self._starts = [0]
        self._size = 0

    def append(self, entries: Iterable[LogEntry]) -> None:
        """Add *entries*. Raises `OSError`."""
        data = bytearray()
        for entry in entries:
            line = _encoded(entry)
            if self._size + len(data) + len(line) > MAX_SEGMENT_BYTES and self._size + len(data):
                self._write(data)
                self._turn()
                data.clear()
            data += line
        self._write(data)

    def close(self) -> None:
        """Note that it no longer grows."""
        self._run.closed(self._segment)

    @property
    def _segment(self) -> str:
        return f"{self._name}.{self._starts[-1]}"

    def _write(self, data: bytearray) -> None:
        if not data:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe blocks
        descriptor = os.open(self._run.folder / self._segment, flags, 0o600)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._size += len(data)
        self._run.grew(self._segment, self._size)

    def _turn(self) -> None:
        """Start a new segment, and remove the oldest."""
        self._run.closed(self._segment)
        self._starts.append(self._starts[-1] + self._size)
        self._size = 0
        while len(self._starts) > SEGMENTS_KEPT:
            self._run.remove(f"{self._name}.{self._starts.pop(0)}")


def _encoded(entry: LogEntry) -> bytes:
    try:
        return msgspec.json.encode(entry) + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, from JSON of a model
        text, by = (part.encode("utf-8", "replace").decode() for part in (entry.text, entry.by))
        return msgspec.json.encode(msgspec.structs.replace(entry, text=text, by=by)) + b"\n"


def pieces(text: str) -> Iterator[str]:
    """*text* in pieces for entries, cut after lines where possible."""
    while len(text) > MAX_PIECE_LENGTH:
        end = text.rfind("\n", 0, MAX_PIECE_LENGTH) + 1 or MAX_PIECE_LENGTH
        yield text[:end]
        text = text[end:]
    yield text


class LogReader:
    """Reads the logs of one run, of any process, while they grow."""

    def __init__(self, state: Place, run: RunId) -> None:
        """*state* is the place of the state folder; a run without logs has empty ones."""
        self._folder = state.inside(LOGS).inside(run).folder if _RUN.fullmatch(run) is not None else None
        self._segments: dict[str, list[int]] = {}
        self.look()

    def look(self) -> None:
        """Look for new segments."""
        self._segments = {}
        if self._folder is None or not _is_folder(self._folder):
            return
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                name, _, start = entry.name.rpartition(".")
                if start.isascii() and start.isdigit():
                    self._segments.setdefault(name, []).append(int(start))

    def read(self, node: NodeId, number: int, place: int = 0) -> Page:
        """The entries of a log from *place* on, a part of them if there are many.

        There are no more if the page has none. Parts removed before they were read are an entry that says so.
        """
        name = name_of(node, number)
        for start in sorted(self._segments.get(name, ())):
            data = self._read(name, start, max(0, place - start))
            if data:
                begin = max(place, start)
                entries = [entry for line in data.splitlines() if (entry := _decoded(line)) is not None]
                lost = begin - place if entries else begin - place + len(data)
                return Page([*_gap(lost, entries), *entries], begin + len(data))
        return Page([], place)

    def _read(self, name: str, start: int, offset: int) -> bytes:
        """Whole lines of a segment; none if it has been removed."""
        assert self._folder is not None  # noqa: S101 - it has segments
        try:
            with os.fdopen(open_regular(self._folder / f"{name}.{start}", os.O_NOFOLLOW), "rb") as file:
                file.seek(offset)
                data = file.read(_READ_BYTES)
        except OSError:
            return b""
        return data[: data.rfind(b"\n") + 1]


def _gap(size: int, entries: Sequence[LogEntry]) -> list[LogEntry]:
    if size <= 0:
        return []
    return [LogEntry(entries[0].at if entries else 0, LogKind.LEFT_OUT, size=size)]


def _decoded(line: bytes) -> LogEntry | None:
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:  # the disk was full in the middle of it
        return None


def remove_logs(state: Place, runs: Iterable[RunId]) -> None:
    """Remove the logs of *runs*."""
    for run in runs:
        folder = state.inside(LOGS).inside(run).folder
        if _RUN.fullmatch(run) is not None and _is_folder(folder):
            shutil.rmtree(folder, ignore_errors=True)  # it follows no links


def runs_with_logs(state: Place) -> list[RunId]:
    """The runs that have logs."""
    try:
        with os.scandir(state.inside(LOGS).folder) as entries:
            return [RunId(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _is_folder(folder: Path) -> bool:
    try:
        return stat.S_ISDIR(folder.lstat().st_mode) and not folder.parent.is_symlink()
    except OSError:
        return False
