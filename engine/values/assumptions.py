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

from engine.conditions import Condition, ConditionError, parse
from engine.json.example import example_of
from engine.model.plan import NodeKind, SkipType
from engine.model.policy import CompensationType, FailureKind
from engine.text.cut import cut
from engine.values.context import check_outputs

if TYPE_CHECKING:
    from engine.ids import NodeId
    from engine.model.plan import NodePlan, Plan
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


@dataclass(frozen=True, slots=True)
class Assumptions:
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
        self._nodes = {node.id: node for node in plan.nodes}
        self._phases = plan.phases
        self._given = given
        self._writers: dict[Place, list[tuple[NodePlan, OutputDecl]]] = {}
        for node in plan.nodes:
            for spec in node.outputs:
                self._writers.setdefault((node.scope, spec.key), []).append((node, spec))
        self._made: dict[tuple[NodeId, str], _Output] = {}
        self._conditions = [(node.scope, parsed) for node in plan.nodes if (parsed := _condition(node)) is not None]
        self._readers: dict[tuple[NodeId, str], list[tuple[str, Condition]]] = {}
        for scope, condition in self._conditions:
            for name in sorted(condition.names):
                for output in self._outputs_for((scope, name)):
                    self._note(output, name, condition)
                    self._readers.setdefault((output.node.id, output.spec.key), []).append((scope, condition))

    @property
    def outputs(self) -> list[_Output]:
        """The outputs that conditions read, in order of discovery."""
        return list(self._made.values())

    def improve(self) -> None:
        """Set each output in turn to the first value that skips the fewest of its readers."""
        for output in self._made.values():
            if output.spec.schema is None and any(output.paths):  # a value with members is an object, not a text
                output.value = _all_with(output, output.value, 1)
        for at, output in self._made.items():
            readers = self._readers[at]
            best, value = self._skipped(readers), output.value
            for candidate in _candidates(output) if best else ():
                output.value = candidate
                skipped = self._skipped(readers)
                if skipped < best:
                    best, value = skipped, candidate
                if not best:
                    break
            output.value = value

    def _skipped(self, readers: list[tuple[str, Condition]]) -> int:
        """The number of skipped nodes; a condition that cannot be evaluated counts double, as it fails its node."""
        total = 0
        for scope, condition in readers:
            values = {name: value for name in condition.names for value in self._value((scope, name))}
            try:
                total += condition.evaluate(values)
            except ConditionError:
                total += 2
        return total

    def _outputs_for(self, place: Place) -> Iterator[_Output]:
        """The invented outputs behind a value: of the nodes that write it, or of a sub-command's inputs."""
        for node, spec in self._sources(place):
            if spec.key in self._given.get(node.id, ()):
                continue
            at = (node.id, spec.key)
            if at not in self._made:
                example = example_of(spec.schema, placeholder=placeholder(spec.key, node.agent))
                self._made[at] = _Output(node, spec, example)
            yield self._made[at]

    def _sources(self, place: Place) -> Iterator[tuple[NodePlan, OutputDecl]]:
        _, key = place
        writers = self._writers.get(place, ())
        for node, spec in writers:
            if node.kind is NodeKind.SUB_COMMAND:
                yield from self._sources((f"{node.id}/", key))
            else:
                yield node, spec
        if not writers and (outer := self._outer(place)) is not None:
            yield from self._sources(outer)

    def _outer(self, place: Place) -> Place | None:
        """The source of a sub-command's value that its node passes in."""
        scope, key = place
        group = self._nodes.get(scope[:-1]) if scope else None  # type: ignore[call-overload]
        reads = group is not None and (group.passthrough or any(spec.key == key for spec in group.inputs))
        return (group.scope, key) if group is not None and reads else None

    def _value(self, place: Place) -> Iterator[Any]:
        """The value at *place* after all its writers have run; nothing if it has none."""
        scope, key = place
        found = None
        for node, spec in self._sources(place):
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


def _condition(node: NodePlan) -> Condition | None:
    if node.skip is None or node.skip.type is not SkipType.CONTEXT:
        return None
    return parse(node.skip.expression)


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
