"""Failures, and the policies of a node about retry, compensation and locks, as a plan holds them.

Pure. The user's spelling of these stands in `command.py`; here times are timedeltas and defaults are filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

MODEL_BREAKER = "claude"
"""The circuit breaker of model agents whose nodes name none; it is asked after the service was scarce only."""
QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
"""The failure that trying again cures after hours and not after seconds."""
NOT_TRUSTED = "NOT_TRUSTED"
"""The failure of an attempt whose program the user has not agreed to as it is now."""
SCARCITY_CODES = frozenset({"RATE_LIMIT", "OVERLOADED", QUOTA_EXHAUSTED})
"""Failures that pass with time and are no fault of the work."""


class FailureKind(StrEnum):
    """Why an attempt failed, as compensation triggers and answers name it (SPEC 5)."""

    ERROR = "error"
    TIMEOUT = "timeout"
    VALIDATION = "validation"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt or a node failed."""

    kind: FailureKind
    code: str
    """Stable upper-case code: TIMEOUT, RATE_LIMIT, AGENT_ERROR, MISSING_OUTPUT, …"""
    message: str
    hint: str | None = None
    partial: str | None = None
    """The last output of the attempt, where there was any; kept for the user, at most some kilobytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt cost, as far as the executor knows."""

    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class RetryStrategy(StrEnum):
    """How the delay grows from retry to retry."""

    IMMEDIATE = "immediate"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    FIBONACCI = "fibonacci"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again (SPEC 5)."""

    max_retries: int
    """Retries after the first execution; `maxAttempts` in files."""
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    initial_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(seconds=60)
    multiplier: float = 2.0
    retryable: frozenset[str] | None = None
    """Error codes in upper case that are retried; None: all but validation, cancelled and permission errors."""


class CompensationType(StrEnum):
    """What undoing a node means (SPEC 7)."""

    NONE = "none"
    RETRY = "retry"
    ROLLBACK = "rollback"
    CUSTOM = "custom"
    CASCADE = "cascade"


ALL_KINDS = frozenset(FailureKind)


class LockType(StrEnum):
    """How a resource is held (SPEC 8)."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    UPGRADE = "upgrade"


@dataclass(frozen=True, slots=True)
class LockSpec:
    """One resource that a run or a node wants."""

    resource: str
    """Dotted path; `database` covers `database.table1`."""
    type: LockType = LockType.EXCLUSIVE
    priority: int = 0


class Merge(StrEnum):
    """What a new value does to the one that is there (SPEC 3)."""

    REPLACE = "replace"
    MERGE = "merge"
    APPEND = "append"
    CONCAT = "concat"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """A context value that a node reads."""

    key: str
    required: bool = True
    has_default: bool = False
    default: Any = None
    transform: str | None = None
    """JSONPath text, checked when the plan was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDecl:
    """A context value that a node must answer with."""

    key: str
    required: bool = True
    """False for what is asked for though the command does not declare it: the answer may do without it."""
    schema: dict[str, Any] | bool | None = None
    """JSON Schema of the value; None: any."""
    ttl: timedelta | None = None
    """Its life in caches and for later runs; None: no end."""
    persist: bool = False
    merge: Merge = Merge.REPLACE
