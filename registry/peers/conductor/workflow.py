"""Converts a Conductor workflow to a v2 command.

Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from registry.peers.agents import NewAgents
from registry.peers.conductor import schemas
from registry.peers.conductor.flow import Flow
from registry.peers.conductor.steps import ELSEWHERE, KINDS, REFUSED, Shop
from registry.peers.conductor.units import Names, Route, Unit
from registry.peers.keys import MAX_STEPS, Keys
from registry.peers.report import Fields, Report
from registry.wording import slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from registry.peers.sources import Sources

_ENVIRONMENT = re.compile(r"\$\{[A-Za-z_]\w*(?::-|\})")
_SEMVER = re.compile(r"\d+\.\d+\.\d+")
_DESCRIPTION_LENGTH = 200
_STEPS = 10
"""Steps after which Conductor ends a run, if the workflow does not say otherwise."""
_NO_EFFECT = {
    "temperature": "the temperature of a model cannot be set",
    "max_tokens": "the length of an answer cannot be limited",
    "checkpoint": "every step of a run is kept anyway",
    "tool_output": "Claude Code limits the results of its tools by itself",
    "default_context_tier": "the size of a model's context cannot be chosen",
    "skill_injection": "skills are loaded by Claude Code itself",
}


def convert(raw: Mapping[str, Any], _: Sources, report: Report) -> tuple[dict[str, Any], NewAgents, dict[str, str]]:
    """The definition, its agents, and the places of its nodes in the workflow, by pointer."""
    fields = Fields(raw, "", report)
    for pointer, text in _texts(raw, ""):
        if (found := _ENVIRONMENT.search(text)) is not None:
            advice = "Write the value, or an input of the workflow."
            report.refuse(pointer, f'Conductor fills in "{found[0][:60]}" when it reads the file', advice)
    workflow = fields.mapping("workflow") or Fields({}, "/workflow", report)
    name = workflow.text("name") or "workflow"
    agents = NewAgents(slug(name, words=20) or "workflow")
    definition = _command(workflow, name)
    keys = Keys()
    arguments, inputs = _inputs(workflow, keys)
    names = Names({}, inputs, name, report)
    shop = Shop(names, agents, report, {}, {}, fields.texts("tools"))
    _runtime(workflow, shop)
    most = _limits(workflow, definition, report)
    _rest_of_workflow(workflow, definition)
    entry = workflow.text("entry_point") or ""
    workflow.finish()
    names.units = _units(fields, keys, report)
    if fields.mapping("output") is not None:
        message = "a run has the outputs of its nodes; the `output` of the workflow is not made of them"
        report.differs("/output", message)
    fields.finish()
    definition["arguments"] = arguments
    if entry not in names.units:
        report.refuse("/workflow/entry_point", f'"{entry[:80]}" is not a step', "Name a step.")
        return {**definition, "phases": []}, agents, {}
    built = Flow(names.units, shop, most=most).build(entry)
    seconds = definition.pop("x-seconds", None)
    for phase in built.phases if seconds is not None else []:
        phase["timeout"] = seconds * 1000
    if len(built.phases) > 1:
        report.differs("/workflow", "a run with a failed member of a group ends as degraded")
    pointers = {f"/phases/{phase}/agents/{place}": pointer for phase, place, pointer in built.pointers}
    return {**definition, "phases": built.phases}, agents, pointers


def _texts(value: object, pointer: str) -> Iterator[tuple[str, str]]:
    """All texts in *value*, with their pointers."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{pointer}/{number}")


def _command(workflow: Fields, name: str) -> dict[str, Any]:
    description = " ".join((workflow.text("description") or name).split())
    short = description if len(description) <= _DESCRIPTION_LENGTH else f"{description[: _DESCRIPTION_LENGTH - 1]}…"
    command = f"/{slug(name, words=20) or 'workflow'}"
    definition: dict[str, Any] = {"version": "2.0.0", "name": command, "description": short}
    version = workflow.take("version")
    if isinstance(version, str) and _SEMVER.fullmatch(version):
        definition["metadata"] = {"version": version}
    elif version is not None:
        definition["x-version"] = version
    return definition


def _inputs(workflow: Fields, keys: Keys) -> tuple[list[dict[str, Any]], dict[str, tuple[str, dict[str, Any]]]]:
    arguments, inputs = [], {}
    declared = workflow.mapping("input")
    for name in declared.names()[:MAX_STEPS] if declared is not None else []:
        one = declared.mapping(name) if declared is not None else None
        if one is not None:
            key = keys.claim(name)
            found, schema = schemas.argument(name, key, one)
            arguments.append(found)
            inputs[name] = key, schema
    if declared is not None:
        declared.finish()
    return arguments, inputs


def _runtime(workflow: Fields, shop: Shop) -> None:
    report = shop.report
    runtime = workflow.mapping("runtime")
    if runtime is None:
        return
    provider = runtime.take("provider")
    named = provider.get("name") if isinstance(provider, dict) else provider
    if isinstance(provider, dict) and set(provider) - {"name"}:
        advice = "Remove its settings: the agents are Claude Code."
        report.refuse(runtime.at("provider"), "the settings of a provider cannot be converted", advice)
    elif named is not None and named not in ("claude", "claude-agent-sdk"):
        message = f'the agents are Claude Code, not "{named}"'
        report.differs(runtime.at("provider"), message, "Choose a `model` in their files.")
    for name, why in _NO_EFFECT.items():
        runtime.ignore(name, why)
    for name in ("skills", "skill_discovery", "plugin_sources", "plugins", "working_dir"):
        why, advice = REFUSED.get(name, REFUSED["plugins" if name.startswith("plugin") else "skills"])
        runtime.refuse(name, why, advice)
    servers = runtime.mapping("mcp_servers")
    for name, one in _mappings(servers):
        shop.servers[name], tools = _server(one)
        shop.granted[name] = [f"mcp__{name}"] if tools is None else [f"mcp__{name}__{tool}" for tool in tools]
    seconds = [one for one in (runtime.positive("timeout"), runtime.positive("max_session_seconds")) if one is not None]
    shop.defaults = {
        "model": runtime.text("default_model"),
        "effort": runtime.text("default_reasoning_effort"),
        "turns": runtime.whole("max_agent_iterations"),
        "seconds": min(seconds, default=None),
    }
    runtime.finish()


def _mappings(fields: Fields | None) -> Iterator[tuple[str, Fields]]:
    for name in fields.names() if fields is not None else []:
        one = fields.mapping(name) if fields is not None else None
        if one is not None:
            yield name, one


def _server(fields: Fields) -> tuple[dict[str, Any], list[str] | None]:
    """The definition of an MCP server in an agent file, and its tools; None for all of them."""
    found = {name: fields.take(name) for name in ("type", "command", "args", "env", "url", "headers") if name in fields}
    tools = fields.texts("tools")
    fields.ignore("timeout", "the time of a tool's call cannot be limited")
    fields.finish()
    return found, None if tools == ["*"] else tools


def _limits(workflow: Fields, definition: dict[str, Any], report: Report) -> int:
    limits = workflow.mapping("limits")
    if limits is None:
        limits = Fields({}, workflow.pointer, report)
    seconds = limits.whole("timeout_seconds")
    if seconds is not None:
        definition["x-seconds"] = seconds
        message = "the time limit is that of each phase; one of the whole run is a limit of the run"
        report.differs(limits.at("timeout_seconds"), message, f"Pass `--max-duration-seconds {seconds}`.")
    if "budget_usd" in limits:
        message = "a budget is a limit of the run, not of the file"
        report.differs(limits.at("budget_usd"), message, f"Pass `--max-cost-usd {limits.take('budget_usd')}`.")
        if limits.text("budget_mode") != "enforce":
            report.differs(limits.at("budget_mode"), "Conductor only warns if its budget is used up")
    limits.ignore("budget_mode", "there is no budget")
    most = limits.whole("max_iterations", most=500) or _STEPS
    limits.finish()
    message = f"Conductor ends a run after {most} steps; here only the turns of loops are counted"
    report.differs(limits.pointer, message, "Pass `--max-attempts-total` to limit a run.")
    return most


def _rest_of_workflow(workflow: Fields, definition: dict[str, Any]) -> None:
    context = workflow.mapping("context")
    if context is not None:
        context.ignore("mode", "an agent gets the values that its prompt names, whatever the mode")
        for name in ("max_tokens", "trim_strategy"):
            context.refuse(name, "what an agent sees is not shortened", "Name in each prompt only what it needs.")
        context.finish()
    workflow.ignore("cost", "prices are those that Claude Code reports")
    workflow.refuse("hooks", "templates at the start and end of a run cannot be converted", "Write nodes.")
    workflow.refuse("instructions", "files for every prompt cannot be converted", "Put them into CLAUDE.md.")
    metadata = workflow.take("metadata")
    if metadata is not None:
        definition["x-metadata"] = metadata


def _units(fields: Fields, keys: Keys, report: Report) -> dict[str, Unit]:
    """All steps and groups, by name."""
    units: dict[str, Unit] = {}
    for name in ("agents", "for_each", "parallel"):
        given = fields.items(name) or []
        if len(given) > MAX_STEPS:
            report.refuse(f"/{name}", f"a workflow with more than {MAX_STEPS} steps is not converted", "Split it.")
            given = []
        for number, raw in enumerate(given):
            if not isinstance(raw, dict):
                report.refuse(f"/{name}/{number}", "this is not a mapping", "Write its fields.")
                continue
            one = Fields(raw, f"/{name}/{number}", report)
            unit = _group(one, units, keys) if name == "parallel" else _unit(one, name, keys)
            if unit.name in units:
                report.refuse(one.at("name"), f'the name "{unit.name[:80]}" is used twice', "Rename one of them.")
            units[unit.name] = unit
    for group in [one for one in units.values() if one.members]:
        for member in group.members:
            units.pop(member.name, None)
    return units


def _unit(fields: Fields, where: str, keys: Keys) -> Unit:
    name = fields.text("name") or "?"
    if re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name, re.ASCII) is None:
        fields.report.refuse(fields.at("name"), f'"{name[:80]}" cannot be an id', "Use letters, digits, - and _.")
    kind = fields.text("type") or "agent"
    unit = Unit(name, "for_each" if where == "for_each" else kind, keys.claim(name), fields, _routes(fields))
    if where == "for_each":
        if kind != "for_each":
            fields.report.refuse(fields.at("type"), "a group for each item says so in its type", "Write for_each.")
        unit.failures = f"{unit.key}_failures" if fields.peek("failure_mode") == "continue_on_error" else ""
        unit.keyed = "key_by" in fields
        inner = fields.take("agent")
        if isinstance(inner, dict):
            unit.schema = _schema(Fields(inner, fields.at("agent"), fields.report))
            inner = {key: value for key, value in inner.items() if key != "output"}
        fields.put("agent", inner)
    elif kind in ELSEWHERE:
        why, advice = ELSEWHERE[kind]
        fields.report.refuse(fields.at("type"), why, advice)
        unit.kind = "agent"
        unit.routes = []
        for left in fields.names():
            fields.take(left)
        fields.put("prompt", "?")
        unit.schema = {"type": "object"}
    elif kind not in KINDS:
        fields.report.refuse(fields.at("type"), f'"{kind[:40]}" is not a kind of step', "Write agent or script.")
    elif kind == "agent":
        unit.schema = _schema(fields)
        fields.take("output")
    elif kind == "script":
        unit.schema = _script_schema(fields)
    return unit


def _schema(fields: Fields) -> dict[str, Any]:
    return schemas.output(fields.mapping("output")) if "output" in fields else schemas.TEXT_RESULT


def _script_schema(fields: Fields) -> dict[str, Any]:
    """The output of a script: stdout, stderr, exit_code, and what its JSON declares."""
    own = {"stdout": {"type": "string"}, "stderr": {"type": "string"}, "exit_code": {"type": "number"}}
    schema = {"type": "object", "required": list(own), "properties": own}
    if "output" not in fields:
        return schema
    declared = schemas.output(fields.mapping("output"))
    properties = {**own, **declared["properties"]}
    required = list(dict.fromkeys([*own, *declared["required"]]))
    return {"type": "object", "required": required, "properties": properties, "strict": True}


def _routes(fields: Fields) -> list[Route]:
    routes = []
    for number, raw in enumerate(fields.items("routes") or []):
        one = Fields(raw if isinstance(raw, dict) else {}, fields.at("routes", number), fields.report)
        routes.append(Route(one.text("to") or "?", one.text("when"), one.pointer))
        one.refuse("output", "a route that changes the output cannot be converted", "Let the step itself write it.")
        one.finish()
    return routes


def _group(fields: Fields, units: dict[str, Unit], keys: Keys) -> Unit:
    """A parallel group; its members have no routes of their own."""
    name = fields.text("name") or "?"
    mode = fields.text("failure_mode") or "fail_fast"
    unit = Unit(name, "parallel", keys.claim(name), fields, _routes(fields), tolerant=mode == "continue_on_error")
    fields.ignore("description", "a group has no description here")
    if mode == "all_or_nothing":
        message = "the first failed member ends the others, where Conductor runs them all before it fails"
        fields.report.differs(fields.at("failure_mode"), message)
    for member in fields.texts("agents") or []:
        if member in units and not units[member].members:
            unit.members.append(units[member])
            for route in units[member].routes:
                fields.report.refuse(route.pointer, "a member of a group has no routes", "Write them at the group.")
            units[member].routes = []
        else:
            fields.report.refuse(fields.at("agents"), f'"{member[:80]}" is not a step', "Name a step.")
    fields.finish()
    return unit
