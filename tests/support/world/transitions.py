"""Which changes of status happen in the worlds that are played, of all that the tables of `engine.run.state` allow.

Effects: from `watch` on, the tables remember what is asked of them in this process.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from engine.run import changes
from engine.run.state import NODE_TRANSITIONS, RUN_TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

Transition: TypeAlias = tuple[str, str, str]
"""Of a node or a run: from, to."""
ALLOWED: frozenset[Transition] = frozenset(
    (of, before.value, after.value)
    for of, table in (("node", NODE_TRANSITIONS), ("run", RUN_TRANSITIONS))
    for before, following in table.items()
    for after in following
)


Status = TypeVar("Status", bound=StrEnum)


class _Row(frozenset[StrEnum]):
    """What may follow on a status; it remembers what did."""

    seen: set[Transition]
    of: str
    before: str

    def __contains__(self, after: object) -> bool:
        self.seen.add((self.of, self.before, str(after)))
        return super().__contains__(after)


def watch(patch: pytest.MonkeyPatch) -> set[Transition]:
    """The transitions that are taken from now on, as long as *patch* holds."""
    seen: set[Transition] = set()

    def watched(of: str, table: Mapping[Status, frozenset[Status]]) -> dict[Status, _Row]:
        rows = {before: _Row(following) for before, following in table.items()}
        for before, row in rows.items():
            row.seen, row.of, row.before = seen, of, before.value
        return rows

    patch.setattr(changes, "NODE_TRANSITIONS", watched("node", NODE_TRANSITIONS))
    patch.setattr(changes, "RUN_TRANSITIONS", watched("run", RUN_TRANSITIONS))
    return seen
