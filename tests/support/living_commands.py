"""Random commands for a world in which agents really work: values, breakers, upgrades and several agents besides.

A minute of them is a second, since a world lives for minutes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.definitions import command, phase
from tests.support.random_commands import once_in, random_command, rich_node, some_in_place

if TYPE_CHECKING:
    from random import Random

WORKERS = ("worker", "worker", "watched", "brief", "model", "far", "far")
SHARED_KEYS = ("log", "notes")
"""Keys that many nodes add to; the way of adding is the key's, so that they always join."""
SCHEMAS: tuple[Any, ...] = (
    None,
    None,
    {"type": "integer"},
    {"type": "string"},
    {"type": "boolean"},
    {"type": "object"},
)
FASTER = 60
TIMES = frozenset({"estimatedTime", "timeout", "maxWaitTime", "initialDelay"})


def living_node(dice: Random, name: str, before: list[str], calls: tuple[str, ...]) -> dict[str, Any]:
    """A node with some of all that a node can have."""
    raw = rich_node(dice, name, before, calls)
    group = raw["agentId"] == "command"
    if not group:
        raw["agentId"] = dice.choice(WORKERS)
    undo = raw.get("compensation")
    if undo is not None and not group and once_in(4, dice):
        contest(dice, raw)
    elif group and once_in(3, dice):
        raw["resources"] = {"locks": [{"resource": "db"}], "maxWaitTime": 1000}
    if undo is not None:
        undoing(dice, undo, before)
    if once_in(8 if group else 2, dice):
        raw["circuitBreaker"] = "api"
    if once_in(2, dice):
        raw["context"] = context(dice, name, raw["dependencies"], before, group=group)
        if undo is not None and undo["type"] == "cascade" and not group:
            raw["context"]["outputs"].append({"key": f"{name}-valid", "schema": {"type": "boolean"}})
    if "retryPolicy" in raw and once_in(3, dice):
        raw["retryPolicy"]["retryableErrors"] = dice.sample(("rate_limit", "OVERLOADED", "TIMEOUT", "AGENT_ERROR"), 2)
    for lock in raw.get("resources", {}).get("locks", ()):
        if once_in(5, dice):
            lock["type"] = "upgrade"
        if once_in(4, dice):
            lock["priority"] = dice.choice((1, 5))
    return raw


def undoing(dice: Random, undo: dict[str, Any], before: list[str]) -> None:
    """Say who undoes a node, and how far."""
    undo["agentId"] = dice.choice(WORKERS)
    if undo["type"] == "cascade" and once_in(2, dice) and before:
        undo["rollbackTo"] = dice.choice(before)


def contest(dice: Random, raw: dict[str, Any]) -> None:
    """Have a node that is to be undone want what others hold, wait briefly, and ask people about lost attempts."""
    raw["resources"] = {"locks": [{"resource": "db"}], "maxWaitTime": dice.choice((1000, 1000, 120_000))}
    raw["idempotent"] = once_in(2, dice)
    raw["compensation"] |= {"type": "rollback", "compensateOn": ["error", "timeout", "validation", "cancel"]}


def context(dice: Random, name: str, needs: list[str], before: list[str], *, group: bool) -> dict[str, Any]:
    """Values that a node reads and writes."""
    raw: dict[str, Any] = {"inputs": [], "outputs": []}
    if before and once_in(2, dice):
        source = dice.choice(before if once_in(2, dice) else needs or before)  # values alone may hold it
        given: dict[str, Any] = {"key": f"{source}-out", "required": source in needs and once_in(3, dice)}
        if not given["required"] and once_in(2, dice):
            given["default"] = "nothing"
        raw["inputs"].append(given)
    if once_in(4, dice):
        raw["inputs"].append({"key": dice.choice(SHARED_KEYS), "required": False})
    if once_in(6, dice):
        raw["inputs"].append({"key": "arguments", "required": False, "transform": "$"})
    raw["passthrough"] = once_in(6, dice)
    if not group:
        written: dict[str, Any] = {"key": f"{name}-out", "persist": once_in(3, dice)}
        schema = dice.choice(SCHEMAS)
        if schema is not None:
            written["schema"] = schema
        if once_in(4, dice):
            written["ttl"] = dice.choice((1, 60))
        raw["outputs"].append(written)
        if once_in(3, dice):
            raw["outputs"].append({"key": "log", "merge": "append"})
        if once_in(4, dice):
            raw["outputs"].append({"key": "notes", "merge": "merge", "schema": {"type": "object"}, "persist": True})
    elif once_in(3, dice):
        raw["outputs"].append({"key": f"n{dice.randrange(2)}-out"})
    return raw


def faster(raw: Any) -> Any:  # noqa: ANN401 - any part of a raw command
    """*raw* with all its times made shorter."""
    if isinstance(raw, dict):
        return {
            key: max(value // FASTER, 1 if value else 0) if key in TIMES and isinstance(value, int) else faster(value)
            for key, value in raw.items()
        }
    return [faster(item) for item in raw] if isinstance(raw, list) else raw


def contested_family(dice: Random) -> tuple[dict[str, Any], ...]:
    """A command that comes to undo what it did for certain, most of it with a lock that others want as well."""
    paying = [living_node(dice, f"n{place}", [], ()) for place in range(dice.randint(1, 3))]
    for raw in paying:
        raw["compensation"] = {"task": "undo", "agentId": "worker"}
        contest(dice, raw)
    breaking = {**living_node(dice, "n9", [], ()), "context": {"inputs": [{"key": "nowhere"}]}}
    phases = (
        phase("p0", *paying, parallel=True, continueOnError=once_in(2, dice)),
        phase("p1", breaking, continueOnError=False),
    )
    root = {"resources": {"locks": [{"resource": "disk"}], "maxWaitTime": 60_000}} if once_in(3, dice) else {}
    return (faster(command(*phases, name=f"/test-{dice.randrange(3)}", **root)),)


def living_family(dice: Random, size: int) -> tuple[dict[str, Any], ...]:
    """A command and the sub-commands that its nodes may run, in seconds instead of minutes."""
    smaller = max(1, size // 2)
    top = random_command(dice, size, calls=("/first", "/second"), node_of=living_node)
    first = random_command(dice, smaller, name="/first", calls=("/second",), node_of=living_node)
    second = random_command(dice, smaller, name="/second", node_of=living_node)
    if once_in(3, dice):
        top["globalContext"] = {"initial": {"log": "begun"}, "cacheTTL": 30}
    if once_in(3, dice):
        locks = [{"resource": dice.choice(("db", "disk")), "type": dice.choice(("shared", "shared", "exclusive"))}]
        top["resources"] = {"locks": locks, "maxWaitTime": dice.choice((60_000, 1_800_000))}
    top["name"] = f"/test-{dice.randrange(3)}"
    return tuple(faster(raw) for raw in some_in_place(top, first, second))
