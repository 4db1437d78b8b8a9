"""The log of one of our processes: lines on stderr, with secrets masked that have a known form.

Effects: configures the root logger.
"""

from __future__ import annotations

import logging
import sys


class _Redacting(logging.Formatter):
    """Formats a record with its traceback so that its text cannot forge a line or control a terminal; masks secrets."""

    def format(self, record: logging.LogRecord) -> str:
        from engine.text.redaction import redact  # noqa: PLC0415 - compiles patterns that a good start does not need
        from engine.text.shown import within  # noqa: PLC0415

        return within(redact(super().format(record)))


def log_to_stderr(level: int) -> None:
    """Write records of *level* and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
