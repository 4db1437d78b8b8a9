"""The order of nodes: cycles, and the longest remaining path from each node.

Pure. The only module that uses networkx, and imported only to explain a cycle: sorting is a loop of ten lines, so
that a valid command never pays for the import. `forecast.py` applies the limits.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.plan import NodePlan, PhasePlan

MILLISECOND = timedelta(milliseconds=1)
SEARCH_BUDGET = 2_000_000
"""Edges that a search for shortest cycles visits before it settles for the shortest one so far."""


class Ranks(msgspec.Struct, frozen=True):
    """Longest remaining paths by estimates, in milliseconds, by node index."""

    upward: list[int]
    """From the node's start to the end of the run, including the node."""
    length: list[int]
    """Of the node alone; for a sub-command, of the longest path through it."""


def topological_order(dependencies: Mapping[str, Sequence[str]]) -> list[str] | None:
    """The keys of *dependencies* with each after all it depends on, or None if there is a cycle."""
    names = list(dependencies)
    place = {name: number for number, name in enumerate(names)}
    edges = ((place[need], place[name]) for name in names for need in dependencies[name] if need in place)
    order = _sorted(_adjacency(len(names), edges))
    return None if order is None else [names[number] for number in order]


def shortest_cycles(dependencies: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """One shortest cycle of each strong component of nodes, in the order of *dependencies*.

    A cycle reads "depends on": each name depends on the next, the last on the first. It starts at its first name in
    the order of *dependencies*. In a component too large to search, it is the shortest of those visited.
    """
    if topological_order(dependencies) is not None:
        return []
    import networkx as nx  # noqa: PLC0415 - costs a quarter of a server's start, and sound commands need none of it

    place = {name: number for number, name in enumerate(dependencies)}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(dependencies)
    graph.add_edges_from((name, need) for name, needs in dependencies.items() for need in needs if need in place)
    cycles = []
    for knot in nx.strongly_connected_components(graph):
        if len(knot) == 1 and not graph.has_edge(*(tuple(knot) * 2)):
            continue
        members = sorted(knot, key=place.__getitem__)
        cycle = _shortest_cycle({name: [need for need in graph[name] if need in knot] for name in members})
        first = min(range(len(cycle)), key=lambda at: place[cycle[at]])
        cycles.append(cycle[first:] + cycle[:first])
    return sorted(cycles, key=lambda cycle: place[cycle[0]])


def rank(nodes: Sequence[NodePlan], phases: Sequence[PhasePlan]) -> Ranks | None:
    """The remaining time of the run from each node on, or None if nodes and phases wait for each other.

    A node's path continues through its dependents, and through the gate of the next phase if that one waits. A phase
    that runs one node at a time is as long as all its nodes together.
    """
    gates = _Gates(nodes, phases)
    after = _adjacency(gates.count, gates.edges)
    order = _sorted(after)
    if order is None:
        return None
    weight = [0 if node.inner else node.estimate // MILLISECOND for node in nodes]
    opens = {gates.opened(phase.index): phase for phase in phases if phase.limit == 1}
    rest = [0] * gates.count
    length = [0] * len(nodes)
    for vertex in reversed(order):
        longest = max((rest[target] for target in after[vertex]), default=0)
        if vertex < len(nodes):
            rest[vertex] = longest + weight[vertex]
            length[vertex] = weight[vertex] or longest - rest[gates.end(nodes[vertex])]
        elif phase := opens.get(vertex):
            alone = sum(length[gates.index[name]] for name in phase.nodes)
            rest[vertex] = max(longest, alone + rest[gates.closed(phase.index)])
        else:
            rest[vertex] = longest
    return Ranks(upward=rest[: len(nodes)], length=length)


class _Gates:
    """The run as one graph: starts and ends of nodes, and a gate before and after each phase."""

    def __init__(self, nodes: Sequence[NodePlan], phases: Sequence[PhasePlan]) -> None:
        self.index = {node.id: node.index for node in nodes}
        self.nodes = len(nodes)
        self.phases = len(phases)
        self.count = 2 * self.nodes + 2 * self.phases
        self.edges: list[tuple[int, int]] = []
        for phase in phases:
            self._add_phase(phase, nodes)
        for node in nodes:
            if node.inner:
                self.edges.append((self.closed(node.inner[-1]), self.end(node)))
            self.edges.extend((self.end(nodes[self.index[name]]), node.index) for name in node.depends_on)

    def _add_phase(self, phase: PhasePlan, nodes: Sequence[NodePlan]) -> None:
        opened, closed = self.opened(phase.index), self.closed(phase.index)
        if phase.group is not None:
            self.edges.append((self.index[phase.group], opened))
        if phase.after is not None:
            before = self.closed(phase.after)
            self.edges.append((before, opened if phase.barrier else closed))
        for name in phase.nodes:
            node = nodes[self.index[name]]
            self.edges.append((opened, node.index))
            self.edges.append((self.end(node), closed))

    def end(self, node: NodePlan) -> int:
        return self.nodes + node.index if node.inner else node.index

    def opened(self, phase: int) -> int:
        return 2 * self.nodes + phase

    def closed(self, phase: int) -> int:
        return 2 * self.nodes + self.phases + phase


def _adjacency(count: int, edges: Iterable[tuple[int, int]]) -> list[list[int]]:
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        after[source].append(target)
    return after


def _sorted(after: Sequence[Sequence[int]]) -> list[int] | None:
    """Vertices with each before all that come *after* it; None if there is a cycle."""
    waiting = [0] * len(after)
    for targets in after:
        for target in targets:
            waiting[target] += 1
    order = [vertex for vertex, count in enumerate(waiting) if not count]
    for vertex in order:
        for target in after[vertex]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    return order if len(order) == len(after) else None


def _shortest_cycle(graph: dict[str, list[str]]) -> tuple[str, ...]:
    """A shortest cycle of *graph*, one strong component.

    All cycles through a node are known once the shortest one from it is: the node is removed, and with it every node
    that is then on no cycle. So a single ring costs one round, and only dense components, where short cycles come
    early, use up the budget.
    """
    best: tuple[str, ...] = ()
    spent = 0
    left = _Shrinking(graph)
    for name in graph:
        if name not in left.after:
            continue
        cycle, steps = _cycle_through(name, left.after, limit=len(best))
        best = cycle or best
        spent += steps
        if len(best) == 1 or (best and spent > SEARCH_BUDGET):
            break
        left.remove(name)
    return best


def _cycle_through(start: str, graph: Mapping[str, Iterable[str]], *, limit: int) -> tuple[tuple[str, ...], int]:
    """The shortest cycle through *start* with fewer than *limit* nodes (0: any), and the number of edges visited."""
    came: dict[str, str] = {}
    depth = {start: 1}
    queue = deque([start])
    steps = 0
    while queue:
        name = queue.popleft()
        if limit and depth[name] >= limit:
            break
        for need in graph[name]:
            steps += 1
            if need == start:
                path = [name]
                while path[-1] != start:
                    path.append(came[path[-1]])
                return tuple(reversed(path)), steps
            if need not in depth:
                depth[need] = depth[name] + 1
                came[need] = name
                queue.append(need)
    return (), steps


class _Shrinking:
    """A graph that loses nodes, and with them every node that then has no way in or no way out."""

    def __init__(self, graph: Mapping[str, Iterable[str]]) -> None:
        self.after = {name: dict.fromkeys(needs) for name, needs in graph.items()}
        self.before: dict[str, dict[str, None]] = {name: {} for name in graph}
        for name, needs in self.after.items():
            for need in needs:
                self.before[need][name] = None

    def remove(self, name: str) -> None:
        gone = [name]
        while gone:
            last = gone.pop()
            if last not in self.after:
                continue
            for need in self.after.pop(last):
                self.before[need].pop(last, None)
                if not self.before[need]:
                    gone.append(need)
            for user in self.before.pop(last):
                self.after[user].pop(last, None)
                if not self.after[user]:
                    gone.append(user)
