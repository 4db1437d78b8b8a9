"""What a program can set: todo lists, circuit breakers, the context cache. Times are milliseconds, as in command files.

Pure. Values are checked here, when they are given, so that a mistake is told where it was made.
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
    """How todo lists are made, and how often `on_todo_write` is called."""

    batch_size: int = BATCH_SIZE
    """Nodes above which phases that have not opened are folded into one line each."""
    batch_delay: int = BATCH_DELAY
    """Milliseconds between two calls of `on_todo_write`; phase starts, phase ends and failures are told at once."""
    enable_grouping: bool = True
    """Phase headings in `display`."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no list."""
        _at_least("batch_size", self.batch_size, 1)
        check_flag("enable_grouping", self.enable_grouping)
        _at_least("batch_delay", self.batch_delay, 0)

    @property
    def options(self) -> TodoOptions:
        """What the todo views take."""
        return TodoOptions(batch_size=self.batch_size, grouping=self.enable_grouping)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """When calls stop after failures, and when one is tried again (SPEC 9)."""

    failure_threshold: int = 5
    """Failures within the monitoring period that open it."""
    reset_timeout: int = 60_000
    """Milliseconds from opening to the first trial."""
    monitoring_period: int = 300_000
    """Milliseconds for which a failure counts."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no breaker."""
        _at_least("failure_threshold", self.failure_threshold, 1)
        _at_least("reset_timeout", self.reset_timeout, 1)
        _at_least("monitoring_period", self.monitoring_period, 1)

    @property
    def config(self) -> BreakerConfig:
        """What the engine takes."""
        return BreakerConfig(
            failure_threshold=self.failure_threshold,
            reset_timeout=timedelta(milliseconds=self.reset_timeout),
            monitoring_period=timedelta(milliseconds=self.monitoring_period),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextManagerConfig:
    """The memory cache before the stored context values."""

    max_cache_size: int = MAX_CACHE_BYTES
    """Bytes of values kept in memory; what is evicted is read from the journal when it is asked for again."""
    eviction_policy: EvictionName = "lru"
    """`lru`, `lfu` or `ttl`: which values leave first."""
    compression_enabled: bool = True
    """Large values are kept compressed."""

    def __post_init__(self) -> None:
        """Refuse what makes no cache."""
        _at_least("max_cache_size", self.max_cache_size, 0)
        check_one_of("eviction_policy", self.eviction_policy, EVICTIONS)
        check_flag("compression_enabled", self.compression_enabled)


def _at_least(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refused(f"{name} cannot be {value!r:.100}", f"Give a whole number of at least {least}.")
