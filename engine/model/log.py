"""The lines of an attempt's log.

Pure, data. Executors make them, `runtime/attempt_logs.py` keeps them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class LogKind(StrEnum):
    """The subject of a line of a log."""

    PRINTED = "printed"
    """A piece of the output of a program; pieces need not be whole lines."""
    SAID = "said"
    """Words of a model."""
    DID = "did"
    """An action, such as the use of a tool."""
    RESULT = "result"
    """The result of a tool."""
    LEFT_OUT = "left_out"
    """A part of the log is missing here."""


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a log, for its text may have several."""

    kind: LogKind
    text: str
    by: str = ""
    """The subagent, if it was not the agent itself."""


class LogEntry(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A line as it is kept."""

    at: int
    """Milliseconds since 1970, UTC."""
    kind: LogKind
    text: str = ""
    by: str = ""
    size: int = 0
    """Of a part that is left out: its bytes, about."""
