"""Values from contributions and references.

Pure. The caller passes a function that finds stored values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.model.policy import Merge
from engine.run.events import ValueRef
from engine.run.made import Folded, Listed, Named
from engine.values.context import Part, merge_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.run.made import Ref
    from engine.run.state import Contribution

    Get = Callable[[ValueRef], Any]


def value_of(ref: Ref, get: Get) -> Any:  # noqa: ANN401 - JSON
    """The value of *ref*. Raises `MergeError` if contributions in it do not join."""
    if isinstance(ref, ValueRef):
        return get(ref)
    if isinstance(ref, Folded):
        return merge_values([Part(merge, value_of(part, get)) for merge, part in ref.parts])
    if isinstance(ref, Listed):
        return [value_of(item, get) for item in ref.items]
    if isinstance(ref, Named):
        return {name: value_of(member, get) for name, member in ref.members}
    return ref.value


def joined(parts: Sequence[Contribution], get: Get) -> Any:  # noqa: ANN401 - JSON
    """The value that *parts*, at least one, make up. Raises `MergeError`."""
    if len(parts) == 1 and parts[0].merge is Merge.REPLACE:
        return value_of(parts[0].ref, get)
    return merge_values([Part(part.merge, value_of(part.ref, get)) for part in parts])
