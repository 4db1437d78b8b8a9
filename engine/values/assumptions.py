"""Values that a simulation invents for skip conditions, so that the flow continues.

Pure and deterministic. A value invented by its schema alone is the smallest one, and conditions such as `files == 0`
would skip the very nodes that a user wants to try. So other values are tried, as many as the condition suggests, and
the first one with the fewest skipped nodes is used. It does not judge what a node does with a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from engine.conditions import Condition, ConditionError, parse
from engine.ids import ANY
from engine.json.example import example_of
from engine.model.plan import NodeKind, SkipType
from engine.model.policy import CompensationType, FailureKind
from engine.text.cut import cut
from engine.values.context import check_outputs

if TYPE_CHECKING:
    from engine.ids import NodeId
    from engine.model.plan import ForEach, NodePlan, Plan
    from engine.model.policy import OutputDecl

_MEMBER = re.compile(r"\.([A-Za-z_]\w*)|\[\s*\"([^\"\\]*)\"\s*\]|\[\s*'([^'\\]*)'\s*\]")
_LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|(?<![\w.])-?\d+(?:\.\d+)?")
_SIZES = frozenset({"length"})
"""Names that stand for the size of a value, and not for a member."""
_MAX_LITERALS = 8
_MAX_SHOWN_LENGTH = 60
_DEEPEST = 8

Place = tuple[str, str]
"""Scope and key of a context value."""


@dataclass(slots=True)
class _Output:
    """One invented output, and the conditions that read it."""

    node: NodePlan
    spec: OutputDecl
    value: Any
    paths: dict[tuple[str, ...], None] = field(default_factory=dict)
    """The members that conditions read, in order."""
    literals: dict[str, Any] = field(default_factory=dict)
    """Values that conditions compare it with, by their JSON."""


class Assumptions(msgspec.Struct, frozen=True):
    """Outputs invented for the conditions that read them."""

    values: Mapping[NodeId, Mapping[str, Any]]
    shown: tuple[str, ...]
    """Each value that a condition reads, as `node.key.member = JSON`."""


def assume(plan: Plan, *, context: Mapping[str, Any], given: Mapping[NodeId, Mapping[str, Any]]) -> Assumptions:
    """Invent outputs for a simulation of *plan*; *given* outputs stay as they are.

    *context* is the initial context of the run, by scoped key.
    """
    search = _Search(plan, context, given)
    search.improve()
    made: dict[NodeId, dict[str, Any]] = {}
    shown: list[str] = []
    for output in search.outputs:
        made.setdefault(output.node.id, {})[output.spec.key] = output.value
        for path in output.paths:
            place = ".".join((output.node.id, output.spec.key, *path))
            text = json.dumps(_at(output.value, path), ensure_ascii=False)
            shown.append(f"{place} = {cut(text, _MAX_SHOWN_LENGTH)}")
    return Assumptions(made, tuple(shown))


def placeholder(key: str, agent: str) -> str:
    """The text in place of an agent's text."""
    return f"<{key} by {agent}>"


class _Search:
    """The conditions of a plan, with the outputs that decide them."""

    def __init__(self, plan: Plan, context: Mapping[str, Any], given: Mapping[NodeId, Mapping[str, Any]]) -> None:
        self._context = context
        self._nodes: dict[str, NodePlan] = {node.id: node for node in plan.with_templates()}
        self._phases = plan.phases
        self._given = given
        self._writers: dict[Place, list[tuple[NodePlan, OutputDecl]]] = {}
        for node in self._nodes.values():
            if node.kind is NodeKind.SUB_COMMAND and node.output_scope == _inside(node):
                continue  # an item's phases in place: what they write is already where it belongs
            for spec in node.outputs:
                self._writers.setdefault((node.output_scope, spec.key), []).append((node, spec))
        self._made: dict[tuple[NodeId, str], _Output] = {}
        self._readers: dict[tuple[NodeId, str], list[_Reader]] = {}
        for reader in (one for node in self._nodes.values() for one in _readers(node)):
            for name in sorted(reader.condition.names):
                for output in self._outputs_for((reader.scope, name), reader.before):
                    self._note(output, name, reader.condition)
                    self._readers.setdefault((output.node.id, output.spec.key), []).append(reader)
        self._lists = [
            (output, node, node.each)
            for node in self._nodes.values()
            if node.each is not None
            for output in self._outputs_for((node.scope, node.each.items))
        ]

    @staticmethod
    def _list(output: _Output, node: NodePlan, each: ForEach) -> None:
        """Let *output* have the list of *node*: as many items as it assumes, or as its schema allows."""
        path = next((spec.transform for spec in node.inputs if spec.key == each.items), None)
        members = () if path is None else tuple(path.removeprefix("$").lstrip(".").split("."))
        if not all(member.isidentifier() for member in members):
            return
        schema: Any = output.spec.schema
        for member in members:
            schema = _part(_part(schema, "properties"), member)
        for count in (each.estimated, 1, 2, 3):
            items = [_item(_part(schema, "items"), each, number) for number in range(1, count + 1)]
            value = _with(output.value, members, items)
            if check_outputs([output.spec], {output.spec.key: value}, cascade_on_validation=False) is None:
                output.value = value
                output.paths.setdefault(members)
                return

    @property
    def outputs(self) -> list[_Output]:
        """The outputs that conditions read, in order of discovery."""
        return list(self._made.values())

    def improve(self) -> None:
        """Set each output in turn to the first value that skips the fewest of its readers."""
        for output in self._made.values():
            if output.spec.schema is None and any(output.paths):  # a value with members is an object, not a text
                output.value = _all_with(output, output.value, 1)
        for output, node, each in self._lists:
            self._list(output, node, each)
        for at, output in self._made.items():
            readers = self._readers.get(at, [])
            best, value = self._skipped(readers), output.value
            for candidate in _candidates(output) if best else ():
                output.value = candidate
                skipped = self._skipped(readers)
                if skipped < best:
                    best, value = skipped, candidate
                if not best:
                    break
            output.value = value

    def _skipped(self, readers: list[_Reader]) -> int:
        """The number of skipped nodes, and of loops that do not end with their first iteration.

        A condition that cannot be evaluated counts double, as it fails its node.
        """
        total = 0
        for reader in readers:
            names = reader.condition.names
            values = {name: value for name in names for value in self._value((reader.scope, name), reader.before)}
            if reader.ends_a_loop and "iteration" in names:
                values["iteration"] = 1
            try:
                total += reader.condition.evaluate(values) is not reader.ends_a_loop
            except ConditionError:
                total += 2
        return total

    def _outputs_for(self, place: Place, before: NodeId | None = None) -> Iterator[_Output]:
        """The invented outputs behind a value: of the nodes that write it, or of a sub-command's inputs.

        What the node *before* which it is read writes does not count.
        """
        for node, spec in self._sources(place, before):
            if spec.key in self._given.get(node.id, ()):
                continue
            at = (node.id, spec.key)
            if at not in self._made:
                example = example_of(spec.schema, placeholder=placeholder(spec.key, node.agent))
                self._made[at] = _Output(node, spec, example)
            yield self._made[at]

    def _sources(self, place: Place, before: NodeId | None = None) -> Iterator[tuple[NodePlan, OutputDecl]]:
        _, key = place
        writers = self._written(place, before)
        for node, spec in writers:
            if node.kind is NodeKind.SUB_COMMAND:
                yield from self._sources((_inside(node), key))
            else:
                yield node, spec
        if not writers and (outer := self._outer(place)) is not None:
            yield from self._sources(outer)

    def _written(self, place: Place, before: NodeId | None) -> list[tuple[NodePlan, OutputDecl]]:
        """The writers of a value, apart from the node *before* which it is read."""
        return [(node, spec) for node, spec in self._writers.get(place, ()) if node.id != before]

    def _outer(self, place: Place) -> Place | None:
        """The source of a sub-command's value that its node passes in."""
        scope, key = place
        if scope.endswith(f"/{ANY}/"):
            return f"{scope.removesuffix(f'{ANY}/')}", key
        group = self._nodes.get(scope[:-1]) if scope else None
        reads = group is not None and (group.passthrough or any(spec.key == key for spec in group.inputs))
        return (group.scope, key) if group is not None and reads else None

    def _value(self, place: Place, before: NodeId | None = None) -> Iterator[Any]:
        """The value at *place* after all its writers have run, apart from *before*; nothing if it has none."""
        scope, key = place
        found = None
        for node, spec in self._written(place, before):
            if node.kind is NodeKind.SUB_COMMAND:
                inside = list(self._value((_inside(node), key)))
                found = inside if node.each is None else [inside * node.each.estimated]
                continue
            given = self._given.get(node.id, {})
            found = [given[spec.key] if spec.key in given else self._made[node.id, spec.key].value]
        if found is None and scope + key in self._context:
            found = [self._context[scope + key]]
        if found is None and (outer := self._outer(place)) is not None:
            yield from self._value(outer)
        yield from found or ()

    @staticmethod
    def _note(output: _Output, name: str, condition: Condition) -> None:
        """Note the members of *output* that *condition* reads, and the values it compares with."""
        for path in _paths(name, condition.text):
            output.paths.setdefault(path)
        for text in _LITERAL.findall(condition.text)[:_MAX_LITERALS]:
            value = text[1:-1] if text[0] in "\"'" else json.loads(text)
            output.literals.setdefault(json.dumps(value), value)


class _Reader(msgspec.Struct, frozen=True):
    """A condition, and where its names have values."""

    scope: str
    condition: Condition
    ends_a_loop: bool = False
    """Whether it should hold, and not the opposite."""
    before: NodeId | None = None
    """The node that begins, or is skipped, once it was evaluated."""


def _readers(node: NodePlan) -> Iterator[_Reader]:
    """The conditions of *node*."""
    if node.skip is not None and node.skip.type is SkipType.CONTEXT:
        yield _Reader(node.scope, parse(node.skip.expression), before=node.id)
    if node.loop is not None:
        yield _Reader(f"{node.id}/", parse(node.loop.until, strict=True), ends_a_loop=True)


def _inside(node: NodePlan) -> str:
    """The scope in which the group *node* finds its outputs."""
    return f"{node.id}/{ANY}/" if node.each is not None else f"{node.id}/"


def _part(schema: object, name: str) -> Any:  # noqa: ANN401 - part of a schema
    return schema.get(name) if isinstance(schema, Mapping) else None


def _item(schema: object, each: ForEach, number: int) -> Any:  # noqa: ANN401 - JSON
    """An item that has a name of its own if the items need one."""
    item = example_of(schema if isinstance(schema, dict | bool) else None, placeholder=f"<{each.name} {number}>")
    if each.key is None:
        return item
    members = tuple(each.key.removeprefix("$").lstrip(".").split(".")) if each.key != "$" else ()
    return _with(item, members, f"{each.name}-{number}") if all(map(str.isidentifier, members)) else item


def _paths(name: str, text: str) -> Iterator[tuple[str, ...]]:
    """The members of *name* that a condition reads, the empty path for the value itself."""
    for found in re.finditer(rf"(?<![\w.]){re.escape(name)}(?!\w)", text):
        path: list[str] = []
        at = found.end()
        while member := _MEMBER.match(text, at):
            word = member[1] or member[2] or member[3] or ""
            if member[1] in _SIZES:
                break
            path.append(word)
            at = member.end()
        yield tuple(path)


def _candidates(output: _Output) -> Iterator[Any]:
    """Values for *output* that its declaration allows: with one leaf in all members that conditions read, or in one."""
    base = output.value
    own = output.node.compensation
    cascade = own is not None and own.type is CompensationType.CASCADE and FailureKind.VALIDATION in own.on
    leaves = [1, True, *output.literals.values(), *_neighbours(output.literals.values())]
    leaves += [*_choices(output.spec.schema), 0, False, [], {}, ["<item>"], None]
    for leaf in leaves:
        together = _all_with(output, base, leaf)
        singles = [_with(base, path, leaf) for path in output.paths] if len(output.paths) > 1 else []
        for candidate in (together, *singles):
            answer = {output.spec.key: candidate}
            if check_outputs([output.spec], answer, cascade_on_validation=cascade) is None:
                yield candidate


def _all_with(output: _Output, value: Any, leaf: object) -> Any:  # noqa: ANN401 - JSON values
    """*value* with *leaf* wherever conditions read *output*."""
    for path in output.paths:
        value = _with(value, path, leaf)
    return value


def _choices(schema: object, depth: int = 0) -> Iterator[Any]:
    """The values that enumerations in *schema* allow."""
    if isinstance(schema, Mapping) and depth < _DEEPEST:
        yield from schema["enum"][:_MAX_LITERALS] if isinstance(schema.get("enum"), list | tuple) else ()
        for value in schema.values():
            yield from _choices(value, depth + 1)


def _neighbours(literals: Any) -> list[float]:  # noqa: ANN401 - JSON values
    """Numbers next to those in comparisons: a bound may be open on either side."""
    numbers = [value for value in literals if isinstance(value, int | float) and not isinstance(value, bool)]
    return [value + step for value in numbers for step in (1, -1)]


def _with(value: Any, path: tuple[str, ...], leaf: object) -> Any:  # noqa: ANN401 - JSON values
    """A copy of *value* with *leaf* at *path*; anything else on the way becomes an object."""
    if not path:
        return leaf
    whole = deepcopy(value) if isinstance(value, dict) else {}
    return {**whole, path[0]: _with(whole.get(path[0]), path[1:], leaf)}


def _at(value: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON values
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
