"""Commands made up from a seed: graphs, phases, policies, locks, approvals and sub-commands, always valid.

A seed and a size are all that Hypothesis has to choose; it shrinks the size, and the seed stands in the report.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeAlias
from zlib import crc32

from tests.support.definitions import MINUTE, command, phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

NodeMaker: TypeAlias = "Callable[[Random, str, list[str], tuple[str, ...]], dict[str, Any]]"

KINDS = ("error", "timeout", "validation", "cancel")
STRATEGIES = ("immediate", "linear", "exponential", "fibonacci")


def once_in(often: int, dice: Random) -> bool:
    """True once in *often* times."""
    return dice.randrange(often) == 0


def retry(dice: Random) -> dict[str, Any]:
    """A retry policy with short delays."""
    delay = dice.choice((0, 1000, 30_000))
    return {"maxAttempts": dice.randint(1, 2), "strategy": dice.choice(STRATEGIES), "initialDelay": delay}


def compensation(dice: Random) -> dict[str, Any]:
    """How a node is undone, if at all."""
    kind = dice.choice(("rollback", "rollback", "rollback", "custom", "retry", "cascade", "none"))
    raw: dict[str, Any] = {"type": kind, "task": "undo", "agentId": "worker"}
    if once_in(3, dice):
        raw["compensateOn"] = dice.sample(KINDS, dice.randint(1, 4))
    return raw


def resources(dice: Random) -> dict[str, Any]:
    """Locks on few resources, so that they meet."""
    names = dice.sample(("db", "db.a", "db.b", "disk"), dice.randint(1, 2))
    locks = [{"resource": name, "type": dice.choice(("exclusive", "shared"))} for name in names]
    return {"locks": locks, "maxWaitTime": dice.choice((1000, 600_000))}


def plain_node(dice: Random, name: str, before: list[str]) -> dict[str, Any]:
    """A node that depends on some of those *before* it."""
    minutes = dice.randint(1, 5)
    return {
        "id": name,
        "agentId": "worker",
        "task": f"Do {name}",
        "estimatedTime": minutes * MINUTE,
        "timeout": 2 * minutes * MINUTE,
        "dependencies": dice.sample(before, dice.randint(0, min(2, len(before)))),
        "priority": dice.choice((0, 0, 1, 5)),
    }


def rich_node(dice: Random, name: str, before: list[str], calls: tuple[str, ...]) -> dict[str, Any]:
    """A node with some of all that a node can have."""
    raw = plain_node(dice, name, before)
    if calls and once_in(3, dice):
        raw |= {"agentId": "command", "task": dice.choice(calls), "timeout": dice.choice((8, 600)) * MINUTE}
    elif once_in(3, dice):
        raw["retryPolicy"] = retry(dice)
    if once_in(2, dice):
        raw["compensation"] = compensation(dice)
    if once_in(5, dice):
        raw["resources"] = resources(dice)
    if once_in(8, dice):
        expression = dice.choice(("1 == 1", "1 == 2", "1 == 2"))
        raw["skipCondition"] = {"type": "context", "expression": expression}
    if once_in(8, dice):
        raw["approval"] = {"message": "Go on?"}
    if once_in(6, dice):
        raw["idempotent"] = False
    if once_in(30, dice):
        raw["context"] = {"inputs": [{"key": "nowhere"}]}
    return raw


def random_command(
    dice: Random,
    size: int,
    *,
    name: str = "/test",
    plain: bool = False,
    calls: tuple[str, ...] = (),
    node_of: NodeMaker = rich_node,
) -> dict[str, Any]:
    """A command with up to *size* nodes in each phase; a *plain* one has only graphs, limits and priorities."""
    phases: list[dict[str, Any]] = []
    known: list[str] = []
    for number in range(dice.randint(1, 3)):
        members = []
        for _ in range(dice.randint(1, size)):
            node = f"n{len(known)}"
            members.append(plain_node(dice, node, known) if plain else node_of(dice, node, known, calls))
            known.append(node)
        extra: dict[str, Any] = {"parallel": not once_in(5, dice), "barrier": not once_in(5, dice)}
        if once_in(2, dice):
            extra["maxParallelism"] = dice.randint(1, 3)
        if not plain:
            extra["continueOnError"] = once_in(2, dice)
            if once_in(6, dice):
                extra["timeout"] = dice.randint(2, 30) * MINUTE
        phases.append(phase(f"p{number}", *members, **extra))
    root = {"resources": resources(dice)} if not plain and once_in(6, dice) else {}
    return command(*phases, name=name, **root)


def random_family(dice: Random, size: int) -> tuple[dict[str, Any], ...]:
    """A command and the sub-commands that its nodes may run; the first of these may run the second."""
    return some_in_place(
        random_command(dice, size, calls=("/first", "/second")),
        random_command(dice, max(1, size // 2), name="/first", calls=("/second",)),
        random_command(dice, max(1, size // 2), name="/second"),
    )


def some_in_place(*family: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """*family* with the phases of sub-commands in place of some of the nodes that run them."""
    commands = {raw["name"]: raw for raw in family}
    for raw in reversed(family):  # the commands that are run before those that run them
        for node in (node for part in raw["phases"] for node in part["agents"]):
            if node.get("agentId") == "command" and crc32(f"{raw['name']} {node}".encode()) % 2:
                node["phases"] = deepcopy(commands[node["task"]]["phases"])
                del node["agentId"]
    for raw in family:
        unfold_some(raw["phases"], raw["name"])
    return family


def unfold_some(phases: list[dict[str, Any]], name: str) -> None:
    """Let some of the nodes of *phases* stand for items or iterations."""
    for node in (node for part in phases for node in part["agents"]):
        luck = crc32(f"{name} {node}".encode())
        unfold_some(node.get("phases", []), name)
        if luck % 7 == 0:
            things = {"key": "things", "default": [f"thing {at}" for at in range(luck // 7 % 4)]}
            context = node.setdefault("context", {})
            context["inputs"] = [*context.get("inputs", []), things]
            node["forEach"] = {"items": "things", "continueOnError": luck % 2 == 0, "failures": f"{node['id']}-failed"}
            if luck % 3 == 0:
                node["forEach"]["maxParallelism"] = 1 + luck % 2
        elif luck % 7 == 1:
            until = f"iteration >= {1 + luck // 7 % 3}"
            on = "fail" if luck % 2 else "continue"
            node["repeat"] = {"until": until, "maxIterations": 2, "onExhausted": on, "interval": luck % 3 * 1000}
