"""Types of fields that are given in more ways than they are held: a part as a mapping, several of them as a list.

Pure. pydantic makes what is held of what is given. A type checker reads from the type of a field what the model's
constructor takes, so for checkers these types are descriptors: `__set__` takes what may be given, and `__get__` returns
what is held. At run time they are plainly the types that are held, and there is no descriptor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

Kind = TypeVar("Kind")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Generic, TypeAlias

    Given_contra = TypeVar("Given_contra", contravariant=True)
    Held_co = TypeVar("Held_co", covariant=True)

    class _Made(Generic[Given_contra, Held_co]):
        def __get__(self, instance: object, owner: type) -> Held_co: ...
        def __set__(self, instance: object, value: Given_contra) -> None: ...

    One: TypeAlias = _Made[Kind | Mapping[str, object], Kind]
    """A part, or a mapping of which it is made."""
    OneOrNone: TypeAlias = _Made[Kind | Mapping[str, object] | None, Kind | None]
    Several: TypeAlias = _Made[Sequence[Kind | Mapping[str, object]], tuple[Kind, ...]]
    """Parts in order, or mappings of which they are made."""
    Items: TypeAlias = _Made[Sequence[Kind], tuple[Kind, ...]]
    """Values in order, such as names."""
    ItemsOrNone: TypeAlias = _Made[Sequence[Kind] | None, tuple[Kind, ...] | None]
else:
    One = Annotated[Kind, "made of what is given"]
    OneOrNone = Kind | None
    Several = Items = tuple[Kind, ...]
    ItemsOrNone = tuple[Kind, ...] | None


def absent(held: object) -> Any:  # noqa: ANN401 - of what a field holds, where a checker expects what may be given
    """The default *held* of a field of these types."""
    return held
