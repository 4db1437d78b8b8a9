"""Converts the loops of older nodes to forEach and repeat, where these mean exactly the same.

Pure. A loop of any other form stays, and `Fields.keep` reports it as an error that says what to write.

A `while` is asked before each turn and a `repeat` after it, so a `while` becomes both: a skipCondition for the first
time, and `until` for the others. v2 knows no loop without a bound, so one is required.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.model.command import ForEach, Repeat
from engine.validation.fields import fields_of
from registry.dialects.conditions import join_condition, parses, translate
from registry.dialects.notes import Fields
from registry.wording import node_slug

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTS = ("forEach", "foreach", "each", "iterateOver", "iterate")
"""Fields that name a list."""
TURNS = ("repeat", "loop", "until", "while")
"""Fields that say how often a node runs."""
LIMITS = ("maxIterations", "max_iterations", "maxLoops", "maxTurns", "limit")
_ITEMS = ("items", "in", "list", "collection", "over", "array", "source", "from", "key")
_NAMES = ("as", "item", "itemName", "itemVariable", "itemVar", "variable", "var", "alias")
_AT_ONCE = ("maxParallelism", "maxConcurrency", "maxConcurrent", "concurrency", "maxParallel")
_COUNTS = ("count", "times", "iterations")
_PATH = re.compile(r"(?:context\.|ctx\.|\$\.)?(?P<key>[A-Za-z_]\w*)(?P<rest>(?:\.[A-Za-z_]\w*)*)")
_WRAPPED = re.compile(r"\s*(?:\$\{(?P<a>[^{}]*)\}|\{\{(?P<b>[^{}]*)\}\}|\{(?P<c>[^{}]*)\})\s*")
_NAME = re.compile(r"[A-Za-z_]\w*")
_MAX_TURNS = 100


@dataclass(slots=True)
class Loop:
    """Additions of a loop to its node."""

    inputs: list[dict[str, Any]] = field(default_factory=list)
    """The input with the list."""
    values: dict[str, Any] = field(default_factory=dict)
    """A list that is written in the file, by its context key."""


def carry_loop(fields: Fields) -> Loop:
    """Convert the loop of the node in *fields*, if it has exactly one that v2 can express."""
    found = [name for name in (*LISTS, *TURNS) if name in fields.left and not _is_ours(fields, name)]
    ours = any(_is_ours(fields, name) for name in ("forEach", "repeat"))
    if len(found) != 1 or ours:
        return Loop()
    return _list(fields, found[0]) if found[0] in LISTS else _turns(fields, found[0])


def _is_ours(fields: Fields, name: str) -> bool:
    needed = {"forEach": "items", "repeat": "until"}.get(name)
    value = fields.left.get(name)
    return (
        isinstance(value, dict) and needed in value and set(value) <= set(fields_of(ForEach)) | set(fields_of(Repeat))
    )


def _list(fields: Fields, word: str) -> Loop:
    value = fields.left[word]
    inner = Fields(value if isinstance(value, dict) else {"items": value}, fields.at(word), fields.notes)
    source = inner.take(*_ITEMS)
    named = inner.take(*_NAMES) or (None if isinstance(value, dict) else _beside(fields, _NAMES))
    at_once = inner.take(*_AT_ONCE)
    in_turn = inner.take("parallel", "sequential")
    errors = inner.take("continueOnError", "continue_on_error")
    most = inner.take("maxItems", "max_items")
    name = named[1] if named is not None else "item"
    each: dict[str, Any] = {"as": name}
    loop = Loop()
    if source is None or inner.left or not isinstance(name, str) or not _NAME.fullmatch(name):
        return loop
    if not _find_list(fields, source[1], each, loop):
        return loop
    if in_turn is not None and at_once is None and (in_turn[0] == "sequential") == in_turn[1]:
        at_once = in_turn[0], 1
    each |= {key: found[1] for key, found in (("maxParallelism", at_once), ("maxItems", most)) if found is not None}
    if errors is not None:
        each["continueOnError"] = errors[1]
    order = ("items", "as", "maxItems", "maxParallelism", "continueOnError")
    del fields.left[word]
    fields.left["forEach"] = {key: each[key] for key in order if key in each}
    _placeholders(fields, name)
    message = f'"{word}" is "forEach" in v2, and an output has the values of all items as a list'
    fields.notes.value(fields.at(word), message, f"Write {fields.left['forEach']}.")
    return loop


def _beside(fields: Fields, names: Iterable[str]) -> tuple[str, Any] | None:
    """The first of *names* beside the loop; `key` and the like mean something else there."""
    return fields.take(*(name for name in names if name not in {"item", "variable", "var", "alias"}))


def _find_list(fields: Fields, source: object, each: dict[str, Any], loop: Loop) -> bool:
    """Whether *source* is a list or names one; `items` and the input are written then."""
    if isinstance(source, list):
        key = f"{node_slug(str(fields.left.get('id') or 'node')).replace('-', '_')}_items"
        loop.values[key] = source
        loop.inputs.append({"key": key})
        each["items"] = key
        return True
    text = source if isinstance(source, str) else ""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None:
        text = (wrapped["a"] or wrapped["b"] or wrapped["c"] or "").strip()
    found = _PATH.fullmatch(text)
    if found is None:
        return False
    each["items"] = found["key"]
    loop.inputs.append({"key": found["key"], **({"transform": f"${found['rest']}"} if found["rest"] else {})})
    return True


def _placeholders(fields: Fields, name: str) -> None:
    """`{{file.path}}` in the task is `${file.path}` in v2."""
    task = fields.left.get("task")
    if not isinstance(task, str):
        return
    new = re.sub(rf"\{{\{{\s*({re.escape(name)}(?:\.\w+)*)\s*\}}\}}", r"${\1}", task)
    if new != task:
        fields.notes.value(fields.at("task"), f'the item is "${{{name}}}" in a task of v2', "Write it so.")
        fields.left["task"] = new


def _turns(fields: Fields, word: str) -> Loop:
    value = fields.left[word]
    if word in {"while", "until"} and not isinstance(value, dict):
        value = {word: value}
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"count": value}
    if not isinstance(value, dict):
        return Loop()
    inner = Fields(value, fields.at(word), fields.notes)
    bound = inner.take(*LIMITS) or next(
        ((name, fields.left[name]) for name in LIMITS if name in fields.left and name != "limit"), None
    )
    interval = inner.take("interval", "delay", "intervalMs", "delayMs")
    asked = inner.take("until", "while", "condition", *_COUNTS)
    if asked is None or inner.left or (asked[0] == "condition" and word not in {"while", "until"}):
        return Loop()
    kind = word if asked[0] == "condition" else asked[0]
    repeat = _repeat(kind, asked[1], None if bound is None else bound[1])
    if repeat is None or (interval is not None and not _is_count(interval[1], most=None)):
        return Loop()
    if interval is not None:
        repeat["interval"] = interval[1]
    if kind == "while":
        first = {"type": "context", "expression": repeat["until"]}
        if fields.left.get("skipCondition") is None:
            fields.left["skipCondition"] = first
        else:
            join_condition(fields.left, first, pointer=fields.at(word), notes=fields.notes)
    del fields.left[word]
    if bound is not None:
        fields.left.pop(bound[0], None)
    fields.left["repeat"] = repeat
    message = f'"{word}" is "repeat" in v2, and after {repeat["maxIterations"]} iterations the node fails'
    fields.notes.value(fields.at(word), message, f"Write {repeat}.")
    return Loop()


def _repeat(kind: str, asked: object, bound: object) -> dict[str, Any] | None:
    """The repeat of a loop that runs while or until *asked*, or that often; None if v2 has none that does the same."""
    if kind in _COUNTS:
        if not _is_count(asked, most=_MAX_TURNS) or bound not in {None, asked}:
            return None
        return {"until": f"iteration == {asked}", "maxIterations": asked}
    if not isinstance(asked, str) or not _is_count(bound, most=_MAX_TURNS):
        return None
    condition = translate(asked)
    if not parses(condition):
        return None
    return {"until": f"!({condition})" if kind == "while" else condition, "maxIterations": bound}


def _is_count(value: object, *, most: int | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= (most or value)
