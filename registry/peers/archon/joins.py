"""Converts the joins and conditions of Archon's nodes to skip conditions.

Pure. A node has completed if its output is there, so a join looks at the outputs of the dependencies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.peers.archon import conditions

MAX_LENGTH = 4000
"""Characters of a skip condition."""

if TYPE_CHECKING:
    from registry.peers.archon.nodes import Made
    from registry.peers.keys import Step
    from registry.peers.report import Fields


def order(fields: Fields, made: Made, needs: list[Step]) -> None:
    """The join and the condition of the node as its skip condition.

    Archon looks at the join first, then at the condition, and only then at what the texts of the node read: the whole
    output of a skipped node is empty, and that of a failed one fails the node.
    """
    step, reader = made.step, made.reader
    rule = fields.text("trigger_rule") or "all_success"
    asked = fields.text("when")
    parts = []
    join = _join(rule, needs)
    if join is None:
        reader.report.refuse(fields.at("trigger_rule"), f'"{rule[:80]}" is not a trigger_rule', "Write all_success.")
    elif join:
        parts.append(join)
    condition = None if asked is None else conditions.convert(asked, reader, fields.at("when"))
    if condition is not None:
        parts.append(f"!({condition})")
    step.skip = " || ".join(parts)
    parts += [conditions.fault(one.failed(), one.name) for one in reader.loose.values()]
    parts += [conditions.lost(key, member) for key, member in reader.members]
    expression = " || ".join(parts)
    if len(expression) > MAX_LENGTH:
        message = f"the condition of the node would have more than {MAX_LENGTH} characters"
        reader.report.refuse(fields.pointer, message, "Let it depend on fewer nodes, or give these no conditions.")
        step.skip = ""  # so that the conditions made of it stay short
    elif expression:
        made.node["skipCondition"] = {"type": "context", "expression": expression}


def surely(rule: object, needs: list[Step]) -> set[str]:
    """The names of the steps that have completed if a node with this join runs."""
    if rule is not None and rule != "all_success":
        return set()
    return {one.name for one in needs}.union(*(one.sure for one in needs))


def may_be_skipped(name: str, nodes: list[Any]) -> bool:
    """Whether node *name* of *nodes*, as the workflow has them, may be skipped although no node has failed."""
    known = {one["id"].strip(): one for one in nodes if isinstance(one, dict) and isinstance(one.get("id"), str)}
    found: dict[str, bool] = {}
    waiting = [name]
    while waiting:
        at = waiting[-1]
        one = known.get(at, {})
        given = one.get("depends_on")
        needs = [need for need in (given if isinstance(given, list) else []) if isinstance(need, str) and need in known]
        missing = [need for need in needs if need not in found]
        found.setdefault(at, True)  # also what depends on itself, which is refused
        if missing:
            waiting += missing
            continue
        waiting.pop()
        skipped = [found[need] for need in needs]
        rule = one.get("trigger_rule") or "all_success"
        lost = any(skipped) if rule == "all_success" else rule != "all_done" and bool(needs) and all(skipped)
        found[at] = "when" in one or lost
    return found[name]


def _join(rule: str, needs: list[Step]) -> str | None:
    """When the node is skipped because of its dependencies; empty for never, None for a rule that does not exist."""
    if rule == "all_done" or not needs:
        return "" if rule in {"all_success", "one_success", "none_failed_min_one_success", "all_done"} else None
    lost = [f"{one.key} == null" for one in needs]
    if rule == "all_success":
        return " || ".join(lost)
    if rule == "one_success":
        return f"({' && '.join(lost)})"
    if rule != "none_failed_min_one_success":
        return None
    failed = [f"({one.failed()})" for one in needs]
    return " || ".join([f"({' && '.join(lost)})", *failed])
