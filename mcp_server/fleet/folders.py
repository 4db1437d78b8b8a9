"""Folders in which the worker and the server of a fleet keep what is theirs.

Effects: makes folders.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from engine.errors import EnvironmentFault


def state_folder(folder: Path) -> Path:
    """Where a worker in *folder* keeps its notes: outside of that, which agents write to. Raises `EnvironmentFault`."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return made(base / "orchestration-mcp" / "workers" / name)


def made(folder: Path) -> Path:
    """*folder*, made if it does not exist, for this user alone. Raises `EnvironmentFault` (FILE_UNWRITABLE)."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(f"folder {folder}", error.strerror) from error
    return folder


def unusable(place: str, why: str | None) -> EnvironmentFault:
    """FILE_UNWRITABLE for *place*, such as `folder /tmp`."""
    return EnvironmentFault(
        f"the {place} cannot be used: {why}",
        code="FILE_UNWRITABLE",
        hint="Free some disk space, or choose a writable folder: XDG_STATE_HOME for a worker, `--state` for a server.",
    )
