"""Faults of a condition: in its text, or in its text for the given values.

Pure.
"""

from __future__ import annotations

from engine.errors import InputError


class ConditionSyntaxError(InputError):
    """Text that is not a valid condition."""

    code = "INVALID_EXPRESSION"

    def __init__(self, message: str, position: int, hint: str | None = None) -> None:
        """*position* is the offset in the text, from 0; the message counts columns from 1."""
        super().__init__(f"{message} at column {position + 1}", hint=hint)
        self.position = position


class ConditionError(InputError):
    """A condition without an answer for the given values; it neither skips nor runs a node."""

    code = "CONDITION_ERROR"


def short(text: str) -> str:
    """*text*, cut for a message."""
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one place
