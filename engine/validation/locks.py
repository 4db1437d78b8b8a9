"""Locks are named once, literally, and in one order.

Pure. `engine/tables/locks.py` grants them.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.command import Lock
    from engine.validation.problem import Report
    from engine.validation.subject import Block, Spot, Subject

_PLACEHOLDER = re.compile(r"\$\{|\{\{|\$[A-Z]{2}")
MAX_LOCKS = 20
"""Locks of one node whose order is compared."""


def placeholders(subject: Subject, report: Report) -> None:
    """LOCK_PLACEHOLDER: it is not filled in, so all runs would take the same lock."""
    root = subject.definition.resources
    for at, lock in enumerate(root.locks if root else ()):
        _placeholder(lock, subject.shape.pointer("resources", "locks", at, "resource"), report)
    for spot in subject.spots:
        for at, lock in enumerate(spot.node.resources.locks if spot.node.resources else ()):
            _placeholder(lock, subject.pointer(spot, "resources", "locks", at, "resource"), report)


def _placeholder(lock: Lock, place: str, report: Report) -> None:
    if _PLACEHOLDER.search(lock.resource):
        report.add(
            "LOCK_PLACEHOLDER",
            f'The lock "{lock.resource}" has a placeholder, which is not filled in',
            place,
            'Name the resource itself, or a part that covers it: "deploy" covers "deploy.staging".',
        )


def duplicate_locks(subject: Subject, report: Report) -> None:
    root = subject.definition.resources
    if root:
        _duplicates(root.locks, subject, None, report)
    for spot in subject.spots:
        if spot.node.resources:
            _duplicates(spot.node.resources.locks, subject, spot, report)


def lock_orders(subject: Subject, report: Report) -> None:
    """LOCK_ORDER_CYCLE: two nodes that can run together name two locks in opposite orders."""
    orders: dict[tuple[str, str], list[int]] = {}
    for spot in subject.spots:
        if spot.node.resources and spot.number in subject.ordered:
            names = dict.fromkeys(lock.resource for lock in spot.node.resources.locks[:MAX_LOCKS])
            for pair in combinations(names, 2):
                orders.setdefault(pair, []).append(spot.number)
    opposite = [pair for pair in orders if pair[0] < pair[1] and pair[::-1] in orders]
    if not opposite:
        return
    rank = {number: place for place, number in enumerate(subject.order)}
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for block in subject.blocks(gates=True):
        for pair in opposite:
            if pair not in found:
                clash = next(_together(block, orders[pair], orders[pair[::-1]], subject, rank), None)
                if clash is not None:
                    found[pair] = clash
    for pair, numbers in found.items():
        first, second = (subject.spots[number] for number in sorted(numbers))
        report.add(
            "LOCK_ORDER_CYCLE",
            f'Nodes "{first.node.id}" and "{second.node.id}" can run together and name the locks '
            f'"{pair[0]}" and "{pair[1]}" in opposite orders',
            subject.pointer(second, "resources", "locks"),
            f'Name "{pair[0]}" before "{pair[1]}" everywhere.',
        )


def _together(
    block: Block, one: list[int], other: list[int], subject: Subject, rank: dict[int, int]
) -> Iterator[tuple[int, int]]:
    """Nodes of *one* and *other*, the second of them in *block*, that can run at the same time."""
    for here, there in ((one, other), (other, one)):
        waiting = sorted(there, key=rank.__getitem__, reverse=True)
        earlier: dict[int | None, int] = {}
        total = 0
        for number in sorted(here, key=rank.__getitem__):
            while waiting and rank[waiting[-1]] < rank[number]:
                other_number = waiting.pop()
                bit = block.bit(other_number)
                total |= bit
                serial = _serial_phase(subject, other_number)
                earlier[serial] = earlier.get(serial, 0) | bit
            serial = _serial_phase(subject, number)
            alone = earlier.get(serial, 0) if serial is not None else 0
            loose = total & ~block.before[number] & ~alone
            if loose:
                yield block.lowest(loose), number


def _serial_phase(subject: Subject, number: int) -> int | None:
    """The phase of a node, if that phase runs one node at a time."""
    spot = subject.spots[number]
    phase = subject.phase(spot)
    return spot.phase if not phase.parallel or phase.max_parallelism == 1 else None


def _duplicates(locks: tuple[Lock, ...], subject: Subject, spot: Spot | None, report: Report) -> None:
    seen: set[str] = set()
    for at, lock in enumerate(locks):
        if lock.resource in seen:
            steps = ("resources", "locks", at)
            report.add(
                "DUPLICATE_LOCK",
                f'Lock "{lock.resource}" is named twice'
                + (f' by node "{spot.node.id}"' if spot else " by the command"),
                subject.pointer(spot, *steps) if spot else subject.shape.pointer(*steps),
                "Keep one of them: the exclusive one if their types differ.",
            )
        seen.add(lock.resource)
