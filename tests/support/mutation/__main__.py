"""`python -m tests.support.mutation [PART PARTS]` runs the tests of policy on chosen mutants, and tells which survive.

With the name of a mutant it runs that one alone. Effects: writes to standard output; a process for each mutant, with a
limit of its own for the time of its processor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.mutation.equivalent import EQUIVALENT
from tests.support.mutation.mutants import Mutant, chosen, everything, unchanged
from tests.support.world.world import World

ROOT = Path(__file__).parents[3]
AT_ONCE = 2
FIRST_WORLDS, ALL_WORLDS = 15, 60
SECONDS = 240
"""Of the processor, after which a mutant counts as caught in a loop."""
UNIT = "tests/unit/engine/scheduling/test_{}.py"
MORE = (
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/unit/engine").glob("test_*.py")),
    *(f"tests/unit/engine/{room}" for room in ("scheduling", "tables", "values", "run", "runtime", "api")),
    *(f"tests/unit/engine/views/test_{view}.py" for view in ("status", "todos", "report_text")),
    *(f"tests/property/test_{laws}.py" for laws in ("retry", "scheduling", "scheduling_bounds", "locks")),
    *(f"tests/simulation/test_{stories}.py" for stories in ("crashes", "order", "quota", "breakers")),
)


def survives(mutant: Mutant) -> bool:
    """Whether no test notices *mutant*, in this process: those that are quick to notice one come first."""
    mutant.apply()
    own = UNIT.format(mutant.module)
    rest = [path for path in MORE if path != own]
    return _pass(own) and _stand(0, FIRST_WORLDS) and _pass(*rest) and _stand(FIRST_WORLDS, ALL_WORLDS)


def _pass(*paths: str) -> bool:
    options = ["-x", "-q", "--no-header", "--disable-warnings", "-p", "no:cacheprovider"]
    return pytest.main([*options, *(str(ROOT / path) for path in paths)]) is pytest.ExitCode.OK


def _stand(first: int, last: int) -> bool:
    """Whether the laws hold in some worlds."""
    logging.disable()
    try:
        for seed in range(first, last):
            World(seed).play()
    except Exception:  # noqa: BLE001 - however it breaks, it is noticed
        return False
    finally:
        logging.disable(logging.NOTSET)
    return True


def alive(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Those that survive, a few tried at once."""
    running: dict[int, Mutant] = {}
    for mutant in mutants:
        if len(running) == AT_ONCE:
            yield from _ended(running)
        sys.stdout.flush()
        child = os.fork()
        if not child:
            os._exit(_child(mutant))
        running[child] = mutant
    while running:
        yield from _ended(running)


def _child(mutant: Mutant) -> int:
    code = 2
    with contextlib.suppress(BaseException), Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        code = 0 if survives(mutant) else 1
    return code


def _ended(running: dict[int, Mutant]) -> Iterator[Mutant]:
    child, status = os.wait()
    mutant = running.pop(child)
    if status == 0:
        yield mutant


def main(words: list[str]) -> int:
    """The exit code: 1 where a mutant survives that is not known to decide the same."""
    if len(words) == 1:
        return 1 if survives(next(one for one in everything() if one.name == words[0])) else 0
    part, parts = map(int, words) if words else (0, 1)
    if not list(alive([unchanged()])):
        sys.stdout.write("the tests of policy fail without any mutant\n")
        return 2
    mutants = chosen()[part::parts]
    tried = [one for one in mutants if one.name not in EQUIVALENT]
    unknown = 0
    for mutant in alive(tried):
        unknown += 1
        sys.stdout.write(f"{mutant.name}\n")
        sys.stdout.flush()
    killed, same = len(tried) - unknown, len(mutants) - len(tried)
    sys.stderr.write(f"{len(mutants)} mutants: {killed} noticed, {same} equivalent, {unknown} not noticed\n")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
