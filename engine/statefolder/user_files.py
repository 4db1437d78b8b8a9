"""Files in the user's configuration: the user's decisions, where no project can write.

Effects: reads and writes JSON files, mode 0600, in a folder of mode 0700.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FILE_BYTES = 50_000_000
"""The most bytes read of a file; a larger one was not written by us."""
LOCK_SECONDS = 10.0
"""How long another process may take to change a file."""


def configuration_folder(home: Path | None = None) -> Path:
    """The folder of the user's own files: in *home*/.config if given, else in XDG_CONFIG_HOME or ~/.config."""
    configured = os.environ.get("XDG_CONFIG_HOME", "") if home is None else ""
    base = Path(configured) if configured.startswith("/") else (home or Path.home()) / ".config"
    return base / "orchestration-mcp"


def load_private(path: Path) -> object:
    """The JSON value of a file that only the user can write. Raises `ValueError`, `OSError`."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
            raise ValueError("others can write it")
        try:
            return json.loads(file.read(MAX_FILE_BYTES))
        except RecursionError:
            raise ValueError("it was not written by this version") from None


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Be the only process that changes *path*, creating its folder; readers are not blocked. Raises `OSError`."""
    from filelock import FileLock  # noqa: PLC0415 - a reader does not need it

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS, mode=0o600):
        yield


def write_private(path: Path, value: Mapping[str, object]) -> None:
    """Replace *path* atomically with JSON, so that a reader sees either the old or the new content; mode 0600."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-")  # mode 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
