"""The command files of a project at one moment, and which of them may define a command.

Effects: reads sizes and times of files, and files whose name is not known yet.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from registry.files.listed import signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_PLAIN = re.compile(r"/[a-z0-9-]+")
Source = TypeVar("Source", bound=str)


class Listing(Generic[Source]):
    """Files, each with where it was found; what is asked of all of them is asked once."""

    def __init__(
        self, files: Iterable[tuple[Path, Source]], certain_name: Callable[[Path, Source], str | None]
    ) -> None:
        """*files* are in the order of precedence; *certain_name* is the name of the command in one, if that is sure."""
        self.files = tuple(files)
        self._certain_name = certain_name

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """A value that changes when a file is added, changed or removed."""
        return tuple((str(path), signature_of(path)) for path, _source in self.files)

    @cached_property
    def sources(self) -> dict[Path, Source]:
        """Where each file was found."""
        return dict(self.files)

    def called(self, name: str) -> list[tuple[Path, Source]]:
        """The files whose command may have *name*: of most files their own text says that it has not."""
        by_name, uncertain = self._by_name
        return [self.files[place] for place in sorted({*by_name.get(name, ()), *uncertain})]

    @cached_property
    def _by_name(self) -> tuple[dict[str, list[int]], list[int]]:
        """The places of files by name, and of those that only their conversion can name."""
        by_name: dict[str, list[int]] = defaultdict(list)
        uncertain = []
        for place, (path, source) in enumerate(self.files):
            name = self._certain_name(path, source)
            if name is None:
                uncertain.append(place)
            else:
                for one in {name, name_of_file(path)}:
                    by_name[one].append(place)
        return by_name, uncertain


def name_of_file(path: Path) -> str:
    """The name of a command that is called as its file."""
    return "/" + re.sub(r"[^a-z0-9]+", "-", path.stem.casefold()).strip("-")


def strayed(folder: Path, name: str, known: Mapping[Path, str]) -> str:
    """A sentence about the file that looks like the command *name* and is not it; empty if there is none.

    *folder* holds v1 commands, and *known* are the files that are read, with the names that they give themselves.
    """
    for path, own in known.items():
        if name_of_file(path) == name:
            return f'{path.name} has the name "{own[:200]}". '
    for suffix in (".yaml", ".yml", ".json") if _PLAIN.fullmatch(name) else ():
        if (folder / f"{name[1:]}{suffix}").is_file():
            return f"{name[1:]}{suffix} is in .claude/commands; move it to .claude/commands/v2. "
    return ""
