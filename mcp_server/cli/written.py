"""Writes text files that another program may be reading.

Effects: replaces files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EnvironmentFault, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def write_text(path: Path, text: str) -> None:
    """Replace *path* in one step: a session may be reading it. Its mode stays; a new file can be read by all.

    Raises `EnvironmentFault` (FILE_UNWRITABLE).
    """
    write_all({path: text}, replaces=True)


def write_all(files: Mapping[Path, str], *, replaces: bool) -> None:
    """Write all *files* or none of them, each in one step.

    Raises `InputError` (FILE_EXISTS) if one of them is there and none *replaces* another, and `EnvironmentFault`
    (FILE_UNWRITABLE). Folders and files that were made by then are removed again.
    """
    made: list[Path] = []
    staged: dict[Path, Path] = {}
    try:
        for path, text in files.items():
            with _named(path):
                made += _made_folders(path.parent)
                staged[path] = _staged(path, text)
        if not replaces:
            for path in files:
                with _named(path):
                    path.touch(mode=0o644, exist_ok=False)  # the name is taken from here on, whatever others do
                    made.append(path)
        for path, new in staged.items():
            with _named(path):
                new.replace(path)
    except BaseException:
        _remove([*made, *staged.values()])
        raise


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise InputError(
            f"{path} exists already", code="FILE_EXISTS", hint="Choose another name, or replace it with --force."
        ) from None
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}", code="FILE_UNWRITABLE") from error


def _made_folders(folder: Path) -> list[Path]:
    """Make *folder* and those above it, and return those that were missing, outermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        try:
            one.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(error.errno, "a file is in the place of its folder", str(one)) from None
    return missing[::-1]


def _staged(path: Path, text: str) -> Path:
    """A new file beside *path* with *text* and the mode that *path* should have."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.chmod(mode)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def _remove(paths: list[Path]) -> None:
    """Remove files, and folders that are empty then."""
    for path in reversed(paths):
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
