"""The processor time of programs: other than wall time it does not depend on what else the machine does.

Effects: starts programs.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def processor_seconds(words: Sequence[str], *, cwd: Path, env: Mapping[str, str], times: int = 3) -> float:
    """The least processor time of *times* calls of a program, with its children, in seconds; it has to succeed."""
    return min(_once(words, cwd, env) for _ in range(times))


def _once(words: Sequence[str], cwd: Path, env: Mapping[str, str]) -> float:
    before = os.times()
    subprocess.run(words, cwd=cwd, env=dict(env), check=True, capture_output=True, timeout=50)
    after = os.times()
    return (after.children_user + after.children_system) - (before.children_user + before.children_system)
