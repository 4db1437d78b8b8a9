"""Digests of a project's files and folders of modules, over raw bytes, without rereading unchanged files.

Effects: reads files, and caches digests in a folder of the user. A file counts as unchanged while inode, mode,
size and both times of change are the same; a file changed within `RACY` seconds before it was read is read again,
since none of these would show a second change in the same tick of the file system's clock.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
from typing import TYPE_CHECKING

from engine.runtime.clock import SystemClock
from registry.trust.digest_index import Index
from registry.trust.modules import modules_in, state_of, too_much

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from registry.trust.digest_index import Table
    from registry.trust.modules import Entry, Modules, State

ABSENT = "absent"
"""Stands for the digest of a missing file: if it appears, approval is needed again."""
UNREADABLE = "unreadable"
"""Stands for the digest of an unreadable path: a file without permission, a pipe, a device, a folder."""
RACY = 3.0
MAX_BYTES = 4 * 1024**3
"""Bytes that one check reads."""


class Digests:
    """One check of a project's files: each is read once, however many agents use it."""

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        """*root* is the project's, *cache* a folder of the user for this project; None: everything is read."""
        self._root = root
        self._now = SystemClock().now().timestamp()
        self._index = Index(cache)
        self._seen: dict[str, str] = {}
        self._bytes = 0

    def label(self, path: Path, kind: Modules | None = None) -> str:
        """The label of a file, or of the modules of *kind* in a folder: the path below the root, as text."""
        name = os.fsencode(os.path.relpath(path, self._root)).decode("utf-8", "backslashreplace")
        return name if kind is None else f"{name}/ ({kind.language} modules)"

    def file(self, path: Path) -> str:
        """SHA-256, hex, of a regular file, links followed, or the word for why there is none."""
        name = os.fspath(path)
        known = self._seen.get(name)
        if known is None:
            known = self._seen[name] = self._file(name)
        return known

    def modules(self, folder: Path, kind: Modules) -> str:
        """SHA-256, hex, over the names and contents of the modules in *folder*; `ABSENT` if there is no folder.

        Raises `InputError` (TRUST_TOO_LARGE) for more than can be checked.
        """
        name = self.label(folder, kind)
        known = self._seen.get(name)
        if known is None:
            known = self._seen[name] = self._modules(name, folder, modules_in(folder, kind, self._root))
        return known

    def keep(self, names: Iterable[str]) -> None:
        """Save the current modules labelled *names*, for `changes`."""
        for name in names:
            self._index.keep(name)

    def changes(self, name: str) -> list[str]:
        """Paths below the root of the modules labelled *name* that changed since they were saved."""
        before, now = self._index.kept(name), self._index.table(name)
        if not before:
            return []
        folder = name.rpartition("/ (")[0].removeprefix(".")
        changed = sorted(path for path in {*before, *now} if before.get(path, [])[1:] != now.get(path, [])[1:])
        return [f"{folder}/{path}" if folder else path for path in changed]

    def save(self) -> None:
        """Save the digests for the next check."""
        self._index.write()

    def _file(self, name: str) -> str:
        try:
            state = state_of(os.stat(name))  # noqa: PTH116 - a Path costs more than the call
        except FileNotFoundError:
            return ABSENT
        except (OSError, ValueError):
            return UNREADABLE
        known = self._index.file(name, state)
        if known is not None:
            return known
        digest = self._read(name)
        if self._is_ripe(state):
            self._index.put_file(name, state, digest)
        return digest

    def _modules(self, name: str, folder: Path, entries: list[Entry] | None) -> str:
        if entries is None:
            return ABSENT
        print_ = hashlib.blake2b(marshal.dumps(entries)).hexdigest()
        known = self._index.folder(name, print_)
        if known is not None:
            return known
        before = self._index.table(name)
        table: Table = {}
        for path, state, link, target in sorted(entries):
            states = [*state, link, *(target or ())]
            old = before.get(path)
            if old is not None and old[0] == states:
                table[path] = old
                continue
            digest = self._read(os.path.join(folder, path))  # noqa: PTH118
            ripe = self._is_ripe(state) and (target is None or self._is_ripe(target))
            table[path] = [states if ripe else None, digest if link is None else f"{link} {digest}"]
        whole = hashlib.sha256()
        for path, (_, digest) in table.items():
            whole.update(f"{path}\0{digest}\0".encode("utf-8", "surrogatepass"))
        ripe = all(states is not None for states, _ in table.values())
        self._index.put_folder(name, print_ if ripe else "", whole.hexdigest(), table)
        return whole.hexdigest()

    def _is_ripe(self, state: State) -> bool:
        return max(state[3], state[4]) / 1e9 < self._now - RACY

    def _read(self, path: str) -> str:
        """The digest of a file; it never blocks, whatever the file is."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            return ABSENT
        except (OSError, ValueError):
            return UNREADABLE
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return UNREADABLE
            self._bytes += status.st_size
            if self._bytes > MAX_BYTES:
                raise too_much(f"its files have more than {MAX_BYTES // 1024**3} GiB, with {path}")
            with open(descriptor, "rb", closefd=False) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return UNREADABLE
        finally:
            os.close(descriptor)
