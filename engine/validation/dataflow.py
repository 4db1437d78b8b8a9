"""A node's required inputs exist before it starts, and its outputs are not overwritten by chance.

Pure. The rules look at a range of nodes at a time (`Subject.blocks`), so that they stay nearly linear in the number of
nodes. Nodes in or behind a circle have no order: only faults that hold in any order are reported.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from engine.text.suggestions import Names
from engine.validation.subject import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.validation.problem import Report
    from engine.validation.subject import Block, Spot, Subject

MAX_WRITERS = 3
"""Writers of one key that a message names."""
MAX_KEYS = 50
"""Available keys that a message names."""


def required_inputs(subject: Subject, report: Report) -> None:
    """SPEC 2: INPUT_WITHOUT_PROVIDER; worded as the guide's Troubleshooting does."""
    for wish in ungranted(subject, _wishes(subject), gates=True):
        spot = subject.spots[wish.node]
        report.add(
            "INPUT_WITHOUT_PROVIDER",
            partial(_not_found, subject, spot, wish.key),
            subject.pointer(spot, "context", "inputs", wish.place, "key"),
            partial(_provide, subject, spot, wish.key),
        )


def providers_not_ancestors(subject: Subject, report: Report) -> None:
    """PROVIDER_NOT_ANCESTOR: only the order of phases puts the provider first."""
    loose = ungranted(subject, _wishes(subject), gates=False)
    lost = set(ungranted(subject, loose, gates=True)) if loose else set()
    for wish in loose:
        if wish in lost:
            continue
        spot = subject.spots[wish.node]
        others = [subject.spots[number] for number in subject.producers[wish.key]]
        name = next(other.node.id for other in reversed(others) if other.phase < spot.phase)
        report.add(
            "PROVIDER_NOT_ANCESTOR",
            f'Node "{spot.node.id}" reads "{wish.key}" of "{name}" without depending on it',
            subject.pointer(spot, "context", "inputs", wish.place, "key"),
            f'Add "{name}" to the dependencies of "{spot.node.id}".',
        )


def providers_that_may_be_skipped(subject: Subject, report: Report) -> None:
    """PROVIDER_MAY_BE_SKIPPED: a condition may skip every provider of a required input."""
    for wish in _wishes(subject):
        spot = subject.spots[wish.node]
        writers = [subject.spots[number] for number in subject.producers.get(wish.key, ()) if number != wish.node]
        if not writers or not all(_may_be_skipped(writer, spot) for writer in writers):
            continue
        names = " and ".join(f'"{writer.node.id}"' for writer in writers[:MAX_WRITERS])
        report.add(
            "PROVIDER_MAY_BE_SKIPPED",
            f'Node "{spot.node.id}" needs "{wish.key}", written only by {names}, which may be skipped',
            subject.pointer(spot, "context", "inputs", wish.place, "key"),
            f'Give the input "required": false or a default, or give "{spot.node.id}" the same skipCondition.',
        )


def _may_be_skipped(writer: Spot, reader: Spot) -> bool:
    """Whether *writer* can be skipped where *reader* is not."""
    skip, own = writer.node.skip_condition, reader.node.skip_condition
    if writer.skips_items:
        return False
    return skip is not None and not (own is not None and (own.type, own.expression) == (skip.type, skip.expression))


def _wishes(subject: Subject) -> list[Wish]:
    """The required inputs that some node has to provide, computed once for several rules."""
    if subject.wishes is None:
        subject.wishes = list(_look_for_wishes(subject))
    return subject.wishes


def _look_for_wishes(subject: Subject) -> Iterator[Wish]:
    initial = subject.initial
    return (
        Wish(spot.number, place, item.key)
        for spot in subject.spots
        for place, item in enumerate(spot.node.context.inputs)
        if item.required and item.key not in initial and "default" not in item.model_fields_set
    )


def ungranted(subject: Subject, wishes: list[Wish], *, gates: bool) -> list[Wish]:
    """Those of *wishes* that no earlier node fulfils; with *gates*, all nodes of earlier phases count as earlier."""
    left = []
    open_ended = []
    for wish in wishes:
        if wish.node in subject.ordered:
            open_ended.append(wish)
        elif not any(number != wish.node for number in subject.producers.get(wish.key, ())):
            left.append(wish)
    for block in subject.blocks(gates=gates) if open_ended else ():
        before = block.before
        masks = {key: block.bits(subject.producers.get(key, ())) for key in {wish.key for wish in open_ended}}
        open_ended = [wish for wish in open_ended if not masks[wish.key] & before[wish.node]]
    return sorted([*left, *open_ended])


def output_conflicts(subject: Subject, report: Report) -> None:
    """SPEC 2: unordered nodes write one key, and one replaces what the other wrote."""
    for spot in subject.spots:
        _double_outputs(subject, spot, report)
    shared = {key: numbers for key, numbers in subject.producers.items() if len(numbers) > 1}
    if not shared:
        return
    rank = {number: place for place, number in enumerate(subject.order)}
    writers = {key: sorted((n for n in numbers if n in rank), key=rank.__getitem__) for key, numbers in shared.items()}
    replacing = {
        key: {number for number in numbers if _replaces(subject.spots[number], key)} for key, numbers in writers.items()
    }
    clashes: dict[tuple[str, int], int] = {}
    for block in subject.blocks(gates=True):
        for key, numbers in writers.items():
            if replacing[key]:
                for number, other in _unordered(block, numbers, replacing[key]):
                    clashes.setdefault((key, number), other)
    for (key, number), other in sorted(clashes.items(), key=lambda item: item[0][1]):
        _report_conflict(subject, subject.spots[max(number, other)], subject.spots[min(number, other)], key, report)


def _unordered(block: Block, numbers: list[int], replacing: set[int]) -> Iterator[tuple[int, int]]:
    """Each writer with the first writer in *block* that is not ordered before it, if one of the two replaces.

    *numbers* are in topological order, so a later one is never before an earlier one.
    """
    earlier = earlier_replacing = 0
    for number in numbers:
        loose = (earlier if number in replacing else earlier_replacing) & ~block.before[number]
        if loose:
            yield number, block.lowest(loose)
        bit = block.bit(number)
        earlier |= bit
        if number in replacing:
            earlier_replacing |= bit


def _replaces(spot: Spot, key: str) -> bool:
    merges = {output.key: output.merge for output in spot.node.context.outputs}
    return merges.get(key, "replace") == "replace"


def _double_outputs(subject: Subject, spot: Spot, report: Report) -> None:
    seen: set[str] = set()
    for at, output in enumerate(spot.node.context.outputs):
        if output.key in seen:
            report.add(
                "OUTPUT_CONFLICT",
                f'Node "{spot.node.id}" declares output "{output.key}" twice',
                subject.pointer(spot, "context", "outputs", at, "key"),
                "Keep one of them.",
            )
        seen.add(output.key)
    each = spot.node.for_each
    if each is not None and each.failures in seen:
        report.add(
            "OUTPUT_CONFLICT",
            f'Node "{spot.node.id}" declares its output "{each.failures}" as the list of failed items too',
            subject.pointer(spot, "forEach", "failures"),
            f'Name the list otherwise, such as "{each.failures}_failed".',
        )


def _report_conflict(subject: Subject, spot: Spot, other: Spot, key: str, report: Report) -> None:
    places = (place for place, output in enumerate(spot.node.context.outputs) if output.key == key)
    at = next(places, None)
    report.add(
        "OUTPUT_CONFLICT",
        f'Nodes "{other.node.id}" and "{spot.node.id}" both write "{key}", and neither runs before the other',
        subject.pointer(spot, *(("forEach", "failures") if at is None else ("context", "outputs", at, "key"))),
        f'Write to "{key}_{spot.node.id}" here, set "merge" to "merge", "append" or "concat" on both, or let '
        f'"{spot.node.id}" depend on "{other.node.id}".',
    )


def _not_found(subject: Subject, spot: Spot, key: str) -> str:
    keys = _available(subject, spot)
    more = ["…"] if len(keys) > MAX_KEYS else []
    shown = json.dumps([*keys[:MAX_KEYS], *more], ensure_ascii=False)
    return f'Required input "{key}" not found for node "{spot.node.id}"\nAvailable context keys: {shown}'


def _available(subject: Subject, spot: Spot) -> list[str]:
    """Keys that *spot* can read: initial values, and outputs of the nodes before it, in file order."""
    before: set[int] = set()
    waiting = [spot.number]
    barred = subject.phase(spot).barrier
    while waiting:
        for need in subject.needs[waiting.pop()]:
            if need not in before:
                before.add(need)
                if not (barred and subject.spots[need].phase < spot.phase):
                    waiting.append(need)
    declared = [*subject.definition.global_context.initial, *(item.name for item in subject.definition.arguments)]
    keys = dict.fromkeys([*declared, *sorted(subject.given)])
    for other in subject.spots:
        if other.phase > spot.phase:
            break
        earlier = barred and other.phase < spot.phase
        if other is not spot and (earlier or other.number in before):
            keys.update(dict.fromkeys(other.writes))
    return list(keys)


def _provide(subject: Subject, spot: Spot, key: str) -> str:
    """The hint for a missing input."""
    for number in subject.producers.get(key, ()):
        other = subject.spots[number]
        if other.phase <= spot.phase and other is not spot:
            return f'"{other.node.id}" writes "{key}": add it to the dependencies of "{spot.node.id}".'
        if other is not spot:
            return f'"{other.node.id}" writes "{key}" in a later phase: move it before "{spot.node.id}".'
    near = Names(_available(subject, spot)).closest(key)
    if near:
        return f'Did you mean "{near}"? Or declare "{key}" as an output of an earlier node.'
    return f'Declare "{key}" as an output of an earlier node, or give the input "required": false and a default.'
