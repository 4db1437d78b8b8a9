"""Which nodes and phases are inside which others, by their ids and the plans of the run.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ids import NodeId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.run.state import Run


def level_of(run: Run, group: NodeId | None) -> tuple[int, ...]:
    """The phases of sub-command *group*, in order; None: those of the command itself."""
    return run.top if group is None else run.nodes[group].plan.inner


def inside(run: Run, group: NodeId) -> Iterator[NodeId]:
    """All nodes of the sub-command *group*, however deep, each sub-command before its nodes."""
    for index in run.nodes[group].plan.inner:
        for name in run.phases[index].plan.nodes:
            yield name
            yield from inside(run, name)


def outer(name: NodeId) -> Iterator[NodeId]:
    """The sub-commands around *name*, innermost first."""
    around = name.rpartition("/")[0]
    while around:
        yield NodeId(around)
        around = around.rpartition("/")[0]


def is_inside(name: NodeId, group: NodeId) -> bool:
    """Whether *name* is a node of the sub-command *group*."""
    return name.startswith(f"{group}/")
