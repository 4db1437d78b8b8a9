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
    from collections.abc import Callable, Iterable
    from pathlib import Path

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
