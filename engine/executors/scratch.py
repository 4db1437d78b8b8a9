"""A private folder inside the project for one attempt, removed with it.

Effects: makes and removes folders in `tmp` of the state folder, mode 0700, files 0600. It usually lies inside the
project, where an agent may read files without a permission.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from engine.errors import EnvironmentFault
from engine.statefolder.identity import this_process
from engine.statefolder.links import make_below, state_of
from engine.statefolder.owners import Servers, owners_of, records

_NAME = "tmp"
_OWNER = re.compile(r"(?:(?P<world>[0-9a-f]{12})-)?(?P<pid>\d{1,10})-(?:(?P<start>\d+)-)?")
"""The first version named the process by its id alone."""


@contextlib.contextmanager
def scratch_folder(project: Path) -> Iterator[Path]:
    """A new folder under *project*, removed with its content on exit; EnvironmentFault if it cannot be made."""
    place = state_of(project).inside(_NAME)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_whose()}-", dir=make_below(*place)))
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make a private folder in {place.folder}: {error}",
            hint="Free some disk space, or make the folder writable.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_file(project: Path, name: str, data: bytes) -> Path:
    """A private file that stays as long as this process; the same *name* is written once.

    EnvironmentFault if it cannot be made.
    """
    place = state_of(project).inside(_NAME).inside(f"{_whose()}-host")
    path = place.folder / name
    try:
        make_below(*place)
        if not path.exists():
            write_private(path, data)
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written: {error}", hint="Free some disk space, or make the folder writable."
        ) from error
    return path


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only this user may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def remove_abandoned(project: Path) -> int:
    """Remove the folders of processes that have ended, at the start of a server; returns their number."""
    place = state_of(project).inside(_NAME).folder
    servers = Servers(records(owners_of(project)))
    removed = 0
    for folder in place.iterdir() if place.is_dir() and not place.is_symlink() else ():
        owner = _OWNER.match(folder.name)
        start = owner and owner["start"]
        if owner and not servers.live(owner["world"], int(owner["pid"]), int(start) if start else None):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _whose() -> str:
    """The owner of a folder, as later processes identify it."""
    process = this_process()
    return f"{process.world}-{process.pid}-{process.start}"
