"""forEach and repeat: lists that are lists, conditions that can hold, and names with one meaning.

Pure. The keys that an instance sees and writes are part of the data flow (`Spot.given`, `Spot.writes`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine import conditions
from engine.errors import InputError
from engine.graph.instances import ITERATION, NUMBER, own_names
from engine.text.cut import cut
from engine.text.placeholders import malformed, names_in
from engine.text.suggestions import Names
from engine.transforms import parse_transform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.command import Node, Output, Repeat
    from engine.validation.problem import Report
    from engine.validation.subject import Spot, Subject

_WILDCARD = re.compile(r"\*|\.\.|\?|\[[^]]*[:,]")
"""In a transform: what finds any number of values."""
_MEMBER = re.compile(r"\$\.([A-Za-z_]\w*)")
"""A transform that begins with a member."""
MAX_SHOWN_LENGTH = 80
"""Characters of a text that a message shows."""
_NAME_ALONE = "Write the name alone: conditions read values by their names, such as `file.path`."
_NO_NAMES = "Leave it out: a question names its instance, or the items of its list."
_NO_VALUES = "Leave it out, or let an agent look: only conditions of type `context` read values."

_JOINED = {"concat": {"array", "string"}, "merge": {"object"}}
"""The JSON types that each kind of joining takes."""
_SAID = {"concat": "lists or texts", "merge": "objects"}


def one_shape(subject: Subject, report: Report) -> None:
    """A node has forEach or repeat, not both."""
    for spot in subject.spots:
        if spot.node.for_each is not None and spot.node.repeat is not None:
            report.add(
                "SCHEMA",
                f'Node "{spot.node.id}" has both forEach and repeat',
                subject.pointer(spot, "repeat"),
                "Put one of them on a node in phases in place of the other.",
            )


def lists(subject: Subject, report: Report) -> None:
    """ITEMS_NOT_A_LIST: `items` names no input, or a schema says that it is something else."""
    for spot in subject.spots:
        each = spot.node.for_each
        if each is None:
            continue
        if each.key is not None:
            try:
                parse_transform(each.key)
            except InputError as error:
                report.add(
                    "INVALID_TRANSFORM",
                    f'Key of forEach of node "{spot.node.id}": {error.message}',
                    subject.pointer(spot, "forEach", "key"),
                    error.hint,
                )
        keys = [item.key for item in spot.node.context.inputs]
        if each.items not in keys:
            report.add(
                "ITEMS_NOT_A_LIST",
                f'Node "{spot.node.id}" has no input "{each.items}"',
                subject.pointer(spot, "forEach", "items"),
                lambda keys=keys, each=each: (
                    Names(keys).question(each.items) or f'Add {{"key": "{each.items}"}} to its inputs.'
                ),
            )
            continue
        for writer, output in _writers(subject, spot, each.items):
            kinds = _kinds(output.value_schema)
            if kinds is not None and "array" not in kinds and _transform(spot, each.items) is None:
                report.add(
                    "ITEMS_NOT_A_LIST",
                    f'"{each.items}" is not a list by its schema in node "{writer.node.id}"',
                    subject.pointer(spot, "forEach", "items"),
                    'Let the schema have "type": "array", or select the list by a `transform` of the input.',
                )


def uncertain_lists(subject: Subject, report: Report) -> None:
    """ITEMS_WITHOUT_SCHEMA: a model may answer with a text; WILDCARD_ITEMS: a missing list looks like an empty one."""
    for spot in subject.spots:
        each = spot.node.for_each
        if each is None:
            continue
        path = _transform(spot, each.items)
        if path is not None and _WILDCARD.search(path):
            at = next(at for at, item in enumerate(spot.node.context.inputs) if item.key == each.items)
            report.add(
                "WILDCARD_ITEMS",
                f'The transform {path} of "{each.items}" finds an empty list where there is none',
                subject.pointer(spot, "context", "inputs", at, "transform"),
                "Name the list itself, such as $.files: if it is missing, the node then fails.",
            )
        for writer, output in _writers(subject, spot, each.items):
            if output.value_schema is None:
                report.add(
                    "ITEMS_WITHOUT_SCHEMA",
                    f'"{each.items}" of node "{writer.node.id}" has no schema, and node "{spot.node.id}" needs a list',
                    subject.pointer(spot, "forEach", "items"),
                    f'Give the output of "{writer.node.id}" a "schema" with "type": "array".',
                )


def collections(subject: Subject, report: Report) -> None:
    """COLLECTION_AS_VALUE: a transform or condition looks for a member in the list of what all items gave."""
    for spot in subject.spots:
        for key in sorted({item.key for item in spot.node.context.inputs}):
            makers = [subject.spots[number].node for number in subject.producers.get(key, ())]
            if not makers or not all(_makes_list(node, key) for node in makers):
                continue
            for place, member in _members_of(spot, key):
                report.add(
                    "COLLECTION_AS_VALUE",
                    f'Node "{spot.node.id}" reads "{member}" of "{key}", which is the list of what all items of '
                    f'"{makers[0].id}" gave',
                    subject.pointer(spot, *place),
                    f"Name an item, such as {key}[0].{member}, or read all of them.",
                )


def _makes_list(node: Node, key: str) -> bool:
    """Whether *key* of *node* is a list of values of items, and not an object or what one agent gave."""
    each = node.for_each
    if each is None or key == each.failures:
        return False
    merges = [output.merge for output in node.context.outputs if output.key == key]
    return (each.key is None and "replace" in merges) or "append" in merges


def _members_of(spot: Spot, key: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where *spot* reads a member of its input *key* directly, and which."""
    for at, item in enumerate(spot.node.context.inputs):
        first = _MEMBER.match(item.transform or "") if item.key == key else None
        if first is not None:
            yield ("context", "inputs", at, "transform"), first[1]
    skip, loop = spot.node.skip_condition, spot.node.repeat
    if skip is not None and skip.type == "context":
        yield from ((("skipCondition", "expression"), member) for member in _members(skip.expression, key))
    if loop is not None and key not in spot.writes:
        yield from ((("repeat", "until"), member) for member in _members(loop.until, key))


def loops(subject: Subject, report: Report) -> None:
    """INVALID_EXPRESSION and UNKNOWN_OUTPUT: a condition that cannot be evaluated, an output that is not declared."""
    for spot in subject.spots:
        loop = spot.node.repeat
        if loop is None:
            continue
        place = subject.pointer(spot, "repeat", "until")
        try:
            read = conditions.parse(loop.until, strict=True).names
        except InputError as error:
            report.add("INVALID_EXPRESSION", f'until of node "{spot.node.id}": {error.message}', place, error.hint)
            continue
        known = {*spot.writes, *spot.given}
        for name in sorted(read - known):
            report.add(
                "INVALID_EXPRESSION",
                f'until of node "{spot.node.id}" reads "{name}", which is neither an output nor an input of it',
                place,
                lambda name=name, known=known: Names(sorted(known)).question(name) or "Declare it as an output.",
            )
        for at, key in enumerate(loop.stop_when_unchanged):
            if key not in spot.writes:
                report.add(
                    "UNKNOWN_OUTPUT",
                    f'Node "{spot.node.id}" has no output "{key}"',
                    subject.pointer(spot, "repeat", "stopWhenUnchanged", at),
                    lambda key=key, spot=spot: Names(spot.writes).question(key) or "Name one of its outputs.",
                )


def uncertain_loops(subject: Subject, report: Report) -> None:
    """UNTIL_UNCERTAIN: a condition that no iteration changes, or members that an iteration may leave out."""
    for spot in subject.spots:
        loop = spot.node.repeat
        read = _names(loop) if loop is not None else None
        if loop is None or read is None or (not read and loop.on_exhausted == "continue"):  # a fixed number of turns
            continue
        place = subject.pointer(spot, "repeat", "until")
        if not read & {*spot.writes, ITERATION}:
            report.add(
                "UNTIL_UNCERTAIN",
                f'until of node "{spot.node.id}" reads nothing that an iteration changes',
                place,
                "Read an output of the node.",
            )
        for output in spot.node.context.outputs:
            for member in _members(loop.until, output.key) if output.key in read else ():
                if not _requires(output.value_schema, member):
                    report.add(
                        "UNTIL_UNCERTAIN",
                        f'until of node "{spot.node.id}" reads "{output.key}.{member}", which no schema requires',
                        place,
                        f'Give the output a "schema" with "required": ["{member}"]: a missing member fails the node.',
                    )


def names(subject: Subject, report: Report) -> None:
    """NAME_CLASH: a key that instances see has another meaning in their own node."""
    for spot in subject.spots:
        each, context = spot.node.for_each, spot.node.context
        own = [each.item_name, NUMBER] if each is not None else [ITERATION] if spot.node.repeat is not None else []
        other = {item.key for item in context.inputs} - ({each.items} if each is not None else set())
        other |= {output.key for output in context.outputs}
        other |= subject.names - {NUMBER, ITERATION}  # the innermost of these counts
        for name in own:
            if name in other or own.count(name) > 1:
                where = ("forEach", "as") if each is not None and name == each.item_name else ()
                report.add(
                    "NAME_CLASH",
                    f'"{name}" of node "{spot.node.id}" is also the name of an input, an output or an item around it',
                    subject.pointer(spot, *where),
                    'Rename the input or output, or choose another name by "as".' if each else "Rename it.",
                )


def placeholders(subject: Subject, report: Report) -> None:
    """UNKNOWN_PLACEHOLDER: one of a name that is nearly known, in a wrong form, or where nothing is filled in."""
    for spot in subject.spots:
        known = Names(sorted(subject.names | {*own_names(spot.node)}))
        if not known.names:
            continue
        for steps, shown, hint in (*_slips(spot.node, known), *_unfilled(spot.node, known)):
            report.add(
                "UNKNOWN_PLACEHOLDER",
                f'"{shown}" in node "{spot.node.id}" stands for nothing',
                subject.pointer(spot, *steps),
                hint,
            )


def _slips(node: Node, known: Names) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Places of the placeholders in filled texts that stand for nothing, what they are, and hints."""
    for steps, text in _texts(node):
        for name in dict.fromkeys(names_in(text)):
            meant = None if name in known.names else known.closest(name)
            if meant is not None:
                yield steps, f"${{{name}}}", f'Did you mean "${{{meant}}}"? Write "$${{{name}}}" for the text itself.'
        for name, part in dict.fromkeys(malformed(text)):
            if name in known.names:
                shown = cut(part, MAX_SHOWN_LENGTH)
                form = f'Write "${{{name}}}" or a part such as "${{{name}.path}}" or "${{{name}[0]}}"'
                yield steps, shown, f'{form}; "$${shown[1:]}" is the text itself.'


def _unfilled(node: Node, known: Names) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The same for texts in which nothing is filled in."""
    for steps, text, hint in _bare(node):
        for name in dict.fromkeys((*names_in(text), *(name for name, _ in malformed(text)))):
            if name in known.names:
                yield steps, f"${{{name}}}", hint


def _texts(node: Node) -> Iterator[tuple[tuple[str, ...], str]]:
    """The texts of a node in which names stand for values, with their places."""
    yield ("task",), node.task
    if node.compensation is not None:
        member = "task" if node.compensation.task else "description"
        yield ("compensation", member), getattr(node.compensation, member) or ""
    if node.skip_condition is not None and node.skip_condition.skip_message is not None:
        yield ("skipCondition", "skipMessage"), node.skip_condition.skip_message


def _bare(node: Node) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The texts of a node in which nothing is filled in, with their places and what to write."""
    if node.skip_condition is not None:
        hint = _NAME_ALONE if node.skip_condition.type == "context" else _NO_VALUES
        yield ("skipCondition", "expression"), node.skip_condition.expression, hint
    if node.repeat is not None:
        yield ("repeat", "until"), node.repeat.until, _NAME_ALONE
    if node.approval is not None:
        yield ("approval", "message"), node.approval.message, _NO_NAMES


def _writers(subject: Subject, spot: Spot, key: str) -> Iterator[tuple[Spot, Output]]:
    """The nodes that write *key* by themselves, with the output; a list of failed items has a shape of its own."""
    for number in subject.producers.get(key, ()):
        writer = subject.spots[number]
        if writer is not spot and writer.node.for_each is None:
            yield from ((writer, output) for output in writer.node.context.outputs if output.key == key)


def _transform(spot: Spot, key: str) -> str | None:
    return next((item.transform for item in spot.node.context.inputs if item.key == key), None)


def joins(subject: Subject, report: Report) -> None:
    """MERGE_TYPE: a value that `concat` or `merge` cannot join, by its own schema."""
    for spot in subject.spots:
        for place, output in enumerate(spot.node.context.outputs):
            fit = _JOINED.get(output.merge)
            kinds = _kinds(output.value_schema)
            if fit is not None and kinds is not None and not kinds & fit:
                report.add(
                    "MERGE_TYPE",
                    f'Output "{output.key}" of node "{spot.node.id}" cannot be joined: `{output.merge}` joins '
                    f"{_SAID[output.merge]}, and its schema says {' or '.join(sorted(kinds))}",
                    subject.pointer(spot, "context", "outputs", place, "merge"),
                    'Set "merge" to "append" to collect such values in a list, or correct the schema.',
                )


def _kinds(schema: object) -> set[str] | None:
    """The JSON types that *schema* names; None if it names none."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(kind, str):
        return {kind}
    return {str(one) for one in kind} if isinstance(kind, list) else None


def _names(loop: Repeat) -> frozenset[str] | None:
    """The names that the condition reads; None if it cannot be read, which its own rule reports."""
    try:
        return conditions.parse(loop.until, strict=True).names
    except InputError:
        return None


def _members(text: str, name: str) -> list[str]:
    """The members of *name* that a condition reads directly."""
    found = re.findall(rf"(?<![\w.\"']){re.escape(name)}\.([A-Za-z_]\w*)", text)
    return [member for member in dict.fromkeys(found) if member != "length"]


def _requires(schema: object, member: str) -> bool:
    required = schema.get("required") if isinstance(schema, dict) else None
    return isinstance(required, list) and member in required
