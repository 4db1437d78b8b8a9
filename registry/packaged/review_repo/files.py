"""Finds the files of a repository to review, and records which are left out and why.

Effects: reads names and sizes from disk, and the text of files on demand. It follows no symlinks and never leaves the
root.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from registry.packaged.review_repo.answer import Refusal, section
from registry.packaged.review_repo.git import SPARSE_MODE, SUBMODULE_MODE, SYMLINK_MODE, tracked, untracked
from registry.packaged.review_repo.languages import Role, language_of, may_be_script, not_written_here, role_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from registry.packaged.review_repo.programs import Deadline

FILE_LIMIT = 30_000
"""Maximum number of files; a larger repository is reviewed by subfolder."""
READ_LIMIT = 1_000_000
"""Bytes; larger files count as data, and no reviewer reads them."""
NOT_READABLE = "not readable"
DELETED = "deleted in the work tree"
PATH_LIMIT = 400
"""Characters; longer paths are left out."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One regular file under review."""

    path: str
    """Relative to the root, with slashes; it has passed every check that makes it safe to open."""
    size: int
    language: str | None
    role: Role
    tracked: bool = True


@dataclass(slots=True)
class Listing:
    """The files under review, and what was left out."""

    root: Path
    scope: str
    files: list[Source] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Reason to paths: `vendored`, `generated`, `symlink`, `submodule`, …"""
    limits: list[str] = field(default_factory=list)
    """Sentences for the report, one for each limit that was reached."""

    def of_language(self, *languages: str) -> list[Source]:
        """Files in one of *languages*: shipped code first, then by path."""
        order = tuple(Role)
        chosen = [file for file in self.files if file.language in languages and file.size <= READ_LIMIT]
        return sorted(chosen, key=lambda file: (order.index(file.role), file.path))

    def texts(self, files: list[Source], deadline: Deadline) -> Iterator[tuple[Source, str]]:
        """The text of each text file of *files*; stops when the time is up, with a note in `limits`."""
        for number, file in enumerate(files):
            if deadline.passed:
                self.limits.append(f"Time was up after {number} of {len(files)} files.")
                return
            text = read_text(self.root, file)
            if text is not None:
                yield file, text


def checked_scope(root: Path, wanted: object) -> str:
    """*wanted* as a folder or file below *root*, `.` for all. Raises `Refusal` INVALID_PATH."""
    text = wanted.strip() if isinstance(wanted, str) else ""
    if text in ("", ".", "./"):
        return "."
    path = PurePosixPath(text.replace("\\", "/"))
    resolved = (root / path).resolve()
    # Equal unless there are links: git refuses to follow one, and it may point outside the root.
    inside = not path.is_absolute() and ".." not in path.parts and resolved == root.resolve() / path
    if not inside or not resolved.exists() or "\0" in text or ".git" in path.parts:
        raise Refusal(
            "INVALID_PATH",
            f'The path "{text[:200]}" is not a folder or file below {root}',
            kind="validation",
            hint="Use a path relative to the project root, such as src.",
        )
    return path.as_posix()


def survey(root: Path, scope: str) -> Listing:
    """List the files to review: tracked files and new ones that are not ignored."""
    listing = Listing(root, scope)
    entries = [(mode, path, True) for mode, path in tracked(root, scope)]
    entries += [("", path, False) for path in untracked(root, scope)]
    _fill(listing, entries)
    return listing


def is_below(path: object) -> bool:
    """Whether *path* is the name of a file below the folder that it is relative to."""
    parts = path.split("/") if isinstance(path, str) else [".."]
    return bool(parts[0]) and not {"", ".", "..", ".git"} & {*parts} and "\0" not in str(path)


def _fill(listing: Listing, entries: Iterable[tuple[str, bytes, bool]]) -> None:
    """Add *entries*, each a mode, a path and whether git tracks it, to the files of *listing* or to what is skipped."""
    inside = _Inside(listing.root)
    for mode, raw, is_tracked in entries:
        try:
            path = raw.decode("utf-8")
        except UnicodeDecodeError:
            listing.skipped["name is not UTF-8"].append(raw.decode("utf-8", "backslashreplace"))
            continue
        reason = _reason_to_skip(mode, path) or inside.reason_to_skip(path)
        if reason == DELETED and mode == SPARSE_MODE:
            reason = "not in this sparse checkout"
        if reason is not None:
            listing.skipped[reason].append(path)
        elif len(listing.files) >= FILE_LIMIT:
            listing.skipped["beyond the limit on files"].append(path)
        else:
            listing.files.append(
                Source(
                    path=path,
                    size=inside.size,
                    language=language_of(path),
                    role=role_of(path),
                    tracked=is_tracked,
                )
            )
    if beyond := len(listing.skipped.get("beyond the limit on files", ())):
        listing.limits.append(
            f"Only the first {FILE_LIMIT:,} files were reviewed, {beyond:,} were not: review subfolders with path=…"
        )


def relist(inputs: Mapping[str, Any], *, skipped: bool = False) -> tuple[Listing, dict[str, Any]]:
    """Repeat the structure agent's listing: without foreign files, with the roles and scripts that it found.

    With `since`, only the files that changed. Git is asked again only for what is *skipped* and what is tracked,
    or if there are too many files to pass on their names.
    """
    structure = section(inputs, "structure")
    root = Path.cwd()
    scope, paths = checked_scope(root, structure.get("scope")), structure.get("paths")
    if skipped or not isinstance(paths, list):
        listing = survey(root, scope)
    else:
        listing = Listing(root, scope)
        _fill(listing, (("", os.fsencode(path), True) for path in paths if is_below(path)))
    foreign, generated = set(structure.get("foreign", ())), set(structure.get("generated", ()))
    scripts = dict(structure.get("scripts", {}))
    changed = structure.get("changed")
    listing.files = [
        structs.replace(
            file,
            language=scripts.get(file.path, file.language),
            role=Role.GENERATED if file.path in generated else file.role,
        )
        for file in listing.files
        if file.path not in foreign and (changed is None or file.path in changed)
    ]
    return listing, structure


def read_text(root: Path, file: Source) -> str | None:
    """Read *file*; None for binary, oversized, vanished and unreadable ones. Invalid UTF-8 is replaced."""
    data = read_bytes(root, file)
    if data is None or b"\0" in data[:8000]:
        return None
    return data.decode("utf-8-sig", "replace").replace("\r\n", "\n")


def read_bytes(root: Path, file: Source) -> bytes | None:
    """The content of *file*, None if it is too large or cannot be read."""
    if file.size > READ_LIMIT:
        return None
    try:
        # O_NOFOLLOW: the last part may have become a link since the listing; links are never followed.
        descriptor = os.open(root / file.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(READ_LIMIT + 1)
    except OSError:
        return None


def _reason_to_skip(mode: str, path: str) -> str | None:
    if mode == SUBMODULE_MODE or path.endswith("/"):
        return "submodule or nested repository"
    if mode == SYMLINK_MODE:
        return "symlink"
    if len(path) > PATH_LIMIT:
        return "path too long"
    return not_written_here(path)


class _Inside:
    """Checks paths below a root and remembers which of their folders are links."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: dict[str, bool] = {"": True}
        self.size = 0
        """Bytes of the last checked file."""

    def reason_to_skip(self, path: str) -> str | None:
        """Why the file at *path* must not be opened, None if it may be."""
        if not self._is_real_folder(path.rpartition("/")[0]):
            return "symlink"
        try:
            status = os.lstat(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return DELETED
        except OSError:
            return NOT_READABLE
        if stat.S_ISLNK(status.st_mode):
            return "symlink"
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        self.size = status.st_size
        return None

    def _is_real_folder(self, folder: str) -> bool:
        known = self._folders.get(folder)
        if known is None:
            try:
                is_link = stat.S_ISLNK(os.lstat(f"{self._root}/{folder}").st_mode)
            except OSError:
                is_link = False  # the file's own lstat reports that it is gone
            known = not is_link and self._is_real_folder(folder.rpartition("/")[0])
            self._folders[folder] = known
        return known


def is_script_candidate(file: Source) -> bool:
    """Whether the first line of this file may show a language that its name does not."""
    return file.language is None and may_be_script(file.path) and file.size < READ_LIMIT
