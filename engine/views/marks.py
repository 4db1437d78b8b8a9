"""The sign of each state of a run.

Pure. It imports nothing: a status line is drawn every few seconds.
"""

from __future__ import annotations

MARKS = {
    "completed": "✅",
    "degraded": "⚠️",
    "failed": "❌",
    "compensated": "↩️",
    "compensation_failed": "❌",
    "cancelled": "🚫",
    "interrupted": "⏸️",
    "pending": "⏳",
    "running": "⚙️",
    "compensating": "↩️",
}
"""By the value of a `RunStatus`."""
