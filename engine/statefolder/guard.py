"""Believes the state folder of a project only if this user made it; creates it if there is none.

Effects: inspects, creates, moves aside and stamps the state folder, and notes stamps in the user's configuration.
Everything that reads or writes the state of a project comes through here first.
"""

from __future__ import annotations

import enum
import errno
import logging
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from engine.errors import EnvironmentFault, OrchestrationError
from engine.statefolder.links import NOT_OURS, Place, check_links, make_below, make_private, state_of
from engine.statefolder.stamps import Stamps, new_stamp, open_stamps, read_stamp, write_stamp
from engine.statefolder.tracked import is_tracked

IGNORE_ALL = "# made by orchestration-mcp: run state is not for version control\n*\n"
ASIDE = ".copied"
"""Suffix for a state folder that was copied with its project."""
_TRIES = 5
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}

log = logging.getLogger(__name__)


class Standing(enum.Enum):
    """The relation of a state folder to this user."""

    ABSENT = "absent"
    """It is missing or empty."""
    OURS = "ours"
    MOVED = "moved"
    """Ours, and its project was elsewhere before."""
    COPY = "copy"
    """A copy of one of ours that is still in its place."""
    FOREIGN = "foreign"
    """Without a stamp, or with one unknown to this user."""


class Found(msgspec.Struct, frozen=True):
    """A state folder as found."""

    folder: Path
    standing: Standing
    project: Path
    """Its project, resolved."""
    stamp: str | None = None
    origin: Path | None = None
    """Its earlier place, or the folder that it is a copy of."""
    stamps: Path | None = None
    """The file in which its stamp was looked up."""

    @property
    def story(self) -> str:
        """Its origin, as far as known."""
        if self.standing is Standing.COPY:
            return f"it is a copy of {self.origin}"
        return "it has no stamp" if self.stamp is None else f"its stamp is not listed in {self.stamps}"


def look_at(project: Path, *, home: Path | None = None) -> Found:
    """Inspect the state folder of *project* for the user of *home*; changes nothing, and reads only its stamp.

    Raises `EnvironmentFault` (STATE_NOT_OURS) if it cannot be trusted: with a link in it, or tracked by git.
    """
    place = state_of(project)
    check_links(*place)
    if is_tracked(place):
        raise EnvironmentFault(
            f"git tracks files in {place.folder}, so they may come from anyone; nothing in it is used",
            code=NOT_OURS,
            hint=f"Remove them from the repository with `git rm -r --cached {place.below}`, and commit that.",
        )
    return _found(project.resolve(), home)


def _found(project: Path, home: Path | None) -> Found:
    """Inspect the state folder of *project*. It counts as foreign only if two looks in a row agree.

    Another process that is setting it up may move it, or note its stamp, in the middle of a look.
    """
    found = _seen(project, open_stamps(home))
    for _ in range(_TRIES):
        before = found
        if before.standing is not Standing.FOREIGN:
            break
        found = _seen(project, open_stamps(home))
        if found == before:
            break
    return found


def _seen(project: Path, stamps: Stamps) -> Found:
    folder = state_of(project).folder
    if _is_absent(folder):
        return Found(folder, Standing.ABSENT, project)
    stamp = read_stamp(folder)
    known = None if stamp is None else stamps.place(stamp)
    if known is None:
        return Found(folder, Standing.FOREIGN, project, stamp, stamps=stamps.file)
    if known == folder:
        return Found(folder, Standing.OURS, project, stamp)
    if read_stamp(known) != stamp:
        return Found(folder, Standing.MOVED, project, stamp, known)
    if _are_one(known, folder):  # seen through another mount
        return Found(folder, Standing.OURS, project, stamp)
    return Found(folder, Standing.COPY, project, stamp, known)


def open_state(project: Path, *, home: Path | None = None) -> Path:
    """The state folder of *project*, which this user made; created and stamped if there is none.

    One that was copied with its project is put aside, so that the copy gets its own state. Raises `EnvironmentFault`:
    STATE_NOT_OURS for one that somebody else made, STAMP_NOT_KEPT if the user's configuration cannot be used; and
    `OSError`.
    """
    for _ in range(_TRIES):  # other processes may do the same now
        found = look_at(project, home=home)
        if found.standing is Standing.FOREIGN:
            raise refusal(found)
        if found.standing is Standing.OURS:
            make_private(found.folder, 0o700)
            return found.folder
        _put_in_order(project, open_stamps(home), home)
    folder = state_of(project).folder
    raise EnvironmentFault(f"other processes keep changing {folder}", code=NOT_OURS, hint="Try again.")


def found_state(project: Path, *, home: Path | None = None) -> Path | None:
    """The state folder of *project* for a reader; None if it has none of its own. Changes nothing.

    Raises like `open_state`.
    """
    found = look_at(project, home=home)
    if found.standing is Standing.FOREIGN:
        raise refusal(found)
    return found.folder if found.standing in {Standing.OURS, Standing.MOVED} else None


def is_copy(project: Path, *, home: Path | None = None) -> bool:
    """Whether *project* was copied with its state folder, and has no state of its own yet."""
    try:
        return _found(project.resolve(), home).standing is Standing.COPY
    except (OrchestrationError, OSError):
        return False


def is_ours(project: Path, *, home: Path | None = None) -> bool:
    """Whether this user wrote the state folder of *project*."""
    try:
        return found_state(project, home=home) is not None
    except (OrchestrationError, OSError):
        return False


def take_over(found: Found, *, home: Path | None = None) -> None:
    """Make the folder *found* this user's own: it gets a new stamp, as its author may know the old one.

    Raises like `open_state`, and if it belongs to another user.
    """
    if found.folder.stat().st_uid != os.geteuid():
        raise EnvironmentFault(
            f"{found.folder} belongs to another user", code=NOT_OURS, hint="Copy it as yourself, or `chown` it."
        )
    stamp = new_stamp()
    make_private(found.folder, 0o700)
    with open_stamps(home).changing() as known:
        known.note(stamp, found.folder)
    write_stamp(found.folder, stamp)


def refusal(found: Found) -> EnvironmentFault:
    """The fault of a folder that is not this user's."""
    return EnvironmentFault(
        f"{found.folder} was not made by this user here: {found.story}; nothing in it is used",
        code=NOT_OURS,
        hint=f"In your own terminal, `orchestrate --project {found.project} trust --state` shows its runs and "
        "takes it over if you agree; or move it away to start without it. If the home folder is not kept, as in "
        "CI, keep that file, or start with `orchestrate trust --state --yes`.",
    )


def _is_absent(folder: Path) -> bool:
    """Whether *folder* is missing or empty. Raises `OSError` if it is not a folder."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except FileNotFoundError:
        return True


def _are_one(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # another process is moving one of them aside
        return False


def _put_in_order(project: Path, stamps: Stamps, home: Path | None) -> None:
    """Set up a folder that is missing, was moved or was copied, unless another process has just done so."""
    place = state_of(project)
    _check_writable(place)
    with stamps.changing() as known:
        found = look_at(project, home=home)
        if found.standing is Standing.MOVED and found.stamp is not None:
            known.note(found.stamp, found.folder)
        if found.standing is Standing.COPY:
            _put_aside(found)
        if found.standing not in {Standing.ABSENT, Standing.COPY}:
            return
        stamp = new_stamp()
        known.note(stamp, found.folder)
    _make(place, stamp)


def _check_writable(place: Place) -> None:
    """Raise `OSError` if the folder cannot be created, before anything is noted."""
    parent = next(folder for folder in place.folder.parents if folder.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(parent))


def _put_aside(found: Found) -> None:
    """Move a copied folder out of the way, as it is."""
    number, place = 1, found.folder.with_name(found.folder.name + ASIDE)
    while os.path.lexists(place):
        number += 1
        place = found.folder.with_name(f"{found.folder.name}{ASIDE}-{number}")
    found.folder.rename(place)
    log.warning("this project is a copy and starts without the runs of %s; they are kept in %s", found.origin, place)


def _make(place: Place, stamp: str) -> None:
    """Create the folder whole or not at all; another process may be faster.

    A mount point, such as a container volume, stays in place and is filled.
    """
    parent = make_below(place.root, place.below.parent)
    new = Path(tempfile.mkdtemp(prefix=f".{place.below.name}-", dir=parent))  # mode 0700
    try:
        (new / ".gitignore").write_text(IGNORE_ALL, encoding="utf-8")
        write_stamp(new, stamp)
        new.rename(place.folder)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        if error.errno == errno.EBUSY and place.folder.is_mount():
            make_private(place.folder, 0o700)
            write_stamp(place.folder, stamp)
            (place.folder / ".gitignore").write_text(IGNORE_ALL, encoding="utf-8")
        elif error.errno not in _TAKEN:
            raise
