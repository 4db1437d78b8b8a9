"""`python -m tests.support.world SEED [LAST]` plays one world and tells all of it, or those of SEED to LAST and counts.

Effects: writes to standard output.
"""

from __future__ import annotations

import sys

from tests.support.world.world import Broken, World


def main(first: int, last: int | None = None) -> int:
    """Gives the exit code: 1 where a law was broken."""
    if last is None:
        world = World(first, trace=None)
        try:
            digest = world.play()
        except Broken as error:
            say(str(error))
            return 1
        say("\n".join(world.trace), f"{world.audit.commits} commits, journals {digest}")
        return 0
    broken = 0
    for seed in range(first, last + 1):
        try:
            World(seed).play()
        except Broken as error:
            broken += 1
            say(str(error).partition("\n")[0])
    say(f"{last + 1 - first} worlds, {broken} broken")
    return 1 if broken else 0


def say(*lines: str) -> None:
    """Print *lines*."""
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
