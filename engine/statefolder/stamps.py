"""The stamps of the state folders that this user made: a secret in each folder, known in the user's configuration.

Effects: reads and writes one file of the user, and the stamp in a state folder. The file holds hashes, which reveal no
stamp.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import EnvironmentFault
from engine.statefolder import user_files

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
STAMP = "stamp"
"""The file in a state folder that holds its stamp."""
MAX_ENTRIES_KEPT = 10_000
"""Stamps kept, newest first."""
_FORM = re.compile(r"[0-9a-f]{64}")
_LONGEST = 100


def new_stamp() -> str:
    """An unguessable stamp."""
    return secrets.token_hex(32)


def read_stamp(folder: Path) -> str | None:
    """The stamp in *folder*; None if there is none, or something else in its place."""
    try:
        opened = os.open(folder / STAMP, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                return None
            text = file.read(_LONGEST).decode("ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _FORM.fullmatch(text) else None


def write_stamp(folder: Path, stamp: str) -> None:
    """Write *stamp* to *folder*, replacing an earlier one."""
    new = folder / f"{STAMP}-{secrets.token_hex(4)}"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(stamp + "\n")
    new.replace(folder / STAMP)


class Stamps(msgspec.Struct, frozen=True):
    """The stamps that one user knows."""

    file: Path

    def place(self, stamp: str) -> Path | None:
        """The last known place of the folder with *stamp*; None if this user made no such folder.

        Raises `EnvironmentFault` (STAMP_NOT_KEPT) if the file cannot be trusted.
        """
        with self._reported("cannot be read"):
            entry = self._read().get("folders", {}).get(_hash(stamp))
            return None if entry is None else Path(entry["path"])

    @contextlib.contextmanager
    def changing(self) -> Iterator[Changes]:
        """Note stamps while no other process can; they are written when the block ends without an error.

        Raises `EnvironmentFault` (STAMP_NOT_KEPT).
        """
        with self._reported("cannot be written"), user_files.changing(self.file):
            data = self._read()
            if data.get("version", VERSION) != VERSION:
                raise ValueError("it was not written by this version")
            changes = Changes([])
            yield changes
            folders: dict[str, Any] = data.setdefault("folders", {})
            for stamp, path in changes.noted:
                folders.pop(_hash(stamp), None)
                number = 1 + max((entry["number"] for entry in folders.values()), default=0)
                folders[_hash(stamp)] = {"path": str(path), "number": number}
            for old in sorted(folders, key=lambda name: folders[name]["number"])[:-MAX_ENTRIES_KEPT]:
                del folders[old]
            user_files.write_private(self.file, {**data, "version": VERSION})

    def _read(self) -> dict[str, Any]:
        try:
            data = user_files.load_private(self.file)
        except FileNotFoundError:
            return {}
        if not isinstance(data, dict):
            raise TypeError("it was not written by this version")
        return data

    @contextlib.contextmanager
    def _reported(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EnvironmentFault(
                f"{self.file}, the list of this user's state folders, {what}: {reason}",
                code="STAMP_NOT_KEPT",
                hint="Make it writable for yourself alone, or choose another folder with XDG_CONFIG_HOME. If it is "
                "damaged, remove it; every state folder then asks for `orchestrate trust --state`.",
            ) from error


class Changes(msgspec.Struct, frozen=True):
    """Stamps to note, with the folders that carry them."""

    noted: list[tuple[str, Path]]

    def note(self, stamp: str, folder: Path) -> None:
        """Remember that *folder* carries *stamp*."""
        self.noted.append((stamp, folder))


def open_stamps(home: Path | None = None) -> Stamps:
    """The stamps that this user knows; *home* as in `configuration_folder`."""
    return Stamps(user_files.configuration_folder(home) / "state.json")


def _hash(stamp: str) -> str:
    return hashlib.sha256(stamp.encode("ascii")).hexdigest()
