"""Makes the order explicit that older files left to the engine: by data, by phase names, by standing in a sequence.

Pure. It works on a definition whose parts are already spelled as in v2, and only adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.dialect_context import LOOSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.dialect_notes import Notes

IN_ORDER = "x-in-order"
"""Marks a phase whose older spelling said that its nodes run in file order."""


def settle(definition: dict[str, Any], notes: Notes) -> None:
    """Complete *definition* in place, and take the marks out again that the parts have left."""
    phases = [phase for phase in definition.get("phases", []) if isinstance(phase, dict)]
    _expand_phase_names(phases, notes)
    for number, phase in enumerate(phases):
        in_order = phase.pop(IN_ORDER, False)
        if phase.get("parallel") is False and in_order:
            _chain(_nodes(phase), number, notes)
        _follow_data(_nodes(phase), number, notes)
    _loose_inputs(definition, phases, notes)


def _nodes(phase: dict[str, Any]) -> list[dict[str, Any]]:
    agents = phase.get("agents")
    return [node for node in agents if isinstance(node, dict)] if isinstance(agents, list) else []


def _expand_phase_names(phases: list[dict[str, Any]], notes: Notes) -> None:
    """A dependency on a phase is one on all of its nodes; between phases it is there anyway."""
    ids = {node.get("id") for phase in phases for node in _nodes(phase)}
    names: dict[object, list[object]] = {}
    for phase in phases:
        inside = [node.get("id") for node in _nodes(phase)]
        names.setdefault(phase.get("id"), inside)
        names.setdefault(phase.get("name"), inside)
    for number, phase in enumerate(phases):
        for at, node in enumerate(_nodes(phase)):
            needs = node.get("dependencies")
            if not isinstance(needs, list) or not any(
                isinstance(one, str) and one not in ids and one in names for one in needs
            ):
                continue
            new = [inner for one in needs for inner in ([one] if one in ids or one not in names else names[one])]
            node["dependencies"] = list(dict.fromkeys(one for one in new if one != node.get("id")))
            pointer = f"/phases/{number}/agents/{at}/dependencies"
            notes.value(pointer, "a node depends on nodes in v2, not on phases", f"write {node['dependencies']}")


def _chain(nodes: list[dict[str, Any]], number: int, notes: Notes) -> None:
    """Nodes of a sequence run in file order, which v2 says by dependencies."""
    for at in range(1, len(nodes)):
        _depend(nodes, at, nodes[at - 1].get("id"), number, notes, why="it comes after that in a sequential phase")


def _follow_data(nodes: list[dict[str, Any]], number: int, notes: Notes) -> None:
    """A node that reads what an earlier node of its phase writes runs after it."""
    writers: dict[str, object] = {}
    for at, node in enumerate(nodes):
        for key in _keys(node, "inputs"):
            if key in writers:
                _depend(nodes, at, writers[key], number, notes, why=f'it reads "{key}"')
        writers.update((key, node.get("id")) for key in _keys(node, "outputs"))


def _depend(nodes: list[dict[str, Any]], at: int, on: object, number: int, notes: Notes, *, why: str) -> None:
    node = nodes[at]
    own = node.get("dependencies", [])
    inside = {other.get("id"): other for other in nodes}
    if not isinstance(own, list) or on == node.get("id") or on in _ancestors(node, inside):
        return
    if node.get("id") in _ancestors(inside[on], inside):
        return
    node["dependencies"] = [*own, on]
    message = f'Node "{node.get("id")}" depends on "{on}", for {why}; older files leave this to the engine'
    notes.inferred(
        f"/phases/{number}/agents/{at}/dependencies", message, f'write "{on}" into dependencies', older=False
    )


def _ancestors(node: dict[str, Any], inside: dict[object, dict[str, Any]]) -> set[object]:
    """All ids that come before *node*."""
    found: set[object] = set()
    waiting = [node]
    while waiting:
        needs = waiting.pop().get("dependencies", [])
        for need in needs if isinstance(needs, list) else []:
            if isinstance(need, str) and need not in found:
                found.add(need)
                if need in inside:
                    waiting.append(inside[need])
    return found


def _keys(node: dict[str, Any], side: str) -> Iterator[str]:
    for item in _entries(node, side):
        if isinstance(item.get("key"), str):
            yield item["key"]


def _entries(node: dict[str, Any], side: str) -> Iterator[dict[str, Any]]:
    context = node.get("context")
    items = context.get(side) if isinstance(context, dict) else None
    yield from (item for item in (items if isinstance(items, list) else []) if isinstance(item, dict))


def _loose_inputs(definition: dict[str, Any], phases: list[dict[str, Any]], notes: Notes) -> None:
    """Inputs that were plain names are required where somebody provides them; else they are the user's to give."""
    initial = (
        definition.get("globalContext", {}).get("initial", {})
        if isinstance(definition.get("globalContext"), dict)
        else {}
    )
    declared = definition.get("arguments")
    arguments = declared if isinstance(declared, list) else []
    provided = {
        *(initial if isinstance(initial, dict) else ()),
        *(one.get("name") for one in arguments if isinstance(one, dict)),
    }
    asked: list[str] = []
    for number, phase in enumerate(phases):
        provided.update(key for node in _nodes(phase) for key in _keys(node, "outputs"))
        for at, node in enumerate(_nodes(phase)):
            for place, item in enumerate(_entries(node, "inputs")):
                if item.pop(LOOSE, False) and item["key"] not in provided:
                    item["required"] = False
                    asked.append(item["key"])
                    message = f'Nothing provides "{item["key"]}"; it became an optional argument of the command'
                    pointer = f"/phases/{number}/agents/{at}/context/inputs/{place}"
                    notes.inferred(pointer, message, "give it a provider, or declare the argument", older=False)
    new = [{"name": key, "required": False} for key in dict.fromkeys(asked)]
    if new and (declared is None or isinstance(declared, list)):
        definition["arguments"] = [*arguments, *new]
