"""A cache of digests of a project's files, kept between checks in a folder of the user.

Effects: reads and writes files of mode 0600. The cache can be lost: the project is then read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from registry.trust.modules import State

MAX_ENTRIES_KEPT = 10_000
"""Maximum number of cached files, and folders of modules, of one project."""
MAX_PROJECTS = 200
_VERSION = 1
_KEPT = "kept-"

Table: TypeAlias = "dict[str, list[Any]]"
"""State (None if it may change unnoticed) and digest of the modules of one folder, by path."""


def index_folder(configuration: Path, root: Path) -> Path:
    """The cache folder of the project at *root*, in the user's *configuration*."""
    return configuration / "digests" / hashlib.sha256(os.fsencode(root)).hexdigest()[:32]


class Index:
    """One small file for every check, and one for the modules of each folder, read only if one has changed."""

    def __init__(self, folder: Path | None) -> None:
        """*folder* is this project's; None: nothing is cached."""
        self._folder = folder
        data = {} if folder is None else _load(folder / "index.json")
        current = data.get("version") == _VERSION
        self._files: dict[str, list[Any]] = data.get("files", {}) if current else {}
        self._folders: dict[str, list[str]] = data.get("folders", {}) if current else {}
        self._tables: dict[str, Table] = {}
        self._changed = False

    def file(self, name: str, state: State) -> str | None:
        """The digest of a file that still has this *state*."""
        known = self._files.get(name)
        return str(known[1]) if known is not None and tuple(known[0]) == state else None

    def put_file(self, name: str, state: State, digest: str) -> None:
        """Store the digest of a file."""
        self._files[name] = [state, digest]
        self._changed = True

    def folder(self, name: str, print_: str) -> str | None:
        """The digest of the modules of a folder, if the fingerprint of their states is still *print_*."""
        known = self._folders.get(name)
        return known[1] if known is not None and known[0] == print_ else None

    def put_folder(self, name: str, print_: str, digest: str, table: Table) -> None:
        """Store the modules of a folder."""
        self._folders[name] = [print_, digest]
        self._tables[name] = table
        self._changed = True

    def table(self, name: str) -> Table:
        """The modules of a folder as last stored."""
        return self._tables[name] if name in self._tables else self._read(name)

    def kept(self, name: str) -> Table:
        """The modules of a folder as they were at the last `keep`."""
        return self._read(name, _KEPT)

    def keep(self, name: str) -> None:
        """Save the current modules of a folder."""
        if self._folder is not None and name in self._folders:
            self.write()
            with contextlib.suppress(OSError):
                shutil.copy(self._folder / _file_name(name), self._folder / _file_name(name, _KEPT))

    def write(self) -> None:
        """Write the cache; if that fails, the next check reads more."""
        if self._folder is None or not self._changed:
            return
        for found in (self._files, self._folders):
            for name in [*found][: max(0, len(found) - MAX_ENTRIES_KEPT)]:
                del found[name]
        with contextlib.suppress(OSError):
            _make_room(self._folder)
            for name, table in self._tables.items():
                _store(self._folder / _file_name(name), {"modules": table})
            data = {"version": _VERSION, "files": self._files, "folders": self._folders}
            _store(self._folder / "index.json", data)
        self._changed = False

    def _read(self, name: str, prefix: str = "") -> Table:
        if self._folder is None or name not in self._folders:
            return {}
        table: Table = _load(self._folder / _file_name(name, prefix)).get("modules", {})
        return table


def _file_name(name: str, prefix: str = "") -> str:
    return f"{prefix}{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"


def _make_room(folder: Path) -> None:
    """Make *folder*; remove the least recently used projects if there are too many."""
    if folder.exists():
        return
    folder.mkdir(mode=0o700, parents=True)
    others = sorted(folder.parent.iterdir(), key=lambda other: other.stat().st_mtime)
    for other in others[: max(0, len(others) - MAX_PROJECTS)]:
        shutil.rmtree(other, ignore_errors=True)


def _load(path: Path) -> dict[str, Any]:
    """The cached content; empty if it is damaged or others can write it."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
                return {}
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _store(path: Path, value: dict[str, Any]) -> None:
    """Replace a file atomically, mode 0600; it may be lost in a crash of the machine."""
    number, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="ascii") as file:
            json.dump(value, file, separators=(",", ":"))
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
