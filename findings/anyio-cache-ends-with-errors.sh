#!/usr/bin/env bash
# anyio 4.16.0 has a cache that every failed or cancelled call makes smaller, until it keeps one result only.
#
# Expected: `anyio.functools.lru_cache` keeps results as that of the standard library does: a call that raises is not
# kept, and takes no place from others.
# Seen: the place that a call takes before it begins is not given back when it raises, also where a timeout cancels it.
# After as many such calls as the cache has places, two keys in turn are computed each time. `cache_info` shows a full
# cache with no hits. With the default size that is after 128 errors, and for the rest of the program.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "anyio==4.16.0"
"$folder/venv/bin/python" - <<'PYTHON'
import functools
import sys
from contextlib import suppress

import anyio
from anyio.functools import lru_cache


LENGTHS = {"ab": 2, "abc": 3}


def standard() -> int:
    """How often the function is called for two names, three times each in turn, after four calls that failed."""
    called: list[str] = []

    @functools.lru_cache(maxsize=4)
    def length(name: str) -> int:
        called.append(name)
        return LENGTHS[name]

    for _ in range(4):
        with suppress(KeyError):
            length("absent")
    for name in ["ab", "abc"] * 3:
        length(name)
    return len(called) - called.count("absent")


async def of_anyio(end: str) -> int:
    called: list[str] = []

    @lru_cache(maxsize=4)
    async def length(name: str) -> int:
        called.append(name)
        if name == "slow":
            await anyio.sleep_forever()
        return LENGTHS[name]

    for _ in range(4):
        with suppress(KeyError), anyio.move_on_after(0.01):
            await length(end)
    for name in ["ab", "abc"] * 3:
        await length(name)
    return len(called) - called.count(end)


async def main() -> list[int]:
    return [await of_anyio("absent"), await of_anyio("slow")]


seen = anyio.run(main)
print("expected:", [standard()] * 2)
print("seen:    ", seen)
sys.exit(standard() != 2 or seen != [6, 6])
PYTHON
