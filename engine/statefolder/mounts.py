"""The kind of file system that a folder is on.

Effects: reads the table of mounts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NETWORK = frozenset(
    {
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "webdav",
    }
)


def network_file_system(folder: Path) -> str | None:
    """The kind of the file system of *folder* if other machines may share it; None if it is local."""
    try:
        mounts = [(found.mountpoint, found.fstype) for found in psutil.disk_partitions(all=True)]
    except (OSError, psutil.Error):
        return None
    return network_kind(folder.resolve(), mounts)


def network_kind(folder: Path, mounts: Iterable[tuple[str, str]]) -> str | None:
    """The same for *mounts*, pairs of place and kind; of two for one place, the later one counts."""
    kind, depth = "", -1
    for place, found in mounts:
        steps = len(folder.__class__(place).parts)
        if steps >= depth and folder.is_relative_to(place):
            kind, depth = found, steps
    return kind if kind in _NETWORK else None
