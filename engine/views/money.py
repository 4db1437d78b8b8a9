"""Amounts of money as people read them.

Pure.
"""

from __future__ import annotations

CENT = 0.01


def dollars(amount: float) -> str:
    """`$0.42`, and `<$0.01` for what is less than a cent: no digits that nobody pays."""
    return f"<${CENT:.2f}" if 0 < amount < CENT else f"${amount:.2f}"
