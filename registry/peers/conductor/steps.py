"""Converts single steps of Conductor to nodes and their agents.

Pure. `registry/peers/conductor/flow.py` adds order and conditions to the nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.peers.agents import ALL_TOOLS, RUNNER, model_name
from registry.peers.conductor import templates
from registry.peers.conductor.templates import Read
from registry.peers.conductor.units import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.peers.agents import NewAgents
    from registry.peers.conductor.units import Names, Unit
    from registry.peers.report import Fields, Report

WEEK = 604_800_000
"""Milliseconds: the longest that an agent may have; Conductor sets no limit by itself."""
_SHORT = 60_000
_DAY = 86_400
"""Seconds: the longest pause in Conductor."""
_RETRIED = {"provider_error": ["RATE_LIMIT", "OVERLOADED", "API_ERROR"], "timeout": ["TIMEOUT", "IDLE_TIMEOUT"]}
_MAX_ITEMS = 10_000
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*")
_ADVICE = "Remove it, if the work does not need it."
REFUSED = {
    "validator": ("a second model that judges the answer cannot be converted", "Write a node that reviews the output."),
    "dialog": ("a talk with a person cannot be converted", "Write `approval` at the next node."),
    "session_key": ("steps that share a conversation cannot be converted", _ADVICE),
    "sandbox": ("a sandbox cannot be converted", _ADVICE),
    "plugins": ("plugins cannot be converted", "Install them in Claude Code."),
    "skills": (
        "skills cannot be converted",
        "Put them into .claude/skills, and name them in `skills` of the agent file.",
    ),
    "working_dir": ("a step works in the project's folder", "Name the folder in the prompt."),
}
KINDS = frozenset({"agent", "script", "wait", "terminate"})
ELSEWHERE = {
    "human_gate": ("a gate with several answers cannot be converted", "Write `approval` at the node after a yes."),
    "questions": ("questions to a person cannot be converted", "Ask for the answers as arguments of the command."),
    "workflow": (
        "another workflow cannot be run from here",
        "Convert it too, and write a node with agentId `command`.",
    ),
    "set": ("values that are computed by templates cannot be converted", "Compute them in a script."),
}


@dataclass(slots=True)
class Shop:
    """Parts that all steps share."""

    names: Names
    agents: NewAgents
    report: Report
    defaults: Mapping[str, Any]
    """Model, effort, turns and time of the runtime."""
    servers: dict[str, Any]
    """Definitions of MCP servers."""
    tools: list[str] | None
    """Tools of the workflow."""
    granted: dict[str, list[str]] = field(default_factory=dict)
    """Names of the tools of each server, as Claude Code has them."""


@dataclass(slots=True)
class Work:
    """A node, except for its order, and what it reads."""

    node: dict[str, Any]
    read: Read


def work(unit: Unit, shop: Shop) -> Work:
    """The node of *unit*, which is not a parallel group."""
    fields = unit.fields
    node: dict[str, Any] = {"id": unit.name}
    found = Work(node, Read())
    description = fields.text("description")
    if description is not None:
        node["x-description"] = description
    if unit.kind == "for_each":
        _for_each(unit, found, shop)
    elif unit.kind == "agent":
        _agent(unit, fields, found, shop)
    elif unit.kind == "script":
        _script(unit, found, shop)
    elif unit.kind == "wait":
        _wait(unit, found, shop)
    elif unit.kind == "terminate":
        _terminate(unit, found, shop)
    fields.finish()
    return found


def _outputs(unit: Unit) -> list[dict[str, Any]]:
    return [{"key": unit.key, "schema": unit.schema or {"type": "object"}}]


def _close(found: Work, outputs: list[dict[str, Any]]) -> None:
    inputs = [{"key": key, **({} if needed else {"required": False})} for key, needed in found.read.inputs.items()]
    found.node["context"] = {name: one for name, one in (("inputs", inputs), ("outputs", outputs)) if one}


def _agent(unit: Unit, fields: Fields, found: Work, shop: Shop) -> None:
    report, pointer = shop.report, fields.at("prompt")
    text = fields.text("prompt") or ""
    if not text.strip():
        report.refuse(pointer, "the prompt is empty", "Write one.")
    optional = {one.rstrip("?") for one in _declared(fields, report) if one.endswith("?")}
    task = templates.prompt(text, shop.names, found.read, pointer) or "?"
    _loosen(optional, found.read, shop)
    timeout = _time(fields, shop)
    found.node |= {"task": task, "agentId": _model_agent(unit.name, fields, shop), "timeout": timeout}
    if timeout <= _SHORT:
        found.node["estimatedTime"] = max(1, timeout // 3)
    _retry(fields, found.node)
    _close(found, _outputs(unit))
    _need(found, shop, pointer)


def _need(found: Work, shop: Shop, pointer: str) -> None:
    """Each member that the prompt names has to be there: without it Conductor ends the run, and here the node fails."""
    own = {path for path in found.read.unsure if path.split(".", maxsplit=1)[0] in shop.names.local}
    if own:
        message = "a member that an item does not have is empty in its prompt, where Conductor fails the item"
        shop.report.differs(pointer, message, "Declare the members in `items` of the output.")
    paths = [path for path in found.read.unsure if path not in own]
    if paths:
        expression = " || ".join(f"{path} == null && 'no {path}'" for path in paths)
        found.node["skipCondition"] = {"type": "context", "expression": expression}


def _declared(fields: Fields, report: Report) -> list[str]:
    """The inputs that a step declares; only those that its texts name are handed to it."""
    if "input" in fields:
        message = "a step gets the values that its texts name, and no others that its `input` declares"
        report.differs_once("input", fields.at("input"), message)
    return fields.texts("input") or []


def _loosen(optional: set[str], read: Read, shop: Shop) -> None:
    """Inputs that the step declares as optional, `step.output?`."""
    for reference in optional:
        parts = reference.split(".")
        known = parts[0] == "workflow" or parts[0] in shop.names.units
        value = shop.names.find(parts, "") if known else None
        if value is not None and (key := value.path.split(".", maxsplit=1)[0]) in read.inputs:
            read.inputs[key] = False


def _time(fields: Fields, shop: Shop) -> int:
    """The timeout of an agent, in milliseconds."""
    times = [fields.positive(name) for name in ("timeout_seconds", "max_session_seconds")]
    given = [time for time in times if time is not None] or [shop.defaults.get("seconds") or WEEK / 1000]
    return max(1, min(WEEK, int(min(given) * 1000)))


def _model_agent(name: str, fields: Fields, shop: Shop) -> str:
    report = shop.report
    for name_of, (why, advice) in REFUSED.items():
        fields.refuse(name_of, why, advice)
    fields.ignore("output_mode", "an answer without a declared output is one text, `result`")
    fields.ignore("context_tier", "the size of a model's context cannot be chosen")
    provider = fields.text("provider")
    if provider not in {None, "claude", "claude-agent-sdk"}:
        report.differs(fields.at("provider"), f'the agent is Claude Code, not "{provider}"')
    system = fields.text("system_prompt") or ""
    if "{{" in system or "{%" in system:
        report.refuse(
            fields.at("system_prompt"), "no value can be filled into a system_prompt", "Name it in the prompt."
        )
    reasoning = fields.mapping("reasoning")
    effort = reasoning.text("effort") if reasoning is not None else shop.defaults.get("effort")
    if reasoning is not None:
        reasoning.finish()
    if effort is not None and "{{" in effort:
        report.refuse(fields.at("reasoning"), "the effort of an agent is fixed", "Write low, medium, high or max.")
    tools, servers = _tools(fields, shop)
    wanted = {
        "tools": tools,
        "model": _model(fields, shop),
        "effort": effort,
        "maxTurns": fields.whole("max_agent_iterations") or shop.defaults.get("turns"),
        "mcpServers": [{server: shop.servers[server]} for server in servers] or None,
    }
    return shop.agents.model(name, wanted, system)


def _model(fields: Fields, shop: Shop) -> str | None:
    given = fields.text("model")
    given = shop.defaults.get("model") if given is None else given
    if given is None:
        return None
    model = model_name(given)
    if model is None:
        message = f'"{given}" is not a model of Claude Code: the agent has none of its own, and your default is used'
        shop.report.differs_once(f"model {given}", fields.pointer, message, "Write a `model` into the agent's file.")
    return model


def _tools(fields: Fields, shop: Shop) -> tuple[list[str], list[str]]:
    """The tools of an agent, and the servers that have them."""
    own = fields.texts("tools")
    given = shop.tools if own is None else own
    if given is None:
        message = "a step without `tools` may use all; the agent's file names Claude Code's common ones"
        shop.report.differs_once(
            "tools", fields.pointer, message, "Add what is missing, and remove what it must not use."
        )
        return [*ALL_TOOLS, *(tool for tools in shop.granted.values() for tool in tools)], list(shop.servers)
    found, servers = [], []
    for tool in given:
        server, _, name = tool.partition("__")
        if server in shop.servers:
            found += [f"mcp__{server}__{name}"] if name else shop.granted[server]
            servers.append(server)
        else:
            at = fields.at("tools") if own is not None else "/tools"
            message = f'the tool "{tool[:80]}" is of no server in the workflow'
            shop.report.refuse(
                at, message, "Write `server__tool`, or put Claude Code's own tools into the agent's file."
            )
    return found, list(dict.fromkeys(servers))


def _retry(fields: Fields, node: dict[str, Any]) -> None:
    retry = fields.mapping("retry")
    if retry is None:
        return
    tries = retry.whole("max_attempts", most=10) or 1
    delay = int((retry.positive("delay_seconds") or 2) * 1000)
    fixed = retry.text("backoff") == "fixed"
    kinds = retry.texts("retry_on") or list(_RETRIED)
    retry.ignore("max_parse_recovery_attempts", "an answer of another form is asked for again as Claude Code does it")
    retry.finish()
    if tries > 1:
        node["retryPolicy"] = {
            "maxAttempts": tries - 1,
            "initialDelay": delay,
            "backoffMultiplier": 1 if fixed else 2,
            "maxDelay": max(30_000, delay),
            "retryableErrors": [code for kind in kinds for code in _RETRIED.get(kind, [])],
        }


def _script(unit: Unit, found: Work, shop: Shop) -> None:
    report, fields = shop.report, unit.fields
    command = fields.text("command") or "?"
    words = [(command, fields.at("command"))]
    for number, one in enumerate(fields.items("args") or []):
        if isinstance(one, dict | list | None):
            report.refuse(fields.at("args", number), "an argument is a text or a number", "Write it so.")
        words.append((str(one), fields.at("args", number)))
    program = [_word(text, pointer, found, shop) for text, pointer in words]
    options = ["--result", unit.key, "--python", "--fill"]
    if unit.schema is not None and unit.schema.pop("strict", False):
        options.append("--strict")
    variables = fields.mapping("env")
    for name in variables.names() if variables is not None else []:
        value = variables.text(name) if variables is not None else None
        options += ["--set", f"{name}={value or ''}"]
    if "stdin" in fields:
        options += ["--stdin", templates.word(fields.text("stdin") or "", shop.names, found.read, fields.at("stdin"))]
    fields.refuse("working_dir", *REFUSED["working_dir"])
    _declared(fields, report)
    seconds = fields.positive("timeout")
    message = "a program gets few variables of your environment: PATH, HOME, language, proxies"
    report.differs_once("environment", fields.pointer, message, "Name what it needs in `env` of its agent file.")
    _program(
        unit, found, shop, [*options, "--", *program], timeout=int(seconds * 1000) if seconds is not None else WEEK
    )


def _word(text: str, pointer: str, found: Work, shop: Shop) -> str:
    """One word of a program; an agent file cannot have every text as one."""
    filled = templates.word(text, shop.names, found.read, pointer).rstrip("\n")
    if filled != filled.strip() or any(ord(char) < ord(" ") and char not in "\n\t" for char in filled):
        shop.report.refuse(pointer, "a word of the program begins or ends with a space, or has a control character")
    return filled


def _program(unit: Unit, found: Work, shop: Shop, options: list[str], *, timeout: int, task: str = "Run") -> None:
    agent = shop.agents.program(unit.name, [*RUNNER, *options])
    estimate = max(1, min(_SHORT, timeout // 3))
    found.node |= {"task": f"{task} {unit.name}", "agentId": agent, "timeout": timeout, "estimatedTime": estimate}
    _close(found, _outputs(unit))


def _wait(unit: Unit, found: Work, shop: Shop) -> None:
    fields = unit.fields
    reason = fields.text("reason")
    if reason is not None:
        found.node["x-reason"] = reason
    duration = fields.take("duration")
    text = str(duration)
    static = _DURATION.fullmatch(text)
    if static is not None:
        seconds = float(static[1]) * _SECONDS[static[2] or "s"]
        word = f"{seconds:f}".rstrip("0").rstrip(".")
        if not 0 < seconds <= _DAY:
            shop.report.refuse(
                fields.at("duration"), "a pause has more than no seconds and at most a day", "Change it."
            )
    else:
        word = templates.word(text, shop.names, found.read, fields.at("duration")).strip()
        word = word.removesuffix("s")
        if not re.fullmatch(r"\{\{[\w.]+\}\}", word):
            shop.report.refuse(
                fields.at("duration"), f'the duration "{text[:60]}" cannot be converted', "Write seconds."
            )
        seconds = WEEK / 1000 / 2
    options = ["--text", unit.key, "--fill", "--", "sleep", word]
    unit.schema = {"type": "string"}
    _program(unit, found, shop, options, timeout=min(WEEK, int(seconds * 1000) + 2 * _SHORT), task="Wait:")


def _terminate(unit: Unit, found: Work, shop: Shop) -> None:
    """The end of the run; after a success nothing else is reached."""
    fields = unit.fields
    reason = fields.text("reason") or unit.name
    failed = fields.text("status") == "failed"
    fields.ignore("output_template", "a run has the outputs of its nodes, and none that is made at its end")
    unit.schema = {"type": "boolean"}
    if failed:
        said = " ".join(templates.word(reason, shop.names, found.read, fields.at("reason")).split())
        _program(unit, found, shop, ["--python", "--fail", said], timeout=2 * _SHORT, task="End the run:")
    else:
        fields.report.differs(fields.pointer, "the reason of a good end is not shown", "Let a node say it.")
        found.node["x-reason"] = reason
        _program(unit, found, shop, ["--passed", unit.key, "--", "true"], timeout=2 * _SHORT, task="End:")


def _key(path: str, name: str, pointer: str, report: Report) -> str:
    """The place of the key in an item.

    Conductor's guide begins the path with the name of the item. Its program looks for that name in the item, though.
    """
    if re.fullmatch(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", path, re.ASCII) is None:
        report.refuse(pointer, f'"{path[:80]}" is not a path to a member', "Write names with points between them.")
        return "$"
    message = (
        "an item without its key, or with that of another item, fails here; Conductor takes its number or the last"
    )
    report.differs(pointer, message)
    first, _, rest = path.partition(".")
    if first == name and rest:
        said = f'the key is "{rest}" of the item, as in Conductor\'s guide; its program looks for "{path}" in the item'
        report.differs(pointer, said, "Write the path without the name of the item.")
        return f"$.{rest}"
    return f"$.{path}"


def _for_each(unit: Unit, found: Work, shop: Shop) -> None:
    """A group for each item: the list, its name and limits; the rest is that of its agent."""
    fields, report = unit.fields, shop.report
    source, name = fields.text("source") or "?", fields.text("as") or "item"
    value = shop.names.find(source.split("."), fields.at("source"))
    inner = fields.mapping("agent")
    if value is None or not value.path or inner is None:
        return
    key, _, rest = value.path.partition(".")
    each: dict[str, Any] = {"items": key, "as": name, "maxItems": _MAX_ITEMS}
    each["maxParallelism"] = fields.whole("max_concurrent") or 10
    mode = fields.text("failure_mode") or "fail_fast"
    if mode == "continue_on_error":
        each |= {"continueOnError": True, "failures": unit.failures}
    elif mode == "all_or_nothing":
        message = "the first failed item ends the others, where Conductor runs them all before it fails"
        report.differs(fields.at("failure_mode"), message)
    key_by = fields.text("key_by")
    if key_by is not None:
        each["key"] = _key(key_by, name, fields.at("key_by"), report)
    kind = inner.text("type") or "agent"
    if kind != "agent":
        report.refuse(inner.at("type"), f'a group for each item of the kind "{kind[:40]}" cannot be converted')
        return
    items = (value.schema or {}).get("items")
    shop.names.local = {name: Value(name, items if isinstance(items, dict) else None)}
    for ignored in ("name", "description", "routes"):
        inner.ignore(ignored, f'"{ignored}" of the agent of a group has no effect')
    _agent(unit, inner, found, shop)
    inner.finish()
    shop.names.local = {}
    if key in found.read.inputs:
        advice = "Name what it needs in each item of the list."
        report.refuse(inner.at("prompt"), f'an item cannot read "{key}" beside its list', advice)
    inputs = found.node["context"].get("inputs", [])
    found.node["context"]["inputs"] = [
        {"key": key, **({"transform": f"$.{rest}"} if rest else {})},
        *(one for one in inputs if one["key"] not in {key, name, "number"}),
    ]
    if value.unit is not None and value.unit not in found.read.units:
        found.read.units.append(value.unit)
    found.read.inputs[key] = True
    found.read.inputs = {one: needed for one, needed in found.read.inputs.items() if one not in {name, "number"}}
    order = ("items", "as", "key", "maxItems", "maxParallelism", "continueOnError", "failures")
    found.node["forEach"] = {one: each[one] for one in order if one in each}
