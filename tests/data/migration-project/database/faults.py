"""Failures on demand, so that the rollback of the migration can be tried.

DATABASE_FAULT names them by step: `migrate-data=error,undo:migrate-data=hang`. Kinds: error, deadlock, hang, corrupt
(the data migration writes wrong rows), and meet (opens the pipe `met.ready`, so that a test knows where it is, and
hangs). With `-once` only the first try fails.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path


def fault(step: str) -> str | None:
    """The failure that is wanted of *step*."""
    wanted = dict(entry.split("=") for entry in os.environ.get("DATABASE_FAULT", "").split(",") if entry)
    return wanted.get(step)


def strike(step: str) -> None:
    """Fail as is wanted, in the middle of the work of *step*."""
    kind = fault(step) or ""
    if kind.endswith("-once"):
        struck = Path(f"struck-{step.replace(':', '-')}")
        kind = "" if struck.exists() else kind.removesuffix("-once")
        struck.touch()
    match kind:
        case "error":
            sys.exit(json.dumps({"code": "STEP_FAILED", "message": f"{step} broke in the middle"}))
        case "deadlock":
            sys.exit(json.dumps({"code": "DEADLOCK", "message": f"{step} met another writer"}))
        case "hang":
            signal.pause()
        case "meet":
            Path("met.ready").write_text("here", encoding="utf-8")
            signal.pause()
