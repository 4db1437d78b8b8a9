"""Writes text files that another program may be reading.

Effects: replaces files.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from engine.errors import EnvironmentFault


def write_text(path: Path, text: str) -> None:
    """Replace *path* in one step: a session may be reading it. Its mode stays; a new file can be read by all.

    Raises `EnvironmentFault` (FILE_UNWRITABLE).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        new = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            new.chmod(mode)
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}", code="FILE_UNWRITABLE") from error
