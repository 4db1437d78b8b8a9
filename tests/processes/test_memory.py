"""Outputs larger than the cache: a run completes, loses nothing, and its process stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.memory_child import digest_of, text_of

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024 * 1024
IN_FLIGHT = 28 * MEGABYTE
"""Room for four attempts at a time with half a megabyte each: as objects, encoded, compressed, in SQLite's hands."""


def _run(folder: Path, *, outputs: int, size: int, limit: int) -> dict[str, Any]:
    """What the child tells of a run with *outputs* of *size* bytes."""
    folder.mkdir()
    arguments = [str(folder), str(outputs), str(size), str(limit)]
    child = [sys.executable, "-m", "tests.support.memory_child", *arguments]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return {**told, "stderr": done.stderr}


def _expected(outputs: int, size: int) -> list[str]:
    return [digest_of(text_of(number, size)) for number in range(outputs)]


def test_a_run_with_145_megabytes_of_outputs_completes_under_a_limit_of_100(tmp_path: Path) -> None:
    done = _run(tmp_path / "large", outputs=73, size=2 * MEGABYTE, limit=100 * MEGABYTE)
    assert done["status"] == "completed"
    assert done["digests"] == _expected(73, 2 * MEGABYTE)


def test_passing_the_limit_is_told_once_in_the_status_and_on_stderr(tmp_path: Path) -> None:
    done = _run(tmp_path / "large", outputs=73, size=MEGABYTE // 16, limit=2 * MEGABYTE)
    (warning,) = done["warnings"]
    first, second, third = warning.splitlines()
    assert first == "Warning: Context cache size exceeded 2MB"
    assert second.startswith("Current size: 2")
    assert third == "Evicting oldest entries..."
    assert done["stderr"].count(warning) == 1


def test_a_run_within_the_limit_is_told_nothing(tmp_path: Path) -> None:
    done = _run(tmp_path / "small", outputs=10, size=100, limit=100 * MEGABYTE)
    assert (done["warnings"], done["stderr"]) == ([], "")


def test_the_limit_bounds_what_outputs_cost_in_memory(tmp_path: Path) -> None:
    limit = 4 * MEGABYTE
    small = _run(tmp_path / "small", outputs=150, size=100, limit=limit)
    large = _run(tmp_path / "large", outputs=150, size=MEGABYTE // 2, limit=limit)
    assert large["digests"] == _expected(150, MEGABYTE // 2)
    assert large["peak"] - small["peak"] < limit + IN_FLIGHT
