"""Failures, and the policies of a node about retry, compensation and locks, as a plan holds them.

Pure. `command.py` has the spelling of the files; here times are timedeltas and defaults are filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

MODEL_BREAKER = "claude"
"""The circuit breaker of model agents whose nodes name none; it is asked only after the service was scarce."""
QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
"""A failure that a retry cures after hours, not after seconds."""
WORKER_LOST = "WORKER_LOST"
NOT_TRUSTED = "NOT_TRUSTED"
"""The failure of an attempt whose program, as it is now, the user has not trusted."""
SCARCITY_CODES = frozenset({"RATE_LIMIT", "OVERLOADED", QUOTA_EXHAUSTED})
"""Failures that pass with time and are not caused by the work."""


class FailureKind(StrEnum):
    """The kind of a failure, as compensation triggers and answers name it (SPEC 5)."""

    ERROR = "error"
    TIMEOUT = "timeout"
    VALIDATION = "validation"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of an attempt or a node."""

    kind: FailureKind
    code: str
    """Stable upper-case code: TIMEOUT, RATE_LIMIT, AGENT_ERROR, MISSING_OUTPUT, …"""
    message: str
    hint: str | None = None
    partial: str | None = None
    """The last output of the attempt, if any; kept for the user, at most a few kilobytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The cost of an attempt, as far as the executor knows it."""

    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class RetryStrategy(StrEnum):
    """How the delay grows from retry to retry."""

    IMMEDIATE = "immediate"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    FIBONACCI = "fibonacci"


class RetryPolicy(msgspec.Struct, frozen=True):
    """When a failed attempt is retried (SPEC 5)."""

    max_retries: int
    """Retries after the first attempt; `maxAttempts` in files."""
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    initial_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(seconds=60)
    multiplier: float = 2.0
    retryable: frozenset[str] | None = None
    """Error codes to retry, in upper case; None: all but validation, cancelled and permission errors."""


class CompensationType(StrEnum):
    """How a node is undone (SPEC 7)."""

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


class LockSpec(msgspec.Struct, frozen=True):
    """One resource that a run or a node wants."""

    resource: str
    """Dotted path; `database` covers `database.table1`."""
    type: LockType = LockType.EXCLUSIVE
    priority: int = 0


class Merge(StrEnum):
    """How a new value joins the existing one (SPEC 3)."""

    REPLACE = "replace"
    MERGE = "merge"
    APPEND = "append"
    CONCAT = "concat"


class InputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A context value that a node reads."""

    key: str
    required: bool = True
    has_default: bool = False
    default: Any = None
    transform: str | None = None
    """JSONPath text, checked when the plan was made."""


class OutputDecl(msgspec.Struct, frozen=True, kw_only=True):
    """A context value that a node must return."""

    key: str
    required: bool = True
    """False for an output that the command does not declare: the answer may leave it out."""
    schema: dict[str, Any] | bool | None = None
    """JSON Schema of the value; None: any."""
    ttl: timedelta | None = None
    """Its lifetime in caches and for later runs; None: unlimited."""
    persist: bool = False
    merge: Merge = Merge.REPLACE
