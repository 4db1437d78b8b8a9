"""Which limits a run can have: what is outside of these bounds cannot be counted, stored or waited for.

Pure. Every front door checks its form in its own way; this is the one rule for numbers, before a run is made with them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.errors import InputError

if TYPE_CHECKING:
    from engine.run.events import Limits

MAX_PARALLELISM = 100_000
MAX_ATTEMPTS = 1_000_000_000
MAX_COST_USD = 1_000_000_000.0
MAX_DURATION_SECONDS = 10 * 365 * 24 * 3600
"""A longer time is a slip, and date arithmetic would overflow."""

_WHOLE = {"max_parallelism": MAX_PARALLELISM, "max_attempts_total": MAX_ATTEMPTS}
_NUMBERS = {"max_cost_usd": MAX_COST_USD, "max_duration_seconds": float(MAX_DURATION_SECONDS)}


def checked(limits: Limits) -> Limits:
    """*limits*, each of which can be kept. Raises `InputError` (INVALID_LIMIT)."""
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if value is None:
            continue
        if name in _WHOLE:
            most: float = _WHOLE[name]
            good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
            form = f"a whole number from 1 to {most}"
        else:
            most = _NUMBERS[name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            good = number and math.isfinite(value) and 0 <= value <= most
            form = f"a number from 0 to {most:.0f}"
        if not good:
            raise InputError(
                f"{name} cannot be {value!r:.100}", code="INVALID_LIMIT", hint=f"Give {form}, or leave it out."
            )
    return limits
