"""Faults of a transform: in its text, or in its text for the given value.

Pure.
"""

from __future__ import annotations

from engine.errors import InputError


class TransformSyntaxError(InputError):
    """Text that is not a valid transform."""

    code = "INVALID_TRANSFORM"


class TransformError(InputError):
    """A transform that selects too much of the given value."""

    code = "TRANSFORM_ERROR"
