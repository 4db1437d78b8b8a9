"""The value of a key at a version of the context, as its contributions, and the instances of a node.

Pure. The scope of an instance, `cover/2/`, inherits what its nodes have not written themselves: its item and number,
then the inputs of the node around it, in the scope `cover/`. Nothing is written for each item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.ids import NodeId
from engine.model.policy import Merge
from engine.run.made import Literal
from engine.run.nesting import outer
from engine.run.state import Contribution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.run.made import Ref, Unfolded
    from engine.run.state import NodeState, Run


def parts_at(run: Run, key: str, version: int) -> tuple[Contribution, ...]:
    """Contributions that make up the value of scoped *key* as seen at *version*; empty if there is none."""
    parts = own_parts(run, key, version)
    if not run.unfolded or (parts and parts[0].merge is Merge.REPLACE):
        return parts
    return _inherited(run, key, version) + parts


def own_parts(run: Run, key: str, version: int) -> tuple[Contribution, ...]:
    """Like `parts_at`, without what an instance inherits."""
    parts = run.context.get(key, ())
    end = len(parts)
    while end and parts[end - 1].version > version:
        end -= 1
    start = end - 1  # from the end: each iteration of a loop adds one
    while start > 0 and parts[start].merge is not Merge.REPLACE:
        start -= 1
    return tuple(parts[max(start, 0) : end])


def keys_at(run: Run, scope: str, version: int) -> list[str]:
    """Keys of *scope* that have a value at *version*, without the scope, in order of first production."""
    found = list(_own_keys(run, scope, version))
    around = _around(run, scope)
    if around is not None:
        found = [*run.unfolded[around].own, *_own_keys(run, f"{around}/", version), *found]
    return list(dict.fromkeys(found))


def _own_keys(run: Run, scope: str, version: int) -> Iterator[str]:
    start = len(scope)
    for key, parts in run.context.items():
        if key.startswith(scope) and "/" not in key[start:] and parts and parts[0].version <= version:
            yield key[start:]


def _around(run: Run, scope: str) -> NodeId | None:
    """The node whose instance has *scope*; None if that of an instance is another."""
    around = scope[:-1].rpartition("/")[0]
    return around if around in run.unfolded else None  # type: ignore[return-value]


def named_at(run: Run, node: NodeId, name: str) -> Ref:
    """The item, number or iteration that *name* stands for in texts of *node*: that of the innermost instance.

    *name* is one of the names of the node.
    """
    places = (one.rpartition("/") for one in (node, *outer(node)))
    shapes = ((run.unfolded.get(around), number) for around, _, number in places)  # type: ignore[call-overload]
    return next(_own(shape, name, int(number)) for shape, number in shapes if shape is not None and name in shape.own)


def _own(shape: Unfolded, name: str, number: int) -> Ref:
    return Literal(number) if name == shape.own[-1] else shape.items[number - 1]


def _inherited(run: Run, key: str, version: int) -> tuple[Contribution, ...]:
    scope, _, name = key.rpartition("/")
    around, _, number = scope.rpartition("/")
    shape = run.unfolded.get(around)  # type: ignore[call-overload]
    if shape is None:
        return ()
    if name not in shape.own:
        return own_parts(run, f"{around}/{name}", version)
    return (Contribution(0, _own(shape, name, int(number)), Merge.REPLACE, None, run.created_at),)


def instances(run: Run, name: NodeId) -> Iterator[tuple[int, NodeState]]:
    """Number and state of each instance of *name*, in order; none before its list is known."""
    shape = run.unfolded.get(name)
    for number in range(1, shape.count + 1 if shape is not None else 1):
        yield number, run.nodes[NodeId(f"{name}/{number}")]


def is_superseded(run: Run, name: NodeId) -> bool:
    """Whether *name* is inside an iteration that another one followed: it has been answered by that."""
    for one in outer(name):
        around = NodeId(one.rpartition("/")[0])
        shape = run.unfolded.get(around)
        if shape is not None and run.nodes[around].plan.loop is not None and int(one[len(around) + 1 :]) < shape.count:
            return True
    return False
