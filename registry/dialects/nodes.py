"""Converts one node of an older file to v2: its agent, task, times, retries, condition, rollback, data and locks.

Pure. `registry/dialects/phases.py` and `migrate.py` convert the phases and the command around it.

Theory of operation
===================

**The problem.** Before v2, people and models wrote nodes in many spellings: `dependsOn` or `after`, `retries: 3` or a
policy, a lock as a name or an object. A converted command must do exactly the work that was written. A wrong guess, or
a field that is silently dropped, would run something else.

**Taking fields.** `Fields` holds the fields that are not yet converted. Each function below handles one aspect: it
takes the older spellings, writes the v2 field back, and notes every difference with the pointer of the older file. At
the end, `keep` passes known fields on, leaves misspellings to the validator, turns unknown fields into `x-` fields with
a warning, and reports fields such as loops, which v2 cannot express, as errors. So no field can get lost.

**Sure signs and habits.** Some names occur only in older files; others are also common mistakes in v2 files. Only sure
names make a file an older one (`Notes.older`); habits are understood once something else has. Otherwise a v2 file with
one misspelled field would be silently reinterpreted, where it should get an error. Values that are inferred or
rewritten count as signs only with `older=True`.

**Order.** Some steps depend on others: the id may come from the task, so `_agent_and_task` runs before `_identity`;
parameters become context values that the node reads, so the context is built last, with their keys as extra inputs.

**Invariant.** A value of an unexpected type is left as it is, for the validator to refuse at its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.model.command import Compensation, Lock, Node, NodeContext, Resources, RetryPolicy
from engine.validation.fields import fields_of
from registry.dialects.conditions import RUN_WORDS, SKIP_WORDS, join_condition, rewrite, skip_condition
from registry.dialects.context import node_context
from registry.dialects.loops import carry_loop
from registry.dialects.notes import Fields
from registry.wording import node_slug, slug

if TYPE_CHECKING:
    from registry.dialects.notes import Notes

PARAMETERS = ("input", "parameters", "params", "config", "configuration", "options", "settings", "args")
"""Objects that pass data to an agent beside its task in older files."""
STRATEGIES = {
    "immediate": "immediate",
    "none": "immediate",
    "linear": "linear",
    "exponential": "exponential",
    "exponentialbackoff": "exponential",
    "exp": "exponential",
    "fibonacci": "fibonacci",
}
CONSTANT = frozenset({"fixed", "constant", "static"})
PRIORITIES = {"critical": 100, "highest": 100, "high": 50, "medium": 0, "normal": 0, "low": -50, "lowest": -100}
LOCK_TYPES = {"read": "shared", "reader": "shared", "write": "exclusive", "writer": "exclusive", "mutex": "exclusive"}
KINDS = frozenset({"agent", "task", "step", "node", "work", "action"})
"""Values of `type` that mean only "this is a node"."""


def carry_node(raw: dict[str, Any], *, pointer: str, notes: Notes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The node in v2, and the context values made from its parameters, by key."""
    fields = Fields(raw, pointer, notes)
    _agent_and_task(fields)
    _identity(fields)
    fields.rename("estimatedTime", "estimatedDuration", habits=("estimatedTimeMs", "estimated_time", "duration"))
    fields.rename("timeout", habits=("timeoutMs", "maxDuration"))
    fields.milliseconds("estimatedTime")
    fields.milliseconds("timeout")
    _dependencies(fields)
    _priority(fields.left, pointer, notes)
    _retry(fields)
    _condition(fields)
    loop = carry_loop(fields)
    _compensation(fields)
    _locks(fields)
    _breaker(fields)
    values = _parameters(fields)
    context = node_context(fields, extra=[*({"key": key} for key in values), *loop.inputs])
    if context is not None:
        fields.left["context"] = context
    return fields.keep(fields_of(Node)), {**values, **loop.values}


def _agent_and_task(fields: Fields) -> None:
    left = fields.left
    kind = left.get("type")
    if isinstance(kind, str) and kind.casefold() in KINDS and "name" in left:
        fields.rename("agentId", "name")
    if "agentId" not in left and "type" not in left and not _is_id(left.get("name")):
        fields.rename("agentId", habits=("agent", "agentType", "agentName", "subagent_type", "agent_id"))
    else:
        fields.rename(
            "agentId", "type", "name", habits=("agent", "agentType", "agentName", "subagent_type", "agent_id")
        )
    agent = left.get("agentId")
    if isinstance(agent, dict) and isinstance(inner := agent.get("id") or agent.get("name") or agent.get("type"), str):
        fields.notes.value(fields.at("agentId"), "agentId is a name in v2", f'Write "{inner}".')
        left["x-agent"], left["agentId"] = agent, inner
    fields.rename("task", "description", habits=("prompt", "instructions", "instruction", "objective", "goal"))
    task = left.get("task")
    if isinstance(task, list) and task and all(isinstance(line, str) for line in task):
        fields.notes.value(fields.at("task"), "task is one text in v2", "Join its lines.")
        left["task"] = "\n".join(task)
    if "task" not in left and isinstance(left.get("name"), str):
        fields.rename("task", "name")


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][\w:-]*", value) is not None


def _identity(fields: Fields) -> None:
    """A node without an id gets one from its task; an id that v2 does not allow becomes a slug."""
    left = fields.left
    fields.rename("id", habits=("nodeId", "node_id", "key"))
    given = left.get("id")
    if given is None:
        text = left.get("task") if isinstance(left.get("task"), str) else left.get("agentId")
        left["id"] = node_slug(str(text or "node"), words=6)
        fields.notes.inferred(
            fields.at("id"), f'The node has no id; "{left["id"]}" was used', "Give it an id.", older=False
        )
    elif isinstance(given, int) or (isinstance(given, str) and not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", given)):
        left["id"] = node_slug(str(given))
        fields.notes.value(
            fields.at("id"), f'"{given}" is not a valid id in v2; "{left["id"]}" was used', f'Write "{left["id"]}".'
        )


def _dependencies(fields: Fields) -> None:
    left, notes = fields.left, fields.notes
    fields.rename("dependencies", habits=("dependsOn", "depends_on", "requires", "needs", "after"))
    value = left.get("dependencies")
    if value is None:
        if "dependencies" in left:
            left["dependencies"] = []
        return
    items = value if isinstance(value, list) else [value]
    names = [_dependency(item) for item in items]
    if names != value and all(name is not None for name in names):
        notes.value(fields.at("dependencies"), "dependencies are a list of node ids in v2", f"Write {names}.")
        left["dependencies"] = names


def _dependency(item: object) -> str | None:
    if isinstance(item, dict):
        item = next((item[key] for key in ("nodeId", "id", "node", "agent", "name") if key in item), None)
    if isinstance(item, int) and not isinstance(item, bool):
        return node_slug(str(item))
    if not isinstance(item, str):
        return None
    return item if re.fullmatch(r"[A-Za-z0-9_][\w.-]*", item) else node_slug(item)


def _priority(left: dict[str, Any], pointer: str, notes: Notes) -> None:
    value = left.get("priority")
    if isinstance(value, str) and (number := PRIORITIES.get(value.casefold())) is not None:
        notes.value(f"{pointer}/priority", f'priority is a number in v2: "{value}" is {number}', f"Write {number}.")
        left["priority"] = number


def _retry(fields: Fields) -> None:
    fields.rename("retryPolicy", "retry", "retryConfig", habits=("retries", "maxRetries", "retry_policy"))
    value = fields.left.get("retryPolicy")
    if value is None:
        return
    policy = carry_retry(value, pointer=fields.at("retryPolicy"), notes=fields.notes)
    if policy is None:
        del fields.left["retryPolicy"]
        fields.left["x-retryPolicy"] = value
    else:
        fields.left["retryPolicy"] = policy


def carry_retry(value: object, *, pointer: str, notes: Notes) -> Any:  # noqa: ANN401 - what it cannot read stays
    """A retry policy in v2; None if it allows no retries."""
    if isinstance(value, bool) or value == 0 or (isinstance(value, dict) and _is_off(value)):
        if value is True:
            notes.value(pointer, "retryPolicy is an object in v2; one retry was assumed", 'Write {"maxAttempts": 1}.')
            return {"maxAttempts": 1}
        notes.value(pointer, "without retryPolicy, v2 does not retry", "Remove it.")
        return None
    if isinstance(value, int):
        notes.value(pointer, "retryPolicy is an object in v2", f'Write {{"maxAttempts": {value}}}.')
        return {"maxAttempts": value}
    if not isinstance(value, dict):
        return value
    fields = Fields(value, pointer, notes)
    backoff = fields.left.get("backoff")
    if isinstance(backoff, dict):
        notes.value(fields.at("backoff"), "the fields of backoff are in retryPolicy itself in v2", "Move them up.")
        del fields.left["backoff"]
        fields.left = {**{("strategy" if key == "type" else key): item for key, item in backoff.items()}, **fields.left}
    fields.take("enabled")
    fields.rename("maxAttempts", habits=("attempts", "maxRetries", "retries", "max", "count", "times"))
    fields.rename("strategy", habits=("backoff", "backoffStrategy", "type", "backoffType"))
    fields.rename("initialDelay", habits=("delay", "delayMs", "initialDelayMs", "backoffMs", "interval", "baseDelay"))
    fields.rename("maxDelay", habits=("maxDelayMs", "maxBackoff", "maxInterval"))
    fields.rename("backoffMultiplier", habits=("multiplier", "factor", "backoffFactor"))
    fields.rename("retryableErrors", habits=("retryOn", "errors", "retryableErrorCodes", "retryOnErrors"))
    fields.milliseconds("initialDelay")
    fields.milliseconds("maxDelay")
    _strategy(fields)
    if "maxAttempts" not in fields.left:
        fields.left["maxAttempts"] = 3
        notes.inferred(
            pointer, "The retry policy has no maxAttempts; 3 was used", 'Write "maxAttempts": 3.', older=False
        )
    return fields.keep(fields_of(RetryPolicy))


def _is_off(value: dict[str, Any]) -> bool:
    return value.get("enabled") is False or 0 in (
        value.get("maxAttempts"),
        value.get("maxRetries"),
        value.get("attempts"),
    )


def _strategy(fields: Fields) -> None:
    value = fields.left.get("strategy")
    if not isinstance(value, str) or value in STRATEGIES.values():
        return
    name = re.sub(r"[\s_-]", "", value).casefold()
    if name in CONSTANT:
        fields.notes.value(
            fields.at("strategy"), f'"{value}" is exponential with backoffMultiplier 1 in v2', "Write these two."
        )
        fields.left["strategy"], fields.left["backoffMultiplier"] = "exponential", 1
    elif name in STRATEGIES:
        fields.notes.value(
            fields.at("strategy"), f'strategy "{value}" is "{STRATEGIES[name]}" in v2', f"Write {STRATEGIES[name]}."
        )
        fields.left["strategy"] = STRATEGIES[name]


def _condition(fields: Fields) -> None:
    """`conditional` and similar fields become skipCondition; a second one on the same node is joined by `||`."""
    left, notes = fields.left, fields.notes
    pointer = fields.at("skipCondition")
    if isinstance(left.get("skipCondition"), str):
        left["skipIf"] = left.pop("skipCondition")
    for word in (*SKIP_WORDS, *RUN_WORDS):
        if word not in left:
            continue
        value = left.pop(word)
        if word == "conditional" and isinstance(value, bool):
            left["x-conditional"] = value
            notes.kept(fields.at(word), word, "x-conditional")
            continue
        found = skip_condition(value, word=word, pointer=fields.at(word), notes=notes)
        if found is None:
            left[f"x-{word}"] = value
        else:
            join_condition(left, found, pointer=fields.at(word), notes=notes)
    if isinstance(left.get("skipCondition"), dict):
        left["skipCondition"] = rewrite(left["skipCondition"], pointer=pointer, notes=notes)


def _compensation(fields: Fields) -> None:
    left, notes = fields.left, fields.notes
    fields.rename("compensation", "compensate", habits=("rollback", "onRollback", "undo"))
    value = left.get("compensation")
    pointer = fields.at("compensation")
    if isinstance(value, str):
        notes.inferred(
            pointer, 'The compensation is text; it became one of type "rollback"', "Write type and description."
        )
        value = {"type": "rollback", "description": value}
    if not isinstance(value, dict):
        return
    inner = Fields(value, pointer, notes)
    inner.rename("task", habits=("action", "prompt"))
    inner.rename("agentId", habits=("agent", "agentType"))
    inner.rename("type", habits=("strategy",))
    inner.rename("compensateOn", habits=("on", "triggers", "triggerOn"))
    if "type" not in inner.left:
        kind = (
            "cascade"
            if "rollbackTo" in inner.left
            else "custom"
            if {"task", "agentId"} & inner.left.keys()
            else "rollback"
        )
        kind = kind if inner.left else "none"
        inner.left["type"] = kind
        notes.inferred(pointer, f'The compensation has no type; "{kind}" was used', f'Write "type": "{kind}".')
    triggers = inner.left.get("compensateOn")
    if isinstance(triggers, str):
        triggers = [triggers]
    if isinstance(triggers, list):
        known = {"failure": "error", "fail": "error", "errors": "error", "cancelled": "cancel", "abort": "cancel"}
        carried = [known.get(one, one) if isinstance(one, str) else one for one in triggers]
        if carried != inner.left["compensateOn"]:
            notes.value(inner.at("compensateOn"), "compensateOn has different values in v2", f"Write {carried}.")
        inner.left["compensateOn"] = carried
    left["compensation"] = inner.keep(fields_of(Compensation))


def _locks(fields: Fields) -> None:
    if "resources" in fields.left or "locks" in fields.left:
        if "resources" not in fields.left:
            fields.notes.value(
                fields.at("locks"), 'locks are part of "resources" in v2', 'Write "resources": {"locks": …}.'
            )
            fields.left["resources"] = {"locks": fields.left.pop("locks")}
        resources = carry_resources(fields.left["resources"], pointer=fields.at("resources"), notes=fields.notes)
        fields.left["resources"] = resources


def carry_resources(value: object, *, pointer: str, notes: Notes) -> Any:  # noqa: ANN401 - what it cannot read stays
    """The locks of a node or a command in v2."""
    if isinstance(value, list):
        notes.value(pointer, 'a list of resources is in "locks" in v2', 'Write {"locks": …}.')
        value = {"locks": value}
    if not isinstance(value, dict):
        return value
    fields = Fields(value, pointer, notes)
    fields.rename("maxWaitTime", habits=("maxWait", "waitTimeout", "lockTimeout", "timeout"))
    fields.milliseconds("maxWaitTime")
    locks = fields.left.get("locks")
    if isinstance(locks, list):
        carried = [_lock(lock, pointer=f"{pointer}/locks/{at}", fields=fields) for at, lock in enumerate(locks)]
        fields.left["locks"] = carried
    return fields.keep(fields_of(Resources))


def _lock(value: object, *, pointer: str, fields: Fields) -> object:
    notes = fields.notes
    if isinstance(value, str):
        notes.value(pointer, "a lock is an object in v2", f'Write {{"resource": "{value}"}}.')
        value = {"resource": value}
    if not isinstance(value, dict):
        return value
    lock = Fields(value, pointer, notes)
    lock.rename("resource", "resourceId", habits=("resource_id", "name", "id", "key", "path"))
    lock.rename("type", "lockType", habits=("mode", "access"))
    kind = lock.left.get("type")
    if isinstance(kind, str) and kind not in {"exclusive", "shared", "upgrade"}:
        new = LOCK_TYPES.get(kind.casefold(), kind.casefold())
        notes.value(lock.at("type"), f'lock type "{kind}" is "{new}" in v2', f"Write {new}.")
        lock.left["type"] = new
    _priority(lock.left, pointer, notes)
    name = lock.left.get("resource")
    if isinstance(name, str) and not re.fullmatch(r"[^\s.]+(\.[^\s.]+)*", name):
        new = ".".join(part for word in name.split(".") if (part := slug(word))) or "resource"
        notes.value(
            lock.at("resource"), f'"{name}" is not a valid resource name in v2; "{new}" was used', f'Write "{new}".'
        )
        lock.left["resource"] = new
    wait = lock.take("timeout", "maxWaitTime", "waitTimeout")
    if wait is not None:
        notes.value(lock.at(wait[0]), "the waiting time is beside the locks in v2, as maxWaitTime", "Move it up.")
        fields.left.setdefault("maxWaitTime", wait[1])
        fields.milliseconds("maxWaitTime")
    return lock.keep(fields_of(Lock))


def _breaker(fields: Fields) -> None:
    value = fields.left.get("circuitBreaker")
    if isinstance(value, dict):
        name = value.get("name")
        fields.left["x-circuitBreaker"] = fields.left.pop("circuitBreaker")
        if isinstance(name, str):
            fields.left["circuitBreaker"] = name
        message = "A circuit breaker cannot be converted: its thresholds are in the project's settings in v2"
        advice = 'Configure it in .claude/orchestration.toml and write "circuitBreaker": "its-name".'
        fields.notes.lost(fields.at("circuitBreaker"), message, advice)


def _parameters(fields: Fields) -> dict[str, Any]:
    """Objects of parameters become context values that the node reads."""
    values: dict[str, Any] = {}
    for word in PARAMETERS:
        value = fields.left.get(word)
        if isinstance(value, dict) and value:
            key = f"{str(fields.left['id']).replace('-', '_')}_{word}"
            values[key] = fields.left.pop(word)
            advice = f'Write it into globalContext.initial and name "{key}" among the inputs.'
            message = f'"{word}" is not a field of v2; it became the context value "{key}", which the node reads'
            fields.notes.inferred(fields.at(word), message, advice, older=word == "input")
    return values


__all__ = ["PARAMETERS", "NodeContext", "carry_node", "carry_resources", "carry_retry"]
