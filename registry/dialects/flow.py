"""Makes the order explicit that older files left to the engine: by data, by phase names, by sequence.

Pure. It works on a definition whose parts already have v2 spelling, and only adds to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.dialects.context import LOOSE
from registry.wording import node_slug

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.dialects.notes import Notes

IN_ORDER = "x-in-order"
"""Marks a phase whose nodes run in file order according to its older spelling."""


def complete_order(definition: dict[str, Any], notes: Notes) -> None:
    """Complete *definition* in place, and remove the marks that converting its parts has left."""
    given = definition.get("phases")
    phases = [
        (number, phase)
        for number, phase in enumerate(given if isinstance(given, list) else [])
        if isinstance(phase, dict)
    ]
    for number, phase in phases:
        in_order = phase.pop(IN_ORDER, False)
        order = _Order(phase, number, notes)
        if order.forward:
            continue
        if in_order and phase.get("parallel") is False:
            order.chain()
        else:
            order.follow_data()
    _expand_phase_names(phases, notes)
    _loose_inputs(definition, phases, notes)


class _Order:
    """The order of nodes inside one phase, with one bit per node so that long phases stay fast."""

    def __init__(self, phase: dict[str, Any], number: int, notes: Notes) -> None:
        self._number = number
        self._notes = notes
        self._nodes = list(_nodes(phase))
        self._place = {node["id"]: place for place, (_, node) in enumerate(self._nodes)}
        self._before = [0] * len(self._nodes)
        self.forward = False
        """Whether some node depends on a later one: the file has its own order, and nothing is added."""
        for place, (_, node) in enumerate(self._nodes):
            for need in _needs(node):
                if (other := self._place.get(need, -1)) >= place:
                    self.forward = True
                elif other >= 0:
                    self._join(place, other)

    def _join(self, place: int, other: int) -> None:
        self._before[place] |= self._before[other] | 1 << other

    def chain(self) -> None:
        """Nodes of a sequence run in file order, which v2 expresses by dependencies."""
        for place in range(1, len(self._nodes)):
            if self._nodes[place - 1][1]["id"] not in _needs(self._nodes[place][1]):
                self._add(place, place - 1, why="it comes after that in a sequential phase")

    def follow_data(self) -> None:
        """A node that reads what an earlier node of its phase writes runs after it."""
        writers: dict[str, int] = {}
        for place, (_, node) in enumerate(self._nodes):
            for key in _keys(node, "inputs"):
                if key in writers:
                    self._depend(place, writers[key], why=f'it reads "{key}"')
            writers.update(dict.fromkeys(_keys(node, "outputs"), place))

    def _depend(self, place: int, other: int, *, why: str) -> None:
        # The nodes before are complete by now, so what they have gained is joined here.
        for need in _needs(self._nodes[place][1]):
            if (known := self._place.get(need, -1)) >= 0:
                self._join(place, known)
        if not self._before[place] >> other & 1:
            self._join(place, other)
            self._add(place, other, why=why)

    def _add(self, place: int, other: int, *, why: str) -> None:
        (at, node), on = self._nodes[place], self._nodes[other][1]["id"]
        if node["id"] == on:
            return
        node["dependencies"] = [*_needs(node), on]
        message = f'Node "{node["id"]}" depends on "{on}": {why}; older files leave this to the engine'
        pointer = f"/phases/{self._number}/agents/{at}/dependencies"
        self._notes.inferred(pointer, message, f'Write "{on}" into dependencies.', older=False)


def _nodes(phase: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The nodes of *phase* with a text id, and their indexes; the validator reports all others."""
    agents = phase.get("agents")
    for at, node in enumerate(agents if isinstance(agents, list) else []):
        if isinstance(node, dict) and isinstance(node.get("id"), str):
            yield at, node


def _needs(node: dict[str, Any]) -> list[str]:
    needs = node.get("dependencies")
    return [need for need in needs if isinstance(need, str)] if isinstance(needs, list) else []


def _expand_phase_names(phases: list[tuple[int, dict[str, Any]]], notes: Notes) -> None:
    """A dependency on a phase becomes one on its last nodes, those that no other node of the phase waits for."""
    ids = {node["id"] for _, phase in phases for _, node in _nodes(phase)}
    names: dict[str, list[str]] = {}
    for _, phase in phases:
        needed = {need for _, node in _nodes(phase) for need in _needs(node)}
        last = [node["id"] for _, node in _nodes(phase) if node["id"] not in needed]
        for name in (phase.get("id"), phase.get("name")):
            if isinstance(name, str):
                names.setdefault(name, last)
                names.setdefault(node_slug(name), last)
    for number, phase in phases:
        for at, node in _nodes(phase):
            needs = _needs(node)
            if not any(one not in ids and one in names for one in needs):
                continue
            new = [inner for one in needs for inner in ([one] if one in ids else names.get(one, [one]))]
            node["dependencies"] = list(dict.fromkeys(one for one in new if one != node["id"]))
            pointer = f"/phases/{number}/agents/{at}/dependencies"
            notes.value(pointer, "a node depends on nodes in v2, not on phases", f"Write {node['dependencies']}.")


def _keys(node: dict[str, Any], side: str) -> Iterator[str]:
    for item in _entries(node, side):
        if isinstance(item.get("key"), str):
            yield item["key"]


def _entries(node: dict[str, Any], side: str) -> Iterator[dict[str, Any]]:
    context = node.get("context")
    items = context.get(side) if isinstance(context, dict) else None
    yield from (item for item in (items if isinstance(items, list) else []) if isinstance(item, dict))


def _loose_inputs(definition: dict[str, Any], phases: list[tuple[int, dict[str, Any]]], notes: Notes) -> None:
    """Inputs that were plain names are required if a node provides them; otherwise they become arguments."""
    shared = definition.get("globalContext")
    initial = shared.get("initial") if isinstance(shared, dict) else None
    declared = definition.get("arguments")
    arguments = declared if isinstance(declared, list) else []
    provided = set(initial) if isinstance(initial, dict) else set()
    provided |= {one["name"] for one in arguments if isinstance(one, dict) and isinstance(one.get("name"), str)}
    asked: dict[str, None] = {}
    for number, phase in phases:
        provided.update(key for _, node in _nodes(phase) for key in _keys(node, "outputs"))
        for at, node in _nodes(phase):
            for place, item in enumerate(_entries(node, "inputs")):
                if not item.pop(LOOSE, False) or item["key"] in provided:
                    continue
                item["required"] = False
                asked[item["key"]] = None
                message = f'No node provides "{item["key"]}"; it became an optional argument of the command'
                pointer = f"/phases/{number}/agents/{at}/context/inputs/{place}"
                notes.inferred(pointer, message, "Give it a provider, or declare the argument.", older=False)
    if asked and (declared is None or isinstance(declared, list)):
        definition["arguments"] = [*arguments, *({"name": key, "required": False} for key in asked)]
