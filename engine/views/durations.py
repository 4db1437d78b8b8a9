"""Durations for people, in todos, reports and progress lines.

Pure. Rounding is for reading only: nothing computes with these texts.
"""

from __future__ import annotations

TYPE_CHECKING = False  # without importing `typing`: a status line is drawn every few seconds
if TYPE_CHECKING:
    from datetime import timedelta

MINUTE = 60
HOUR = 3600


def took(duration: timedelta) -> str:
    """A measured duration: `4.8s`, `9.2 min`, `1.5 h`."""
    seconds = duration.total_seconds()
    if seconds < MINUTE:
        return f"{seconds:.1f}s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.1f} min"
    return f"{seconds / HOUR:.1f} h"


def about(duration: timedelta) -> str:
    """A rough forecast: `~40s`, `~6 min`, `~2 h`."""
    return f"~{rounded(duration)}"


def rounded(duration: timedelta) -> str:
    """A duration in whole numbers: `40s`, `6 min`, `2 h`."""
    seconds = duration.total_seconds()
    if seconds < MINUTE:
        return f"{max(1, round(seconds))}s"
    if seconds < 2 * HOUR:
        return f"{round(seconds / MINUTE)} min"
    return f"{round(seconds / HOUR)} h"


def leapt(by: timedelta) -> str:
    """How far a clock has jumped: `ahead by 2 h`, `back by 40s`."""
    return f"{'ahead' if by.total_seconds() > 0 else 'back'} by {rounded(abs(by))}"


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds, as files and the wire count."""
    return round(duration.total_seconds() * 1000)
