"""The names of commands in JSON files, found without converting the files: to find one of many, few have to be.

Effects: reads files, and remembers the names while the files are unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from registry.files import json_file
from registry.files.listed import signature_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class PlainNames:
    """The names that are certain from the text of a file."""

    def __init__(self, name_in: Callable[[dict[str, Any]], str | None], inside: Callable[[Path], object]) -> None:
        """*name_in* finds the certain name of a definition, *inside* checks a path; both may raise InputError."""
        self._name_in = name_in
        self._inside = inside
        self._known: dict[Path, tuple[tuple[int, ...], str | None]] = {}
        self._folders: dict[Path, bool] = {}
        """Whether files of a folder that are not links are inside the project."""

    def look_again(self) -> None:
        """Check folders once more."""
        self._folders.clear()

    def find(self, path: Path, *, ours: bool) -> str | None:
        """The name of the command in *path*; None if only its conversion shows it. Links are read if *ours*."""
        signature = signature_of(path)
        if signature is None or path.suffix != ".json":
            return None
        if not ours and (path.is_symlink() or not self._is_inside(path.parent)):
            return None
        known = self._known.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        try:
            text = json_file.decode(json_file.read_bytes(path), name=path.name)
            name = self._name_in(json_file.as_object(json_file.parse(text, name=path.name), name=path.name))
        except InputError:
            return None
        self._known[path] = (signature, name)
        return name

    def _is_inside(self, folder: Path) -> bool:
        if folder not in self._folders:
            try:
                self._inside(folder)
                self._folders[folder] = True
            except InputError:
                self._folders[folder] = False
        return self._folders[folder]
