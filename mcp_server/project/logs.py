"""The log of a process of ours: lines on stderr, without the secrets that are known by their form.

Effects: configures the root logger.
"""

from __future__ import annotations

import logging
import sys


class _Redacting(logging.Formatter):
    """Formats a record with its traceback, so that nothing in it steers or forges a line, and masks secrets."""

    def format(self, record: logging.LogRecord) -> str:
        from engine.text.redaction import redact  # noqa: PLC0415 - compiles patterns that a good start does not need
        from engine.text.shown import within  # noqa: PLC0415

        return within(redact(super().format(record)))


def log_to_stderr(level: int) -> None:
    """Write records from *level* on to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
