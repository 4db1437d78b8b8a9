"""Types of fields that accept more than they hold: a part also as a mapping, several of them also as a list.

Pure. pydantic converts an accepted value to the held one. A type checker derives the parameters of the model's
constructor from the types of its fields, so for checkers these types are descriptors: `__set__` has the accepted type,
`__get__` the held one. At run time they are simply the held types, without descriptors.
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
    """A part, or a mapping to make it from."""
    OneOrNone: TypeAlias = _Made[Kind | Mapping[str, object] | None, Kind | None]
    Several: TypeAlias = _Made[Sequence[Kind | Mapping[str, object]], tuple[Kind, ...]]
    """Parts in order, or mappings to make them from."""
    Items: TypeAlias = _Made[Sequence[Kind], tuple[Kind, ...]]
    """Values in order, such as names."""
    ItemsOrNone: TypeAlias = _Made[Sequence[Kind] | None, tuple[Kind, ...] | None]
else:
    One = Annotated[Kind, "made of what is given"]
    OneOrNone = Kind | None
    Several = Items = tuple[Kind, ...]
    ItemsOrNone = tuple[Kind, ...] | None


def absent(held: object) -> Any:  # noqa: ANN401 - of the held type, where a checker expects the accepted one
    """The default *held* of a field of these types."""
    return held
