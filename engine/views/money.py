"""Amounts of money for people.

Pure.
"""

from __future__ import annotations

CENT = 0.01


def dollars(amount: float) -> str:
    """`$0.42`, and `<$0.01` for less than a cent."""
    return f"<${CENT:.2f}" if 0 < amount < CENT else f"${amount:.2f}"
