"""For each code of validation the smallest file that has the problem, and a neighbour that has not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.validation import validate_definition
from tests.support.definitions import Raw, command, in_place, node, phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.validation import Validation

AGENTS = {"worker", "senior-reviewer", "test-engineer", "architect-supreme"}
UNUSABLE = {"reader": "unknown field `allowed-tools` (/p/.claude/agents/reader.md)"}


@dataclass(frozen=True)
class Example:
    """Two files that differ in what the code is about."""

    bad: Raw
    pointer: str
    good: Raw
    commands: tuple[Raw, ...] = ()
    breakers: frozenset[str] = field(default_factory=frozenset)


def one(*nodes: Raw, **fields: object) -> Raw:
    """A command of one phase."""
    return command(phase("only", *nodes, **fields))


def writes(*keys: str, **fields: object) -> Raw:
    """A context with outputs that live an hour."""
    return {"outputs": [{"key": key, "ttl": 3600, **fields} for key in keys]}


def reads(*keys: str) -> Raw:
    """A context with required inputs."""
    return {"inputs": [{"key": key} for key in keys]}


def call(name: str, task: str, **fields: object) -> Raw:
    """A node that runs a sub-command."""
    return node(name, agent="command") | {"task": task} | fields


def validate(raw: object, commands: Iterable[Raw] = (), breakers: Iterable[str] = ()) -> Validation:
    """The validation of *raw* among the agents of these tests."""
    known = {item["name"]: item for item in commands}
    return validate_definition(raw, agents=AGENTS, commands=known, breakers=frozenset(breakers), unusable=UNUSABLE)


def locks(*names: str, **fields: object) -> Raw:
    """Resources with locks."""
    return {"resources": {"locks": [{"resource": name, **fields} for name in names]}, "compensation": {"type": "none"}}


def place(name: str, *nodes: Raw, **fields: object) -> Raw:
    """A node with one phase in place."""
    return in_place(name, phase("inside", *nodes), **fields)


INNER = command(phase("inside", node("build", context=writes("image"))), name="/deploy")
DEEP = (
    *(command(phase("inside", call("next", f"/deep-{level + 1}")), name=f"/deep-{level}") for level in range(25)),
    command(phase("inside", node("leaf")), name="/deep-25"),
)
LONG = "Review everything that was written with great care, and then say what should be done"

FILES = {"type": "array"}


def found(**output: object) -> Raw:
    """A node that finds files."""
    return node("find", context={"outputs": [{"key": "files", "ttl": 60, **output}]})


def each(context: Raw | None = None, **shape: object) -> Raw:
    """A node for each of the files that were found."""
    read = context or reads("files")
    return node("cover", "find", context=read, forEach={"items": "files", **shape})


def joined(merge: str, kind: str) -> Raw:
    return {"outputs": [{"key": "found", "merge": merge, "schema": {"type": kind}}]}


def again(until: str, schema: Raw | None = None, **shape: object) -> Raw:
    """A node that is repeated."""
    context = writes("result", persist=True, **({"schema": schema} if schema else {}))
    return node("repair", context=context, repeat={"until": until, **shape})


def asks(expression: str) -> Raw:
    """A node that reads what a list of files gave."""
    skip = {"type": "context", "expression": expression}
    return node("report", "cover", context={"inputs": [{"key": "results", "required": False}]}, skipCondition=skip)


MAKES = reads("files") | writes("results", persist=True)
"""The context of a node for each file, which gives a result."""

EXAMPLES: dict[str, Example] = {
    "ITEMS_NOT_A_LIST": Example(
        one(found(schema={"type": "string"}), each()),
        "/phases/0/agents/1/forEach/items",
        one(found(schema=FILES), each()),
    ),
    "UNKNOWN_OUTPUT": Example(
        one(again("iteration > 1", stopWhenUnchanged=["resutl"])),
        "/phases/0/agents/0/repeat/stopWhenUnchanged/0",
        one(again("iteration > 1", stopWhenUnchanged=["result"])),
    ),
    "UNKNOWN_PLACEHOLDER": Example(
        one(found(schema=FILES), each(None, **{"as": "file"}) | {"task": "Cover ${flie}"}),
        "/phases/0/agents/1/task",
        one(found(schema=FILES), each(None, **{"as": "file"}) | {"task": "Cover ${file} in ${HOME}"}),
    ),
    "NAME_CLASH": Example(
        one(found(schema=FILES), each(reads("files") | writes("file", persist=True), **{"as": "file"})),
        "/phases/0/agents/1/forEach/as",
        one(found(schema=FILES), each(reads("files") | writes("cover", persist=True), **{"as": "file"})),
    ),
    "ITEMS_WITHOUT_SCHEMA": Example(
        one(found(), each()), "/phases/0/agents/1/forEach/items", one(found(schema=FILES), each())
    ),
    "COLLECTION_AS_VALUE": Example(
        one(found(schema=FILES), each(MAKES), asks("results.passed == true")),
        "/phases/0/agents/2/skipCondition/expression",
        one(found(schema=FILES), each(MAKES), asks("results[0].passed == true")),
    ),
    "WILDCARD_ITEMS": Example(
        one(found(schema=FILES), each({"inputs": [{"key": "files", "transform": "$[*].name"}]})),
        "/phases/0/agents/1/context/inputs/0/transform",
        one(found(schema=FILES), each({"inputs": [{"key": "files", "transform": "$.names"}]})),
    ),
    "UNTIL_UNCERTAIN": Example(
        one(again("result.passed")),
        "/phases/0/agents/0/repeat/until",
        one(again("result.passed", {"type": "object", "required": ["passed"]})),
    ),
    "SCHEMA": Example(
        one(node("build", priority="high")), "/phases/0/agents/0/priority", one(node("build", priority=1))
    ),
    "UNKNOWN_FIELD": Example(
        one(node("build", dependancies=[])), "/phases/0/agents/0/dependancies", one(node("build") | {"x-owner": "me"})
    ),
    "DUPLICATE_NODE_ID": Example(
        command(phase("one", node("build")), phase("two", node("build"))),
        "/phases/1/agents/0/id",
        command(phase("one", node("build")), phase("two", node("rebuild"))),
    ),
    "DUPLICATE_PHASE_ID": Example(
        command(phase("one", node("build")), phase("one", node("ship"))),
        "/phases/1/id",
        command(phase("one", node("build")), phase("two", node("ship"))),
    ),
    "UNKNOWN_DEPENDENCY": Example(
        one(node("build"), node("ship", "biuld")),
        "/phases/0/agents/1/dependencies/0",
        one(node("build"), node("ship", "build")),
    ),
    "CIRCULAR_DEPENDENCY": Example(
        one(node("build", "ship"), node("ship", "build")),
        "/phases/0/agents/0/dependencies/0",
        one(node("build"), node("ship", "build")),
    ),
    "FORWARD_DEPENDENCY": Example(
        command(phase("one", node("build", "ship")), phase("two", node("ship"))),
        "/phases/0/agents/0/dependencies/0",
        command(phase("one", node("build")), phase("two", node("ship", "build"))),
    ),
    "AGENT_NOT_FOUND": Example(
        one(node("review", agent="senoir-reviewer")),
        "/phases/0/agents/0/agentId",
        one(node("review", agent="senior-reviewer")),
    ),
    "AGENT_UNUSABLE": Example(
        one(node("review", agent="reader")),
        "/phases/0/agents/0/agentId",
        one(node("review", agent="senior-reviewer")),
    ),
    "INPUT_WITHOUT_PROVIDER": Example(
        one(node("analyze", context=writes("notes")), node("review", "analyze", context=reads("analysis"))),
        "/phases/0/agents/1/context/inputs/0/key",
        one(node("analyze", context=writes("notes")), node("review", "analyze", context=reads("notes"))),
    ),
    "OUTPUT_WITHOUT_PROVIDER": Example(
        one(call("deploy", "/deploy", context=writes("imgae"))),
        "/phases/0/agents/0/context/outputs/0/key",
        one(call("deploy", "/deploy", context=writes("image"))),
        commands=(INNER,),
    ),
    "OUTPUT_CONFLICT": Example(
        one(node("left", context=writes("notes")), node("right", context=writes("notes"))),
        "/phases/0/agents/1/context/outputs/0/key",
        one(node("left", context=writes("notes")), node("right", "left", context=writes("notes"))),
    ),
    "MERGE_TYPE": Example(
        one(node("build", context=joined("concat", "object"))),
        "/phases/0/agents/0/context/outputs/0/merge",
        one(node("build", context=joined("concat", "array"))),
    ),
    "TIMEOUT_NOT_ABOVE_ESTIMATE": Example(
        one(node("build", minutes=2, timeout=120_000)),
        "/phases/0/agents/0/timeout",
        one(node("build", minutes=2, timeout=120_001)),
    ),
    "INVALID_EXPRESSION": Example(
        one(node("build", skipCondition={"type": "context", "expression": "done = true"})),
        "/phases/0/agents/0/skipCondition/expression",
        one(node("build", skipCondition={"type": "context", "expression": "done == true"})),
    ),
    "INVALID_TRANSFORM": Example(
        one(node("build", context={"inputs": [{"key": "a", "required": False, "transform": "items[0"}]})),
        "/phases/0/agents/0/context/inputs/0/transform",
        one(node("build", context={"inputs": [{"key": "a", "required": False, "transform": "$.items[0]"}]})),
    ),
    "INVALID_OUTPUT_SCHEMA": Example(
        one(node("build", context=writes("notes", schema={"type": "strnig"}))),
        "/phases/0/agents/0/context/outputs/0/schema",
        one(node("build", context=writes("notes", schema={"type": "string"}))),
    ),
    "UNKNOWN_ROLLBACK_TARGET": Example(
        one(node("build"), node("check", "build", compensation={"type": "cascade", "rollbackTo": "biuld"})),
        "/phases/0/agents/1/compensation/rollbackTo",
        one(node("build"), node("check", "build", compensation={"type": "cascade", "rollbackTo": "build"})),
    ),
    "COMPENSATION_WITHOUT_TASK": Example(
        one(node("build", compensation={"type": "rollback"})),
        "/phases/0/agents/0/compensation",
        one(node("build", compensation={"type": "rollback", "description": "Delete the image"})),
    ),
    "UNKNOWN_COMMAND": Example(
        one(call("deploy", "/depoly now")),
        "/phases/0/agents/0/task",
        one(call("deploy", "/deploy now")),
        commands=(INNER,),
    ),
    "RECURSIVE_COMMAND": Example(
        one(call("again", "/test")), "/phases/0/agents/0/task", one(call("deploy", "/deploy")), commands=(INNER,)
    ),
    "TOO_MANY_NODES": Example(
        one(call("deep", "/deep-0")), "/phases/0/agents/0/task", one(call("deep", "/deep-20")), commands=DEEP
    ),
    "DUPLICATE_LOCK": Example(
        one(node("build", **locks("db", "db"))),
        "/phases/0/agents/0/resources/locks/1",
        one(node("build", **locks("db", "db.table"))),
    ),
    "UNKNOWN_BREAKER": Example(
        one(node("build", circuitBreaker="external-apu")),
        "/phases/0/agents/0/circuitBreaker",
        one(node("build", circuitBreaker="external-api")),
        breakers=frozenset({"external-api"}),
    ),
    "MORE_PROBLEMS": Example(
        one(*(node(f"check-{at}", agent="nobody") for at in range(201))),
        "",
        one(*(node(f"check-{at}", agent="nobody") for at in range(200))),
    ),
    "LONG_ESTIMATE": Example(
        one(node("build", minutes=61)), "/phases/0/agents/0/estimatedTime", one(node("build", minutes=60))
    ),
    "TIMEOUT_BELOW_3X": Example(
        one(node("build", timeout=179_999)), "/phases/0/agents/0/timeout", one(node("build", timeout=180_000))
    ),
    "PROVIDER_NOT_ANCESTOR": Example(
        command(
            phase("one", node("make", context=writes("notes"))), phase("two", node("read", context=reads("notes")))
        ),
        "/phases/1/agents/0/context/inputs/0/key",
        command(
            phase("one", node("make", context=writes("notes"))),
            phase("two", node("read", "make", context=reads("notes"))),
        ),
    ),
    "REDUNDANT_DEPENDENCY": Example(
        one(node("build"), node("check", "build"), node("ship", "build", "check")),
        "/phases/0/agents/2/dependencies/0",
        one(node("build"), node("check", "build"), node("ship", "check")),
    ),
    "OVER_SERIALIZED": Example(
        one(node("build", context=writes("image")), node("check", "build")),
        "/phases/0/agents/1/dependencies/0",
        one(node("build", context=writes("image")), node("check", "build", context=reads("image"))),
    ),
    "BROAD_PASSTHROUGH": Example(
        command(phase("one", node("read", context={"passthrough": True})), phase("two", node("write"))),
        "/phases/0/agents/0/context/passthrough",
        command(phase("one", node("read")), phase("two", node("write", context={"passthrough": True}))),
    ),
    "MISSING_TTL": Example(
        one(node("make", context={"outputs": [{"key": "notes"}]})),
        "/phases/0/agents/0/context/outputs/0",
        one(node("make", context={"outputs": [{"key": "notes"}]})) | {"globalContext": {"cacheTTL": 60}},
    ),
    "TASK_TOO_LONG": Example(
        one(node("review") | {"task": LONG[:81]}), "/phases/0/agents/0/task", one(node("review") | {"task": LONG[:80]})
    ),
    "WEAK_ID": Example(one(node("task1")), "/phases/0/agents/0/id", one(node("unit-tests"))),
    "NEEDS_NEWER_ENGINE": Example(
        one(node("build")) | {"metadata": {"requirements": {"minVersion": "9.0.0"}}},
        "/metadata/requirements/minVersion",
        one(node("build")) | {"metadata": {"requirements": {"minVersion": "2.0.0", "features": ["locks"]}}},
    ),
    "LOCK_PLACEHOLDER": Example(
        one(node("build", **locks("deploy.${env}"))),
        "/phases/0/agents/0/resources/locks/0/resource",
        one(node("build", **locks("deploy"))),
    ),
    "PROVIDER_MAY_BE_SKIPPED": Example(
        one(
            node("fix", context=writes("patch"), skipCondition={"type": "context", "expression": "true"}),
            node("verify", "fix", context={"inputs": [{"key": "patch"}]}),
        ),
        "/phases/0/agents/1/context/inputs/0/key",
        one(
            node("fix", context=writes("patch"), skipCondition={"type": "context", "expression": "true"}),
            node("verify", "fix", context={"inputs": [{"key": "patch", "required": False}]}),
        ),
    ),
    "DEPRECATED_COMMAND": Example(
        one(node("build")) | {"metadata": {"deprecated": True}},
        "/metadata/deprecated",
        one(node("build")) | {"metadata": {"deprecated": False}},
    ),
    "UNUSED_OUTPUT": Example(
        one(node("make", context=writes("notes"))),
        "/phases/0/agents/0/context/outputs/0",
        one(node("make", context=writes("notes", persist=True))),
    ),
    "LOCK_ORDER_CYCLE": Example(
        one(node("left", **locks("db", "files")), node("right", **locks("files", "db"))),
        "/phases/0/agents/1/resources/locks",
        one(node("left", **locks("db", "files")), node("right", **locks("db", "files"))),
    ),
    "SKEWED_PHASE": Example(
        one(node("fast"), node("quick"), node("slow", minutes=3)),
        "/phases/0/agents/2/estimatedTime",
        one(node("fast"), node("quick"), node("slow", minutes=2)),
    ),
    "NO_COMPENSATION": Example(
        one(node("change", resources={"locks": [{"resource": "db"}]})),
        "/phases/0/agents/0",
        one(node("change", resources={"locks": [{"resource": "db", "type": "shared"}]})),
    ),
}
