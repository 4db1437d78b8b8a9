#!/usr/bin/env bash
# networkx 3.6.1 finds nothing to remove between two nodes of a directed graph if an edge leads back from the second.
#
# Expected: the smallest set of nodes whose removal leaves no path from the first to the second, of as many nodes as
# `node_connectivity` counts. An edge from the second to the first is on no such path.
# Seen: the set is empty, which also says that there is no path; without that edge it is right. (The documentation has
# an empty set for two nodes with an edge between them, since then no removal ends the path; here one does.) For the
# whole graph, in which every node reaches every other, it is empty too, though it takes one node to part it. So a
# search for single points of failure finds none in a graph with a loop of feedback.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "networkx==3.6.1"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import networkx as nx

STEPS = [("draft", "review"), ("review", "publish")]
BACK = ("publish", "draft")


def is_cut(graph: nx.DiGraph, found: set[str]) -> bool:
    """Whether no path leads from the first step to the last without the nodes that were *found*."""
    rest = graph.subgraph(set(graph) - found)
    return not nx.has_path(rest, "draft", "publish")


seen = {}
for case, edges in (("forth", STEPS), ("forth and back", [*STEPS, BACK])):
    graph = nx.DiGraph(edges)
    found = nx.minimum_node_cut(graph, "draft", "publish")
    seen[case] = (nx.node_connectivity(graph, "draft", "publish"), found, is_cut(graph, found))
loop = nx.DiGraph([*STEPS, BACK])
seen["whole graph"] = (nx.node_connectivity(loop), nx.minimum_node_cut(loop), nx.is_strongly_connected(loop))
print("expected:", dict.fromkeys(("forth", "forth and back"), (1, {"review"}, True)), "and a node for the whole graph")
print("seen:    ", seen)
sys.exit(
    seen != {"forth": (1, {"review"}, True), "forth and back": (1, set(), False), "whole graph": (1, set(), True)}
)
PYTHON
