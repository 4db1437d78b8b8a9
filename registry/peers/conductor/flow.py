"""Turns the routes of a Conductor workflow, a state machine, into phases with dependencies, conditions and loops.

Pure.

Theory of operation
===================

Conductor runs one step at a time: after each, the first route whose condition holds names the next. A node of ours is
reached if a step before it has run and its route to the node was taken. "Has run" is `key != null`, since every node
has an output; "was taken" is the condition of the route and the negation of those before it. A node that is
not reached is skipped.

A route back makes a loop. All steps that can be reached from each other are one, and become phases in place with a
`repeat`: one turn is the way from the step at which the loop is entered (its head) to a step that goes back or out. If
that is always the same step, `until` is the negation of its routes back. Otherwise the last nodes of a turn write where
the loop goes on, or an empty text if it goes back, and `until` and the routes out read that.

The outputs of the steps that every turn reaches are those of the loop, so a later turn finds them, and so do the steps
after it. A step that a turn may skip keeps its output inside: a stale one would look as if it had run. A loop whose
steps read such an output in a later turn is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.peers.agents import RUNNER
from registry.peers.conductor import expressions
from registry.peers.conductor.steps import Shop, Work, work
from registry.peers.conductor.units import END, Route, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_TURNS = 100
_MAX_ROUTES = 40
"""Of one step: the condition of each names all before it."""
_MAX_NESTING = 20
"""Loops inside each other."""
_NAME = re.compile(r"(?<![\w.'\"])[A-Za-z_]\w*")


@dataclass(slots=True)
class Edge:
    """One way from a unit to the next."""

    source: str
    target: str
    guard: str
    """The condition, empty for a way that is always taken."""


@dataclass(slots=True)
class Part:
    """A unit of a region, or a loop in it."""

    unit: Unit
    edges: list[Edge]
    lost: str = ""
    """The condition under which no route is taken, which is a failure."""
    inner: Region | None = None
    """The turn of a loop; `unit` then is the step that goes back or out."""
    ids: list[str] = field(default_factory=list)
    always: bool = False


@dataclass(slots=True)
class Region:
    """Parts without a way back, in the order in which they run."""

    head: str
    parts: list[Part]
    units: set[str]
    until: str = ""
    turns: int = 1
    key: str = ""
    """Context key of where a loop with several ends goes on."""
    exits: list[Edge] = field(default_factory=list)


@dataclass(slots=True)
class Built:
    """The phases of a region, and what they read from outside."""

    phases: list[dict[str, Any]]
    inputs: dict[str, bool]
    outputs: list[dict[str, Any]]
    """Of the nodes that are always reached."""
    hidden: set[str]
    """Keys of outputs that a loop inside does not hand on."""
    pointers: list[tuple[int, int, str]]
    """Phase and place of each node, and its pointer in the workflow."""


class Flow:
    """Finds the regions of a workflow and builds their phases."""

    def __init__(self, units: dict[str, Unit], shop: Shop, *, most: int) -> None:
        self._units = units
        self._shop = shop
        self._report = shop.report
        self._most = most
        self._edges: dict[str, list[Edge]] = {}
        self._lost: dict[str, str] = {}
        self._hidden: set[str] = set()

    def build(self, entry: str) -> Built:
        """The phases of everything that is reached from *entry*."""
        reached = self._reach(entry)
        for name in [] if self._report.has_refused else self._units.keys() - reached:  # what was refused has no routes
            unit = self._units[name]
            self._report.refuse(unit.fields.pointer, f'no route leads to "{name}"', "Remove it, or add a route to it.")
        built = self._phases(self._region(entry, reached, frozenset()), frozenset())
        for node in (node for phase in built.phases for node in phase["agents"]):
            for key in _keys_of(node) & self._hidden:
                message = f'node "{node["id"]}" reads "{key}", which a turn of a loop before it may not have written'
                self._report.refuse(self._units[entry].fields.pointer, message, "Let every turn reach that step.")
        return built

    def _reach(self, entry: str) -> set[str]:
        reached: set[str] = set()
        waiting = [entry]
        while waiting:
            name = waiting.pop()
            if name in reached or name == END:
                continue
            if name not in self._units:
                continue
            reached.add(name)
            self._edges[name] = self._routes(self._units[name])
            waiting += [edge.target for edge in self._edges[name]]
        return reached

    def _routes(self, unit: Unit) -> list[Edge]:
        """The ways from *unit*, each with the negation of those before it."""
        before: list[str] = []
        edges = []
        if len(unit.routes) > _MAX_ROUTES:
            message = f"a step with more than {_MAX_ROUTES} routes is not converted"
            self._report.refuse(unit.fields.pointer, message, "Write a step between them.")
            return []
        for route in unit.routes or [Route(END, None, unit.fields.pointer)]:
            if route.to != END and route.to not in self._units:
                self._report.refuse(route.pointer, f'the route leads to "{route.to[:80]}", which does not exist')
                continue
            own = None if route.when is None else expressions.convert(route.when, self._shop.names, unit, route.pointer)
            if route.when is not None and own is None:
                continue
            edges.append(Edge(unit.name, route.to, " && ".join([*before, *([own] if own is not None else [])])))
            if own is None:
                return edges
            before.append(f"!({own})")
        self._lost[unit.name] = " && ".join(before)
        return edges

    def _region(self, head: str, names: set[str], cut: frozenset[str]) -> Region:
        """The parts of *names*; ways to one of *cut*, the heads of the loops around, are left out."""
        groups = _components(names, {name: self._ways(name, names, cut) for name in names})
        home = {name: number for number, group in enumerate(groups) for name in group}
        parts: list[Part] = []
        for group in reversed(groups):
            name = next(iter(group))
            if len(group) == 1 and name not in self._ways(name, names, cut):
                parts.append(Part(self._units[name], self._edges[name], self._lost.get(name, "")))
                continue
            heads = {edge.target for one in names for edge in self._edges[one] if home[one] != home.get(edge.target)}
            heads = (heads | {head}) & group
            if len(cut) >= _MAX_NESTING:
                self._refuse_loop(group, f"it is inside {_MAX_NESTING} others")
            elif len(heads) == 1:
                parts.append(self._loop(heads.pop(), group, cut))
            else:
                self._refuse_loop(group, "it is entered at several steps")
        return Region(head, parts, names)

    def _ways(self, name: str, names: set[str], cut: frozenset[str]) -> set[str]:
        return {edge.target for edge in self._edges[name] if edge.target in names and edge.target not in cut}

    def _loop(self, head: str, group: set[str], cut: frozenset[str]) -> Part:
        inner = self._region(head, group, cut | {head})
        self._mark(inner)
        inner.turns = max(1, min(_MAX_TURNS, self._most // len(group)))
        message = f"Conductor ends a run after {self._most} steps; here this loop has at most {inner.turns} turns"
        self._report.differs(self._units[head].fields.pointer, message)
        back = [edge for one in group for edge in self._edges[one] if edge.target == head]
        out = [edge for part in inner.parts for edge in part.edges if edge.target not in group]
        if not out:
            self._refuse_loop(group, "nothing ends it")
        last = next((part for part in inner.parts if part.inner is None and part.unit.name == back[0].source), None)
        simple = last is not None and last.always and not last.unit.tolerant and all(edge.guard for edge in back)
        if simple and {edge.source for edge in [*back, *out]} == {back[0].source} and last is not None:
            inner.until = f"!({' || '.join(f'({edge.guard})' for edge in back)})"
            return Part(last.unit, _sure(out), inner=inner)
        return self._with_exits(head, inner, out)

    def _with_exits(self, head: str, inner: Region, out: list[Edge]) -> Part:
        """A loop whose turns end at several steps: its last nodes say where it goes on, or that it goes back."""
        unit = self._units[head]
        inner.key = f"{unit.key}_next"
        inner.until = f'{inner.key} != ""'
        inner.exits = out
        ways = [Edge(head, edge.target, f"{inner.key} == {_text(edge.target)}") for edge in _by_target(out)]
        return Part(Unit(unit.name, "loop", inner.key, unit.fields, []), _sure(ways), inner=inner)

    def _mark(self, region: Region) -> None:
        """Find the parts that are always reached."""
        for part in region.parts:
            head = region.head in (part.inner.units if part.inner is not None else {part.unit.name})
            ways = [(one, edge) for one in region.parts for edge in one.edges if self._leads(one, edge, part)]
            part.always = head or any(one.always and not edge.guard and not one.unit.tolerant for one, edge in ways)

    def _refuse_loop(self, group: Iterable[str], why: str) -> None:
        named = ", ".join(sorted(group)[:5])
        pointer = min((self._units[name].fields.pointer for name in group), default="")
        advice = "Let the last step of the loop alone decide whether it goes back or on."
        self._report.refuse(pointer, f"the loop of {named} cannot be converted: {why}", advice)

    def _phases(self, region: Region, cut: frozenset[str]) -> Built:
        """The phases of *region*: a tolerant group has one of its own."""
        self._mark(region)
        built = Built([], {}, [], set(), [])
        written: set[str] = set()
        loose = False
        for part in region.parts:
            for tolerant, node, pointer, outputs, read in self._nodes(part, region, cut):
                if not built.phases or tolerant != loose:
                    number = len(built.phases) + 1
                    built.phases.append({"id": f"step-{number}", "name": f"Step {number}", "agents": []})
                    if tolerant:
                        built.phases[-1]["continueOnError"] = True
                loose = tolerant
                phase = built.phases[-1]["agents"]
                built.pointers.append((len(built.phases) - 1, len(phase), pointer))
                phase.append(node)
                for key, needed in read.items():
                    if key not in written:
                        built.inputs[key] = built.inputs.get(key, False) or needed
                written |= {one["key"] for one in outputs}
                if part.always and not tolerant:
                    built.outputs += outputs
        return built

    def _nodes(
        self, part: Part, region: Region, cut: frozenset[str]
    ) -> Iterable[tuple[bool, dict[str, Any], str, list[dict[str, Any]], dict[str, bool]]]:
        """The nodes of *part*: of its phase, with its pointer, outputs and the keys that it reads."""
        unit = part.unit
        before = [one for one in region.parts if any(self._leads(one, edge, part) for edge in one.edges)]
        ways = [(one, edge) for one in before for edge in one.edges if self._leads(one, edge, part)]
        condition = "" if part.always else " || ".join(_taken(one, edge) for one, edge in ways)
        needs = [name for one in before for name in one.ids]
        made = [self._loop_node(part, cut)] if part.inner is not None else self._unit_nodes(unit)
        part.ids = [node["id"] for node, *_ in made]
        for node, pointer, outputs, read in made:
            self._order(node, needs, condition)
            yield unit.tolerant and part.inner is None, node, pointer, outputs, read
        if part.lost or unit.tolerant:
            yield from self._checks(part)

    def _leads(self, one: Part, edge: Edge, part: Part) -> bool:
        targets = part.inner.units if part.inner is not None else {part.unit.name}
        return one is not part and edge.target in targets

    def _order(self, node: dict[str, Any], needs: list[str], condition: str) -> None:
        if needs:
            node["dependencies"] = needs
        own = node.get("skipCondition", {}).get("expression")
        parts = ([f"!({condition})"] if condition else []) + ([own] if own else [])
        if parts:
            node["skipCondition"] = {"type": "context", "expression": " || ".join(parts)}

    def _unit_nodes(self, unit: Unit) -> list[tuple[dict[str, Any], str, list[dict[str, Any]], dict[str, bool]]]:
        return [self._said(one, work(one, self._shop)) for one in unit.members or [unit]]

    def _said(self, unit: Unit, found: Work) -> tuple[dict[str, Any], str, list[dict[str, Any]], dict[str, bool]]:
        outputs = [] if unit.kind == "for_each" else found.node.get("context", {}).get("outputs", [])
        if unit.kind == "for_each":
            outputs = [{"key": unit.key}]
        return found.node, unit.fields.pointer, outputs, found.read.inputs

    def _loop_node(
        self, part: Part, cut: frozenset[str]
    ) -> tuple[dict[str, Any], str, list[dict[str, Any]], dict[str, bool]]:
        inner = part.inner
        assert inner is not None  # noqa: S101 - for the type checker
        built = self._phases(inner, cut | {inner.head})
        if inner.key:
            self._add_exits(inner, built)
        own = {one["key"] for one in built.outputs}
        made = {key for name in inner.units for key in self._keys(self._units[name])}
        for node in (node for phase in built.phases for node in phase["agents"]):
            for key in _keys_of(node) & (made - own):
                before = self._writes_before(key, node, built)
                if not before:
                    message = f'node "{node["id"]}" may read "{key}" of an earlier turn, which is not kept'
                    self._report.refuse(part.unit.fields.pointer, message, "Let every turn reach that step.")
        built.hidden |= made - own
        inputs = {key: needed for key, needed in built.inputs.items() if key not in made}
        _soften(built.phases, own)
        node = {
            "id": f"loop-{inner.head}",
            "task": f"Repeat {inner.head}",
            "phases": built.phases,
            "repeat": {"until": inner.until, "maxIterations": inner.turns},
            "context": {
                "inputs": [{"key": key, **({} if needed else {"required": False})} for key, needed in inputs.items()],
                "outputs": built.outputs,
            },
        }
        self._hidden |= built.hidden
        return node, self._units[inner.head].fields.pointer, built.outputs, inputs

    def _writes_before(self, key: str, node: dict[str, Any], built: Built) -> bool:
        """Whether a node that comes before *node* in the turn writes *key*."""
        for phase in built.phases:
            for other in phase["agents"]:
                if other is node:
                    return False
                if any(one["key"] == key for one in other.get("context", {}).get("outputs", [])):
                    return True
        return False

    def _add_exits(self, inner: Region, built: Built) -> None:
        """The last nodes of a turn: one says that it goes back, and one for each way out where that leads."""
        last = [node["id"] for phase in built.phases for node in phase["agents"]]
        agents: list[dict[str, Any]] = []
        output = {"key": inner.key, "schema": {"type": "string"}}
        parts = {name: part for part in inner.parts for name in self._names_of(part)}
        for number, edge in enumerate([None, *inner.exits]):
            target = "" if edge is None else edge.target
            name = f"{inner.head}-next-{number}"
            program = [*RUNNER, "--text", inner.key, "--", "printf", "%s", target]
            node = {
                "id": name,
                "agentId": self._shop.agents.program(name, program),
                "task": "Go back, if no other way is taken" if edge is None else f"Go on to {target}",
                "estimatedTime": 1000,
                "context": {"outputs": [output]},
            }
            self._order(node, list(last), "" if edge is None else _taken(parts[edge.source], edge))
            agents.append(node)
            last.append(name)
        number = len(built.phases) + 1
        built.phases.append({"id": f"step-{number}", "name": f"Step {number}", "agents": agents})
        built.outputs.append(output)

    def _names_of(self, part: Part) -> set[str]:
        return {part.unit.name} if part.inner is None else {edge.source for edge in part.edges}

    def _keys(self, unit: Unit) -> list[str]:
        return [one.key for one in unit.members] or [unit.key]

    def _checks(self, part: Part) -> Iterable[tuple[bool, dict[str, Any], str, list[dict[str, Any]], dict[str, bool]]]:
        """Nodes that fail where Conductor does: if all members of a group failed, and if no route is taken."""
        unit = part.unit
        pointer = unit.fields.pointer
        if unit.tolerant and part.inner is None:
            none = " && ".join(f"{one.key} == null" for one in unit.members)
            yield self._check(f"{unit.name}-failed", none, f"all members of {unit.name} failed", part, pointer)
        if part.lost:
            lost = f"{unit.done()} && {part.lost}"
            yield self._check(f"{unit.name}-no-route", lost, f"no route of {unit.name} is taken", part, pointer)

    def _check(
        self, name: str, condition: str, said: str, part: Part, pointer: str
    ) -> tuple[bool, dict[str, Any], str, list[dict[str, Any]], dict[str, bool]]:
        node = {
            "id": name,
            "agentId": self._shop.agents.program(name, [*RUNNER, "--fail", said]),
            "task": f"Fail, because {said}",
            "estimatedTime": 1000,
        }
        self._order(node, list(part.ids), condition)
        return False, node, pointer, [], {}


def _keys_of(node: dict[str, Any]) -> set[str]:
    """Keys that *node* reads, in its inputs and in its condition."""
    condition = node.get("skipCondition", {}).get("expression", "")
    inputs = {one["key"] for one in node.get("context", {}).get("inputs", [])}
    return inputs | set(_NAME.findall(condition))


def _sure(ways: list[Edge]) -> list[Edge]:
    """The ways out of a loop; if all lead to one step, that one is reached once the loop has ended."""
    first = ways[0] if ways else Edge("", "", "")
    return [Edge(first.source, first.target, "")] if all(one.target == first.target for one in ways) else ways


def _by_target(edges: list[Edge]) -> list[Edge]:
    return list({edge.target: edge for edge in edges}.values())


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _soften(phases: list[dict[str, Any]], own: set[str]) -> None:
    """Inputs that come from the turn before are not there in the first one."""
    written: set[str] = set()
    for phase in phases:
        for node in phase["agents"]:
            for one in node.get("context", {}).get("inputs", []):
                if one["key"] in own - written:
                    one["required"] = False
            written |= {one["key"] for one in node.get("context", {}).get("outputs", [])}


def _taken(part: Part, edge: Edge) -> str:
    """The condition that *part* has run and that this way was taken."""
    done = part.unit.done()
    return f"({done} && {edge.guard})" if edge.guard else done


def _components(names: set[str], ways: dict[str, set[str]]) -> list[set[str]]:
    """The sets of *names* that reach each other, each before those that lead to it."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []
    for start in sorted(names):
        walk = [(start, iter(sorted(ways[start])))] if start not in index else []
        if walk:
            index[start] = low[start] = len(index)
            stack.append(start)
        while walk:
            name, following = walk[-1]
            target = next(following, None)
            if target is None:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
                if low[name] == index[name]:
                    at = stack.index(name)
                    found.append(set(stack[at:]))
                    del stack[at:]
            elif target not in index:
                index[target] = low[target] = len(index)
                stack.append(target)
                walk.append((target, iter(sorted(ways[target]))))
            elif target in stack:
                low[name] = min(low[name], index[target])
    return found
