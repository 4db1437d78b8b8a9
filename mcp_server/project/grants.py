"""Stores the user's answers outside every project: the items of each project that the user said yes to.

Effects: reads and writes one file in the user's configuration folder, mode 0600. It decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from engine.errors import EnvironmentFault
from engine.statefolder.user_files import changing, configuration_folder, load_private, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VERSION = 2


class Grant(TypedDict):
    """One answer."""

    content: str
    """The item's `content` at that time."""
    place: str
    """The item's `place`."""
    at: str
    """When, in ISO 8601."""
    lines: list[str]
    """The lines that were shown, cut; they have to be made safe to show, like all text of a project."""
    files: dict[str, str]
    """Digests of the covered files at that time, to say later which have changed."""


def trust_file(home: Path | None = None) -> Path:
    """The file with the user's answers."""
    return configuration_folder(home) / "trust.json"


class Grants:
    """The answers in one file."""

    def __init__(self, file: Path) -> None:
        """*file* is read with each question."""
        self.file = file

    def of(self, project: Path) -> dict[str, Grant]:
        """The answers for the project at *project*, by item id."""
        return self.all().get(str(project), {})

    def all(self) -> dict[str, dict[str, Grant]]:
        """By project root and item id; empty if the file is damaged, of another version, or writable by others."""
        try:
            found = self._read()
        except (OSError, ValueError):
            return {}
        return found if found is not None else {}

    @property
    def outdated(self) -> bool:
        """Whether there are answers of an earlier version, which covered less and are no longer valid."""
        try:
            data = load_private(self.file)
        except (OSError, ValueError):
            return False
        return isinstance(data, dict) and data.get("version") == 1 and bool(data.get("projects"))

    def change(self, change: Callable[[dict[str, dict[str, Grant]]], None]) -> None:
        """Apply *change* to the answers and store them. Raises `EnvironmentFault` if that fails."""
        try:
            with changing(self.file):
                projects = {} if self.outdated else self._read() or {}
                change(projects)
                write_private(self.file, {"version": VERSION, "projects": projects})
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EnvironmentFault(
                f"the answer cannot be stored in {self.file}: {reason}",
                code="TRUST_NOT_KEPT",
                hint="Make the file writable, or remove it if it is damaged; every project then asks again.",
            ) from None

    def _read(self) -> dict[str, dict[str, Grant]] | None:
        """None if there is no file. Raises `ValueError` for a file that this version has not written."""
        try:
            data = load_private(self.file)
        except FileNotFoundError:
            return None
        if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("projects"), dict):
            raise ValueError("it was not written by this version")
        return {
            project: {item: grant for item, grant in items.items() if _is_grant(grant)}
            for project, items in data["projects"].items()
            if isinstance(items, dict)
        }


def _is_grant(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    texts = all(isinstance(value.get(key), str) for key in ("content", "place", "at"))
    return texts and isinstance(value.get("lines"), list) and isinstance(value.get("files"), dict)
