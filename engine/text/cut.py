"""Cuts text and lists to a length, the same way everywhere, with a mark of the cut.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ELLIPSIS = "…"


def cut(text: str, length: int) -> str:
    """*text* in at most *length* characters; the last one is an ellipsis if it was longer."""
    return text if len(text) <= length else text[: length - 1] + ELLIPSIS


def shorten(text: str, length: int) -> str:
    """As `cut`, but between two words if possible."""
    if len(text) <= length:
        return text
    head = text[: length - 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head).rstrip(" ,;:.") + ELLIPSIS


def some(names: Sequence[str], most: int) -> str:
    """The first *most* of *names* for a sentence, and the number of further ones: `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
