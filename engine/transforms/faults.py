"""What can be wrong with a transform: its text, or its text for this value.

Pure.
"""

from __future__ import annotations

from engine.errors import InputError


class TransformSyntaxError(InputError):
    """Text that is no transform."""

    code = "INVALID_TRANSFORM"


class TransformError(InputError):
    """A transform that this value takes too far."""

    code = "TRANSFORM_ERROR"
