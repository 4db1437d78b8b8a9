"""Folders of commands and agents outside the project, which `.claude` or a folder in it links to.

Effects: follows links on disk; opens nothing. Projects that share one configuration use such links. But a link may
also have come with a clone, so nothing behind it is listed or read before the user approves it, and then only
commands and agents.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from engine.model.trust import ItemKind, TrustItem, trust_item
from registry.files.places import BASE

_KINDS = ("commands", "commands/v2", "agents")

Follows = Callable[[TrustItem], bool]
"""Whether the user has approved a link."""


class SharedFolder(msgspec.Struct, frozen=True):
    """A link that points outside the project."""

    name: str
    """Path of the link, relative to the project root."""
    target: Path
    folders: tuple[Path, ...]
    """The readable folders behind it; resolved."""

    def __str__(self) -> str:
        """The link and its target, in one line."""
        return f"{self.name} is a link to {self.target}"

    def item(self, root: Path) -> TrustItem:
        """The link as an item for approval in the project *root*."""
        target = os.fsencode(self.target).decode("utf-8", "backslashreplace")
        return trust_item(
            ItemKind.LINK,
            self.name,
            summary=f"commands and agents are read from {target}",
            lines=(f"{self.name} is a link to {target}", "commands and agents are read from there"),
            content={"target": target},
            place={"project": os.fsencode(root).decode("utf-8", "backslashreplace")},
        )


class Reach(msgspec.Struct, frozen=True):
    """The folders where files of the project may be read."""

    folders: tuple[Path, ...]
    """The project root, and approved folders outside it; resolved."""
    waiting: tuple[SharedFolder, ...] = ()
    """Links that the user has not approved."""

    def covers(self, folder: Path) -> bool:
        """Whether *folder*, with links followed, is inside `folders`."""
        real = Path(os.path.realpath(folder))
        return any(real.is_relative_to(one) for one in self.folders)

    @property
    def advice(self) -> str:
        """The hint for links that wait for approval; empty if there are none."""
        if not self.waiting:
            return ""
        links = ", ".join(map(str, self.waiting))
        return f"{links}: commands and agents there are read once you approve them with `orchestrate trust`."


class Surroundings:
    """Computes the readable folders of one project at every listing of its commands: cheap without links."""

    def __init__(self, root: Path, follows: Follows) -> None:
        """*root* is a resolved path; *follows* says which of its links the user has approved."""
        self._root = root
        self._follows = follows
        self._places = [os.fspath(root / BASE), *(os.fspath(root / BASE / kind) for kind in _KINDS)]
        self._alone = Reach((root,))

    def reach(self) -> Reach:
        """The folders where files may currently be read."""
        if not any(map(os.path.islink, self._places)):
            return self._alone
        found = shared_folders(self._root)
        waiting = tuple(one for one in found if not self._follows(one.item(self._root)))
        read = (folder for one in found if one not in waiting for folder in one.folders)
        return Reach((self._root, *read), waiting)


def shared_folders(root: Path) -> list[SharedFolder]:
    """The links of the project *root*, a resolved path, that lead to its commands or agents."""
    base = root / BASE
    found: list[SharedFolder] = []
    if os.path.islink(base):  # noqa: PTH114 - asked with every look at the commands
        real = Path(os.path.realpath(base))
        if real.is_dir() and not real.is_relative_to(root):
            found.append(SharedFolder(BASE, real, (real / "commands", real / "agents")))
    for kind in _KINDS:
        place = base / kind
        if found or os.path.islink(place):  # noqa: PTH114
            real = Path(os.path.realpath(place))
            known = (root, *(folder for one in found for folder in one.folders))
            if real.is_dir() and not any(real.is_relative_to(one) for one in known):
                found.append(SharedFolder(f"{BASE}/{kind}", real, (real,)))
    return found


def shared_items(root: Path) -> Iterator[TrustItem]:
    """The links of the project *root* as items for approval."""
    for one in shared_folders(root):
        yield one.item(root)
