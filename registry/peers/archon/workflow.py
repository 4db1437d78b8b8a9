"""Converts an Archon workflow to one phase of a v2 command, with its nodes in the order of their dependencies.

Pure. The phase has `continueOnError`, since a failed node of Archon ends only what depends on it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from registry.peers.agents import RUNNER, NewAgents
from registry.peers.archon import loops, shell, subruns
from registry.peers.archon.joins import may_be_skipped, order, surely
from registry.peers.archon.nodes import MODELS, Made, Maker, finish, make, no_model, script_options
from registry.peers.archon.scope import PREVIOUS, Arguments, Callers, Child, Reader, Scope
from registry.peers.keys import MAX_STEPS, Step
from registry.peers.kinds import ARCHON_NODES
from registry.peers.report import Fields, Report
from registry.wording import slug

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.peers.sources import Sources

_REFUSED = {
    "container": "containers cannot be converted",
    "webSearchMode": "webSearchMode is for Codex",
    "sandbox": "a sandbox cannot be converted",
    "thinking": "thinking cannot be set for an agent",
    "betas": "betas cannot be set for an agent",
    "fallbackModel": "an agent has one model",
    "outcome_field": "the outcome of a run is that of its nodes",
}
_DESCRIPTION_LENGTH = 200
_FOLDER_LOCK = {"locks": [{"resource": "archon.checkout"}]}
_CHECK_TIMEOUT = 120_000
Placed = tuple[dict[str, Any], str]
"""A node with its pointer in the workflow."""


def convert(
    raw: Mapping[str, Any], sources: Sources, report: Report, children: Children | None = None
) -> tuple[dict[str, Any], NewAgents, dict[str, str]]:
    """The definition, its agents, and the places of its nodes in the workflow, by pointer."""
    fields = Fields(raw, "", report)
    name = fields.text("name") or "workflow"
    agents = NewAgents(slug(name, words=20) or "workflow")
    definition = _command(fields, name)
    arguments = Arguments(report)
    _inputs(fields, arguments)
    callers = Callers((children or Children(sources)).find, {})
    maker = Maker(report, agents, _defaults(fields), sources.command_text, sources.script_file, callers)
    _settings(fields, definition)
    given = fields.items("nodes") or []
    if not given:
        report.refuse("/nodes", "the workflow has no nodes", "Write one.")
    made = _nodes(given, "/nodes", Scope(arguments), maker)
    returned = fields.text("returns")
    if returned is not None and returned not in {node["id"] for part in made for node, _ in part}:
        report.refuse(fields.at("returns"), f'"{returned[:80]}" is not a node', "Correct its name.")
    fields.finish(ignored=True)
    if callers.initial:
        definition["globalContext"] = {"initial": callers.initial}
    phases = _phases(made, "main", continues=True)
    definition |= {"arguments": list(arguments.found.values()), "phases": phases}
    if sum(map(len, made)) > 1:
        message = "a run with a failed node ends as degraded, where Archon calls it failed"
        report.differs("/nodes", message)
    pointers = {f"/phases/{at}/agents/{n}": place for at, part in enumerate(made) for n, (_, place) in enumerate(part)}
    return definition, agents, pointers


class Children:
    """The workflows that others run, each converted once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._known: dict[str, Child | None] = {}

    def find(self, name: str) -> Child | None:
        """The workflow *name*; None if it does not exist, or runs itself."""
        if name not in self._known:
            self._known[name] = None
            raw = self._sources.workflow(name)
            self._known[name] = None if raw is None else self._child(raw)
        return self._known[name]

    def _child(self, raw: Mapping[str, Any]) -> Child:
        definition, _, _ = convert(raw, self._sources, Report("Archon"), self)
        nodes: list[dict[str, Any]] = [node for phase in definition["phases"] for node in phase["agents"]]
        needed = {need for node in nodes for need in node.get("dependencies", [])}
        last = [node for node in nodes if node["id"] == raw.get("returns")]
        last = last or [node for node in nodes if node["id"] not in needed]
        outputs = last[0].get("context", {}).get("outputs", []) if len(last) == 1 else []
        schema = outputs[0]["schema"] if outputs else {}
        inputs = Arguments(Report("Archon"))
        _inputs(Fields(raw, "", inputs.report), inputs)
        return Child(
            command=definition["name"],
            arguments={one["name"]: one for one in definition["arguments"]},
            declared=inputs.declared,
            key=outputs[0]["key"] if outputs and "forEach" not in last[0] else "",
            schema=None if schema.get("type") == "string" else schema,
            sure=bool(last) and not may_be_skipped(last[0]["id"], raw["nodes"]),
        )


def _command(fields: Fields, name: str) -> dict[str, Any]:
    description = " ".join((fields.text("description") or name).split())
    definition: dict[str, Any] = {
        "version": "2.0.0",
        "name": f"/{slug(name, words=20) or 'workflow'}",
        "description": description[: _DESCRIPTION_LENGTH - 1] + "…"
        if len(description) > _DESCRIPTION_LENGTH
        else description,
    }
    if len(description) > _DESCRIPTION_LENGTH:
        definition["x-description"] = description
    tags = fields.texts("tags")
    if tags:
        definition["metadata"] = {"tags": tags}
    return definition


def _inputs(fields: Fields, arguments: Arguments) -> None:
    """Declared inputs are arguments; a text without a name is the argument `arguments`."""
    declared = fields.mapping("inputs")
    variables: dict[str, str] = {}
    for name in declared.names()[:MAX_STEPS] if declared is not None else []:
        one = declared.mapping(name) if declared is not None else None
        if one is None:
            continue
        key = arguments.keys.claim(name)
        arguments.declared[name] = key
        other = variables.setdefault(shell.variable_of(name), name)
        if other != name:
            message = f'scripts have one variable for the inputs "{other[:80]}" and "{name[:80]}"'
            one.report.refuse(one.pointer, message, "Rename one of them.")
        found: dict[str, Any] = {"name": key, "description": one.text("description") or ""}
        if "default" in one:
            found["default"] = one.take("default")
        found["required"] = one.flag("required") is True
        arguments.found[key] = found
        one.finish(ignored=True)
    if declared is not None:
        declared.finish()


def _defaults(fields: Fields) -> dict[str, Any]:
    provider = fields.text("provider")
    if provider not in {None, "claude"}:
        message = f'the agents are Claude Code, not "{provider}"'
        fields.report.differs(fields.at("provider"), message, "Choose a `model` in their files.")
    effort = fields.text("effort") or fields.text("modelReasoningEffort")
    fields.ignore("modelReasoningEffort", "`effort` counts, and not modelReasoningEffort")
    return {"provider": provider, "model": fields.text("model"), "effort": effort}


def _settings(fields: Fields, definition: dict[str, Any]) -> None:
    report = fields.report
    for name, why in _REFUSED.items():
        fields.refuse(name, why, "Remove it, if the work does not need it.")
    worktree = fields.mapping("worktree")
    apart = None if worktree is None else worktree.flag("enabled")
    if worktree is not None:
        worktree.finish(ignored=True)
    if apart is not False:
        at = fields.at("worktree") if worktree is not None else ""
        message = "Archon works in a git worktree and branch of its own; here the work is done in the project itself"
        report.differs(at, message, "Start it in a worktree, or write `isolation: worktree` into the agent files.")
    if fields.flag("mutates_checkout") is not False:
        definition["resources"] = _FOLDER_LOCK
    policy = fields.mapping("evidence_policy")
    if policy is not None:
        if policy.flag("required"):
            report.refuse(
                policy.pointer, "no file is required at the end of a run", "Write a last node that checks it."
            )
        policy.finish(ignored=True)
    if fields.flag("persist_sessions"):
        report.refuse(fields.at("persist_sessions"), "a conversation is not kept for later runs", "Remove it.")
    fields.ignore("interactive", "an approval waits for its answer however the run was started")
    fields.ignore("requires", "accounts at GitHub are not checked before the run")


def _nodes(
    raw: list[Any], at: str, scope: Scope, maker: Maker, *, keys: Mapping[str, str] = MappingProxyType({})
) -> list[list[Placed]]:
    """The nodes in *raw*, with their pointers, in parts of which each has ended before the next; *keys* of some.

    Archon runs the nodes in layers, and a layer begins when all of the one before have ended; after an approval or a
    cancel none begins. The parts keep that where the dependencies alone do not.
    """
    report = maker.report
    if len(raw) > MAX_STEPS:
        report.refuse(at, f"a workflow with more than {MAX_STEPS} nodes is not converted", "Split it.")
        raw = []
    parts: dict[str, tuple[Fields, str, list[str]]] = {}
    raw_of: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(raw):
        if not isinstance(one, dict):
            report.refuse(f"{at}/{number}", "this is not a mapping", "Write the fields of a node.")
            continue
        fields = Fields(one, f"{at}/{number}", report)
        name = (fields.text("id") or "").strip()
        kinds = [kind for kind in ARCHON_NODES if kind in fields]
        if not name or name in parts:
            report.refuse(fields.at("id"), "the node has no id of its own", "Give each node an id.")
        elif len(kinds) != 1:
            report.refuse(
                fields.pointer, f"the node has {len(kinds)} of {', '.join(ARCHON_NODES)}", "Write exactly one."
            )
        else:
            parts[name] = fields, kinds[0], fields.texts("depends_on") or []
            raw_of[name] = one
    layers = _layers(parts, report)
    maker.continued = _continued(layers, parts, maker.defaults["provider"])
    for name in (name for layer in layers for name in layer):
        fields, _, needs = parts[name]
        step = Step(name, keys.get(name) or scope.arguments.keys.claim(name))
        for need in needs:
            step.before |= {need} | scope.steps[need].before
        step.sure = surely(raw_of[name].get("trigger_rule"), [scope.steps[need] for need in needs])
        scope.steps[name] = step
    made = [_made(parts[name], scope.steps[name], scope, maker) for layer in layers for name in layer]
    nodes = {one.step.name: (finish(one, maker), parts[one.step.name][0].pointer) for one in made}
    return [[nodes[name] for name in names] for names in _in_turn(layers, scope)]


def _in_turn(layers: list[list[str]], scope: Scope) -> list[list[str]]:
    """The names in *layers*, joined where a layer needs all that is before it anyway."""
    found: list[list[str]] = []
    for layer in layers:
        if found and all(scope.steps[name].before.issuperset(found[-1]) for name in layer):
            found[-1] += layer
        else:
            found.append([*layer])
    return found


def _phases(parts: list[list[Placed]], name: str, *, continues: bool = False) -> list[dict[str, Any]]:
    """A phase for each of *parts*, which run one after the other."""
    more = {"continueOnError": True} if continues else {}
    return [
        {
            "id": name if number == 1 else f"{name}-{number}",
            "name": name.capitalize() if number == 1 else f"{name.capitalize()} {number}",
            **more,
            "agents": [node for node, _ in part],
        }
        for number, part in enumerate(parts or [[]], start=1)
    ]


def _made(part: tuple[Fields, str, list[str]], step: Step, scope: Scope, maker: Maker) -> Made:
    fields, kind, needs = part
    if kind == "loop_group":
        made = _group(fields, step, scope, maker)
    elif kind == "workflow":
        made = subruns.make(fields, step, scope, maker)
    else:
        made = make(fields, kind, step, scope, maker)
    if needs:
        made.node["dependencies"] = needs
    order(fields, made, [scope.steps[need] for need in needs])
    fields.finish(ignored=True)
    return made


def _layers(parts: Mapping[str, tuple[Fields, str, list[str]]], report: Report) -> list[list[str]]:
    """The names in layers, as Archon runs them."""
    done: set[str] = set()
    left = list(parts)
    layers = []
    while left:
        layer = [name for name in left if all(need in done for need in parts[name][2])]
        if not layer:
            wrong = parts[left[0]][0]
            message = f"the node depends on {parts[left[0]][2]}, of which one does not exist or depends on it"
            report.refuse(wrong.at("depends_on"), message, "Correct the names.")
            break
        layers.append(layer)
        done.update(layer)
        left = [name for name in left if name not in done]
    return layers


def _continued(
    layers: list[list[str]], parts: Mapping[str, tuple[Fields, str, list[str]]], default: str | None
) -> frozenset[str]:
    """Nodes that go on in a conversation: a model's that is alone in its layer, after another one of its provider.

    A provider that the file does not name may be any.
    """
    found = set()
    spoken: object = None
    for layer in layers:
        if len(layer) > 1:
            spoken = None
            continue
        fields, kind, _ = parts[layer[0]]
        if kind in MODELS:
            provider = fields.peek("provider") or default or ""
            if kind != "loop" and spoken is not None and (spoken == provider or "" in {spoken, provider}):
                found.add(layer[0])
            spoken = provider
    return frozenset(found)


def _group(fields: Fields, step: Step, scope: Scope, maker: Maker) -> Made:
    """A group of nodes until a check holds: phases in place, whose last node is the check."""
    report = maker.report
    made = Made(step, Reader(scope, step, report), {"id": step.name, "task": f"Repeat {step.name}"})
    for name in ("model", "provider", "retry"):
        fields.refuse(name, f'"{name}" of a group cannot be converted', "Write it at the nodes inside.")
    description = fields.text("description")
    if description is not None:
        made.node["x-description"] = description
    no_model(fields)
    group = fields.mapping("loop_group")
    if group is None:
        return made
    given = group.items("nodes") or []
    raw = [one for one in given if isinstance(one, dict)]
    control = loops.control(group, report, group=True, talks=_talks(raw))
    group.finish(ignored=True)
    inner = Scope(scope.arguments, outer=scope)
    needed = [name for one in raw for name in _list_of(one, "depends_on")]
    last = [one.get("id") for one in raw if one.get("id") not in needed]
    if len(last) != 1:
        message = "the output of a group with several last nodes cannot be converted"
        report.refuse(group.at("nodes"), message, "Let one node depend on the others.")
    continued = maker.continued
    parts = _nodes(given, group.at("nodes"), inner, maker, keys={str(name): step.key for name in last[:1]})
    maker.continued = continued
    phases = _phases(parts, "turn")
    nodes = [node for part in parts for node, _ in part]
    done = f"{step.key}_done"
    if control.check is not None:
        phases[-1]["agents"].append(_check(control.check, done, group.at("until_bash"), inner, maker))
    if len(nodes) > 1:
        message = (
            "a failed node of a turn ends the turn at once; Archon runs the others of the turn before the group fails"
        )
        report.differs(group.pointer, message)
    if len(last) == 1 and may_be_skipped(str(last[0]), raw):
        message = "the last node of a group may be skipped, and the group then has no output"
        report.refuse(group.at("nodes"), message, "Let it run always.")
    made.outputs += _result(step, inner.steps.get(str(last[0])) if last else None, nodes)
    made.outputs.append({"key": done, "schema": {"type": "boolean"}})
    made.reader.inputs |= inner.crossed
    for name, outside in inner.crossed_steps.items():
        if name not in scope.steps:
            scope.crossed_steps[name] = outside
        elif name not in step.sure:
            made.reader.loose[name] = outside
    made.node["repeat"] = {"until": f"{done} == true", "maxIterations": control.turns}
    made.node["phases"] = phases
    return made


def _talks(raw: list[dict[str, Any]]) -> bool:
    """Whether a model works in one of the nodes *raw*, or in a group among them."""
    groups = [one["loop_group"] for one in raw if isinstance(one.get("loop_group"), dict)]
    inner = [one for group in groups for one in _list_of(group, "nodes") if isinstance(one, dict)]
    return any(MODELS & one.keys() for one in raw) or (inner != [] and _talks(inner))


def _list_of(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    return value if isinstance(value, list) else []


def _result(step: Step, last: Step | None, nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output of a group is that of its last node, which has the same key."""
    if last is None:
        return []
    step.schema = last.schema
    outputs = (one for node in nodes if node["id"] == last.name for one in node.get("context", {}).get("outputs", []))
    return [one for one in outputs if one["key"] == step.key]


def _check(check: str, done: str, pointer: str, inner: Scope, maker: Maker) -> dict[str, Any]:
    """The check after each turn: a program whose exit code is the answer."""
    name = "check-turn"
    while name in inner.steps:
        name += "-"
    step = Step(name, done, before=set(inner.steps))
    reader = Reader(inner, step, maker.report)
    script, variables = shell.convert(check, reader, pointer)
    if PREVIOUS in check:
        maker.report.refuse(pointer, "a check sees nothing of the last turn here", "Let it read files.")
    program = [
        *RUNNER,
        "--passed",
        done,
        *script_options(check, variables, reader),
        "--",
        "bash",
        "-c",
        script.rstrip(),
    ]
    inputs = [{"key": key, **({} if needed else {"required": False})} for key, needed in reader.inputs.items()]
    return {
        "id": name,
        "agentId": maker.agents.program(name, program),
        "task": "Check whether the turns are over",
        "dependencies": list(inner.steps),
        "timeout": _CHECK_TIMEOUT,
        "estimatedTime": _CHECK_TIMEOUT // 3,
        "context": {"inputs": inputs, "outputs": [{"key": done, "schema": {"type": "boolean"}}]},
    }
