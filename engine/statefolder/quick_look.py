"""Finds the state folder of a project where that is certain at a glance; `guard` decides everywhere else.

Effects: reads a few files; starts nothing. It imports only what Python has loaded by itself and a hash function: a
status line is drawn every few seconds, and `guard` alone takes several times the time of reading a run from the
journal.

Theory of operation. `guard` believes a state folder only if this user made it and nothing that came with a clone can
have changed it. Each rule has an ordinary case in which few cheap looks suffice to know that `guard` would agree: no
links on the way, a stamp that the user's list has for exactly this place, an ordinary repository whose index is plain
enough that a path in it can be searched for as text. In every other case (a linked worktree, a moved or copied
project, a shared configuration, an index in a compressed form, a name that JSON escapes) the answer is `Uncertain`,
never a guess; the caller then asks `guard`, whose answer counts.
"""

from __future__ import annotations

import os
import stat

_STATE = (".claude", "orchestration")
_FILES = ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm", "owners")
_STAMP_LENGTH = 64
_HASHES = ("_sha2", "_sha256", "hashlib")
"""Modules with SHA-256; `hashlib` loads OpenSSL for it, which takes longer than everything else here."""
_MAX_LIST_BYTES = 5_000_000
_MAX_INDEX_BYTES = 20_000_000
_PLAIN_INDEX = (b"DIRC\0\0\0\x02", b"DIRC\0\0\0\x03")
"""How an index begins that has every path in full."""
_PARTIAL = ("sharedindex.", "info/sparse-checkout")
"""Files in a git directory with which some paths are in another index, or stand for whole folders."""


class Uncertain(Exception):
    """The rules of `guard`, `location` and `roots` are needed."""


def quick_root(start: str, home: str) -> str:
    """The project root around the folder *start*. Raises `Uncertain` unless one look is enough."""
    folder = os.path.realpath(start)
    highest = {os.path.realpath(home), "/"}
    while folder not in highest and os.stat(folder).st_uid == os.geteuid():
        if os.path.lexists(os.path.join(folder, ".git")) or os.path.lexists(os.path.join(folder, *_STATE)):
            return folder
        if os.path.lexists(os.path.join(folder, _STATE[0])):
            break  # whether it is more than what other sessions left is for `roots`
        folder = os.path.dirname(folder)
    raise Uncertain


def quick_state(root: str, configuration: str) -> str | None:
    """The state folder of the project *root*, or None if it certainly has none. Raises `Uncertain`, `OSError`.

    *configuration* is the folder of the user's own files.
    """
    root = folder = os.path.realpath(root)
    git = _repository(root)
    for step in _STATE:
        folder = os.path.join(folder, step)
        found = _lstat(folder)
        if found is None:
            return None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise Uncertain
    if any(stat.S_ISLNK(found.st_mode) for name in _FILES if (found := _lstat(os.path.join(folder, name)))):
        raise Uncertain
    if os.path.lexists(os.path.join(folder, ".git")) or not _is_listed(folder, configuration):
        raise Uncertain
    if git is not None:
        _check_index(git)
    return folder if _lstat(os.path.join(folder, _FILES[0])) else None


def _repository(root: str) -> str | None:
    """The git directory of the repository around *root*, if any. Raises `Uncertain` unless it is an ordinary one."""
    if os.path.lexists(os.path.join(root, _STATE[0], ".git")):
        raise Uncertain
    folder = root
    while not os.path.lexists(git := os.path.join(folder, ".git")):
        if folder == "/":
            return None
        folder = os.path.dirname(folder)
    if (found := _lstat(git)) is None or not stat.S_ISDIR(found.st_mode):
        raise Uncertain
    return git


def _check_index(git: str) -> None:
    """Raise `Uncertain` unless the index in *git* certainly has no state of a project."""
    shared, sparse = _PARTIAL
    if any(name.startswith(shared) for name in os.listdir(git)) or os.path.lexists(os.path.join(git, sparse)):
        raise Uncertain
    index = _read(os.path.join(git, "index"), _MAX_INDEX_BYTES)
    name, names = "/".join(_STATE).encode(), index.lower()  # some file systems treat .CLAUDE as .claude
    if index and (not index.startswith(_PLAIN_INDEX) or name + b"/" in names or name + b"\0" in names):
        raise Uncertain


def _is_listed(folder: str, configuration: str) -> bool:
    """Whether the user's list has the stamp of *folder*, and this place for it."""
    stamp = _read(os.path.join(folder, "stamp"), 2 * _STAMP_LENGTH).strip()
    if len(stamp) != _STAMP_LENGTH or not folder.isascii() or not folder.isprintable() or {'"', "\\"} & set(folder):
        return False
    listed = _read(os.path.join(configuration, "state.json"), _MAX_LIST_BYTES, private=True).decode("utf-8", "replace")
    _, name, rest = listed.partition(f'"{_hash(stamp)}": {{')
    entry, _, _ = rest.partition("}")
    return bool(name) and f'"path": "{folder}"' in entry


def _hash(stamp: bytes) -> str:
    for name in _HASHES:
        try:
            found: str = __import__(name).sha256(stamp).hexdigest()
        except ImportError:
            continue
        return found
    raise Uncertain


def _read(path: str, limit: int, *, private: bool = False) -> bytes:
    """The content of a regular file; empty if there is none.

    Raises `Uncertain` if it is longer than *limit*, or a link, or if others can write a *private* one.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return b""
    except OSError:
        raise Uncertain from None
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise Uncertain
        if private and (found.st_uid != os.getuid() or found.st_mode & 0o022):
            raise Uncertain
        return file.read()


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
