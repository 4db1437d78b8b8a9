"""Settings of a program: todo lists, circuit breakers, the context cache. Times are milliseconds, as in command files.

Pure. Values are checked when they are passed, so that an error points to the mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from engine.api.checks import EVICTIONS, EvictionName, check_flag, check_one_of, refused
from engine.tables.breakers import BreakerConfig
from engine.views.todos import TodoOptions

MAX_CACHE_BYTES = 100 * 1024 * 1024
BATCH_SIZE = 10
BATCH_DELAY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TodoWriteConfig:
    """The form of todo lists, and the rate of calls to `on_todo_write`."""

    batch_size: int = BATCH_SIZE
    """Above this many nodes, phases that have not opened are shown as one line each."""
    batch_delay: int = BATCH_DELAY
    """Milliseconds between two calls of `on_todo_write`; phase starts, phase ends and failures are reported at once."""
    enable_grouping: bool = True
    """Phase headings in `display`."""

    def __post_init__(self) -> None:
        """Reject unusable values."""
        _at_least("batch_size", self.batch_size, 1)
        check_flag("enable_grouping", self.enable_grouping)
        _at_least("batch_delay", self.batch_delay, 0)

    @property
    def options(self) -> TodoOptions:
        """The same for the todo views."""
        return TodoOptions(batch_size=self.batch_size, grouping=self.enable_grouping)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """When calls stop after failures, and when they are tried again (SPEC 9)."""

    failure_threshold: int = 5
    """Failures within the monitoring period that open it."""
    reset_timeout: int = 60_000
    """Milliseconds from opening to the first trial."""
    monitoring_period: int = 300_000
    """Milliseconds for which a failure counts."""

    def __post_init__(self) -> None:
        """Reject unusable values."""
        _at_least("failure_threshold", self.failure_threshold, 1)
        _at_least("reset_timeout", self.reset_timeout, 1)
        _at_least("monitoring_period", self.monitoring_period, 1)

    @property
    def config(self) -> BreakerConfig:
        """The same for the engine."""
        return BreakerConfig(
            failure_threshold=self.failure_threshold,
            reset_timeout=timedelta(milliseconds=self.reset_timeout),
            monitoring_period=timedelta(milliseconds=self.monitoring_period),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextManagerConfig:
    """The in-memory cache of context values."""

    max_cache_size: int = MAX_CACHE_BYTES
    """Bytes of values kept in memory; evicted values are read from the journal when needed again."""
    eviction_policy: EvictionName = "lru"
    """`lru`, `lfu` or `ttl`: which values are evicted first."""
    compression_enabled: bool = True
    """Whether large values are kept compressed."""

    def __post_init__(self) -> None:
        """Reject unusable values."""
        _at_least("max_cache_size", self.max_cache_size, 0)
        check_one_of("eviction_policy", self.eviction_policy, EVICTIONS)
        check_flag("compression_enabled", self.compression_enabled)


def _at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refused(f"{name} cannot be {value!r:.100}", f"Pass a whole number of at least {least}.")
