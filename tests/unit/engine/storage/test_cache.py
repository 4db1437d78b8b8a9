"""Values are found again whatever the cache forgets."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InternalError
from engine.ids import OwnerId
from engine.run.events import ValueRef
from engine.storage.cache import ValueCache, overflow_text
from engine.storage.eviction import Eviction
from engine.storage.memory import MemoryStorage
from engine.storage.port import Batch

OWNER = OwnerId("o-1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class _Bench:
    """A cache of values over a storage in memory, with the time at hand."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the cache's options
        self.storage = MemoryStorage()
        self.now = NOON
        self.told: list[tuple[int, int]] = []
        self.cache = ValueCache(
            self.storage,
            now=lambda: self.now,
            on_overflow=lambda limit, size: self.told.append((limit, size)),
            **options,
        )

    async def commit(self) -> None:
        values = self.cache.uncommitted()
        await self.storage.commit(Batch(values=values), OWNER)
        self.cache.committed(values)

    async def kept(self, *values: object, ttl: timedelta | None = None) -> list[ValueRef]:
        """The references of *values*, each committed by itself."""
        refs = []
        for value in values:
            refs.append(self.cache.put(value, ttl=ttl))
            await self.commit()
        return refs

    def is_cached(self, ref: ValueRef) -> bool:
        before = self.cache.misses
        self.cache.get(ref)
        return self.cache.misses == before


def _noise(size: int, seed: int = 0) -> str:
    """A text that hardly becomes smaller by compression."""
    return random.Random(seed).randbytes(size // 2).hex()  # noqa: S311 - repeatable by intent


@pytest.mark.anyio
async def test_a_value_is_found_before_and_after_its_commit() -> None:
    bench = _Bench()
    ref = bench.cache.put({"b": 1, "a": [None, "ä"]})
    assert bench.cache.get(ref) == {"b": 1, "a": [None, "ä"]}
    await bench.commit()
    assert bench.cache.uncommitted() == {}
    assert bench.cache.get(ref) == {"b": 1, "a": [None, "ä"]}


@pytest.mark.anyio
async def test_a_value_that_is_read_is_a_copy_of_its_own() -> None:
    bench = _Bench()
    (ref,) = await bench.kept([1])
    bench.cache.get(ref).append(2)
    assert bench.cache.get(ref) == [1]


@pytest.mark.anyio
async def test_equal_values_are_stored_once() -> None:
    bench = _Bench()
    refs = await bench.kept({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 2})
    assert len(set(refs)) == 1
    assert bench.cache.size == refs[0].size
    assert len(bench.storage.stored_values()) == 1


@pytest.mark.anyio
async def test_what_is_not_committed_is_never_evicted() -> None:
    bench = _Bench(max_bytes=10)
    refs = [bench.cache.put("x" * 100 + str(number)) for number in range(5)]
    assert [bench.cache.get(ref)[100:] for ref in refs] == list("01234")
    assert bench.cache.misses == 0


@pytest.mark.anyio
@pytest.mark.parametrize("policy", ["lru", "lfu", "ttl"])
async def test_an_evicted_value_is_read_from_storage(policy: str) -> None:
    bench = _Bench(max_bytes=250, policy=policy)
    values = [_noise(100, seed) for seed in range(10)]
    refs = await bench.kept(*values, ttl=timedelta(minutes=1))
    assert bench.cache.size <= 250
    assert [bench.cache.get(ref) for ref in refs] == values
    assert bench.cache.misses >= 8


@pytest.mark.anyio
async def test_a_value_past_its_ttl_leaves_the_cache_and_is_still_found() -> None:
    bench = _Bench()
    brief, lasting = await bench.kept("brief", ttl=timedelta(minutes=5)) + await bench.kept("lasting")
    bench.now += timedelta(minutes=5)
    await bench.kept("something else")
    assert bench.is_cached(lasting)
    assert not bench.is_cached(brief)
    assert bench.cache.get(brief) == "brief"


@pytest.mark.anyio
async def test_of_equal_values_in_one_commit_the_longer_ttl_counts() -> None:
    bench = _Bench()
    ref = bench.cache.put("again", ttl=timedelta(minutes=9))
    for minutes in (5, 1):
        assert bench.cache.put("again", ttl=timedelta(minutes=minutes)) == ref
    await bench.commit()
    bench.now += timedelta(minutes=8)
    await bench.kept("something else")
    assert bench.is_cached(ref)


@pytest.mark.anyio
async def test_without_a_clock_no_value_ends() -> None:
    cache = ValueCache(MemoryStorage())
    ref = cache.put("a", ttl=timedelta(0))
    cache.committed(cache.uncommitted())
    assert cache.get(ref) == "a"
    assert cache.misses == 0


@pytest.mark.anyio
async def test_a_value_pruned_from_disk_is_written_again_when_it_is_produced_again() -> None:
    bench = _Bench()
    await bench.kept("again")
    bench.storage.stored_values().clear()
    await bench.kept("again")
    assert list(bench.storage.stored_values().values()) == [b'"again"']


@pytest.mark.anyio
async def test_large_values_are_kept_compressed() -> None:
    text = "all work and no play " * 10_000
    compressed, plain = _Bench(), _Bench(compress=False)
    (ref,) = await compressed.kept(text)
    await plain.kept(text)
    assert plain.cache.size == ref.size
    assert compressed.cache.size < ref.size / 10
    assert compressed.cache.get(ref) == text == plain.cache.get(ref)


@pytest.mark.anyio
async def test_passing_the_limit_is_told_once_with_both_sizes() -> None:
    bench = _Bench(max_bytes=1000, compress=False)
    await bench.kept(*(_noise(398, seed) for seed in range(10)))
    assert bench.told == [(1000, 1200)]


@pytest.mark.anyio
async def test_passing_the_limit_again_after_the_cache_was_cleared_is_told_again() -> None:
    bench = _Bench(max_bytes=1000, compress=False)
    for _ in range(2):
        await bench.kept(*(_noise(398, seed) for seed in range(4)))
        bench.cache.clear()
    assert bench.told == [(1000, 1200)] * 2


@pytest.mark.anyio
async def test_passing_the_limit_again_after_values_ended_is_told_again() -> None:
    bench = _Bench(max_bytes=1000, compress=False)
    await bench.kept(*(_noise(398, seed) for seed in range(4)), ttl=timedelta(minutes=1))
    bench.now += timedelta(minutes=1)
    await bench.kept(*(_noise(398, seed) for seed in range(4)))
    assert bench.told == [(1000, 1200)] * 2


@pytest.mark.anyio
async def test_passing_the_limit_needs_nobody_to_tell() -> None:
    storage = MemoryStorage()
    cache = ValueCache(storage, max_bytes=10)
    ref = cache.put("a" * 20)
    await storage.commit(Batch(values=cache.uncommitted()), OWNER)
    cache.committed(cache.uncommitted())
    assert cache.size == 0
    assert cache.get(ref) == "a" * 20


@pytest.mark.anyio
async def test_the_hit_rate_counts_what_was_in_memory() -> None:
    bench = _Bench()
    assert bench.cache.hit_rate == 1.0
    (ref,) = await bench.kept("a")
    bench.cache.get(ref)
    bench.cache.clear()
    for _ in range(3):
        bench.cache.get(ref)
    assert bench.cache.hit_rate == 0.75


def test_a_reference_to_nothing_is_a_broken_journal() -> None:
    cache = ValueCache(MemoryStorage())
    with pytest.raises(InternalError) as caught:
        cache.get(ValueRef("0" * 40, 3))
    assert caught.value.code == "VALUE_LOST"


@pytest.mark.anyio
async def test_a_change_of_limits_loses_no_value() -> None:
    bench = _Bench()
    (ref,) = await bench.kept("committed")
    pending = bench.cache.put("pending")
    bench.cache.configure(max_bytes=50, policy="ttl", compress=False)
    assert bench.cache.get(ref) == "committed"
    assert bench.cache.get(pending) == "pending"


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="random"):
        ValueCache(MemoryStorage(), policy="random")


def test_the_warning_is_the_guides() -> None:
    assert overflow_text(100 * 1024 * 1024, 145 * 1024 * 1024).splitlines() == [
        "Warning: Context cache size exceeded 100MB",
        "Current size: 145MB",
        "Evicting oldest entries...",
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(
    values=st.lists(_json, max_size=12),
    policy=st.sampled_from(Eviction),
    limit=st.integers(0, 60),
    compress=st.booleans(),
)
def test_whatever_was_committed_is_found(values: list[object], policy: Eviction, limit: int, *, compress: bool) -> None:
    storage = MemoryStorage()
    cache = ValueCache(storage, max_bytes=limit, policy=policy, compress=compress)
    refs = []
    for value in values:
        refs.append(cache.put(value))
        pending = cache.uncommitted()
        storage.stored_values().update(pending)
        cache.committed(pending)
        assert cache.size <= limit
    assert [cache.get(ref) for ref in refs] == values
