"""One command prepared for the rules: nodes by number and name, writers of each key, and the order of nodes.

Pure. It judges nothing; parts of the file that could not be read are not in it.

Theory of operation
===================

**The problem.** The rules about data flow, locks and redundant dependencies all ask which nodes come before which. A
walk per pair of nodes is quadratic, and the whole relation as sets takes quadratic memory: both are too much for the
largest commands.

**Order.** A node's number is its place in the file. `order` is topological: by phase, and dependencies first. Nodes in
a circle, and all nodes behind one, are not in it; the circle is reported by a rule of its own. Dependencies that do not
exist or point to a later phase are faults too, and `needs` leaves them out: otherwise sorting by phase would break the
topological order.

**Blocks.** `blocks` yields the relation in strips. For a range of `BLOCK` nodes, `before[n]` is the set of nodes of
that range that come before node n, as the bits of one integer. One pass along `order` makes a strip: the union of the
sets of n's dependencies and of the dependencies themselves. So a strip costs one `or` per dependency, memory is bounded
by nodes times `BLOCK` bits, and each rule has to be answerable one strip at a time.

**Gates.** There are two relations. Without gates only dependencies count; with gates, a phase with a barrier also waits
for all nodes of earlier phases. A pair that only gates put in order works, but breaks when a node is moved.

**Invariants.** `before[n]` never holds n. For a node outside `order` it holds only what its phase guarantees, so rules
report nothing about such a node that depends on how its circle is broken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from engine import conditions
from engine.errors import InputError
from engine.graph.instances import ITERATION, NUMBER, own_names
from engine.model.command import CommandDefinition, GlobalContext, Metadata, Node, Phase
from engine.model.plan import SUB_COMMAND
from engine.text.suggestions import Names
from engine.validation.shape import UNREADABLE, Shape

BLOCK = 4096
"""Nodes in one strip of the relation: a set of them is an integer of half a kilobyte."""
MAX_ENTRIES_KEPT = 4 * BLOCK
"""Nodes up to which the strips are kept for the next rule; for larger commands each rule makes them again."""


class Spot(msgspec.Struct, frozen=True):
    """One node and its place."""

    node: Node
    number: int
    """Place in file order, from 0."""
    phase: int
    steps: tuple[str | int, ...]
    """The path to it in the definition."""

    @property
    def is_sub_command(self) -> bool:
        """Whether it runs a sub-command."""
        return self.node.agent_id == SUB_COMMAND

    @property
    def writes(self) -> list[str]:
        """The keys that it writes."""
        keys = [output.key for output in self.node.context.outputs]
        each = self.node.for_each
        return [*keys, each.failures] if each is not None and each.failures is not None else keys

    @property
    def given(self) -> frozenset[str]:
        """The keys that an instance of it, or its phases in place, certainly see: bound inputs, item and number."""
        keys = {item.key for item in self.node.context.inputs}
        if self.node.for_each is not None:
            keys = keys - {self.node.for_each.items} | {self.node.for_each.item_name, NUMBER}
        return frozenset(keys | {ITERATION} if self.node.repeat is not None else keys)

    @property
    def skips_items(self) -> bool:
        """Whether its condition skips items of its list: the node itself then runs, and writes what is left."""
        skip, each = self.node.skip_condition, self.node.for_each
        if skip is None or each is None or skip.type != "context":
            return False
        try:
            return bool(conditions.parse(skip.expression).names & {each.item_name, NUMBER})
        except InputError:  # reported by its own rule
            return False

    @property
    def is_group(self) -> bool:
        """Whether its work is that of other nodes: of a sub-command, or of phases in place."""
        return self.is_sub_command or bool(self.node.phases)


class Block(msgspec.Struct, frozen=True):
    """For every node, which nodes of a range come before it."""

    start: int
    stop: int
    before: list[int]
    """By node number: a set of bits, the lowest one for the node `start`."""

    def bit(self, number: int) -> int:
        """The bit of node *number*, or 0 if it is not in the range."""
        return 1 << (number - self.start) if self.start <= number < self.stop else 0

    def bits(self, numbers: Collection[int]) -> int:
        total = 0
        for number in numbers:
            total |= self.bit(number)
        return total

    def lowest(self, bits: int) -> int:
        """The first node of the set *bits*."""
        return (bits & -bits).bit_length() - 1 + self.start


class Wish(NamedTuple):
    """A required input that some node has to provide."""

    node: int
    place: int
    """Index of the input in its list."""
    key: str


@dataclass
class Subject:
    """The command as the rules see it."""

    definition: CommandDefinition
    shape: Shape
    agents: Collection[str]
    commands: Mapping[str, CommandDefinition | Mapping[str, Any]]
    breakers: Collection[str]
    given: frozenset[str] = frozenset()
    """Keys that the caller provides if this is a sub-command, or the node around it if these are phases in place."""
    unusable: Mapping[str, str] = field(default_factory=dict)
    """By id: why agents that have a file are not in `agents`."""
    wanted: frozenset[str] = frozenset()
    """Outputs of the node around these phases in place."""
    level: int = 0
    """How many nodes with phases in place are around it."""
    names: frozenset[str] = frozenset()
    """The names of the forEach and repeat around it that stand for values in texts."""
    spots: list[Spot] = field(init=False)
    wishes: list[Wish] | None = field(init=False, default=None)
    """The required inputs that some node has to provide, once a rule has asked for them."""

    def __post_init__(self) -> None:
        self.spots = [
            Spot(node, number, phase, ("phases", phase, "agents", place))
            for number, (phase, place, node) in enumerate(
                (phase, place, node)
                for phase, part in enumerate(self.definition.phases)
                for place, node in enumerate(part.agents)
            )
        ]

    def pointer(self, spot: Spot, *steps: str | int) -> str:
        """The JSON Pointer of something in a node."""
        return self.shape.pointer(*spot.steps, *steps)

    def within(self, spot: Spot) -> Subject:
        """The phases in place of *spot*, prepared as if they were a command."""
        node, root = spot.node, self.definition
        given = set(spot.given)
        if node.context.passthrough:
            listed = {node.for_each.items} if node.for_each is not None else set()
            given |= {*self.initial, *self.producers} - listed
        definition = CommandDefinition.model_construct(
            version=root.version,
            name=root.name,
            description=root.description,
            phases=node.phases,
            metadata=Metadata(),
            global_context=GlobalContext(persist_keys=root.global_context.persist_keys),
            resources=None,
            arguments=(),
        )
        return Subject(
            definition,
            self.shape.inside(*spot.steps),
            self.agents,
            self.commands,
            self.breakers,
            frozenset(given),
            self.unusable,
            wanted=frozenset(output.key for output in node.context.outputs),
            level=self.level + 1,
            names=self.names | {*own_names(node)},
        )

    def phase(self, spot: Spot) -> Phase:
        return self.definition.phases[spot.phase]

    @cached_property
    def by_id(self) -> dict[str, Spot]:
        """Nodes by id; the first one of duplicates."""
        found: dict[str, Spot] = {}
        for spot in self.spots:
            found.setdefault(spot.node.id, spot)
        return found

    @cached_property
    def node_names(self) -> Names:
        return Names(self.by_id)

    @cached_property
    def agent_names(self) -> Names:
        return Names(sorted(name for name in self.agents if name != SUB_COMMAND))

    @cached_property
    def needs(self) -> list[list[int]]:
        """By node number: dependencies that exist and do not point to a later phase or to the node itself."""
        found: list[list[int]] = []
        for spot in self.spots:
            others = (self.by_id.get(name) for name in dict.fromkeys(spot.node.dependencies))
            found.append(
                [other.number for other in others if other and other is not spot and other.phase <= spot.phase]
            )
        return found

    @cached_property
    def order(self) -> list[int]:
        """Node numbers in topological order, without the nodes in or behind a circle."""
        waiting = [len(needs) for needs in self.needs]
        users: list[list[int]] = [[] for _ in self.spots]
        for number, needs in enumerate(self.needs):
            for need in needs:
                users[need].append(number)
        order = [number for number, count in enumerate(waiting) if not count]
        for number in order:
            for user in users[number]:
                waiting[user] -= 1
                if not waiting[user]:
                    order.append(user)
        order.sort(key=lambda number: self.spots[number].phase)  # dependencies never point to a later phase
        return order

    @cached_property
    def ordered(self) -> frozenset[int]:
        return frozenset(self.order)

    @cached_property
    def followed(self) -> frozenset[int]:
        """Nodes with a successor: a dependent, or a later phase."""
        last = len(self.definition.phases) - 1
        needed = {need for needs in self.needs for need in needs}
        return frozenset(spot.number for spot in self.spots if spot.number in needed or spot.phase < last)

    @cached_property
    def initial(self) -> frozenset[str]:
        """Keys that have a value before the first node starts."""
        named = (item.name for item in self.definition.arguments)
        text = () if self.level else ("arguments",)
        return frozenset({*self.definition.global_context.initial, *named, *self.given, *text})

    @cached_property
    def producers(self) -> dict[str, list[int]]:
        """Numbers of the nodes that write each key, in file order."""
        found: dict[str, list[int]] = {}
        for spot in self.spots:
            for key in dict.fromkeys(spot.writes):
                found.setdefault(key, []).append(spot.number)
        return found

    def blocks(self, *, gates: bool) -> Iterator[Block]:
        """Which nodes come before which, one strip at a time.

        With *gates*, phases count: a node comes after all nodes of earlier phases. Otherwise only dependencies count.
        """
        if len(self.spots) > MAX_ENTRIES_KEPT:
            yield from self._make_blocks(gates=gates)
            return
        kept = self._kept_gated if gates else self._kept_plain
        yield from kept

    @cached_property
    def _kept_gated(self) -> list[Block]:
        return list(self._make_blocks(gates=True))

    @cached_property
    def _kept_plain(self) -> list[Block]:
        return list(self._make_blocks(gates=False))

    def _make_blocks(self, *, gates: bool) -> Iterator[Block]:
        firsts: dict[int, int] = {}
        for spot in self.spots:
            firsts.setdefault(spot.phase, spot.number)
        waits = [gates and phase.barrier for phase in self.definition.phases]
        count = len(self.spots)
        for start in range(0, count, BLOCK):
            stop = min(start + BLOCK, count)
            masks = {
                phase: (1 << max(0, min(first, stop) - start)) - 1 if waits[phase] else 0
                for phase, first in firsts.items()
            }
            single = [1 << place for place in range(stop - start)]
            before = [masks[spot.phase] for spot in self.spots]
            for number in self.order:
                bits = before[number]
                for need in self.needs[number]:
                    bits |= before[need]
                    if start <= need < stop:
                        bits |= single[need - start]
                before[number] = bits
            yield Block(start, stop, before)


def is_readable(name: str) -> bool:
    """Whether *name* is from the file, not a stand-in for one that could not be read."""
    return not name.lstrip("/").startswith(UNREADABLE)
