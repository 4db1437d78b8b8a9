"""The outcome of a successful attempt as a file: written before its work is merged, read after a crash.

Effects: reads and writes one file in a folder of the engine's own. Known secrets are masked.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from engine.executors.port import Outcome
from engine.model.policy import Usage
from engine.statefolder.regular_files import read_regular
from engine.text.redaction import redact_data

_OUTCOME = "outcome.json"


def put(state: Path, outcome: Outcome) -> None:
    """Write *outcome*, a success, into the folder *state* of its worktree; it counts once the work is merged.

    Raises OSError if it cannot be written, ValueError or TypeError if it is not JSON.
    """
    usage = None if outcome.usage is None else asdict(outcome.usage)
    new = state / f"{_OUTCOME}.new"
    new.write_text(json.dumps({"outputs": redact_data(dict(outcome.outputs)), "usage": usage}), encoding="utf-8")
    new.replace(state / _OUTCOME)


def read(state: Path) -> Outcome | None:
    """The outcome that was written into *state*; None if there is none, or it cannot be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        match json.loads(read_regular(state / _OUTCOME)):
            case {"outputs": dict(outputs), "usage": usage}:
                # It is complete and merged: no later timeout or cancel can undo that.
                return Outcome(outputs=outputs, usage=None if usage is None else Usage(**usage), in_time=True)
            case _:
                pass
    return None
