"""The guide's best practices as warnings about commands that work.

Pure. None of these stops a run.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from engine import conditions
from engine.errors import InputError
from engine.validation.dataflow import MAX_KEYS
from engine.validation.subject import is_readable

if TYPE_CHECKING:
    from engine.model.command import Node, Output, Repeat
    from engine.validation.problem import Report
    from engine.validation.subject import Subject

MAX_TASK_LENGTH = 80
FEWEST_SKEWED = 3
_WEAK = re.compile(r"[a-z]|[a-z]{1,2}[-_]?\d+|(task|node|step|agent|job|item|phase|test)[-_]?\d+", re.IGNORECASE)


def redundant_dependencies(subject: Subject, report: Report) -> None:
    """REDUNDANT_DEPENDENCY: it is not part of the transitive reduction."""
    found: set[tuple[int, int]] = set()
    several = [number for number in subject.order if len(subject.needs[number]) > 1]
    for block in subject.blocks(gates=False) if several else ():
        for number in several:
            implied = 0
            for need in subject.needs[number]:
                implied |= block.before[need]
            found.update((number, need) for need in subject.needs[number] if implied & block.bit(need))
    for number, need in sorted(found):
        spot, name = subject.spots[number], subject.spots[need].node.id
        report.add(
            "REDUNDANT_DEPENDENCY",
            f'Node "{spot.node.id}" already depends on "{name}" through another dependency',
            subject.pointer(spot, "dependencies", spot.node.dependencies.index(name)),
            f'Remove "{name}" from the dependencies of "{spot.node.id}".',
        )


def over_serialized(subject: Subject, report: Report) -> None:
    """OVER_SERIALIZED: a dependency without data flow between two nodes of a parallel phase."""
    for spot in subject.spots:
        if not subject.phase(spot).parallel or spot.node.context.passthrough:
            continue
        needs = [subject.spots[need] for need in subject.needs[spot.number]]
        close = [other for other in needs if other.phase == spot.phase]
        read = _reads(spot.node) if close else frozenset()
        for other in close:
            if not any(output.key in read for output in other.node.context.outputs):
                name = other.node.id
                report.add(
                    "OVER_SERIALIZED",
                    f'Node "{spot.node.id}" waits for "{name}" in the same phase but reads none of its outputs',
                    subject.pointer(spot, "dependencies", spot.node.dependencies.index(name)),
                    f'Remove "{name}" from the dependencies of "{spot.node.id}", unless the order matters.',
                )


def broad_passthrough(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        if spot.node.context.passthrough and spot.number in subject.followed and not spot.is_group:
            report.add(
                "BROAD_PASSTHROUGH",
                f'Node "{spot.node.id}" receives the whole context',
                subject.pointer(spot, "context", "passthrough"),
                'Name what it needs under "inputs".',
            )


def missing_ttl(subject: Subject, report: Report) -> None:
    """MISSING_TTL: reported once for each node."""
    if subject.definition.global_context.cache_ttl is not None or subject.level:
        return  # values inside phases in place do not outlive them
    for spot in subject.spots:
        outputs = spot.node.context.outputs
        without = [at for at, output in enumerate(outputs) if output.ttl is None]
        if without:
            keys = ", ".join(f'"{outputs[at].key}"' for at in without[:MAX_KEYS])
            seconds = 7200 if outputs[without[0]].persist else 3600
            report.add(
                "MISSING_TTL",
                f'Node "{spot.node.id}" sets no ttl for {keys}',
                subject.pointer(spot, "context", "outputs", without[0]),
                f'Set "ttl", for example to {seconds} seconds, or "cacheTTL" in "globalContext" for all outputs.',
            )


def unused_outputs(subject: Subject, report: Report) -> None:
    """UNUSED_OUTPUT: no node reads it, nor the node's own loop or undoing, and it is not kept."""
    readers: dict[str, set[int]] = {}
    passthrough = [spot.number for spot in subject.spots if spot.node.context.passthrough]
    for spot in subject.spots:
        for key in _reads(spot.node):
            readers.setdefault(key, set()).add(spot.number)
    kept = subject.wanted | set(subject.definition.global_context.persist_keys)
    for spot in subject.spots:
        for at, output in enumerate(spot.node.context.outputs):
            if output.persist or output.key in kept or _uses_itself(spot.node, output):
                continue
            if readers.get(output.key, set()) - {spot.number} or any(
                number != spot.number for number in passthrough[:2]
            ):
                continue
            report.add(
                "UNUSED_OUTPUT",
                f'No node reads output "{output.key}" of node "{spot.node.id}", and it is not kept',
                subject.pointer(spot, "context", "outputs", at),
                'Set "persist": true to keep it as a result, or remove it.',
            )


def long_tasks(subject: Subject, report: Report) -> None:
    for spot in subject.spots:
        length = len(spot.node.task)
        if length > MAX_TASK_LENGTH and not spot.is_group:
            report.add(
                "TASK_TOO_LONG",
                f'Task of node "{spot.node.id}" has {length} characters; todos are readable up to {MAX_TASK_LENGTH}',
                subject.pointer(spot, "task"),
                "Begin with a verb and keep to the essentials.",
            )


def weak_ids(subject: Subject, report: Report) -> None:
    proposed: dict[str, int] = {}

    def proposal(task: str) -> str:
        """An id not proposed before, so that all hints can be followed together."""
        found = _slug(task)
        proposed[found] = proposed.get(found, 0) + 1
        numbered = found if proposed[found] == 1 else f"{found}-{proposed[found]}"
        return f'Name it after its task, such as "{numbered}".'

    for spot in subject.spots:
        name = spot.node.id
        if _WEAK.fullmatch(name) and is_readable(name):
            report.add(
                "WEAK_ID",
                f'Node id "{name}" does not describe the node',
                subject.pointer(spot, "id"),
                partial(proposal, spot.node.task),
            )


def deprecated(subject: Subject, report: Report) -> None:
    metadata = subject.definition.metadata
    if metadata.deprecated:
        report.add(
            "DEPRECATED_COMMAND",
            f"Command '{subject.shape.name}' is deprecated",
            subject.shape.pointer("metadata", "deprecated"),
            f"Use {metadata.replaced_by} instead." if metadata.replaced_by else 'Name a successor in "replacedBy".',
        )


def skewed_phases(subject: Subject, report: Report) -> None:
    """SKEWED_PHASE: the guide's "one slow task blocks others"."""
    for number, phase in enumerate(subject.definition.phases):
        if not phase.parallel or len(phase.agents) < FEWEST_SKEWED:
            continue
        times = [node.estimated_time for node in phase.agents]
        slowest = max(range(len(times)), key=times.__getitem__)
        if times[slowest] > sum(times) - times[slowest]:
            name = phase.agents[slowest].id
            report.add(
                "SKEWED_PHASE",
                f'Node "{name}" takes longer than all other nodes of phase "{phase.id}" together',
                subject.shape.pointer("phases", number, "agents", slowest, "estimatedTime"),
                f'Split "{name}" into nodes that can run side by side.',
            )


def loop_keys(loop: Repeat) -> frozenset[str]:
    """Outputs of a node that its own *loop* reads."""
    try:
        return conditions.parse(loop.until).names | {*loop.stop_when_unchanged}
    except InputError:  # reported by its own rule
        return frozenset(loop.stop_when_unchanged)


def _uses_itself(node: Node, output: Output) -> bool:
    """Whether *node* needs its own *output*: in its next iteration, for its undoing, or as a failed validation."""
    undoing = node.compensation.type if node.compensation is not None else "none"
    if undoing in {"rollback", "custom"}:
        return True  # the agent that undoes it gets all that it produced
    if undoing == "cascade":
        return output.value_schema in (None, {"type": "boolean"})
    loop = node.repeat
    if loop is None:
        return False
    inner = [one for phase in node.phases or () for one in phase.agents]
    return not inner or output.key in loop_keys(loop) or any(output.key in _reads(one) for one in inner)


def _reads(node: Node) -> frozenset[str]:
    """Context keys that *node* reads."""
    keys = frozenset(item.key for item in node.context.inputs)
    skip = node.skip_condition
    if skip is None or skip.type != "context":
        return keys
    try:
        return keys | conditions.parse(skip.expression).names
    except InputError:  # reported by its own rule
        return keys


def _slug(task: str) -> str:
    words = re.findall(r"[a-z0-9]+", task.lower())
    return "-".join(words[:3]) or "what-it-does"
