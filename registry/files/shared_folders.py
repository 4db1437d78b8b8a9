"""Folders of commands and agents that lie outside of the project, since `.claude` or a folder in it is a link there.

Effects: follows links on disk; opens nothing. Projects that share one configuration have it so. A link may as well have
come with a clone, so that nothing behind it is listed or read before the user's yes, and then nothing but commands and
agents.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.model.trust import ItemKind, TrustItem, trust_item
from registry.files.places import BASE

_BASE = str(BASE)
_KINDS = ("commands", "commands/v2", "agents")

Follows = Callable[[TrustItem], bool]
"""Whether the user has said yes to a link."""


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A link that leads out of the project."""

    name: str
    """Of the link, from the project's root on."""
    target: Path
    folders: tuple[Path, ...]
    """What may be read behind it; resolved."""

    def __str__(self) -> str:
        """What there is to say of it, in one line."""
        return f"{self.name} is a link to {self.target}"

    def item(self, root: Path) -> TrustItem:
        """It, as the user says yes to it in the project *root*."""
        target = os.fsencode(self.target).decode("utf-8", "backslashreplace")
        return trust_item(
            ItemKind.LINK,
            self.name,
            summary=f"commands and agents are read from {target}",
            lines=(f"{self.name} is a link to {target}", "commands and agents are read from there"),
            content={"target": target},
            place={"project": os.fsencode(root).decode("utf-8", "backslashreplace")},
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """Where files of the project may be read."""

    folders: tuple[Path, ...]
    """Its root, and folders that lie elsewhere; resolved."""
    waiting: tuple[SharedFolder, ...] = ()
    """Links that the user has not said yes to."""

    def covers(self, folder: Path) -> bool:
        """Whether *folder*, links followed, lies where files may be read."""
        real = Path(os.path.realpath(folder))
        return any(real.is_relative_to(one) for one in self.folders)

    @property
    def advice(self) -> str:
        """What to do about links that wait; empty where there are none."""
        if not self.waiting:
            return ""
        links = ", ".join(map(str, self.waiting))
        return f"{links}: commands and agents there are read after your yes; `orchestrate trust` shows it and asks"


class Surroundings:
    """Where files of one project may be read, asked with every look at its commands: without a link it costs little."""

    def __init__(self, root: Path, follows: Follows) -> None:
        """*root* is a resolved path; *follows* says which of its links the user has agreed to."""
        self._root = root
        self._follows = follows
        self._places = [os.fspath(root / _BASE), *(os.fspath(root / _BASE / kind) for kind in _KINDS)]
        self._alone = Reach((root,))

    def reach(self) -> Reach:
        """Where files may be read now."""
        if not any(map(os.path.islink, self._places)):
            return self._alone
        found = shared_folders(self._root)
        waiting = tuple(one for one in found if not self._follows(one.item(self._root)))
        read = (folder for one in found if one not in waiting for folder in one.folders)
        return Reach((self._root, *read), waiting)


def shared_folders(root: Path) -> list[SharedFolder]:
    """The links of the project *root*, a resolved path, behind which its commands or agents are."""
    base = root / _BASE
    found: list[SharedFolder] = []
    if os.path.islink(base):  # noqa: PTH114 - asked with every look at the commands
        real = Path(os.path.realpath(base))
        if real.is_dir() and not real.is_relative_to(root):
            found.append(SharedFolder(_BASE, real, (real / "commands", real / "agents")))
    for kind in _KINDS:
        place = base / kind
        if found or os.path.islink(place):  # noqa: PTH114
            real = Path(os.path.realpath(place))
            known = (root, *(folder for one in found for folder in one.folders))
            if real.is_dir() and not any(real.is_relative_to(one) for one in known):
                found.append(SharedFolder(f"{_BASE}/{kind}", real, (real,)))
    return found


def shared_items(root: Path) -> Iterator[TrustItem]:
    """The links of the project *root* as items that wait for a yes."""
    for one in shared_folders(root):
        yield one.item(root)
