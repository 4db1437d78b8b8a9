"""Bundles as bytes: what is made of a commit is read as that and as nothing else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.executors.fleet.bundles import unwrapped, wrapped

COMMITS = st.sampled_from(["0123456789" * 4, "0" * 40, "f" * 64])
PACKS = st.binary(max_size=40).map(lambda rest: b"PACK\0\0\0\2\0\0\0\1" + rest)


@given(PACKS, COMMITS, st.lists(COMMITS, max_size=2))
def test_a_bundle_holds_the_pack_it_was_made_of(pack: bytes, commit: str, without: list[str]) -> None:
    assert unwrapped(wrapped(pack, commit, *without), commit) == pack


@given(PACKS, COMMITS, COMMITS, st.integers(0, 200))
def test_a_bundle_of_another_commit_or_one_that_is_cut_off_is_refused(
    pack: bytes, commit: str, other: str, length: int
) -> None:
    bundle = wrapped(pack, commit)
    if other != commit:
        with pytest.raises(ValueError, match="not a git bundle of the commit"):
            unwrapped(bundle, other)
    if length < len(bundle) - len(pack) + 12:
        with pytest.raises(ValueError, match="not a git bundle of the commit"):
            unwrapped(bundle[:length], commit)


@given(st.binary(max_size=200), COMMITS)
def test_anything_else_is_refused_with_one_error(data: bytes, commit: str) -> None:
    with contextlib.suppress(ValueError):
        unwrapped(data, commit)
