"""What can be wrong with a condition: its text, or its text for these values.

Pure.
"""

from __future__ import annotations

from engine.errors import InputError


class ConditionSyntaxError(InputError):
    """Text that is no condition."""

    code = "INVALID_EXPRESSION"

    def __init__(self, message: str, position: int, hint: str | None = None) -> None:
        """*position* is the offset in the text, from 0; the message counts columns from 1."""
        super().__init__(f"{message} at column {position + 1}", hint=hint)
        self.position = position


class ConditionError(InputError):
    """A condition that these values give no answer to; it neither skips nor runs a node."""

    code = "CONDITION_ERROR"


def short(text: str) -> str:
    """*text*, cut for a message."""
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one place
