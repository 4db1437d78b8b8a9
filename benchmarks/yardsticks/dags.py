"""Graphs to run: chains, fans, ladders and random layers, the same for the same seed.

Pure. Nodes are numbered in a topological order: a node's dependencies come before it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cached_property

MINUTE = 60.0
MORE = 0.5
"""How often a node takes up each of four further dependencies."""
FROM_AFAR = 0.2
"""How often such a one is of any earlier layer, not of the layer before."""


@dataclass(frozen=True)
class Dag:
    """A graph of work."""

    name: str
    needs: tuple[tuple[int, ...], ...]
    """By node, what it depends on."""
    seconds: tuple[float, ...]
    """By node, how long it takes."""

    def __len__(self) -> int:
        """Its nodes."""
        return len(self.needs)

    @cached_property
    def users(self) -> tuple[tuple[int, ...], ...]:
        """By node, what depends on it."""
        users: list[list[int]] = [[] for _ in self.needs]
        for node, needs in enumerate(self.needs):
            for need in needs:
                users[need].append(node)
        return tuple(map(tuple, users))

    @cached_property
    def tails(self) -> tuple[float, ...]:
        """By node, the longest way from its end to the end of all."""
        tails = [0.0] * len(self)
        for node in reversed(range(len(self))):
            tails[node] = max((self.seconds[user] + tails[user] for user in self.users[node]), default=0.0)
        return tuple(tails)

    @cached_property
    def heads(self) -> tuple[float, ...]:
        """By node, the longest way from the start of all to its start."""
        heads: list[float] = []
        for needs in self.needs:
            heads.append(max((heads[need] + self.seconds[need] for need in needs), default=0.0))
        return tuple(heads)


def chain(nodes: int, seed: int = 1) -> Dag:
    """Each node after the one before."""
    return _dag("chain", [(node - 1,) if node else () for node in range(nodes)], seed)


def fan(nodes: int, seed: int = 1) -> Dag:
    """One node, then all others but one at once, then the last."""
    middle = tuple(range(1, nodes - 1))
    return _dag("fan", [(), *((0,) for _ in middle), middle], seed)


def ladder(nodes: int, seed: int = 1) -> Dag:
    """Diamonds in a row: one node, two beside each other, one node, and so on."""
    needs: list[tuple[int, ...]] = []
    for node in range(nodes):
        step = node % 3
        if node == 0:
            needs.append(())
        elif step == 0:
            needs.append((node - 2, node - 1))
        else:
            needs.append((node - step,))
    return _dag("ladder", needs, seed)


def layered(nodes: int, seed: int = 1, *, width: int | None = None) -> Dag:
    """About as many layers as a layer has nodes; one to five dependencies each, most of them in the layer before."""
    rng = _rng("layers", nodes, seed)
    width = width or max(2, round(math.sqrt(nodes)))
    needs: list[tuple[int, ...]] = []
    before = range(0)
    while len(needs) < nodes:
        first = len(needs)
        layer = range(first, min(nodes, first + max(1, round(width * rng.uniform(0.6, 1.4)))))
        needs.extend(_parents(rng, before) if before else () for _ in layer)
        before = layer
    return _dag("layered", needs, seed)


def _parents(rng: random.Random, before: range) -> tuple[int, ...]:
    found = {rng.choice(before)}
    for _ in range(sum(rng.random() < MORE for _ in range(4))):
        found.add(rng.randrange(before.stop) if rng.random() < FROM_AFAR else rng.choice(before))
    return tuple(sorted(found))


def _dag(name: str, needs: list[tuple[int, ...]], seed: int) -> Dag:
    rng = _rng("seconds", len(needs), seed)
    return Dag(name=f"{name}-{len(needs)}", needs=tuple(needs), seconds=tuple(_seconds(rng) for _ in needs))


def _seconds(rng: random.Random) -> float:
    """As agents take: half of them more than five minutes, few more than twenty, none more than an hour."""
    return round(min(60 * MINUTE, max(MINUTE / 4, 5 * MINUTE * math.exp(rng.gauss(0.0, 0.8)))), 3)


def _rng(purpose: str, nodes: int, seed: int) -> random.Random:
    return random.Random(f"{purpose}:{nodes}:{seed}")  # noqa: S311 - repeatable by intent
