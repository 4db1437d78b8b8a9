"""The list of a forEach: whether it can be used, and the names of its items.

Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import InputError
from engine.model.policy import Failure, FailureKind
from engine.text.cut import cut
from engine.transforms import MISSING, parse_transform

if TYPE_CHECKING:
    from engine.model.plan import ForEach, NodePlan

MAX_SHOWN = 10
"""Items that a question shows."""
MAX_SHOWN_LENGTH = 60
"""Characters of an item in a question or a message."""
MAX_KEY_LENGTH = 200
_NO_LIST = (
    "Give the output that provides it a `schema` with the type array; an argument of a run is a list if it is passed "
    "as one, by `--arg NAME:=JSON` on the command line."
)


class Items(msgspec.Struct, frozen=True):
    """A list, or why it cannot be used."""

    items: tuple[Any, ...] = ()
    keys: tuple[str, ...] = ()
    """Names of the items, if they have any."""
    first: tuple[str, ...] = ()
    """The first items as texts."""
    unusable: Failure | None = None


def items_of(plan: NodePlan, each: ForEach, value: object) -> Items:
    """The items of *value*, the list of the node *plan*; an optional input without a value has none."""
    if value is None and any(spec.key == each.items and not spec.required for spec in plan.inputs):
        return Items()
    if not isinstance(value, list | tuple):
        message = f'Input "{each.items}" of node "{plan.id}" is {_kind(value)}, not a list'
        return _refused("ITEMS_NOT_A_LIST", message, _NO_LIST)
    if len(value) > each.max_items:
        message = f'Input "{each.items}" of node "{plan.id}" has {len(value)} items, more than {each.max_items}'
        return _refused("TOO_MANY_ITEMS", message, "Raise `maxItems`, or have fewer items found.")
    keys: tuple[str, ...] = ()
    if each.key is not None:
        try:
            keys = _keys(plan, each.key, value)
        except InputError as error:
            return _refused(error.code, error.message, error.hint)
    shown = keys or tuple(json.dumps(item, ensure_ascii=False) for item in value[:MAX_SHOWN])
    return Items(tuple(value), keys, tuple(cut(text, MAX_SHOWN_LENGTH) for text in shown[:MAX_SHOWN]))


def _keys(plan: NodePlan, path: str, items: list[Any] | tuple[Any, ...]) -> tuple[str, ...]:
    transform = parse_transform(path)
    found: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        key = transform.apply(item)
        text = str(key) if isinstance(key, int | float) and not isinstance(key, bool) else key
        if key is MISSING or not isinstance(text, str) or not 0 < len(text) <= MAX_KEY_LENGTH:
            what = "nothing" if key is MISSING else _kind(key)
            raise InputError(
                f'Item {number} of node "{plan.id}" has no name: `{path}` finds {what}',
                code="BAD_ITEM_KEY",
                hint=f"Its name is a text of at most {MAX_KEY_LENGTH} characters, or a number.",
            )
        if text in found:
            raise InputError(
                f'Items {found[text]} and {number} of node "{plan.id}" have one name, "{cut(text, MAX_SHOWN_LENGTH)}"',
                code="BAD_ITEM_KEY",
                hint="Let `key` name something that is different for each item.",
            )
        found[text] = number
    return tuple(found)


def _refused(code: str, message: str, hint: str | None) -> Items:
    return Items(unusable=Failure(FailureKind.VALIDATION, code, message, hint))


def _kind(value: object) -> str:
    """The type of *value* for a message; never its content."""
    for types, words in _KINDS:
        if isinstance(value, types):
            return words
    return "null"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "a boolean"),
    (str, "a text"),
    ((int, float), "a number"),
    ((list, tuple), "a list"),
    (dict, "an object"),
)
