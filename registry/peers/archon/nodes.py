"""Converts one node of an Archon workflow.

Pure. `registry/peers/archon/workflow.py` converts the workflow, and finds the order of its nodes.

Every node has an output: the text of a model or a script, or the object of an `output_format`. So "node x completed" is
`x != null`, and the joins of Archon (`trigger_rule`) are skip conditions about the outputs of the dependencies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.peers.agents import ALL_TOOLS, RUNNER, NewAgents, model_name, tier
from registry.peers.archon import loops, shell
from registry.peers.archon.scope import TOKEN, VARIABLES, Reader, marked, names_output, prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.peers.archon.scope import Callers, Scope
    from registry.peers.keys import Step
    from registry.peers.report import Fields, Report

MODELS = frozenset({"prompt", "command", "loop"})
"""Kinds of nodes in which a model works."""
WEEK = 604_800_000
"""Milliseconds. Archon sets no limit to a model's work, and this is the longest that an agent may have."""
_SCRIPT_TIMEOUT = 120_000
_SHORT = 60_000
_FILLED = re.compile(r"\$\{(?:iteration|number)\b[^}]{0,80}\}?")
"""Placeholders of tasks inside a repeat."""
_FILLED_IN = re.compile(r"\{\{[A-Za-z_]\w*(?:\.\w+)*(?:\|json|\|tojson)?\}\}")
"""Marks in the words of a program."""
_INLINE = re.compile(r"""[\n;(){}&|<>$`"' ]""")
"""Signs that a script is code; without one it is the name of a script."""
_RETRIED = ["RATE_LIMIT", "OVERLOADED", "API_ERROR"]
"""Codes of failures that pass by themselves."""
_ONLY_CLAUDE = {
    "hooks": "hooks cannot be converted: their answers are written in the workflow",
    "mcp": "the servers of a file of its own cannot be converted",
    "agents": "agents inside a node cannot be converted",
    "sandbox": "a sandbox cannot be converted",
    "thinking": "thinking cannot be set for an agent",
    "betas": "betas cannot be set for an agent",
    "settingSources": "the sources of settings cannot be chosen for an agent",
    "fallbackModel": "an agent has one model",
}
_ADVICE = {
    "hooks": "Write them as `hooks` of the agent's file.",
    "mcp": "Name the servers as `mcpServers` of the agent's file.",
    "agents": "Write each as a file in .claude/agents, with `Task` among the node's tools.",
}


@dataclass(slots=True)
class Maker:
    """Parts that all nodes of a workflow share."""

    report: Report
    agents: NewAgents
    defaults: dict[str, Any]
    """Provider, model and effort of the workflow."""
    command_text: Callable[[str], str | None]
    script_file: Callable[[str, str], tuple[str, str] | None]
    callers: Callers
    continued: frozenset[str] = frozenset()
    """Nodes that go on in the conversation of the one before, unless they say otherwise."""


@dataclass(slots=True)
class Made:
    """A converted node."""

    step: Step
    reader: Reader
    node: dict[str, Any]
    outputs: list[dict[str, Any]] = field(default_factory=list)
    script: list[str] | None = None
    """The command of its program, if it has one; options for its output come in when all readers are known."""
    shape: str = "--text"
    transforms: dict[str, str] = field(default_factory=dict)
    """Of inputs, by context key."""
    fills: list[str] = field(default_factory=list)
    """Paths of the values that its program has in its words."""


def make(fields: Fields, kind: str, step: Step, scope: Scope, maker: Maker) -> Made:
    """The node with *fields*, except for what other nodes decide; `finish` adds that."""
    reader = Reader(scope, step, maker.report)
    node: dict[str, Any] = {"id": step.name}
    made = Made(step, reader, node)
    description = fields.text("description")
    if description is not None:
        node["x-description"] = description
    fields.ignore("output_type", "no file with the output is written beside the run")
    if fields.flag("always_run"):
        maker.report.differs(fields.at("always_run"), "`resume --failed` does not run a completed node again")
    if kind in MODELS:
        _model(fields, kind, made, maker)
    elif kind in {"bash", "script"}:
        _script(fields, kind, made, maker)
    elif kind == "approval":
        _approval(fields, made, maker)
    elif kind == "cancel":
        _cancel(fields, made)
    else:
        advice = "Write `workflow` instead, or the nodes of that workflow."
        fields.refuse(kind, "the nodes of another workflow cannot be included", advice)
        for name in ("with", "output_format"):
            fields.take(name)
    if kind not in MODELS:
        no_model(fields)
    return made


def no_model(fields: Fields) -> None:
    """Name the fields that have no effect without a model."""
    names = (*_ONLY_CLAUDE, "provider", "model", "context", "output_format", "allowed_tools", "denied_tools", "skills")
    for name in (*names, "pi", "effort", "maxBudgetUsd", "systemPrompt", "persist_session", "idle_timeout"):
        fields.ignore(name, f'"{name}" has no effect on a node without a model')


def finish(made: Made, maker: Maker) -> dict[str, Any]:
    """The node with its outputs and inputs, once all others have said what they read of it."""
    step, node = made.step, made.node
    if made.script is not None:
        options = [made.shape, step.key]
        if step.read:
            options += ["--members", step.members]
            made.outputs.append({"key": step.members, "schema": {"type": "object"}})
        if step.listed:
            options += ["--list", step.list_key]
            made.outputs.append({"key": step.list_key})
        node["agentId"] = maker.agents.program(step.name, [*RUNNER, *options, *made.script])
    elif step.read or step.listed:
        message = f'parts of the output of node "{step.name}" are read, and it has no output_format'
        maker.report.refuse(f"/{step.name}", message, "Write an output_format.")
    inputs: list[dict[str, Any]] = []
    for key, needed in made.reader.inputs.items():
        path = {"transform": made.transforms[key]} if key in made.transforms else {}
        inputs.append({"key": key, **path, **({} if needed else {"required": False})})
    context = {name: items for name, items in (("inputs", inputs), ("outputs", made.outputs)) if items}
    if context:
        node["context"] = context
    return node


def _model(fields: Fields, kind: str, made: Made, maker: Maker) -> None:
    report, step, node = maker.report, made.step, made.node
    loop = fields.mapping("loop") if kind == "loop" else None
    source = fields if loop is None else loop
    context = fields.take("context")
    if context is not None and context != "fresh":
        advice = "Write `context: fresh`, and name what the node needs as $node.output."
        report.refuse(fields.at("context"), "the node goes on in another node's conversation", advice)
    elif context is None and step.name in maker.continued:
        advice = "Write `context: fresh` if it needs only what its prompt names; else name that as $node.output."
        message = "the node goes on in the conversation of the node before, and here it starts a new one"
        report.refuse(fields.pointer, message, advice)
    _output(fields, made)
    if "prompt" in source or "command" not in source:
        pointer, text = source.at("prompt"), source.text("prompt") or ""
    else:
        pointer = source.at("command")
        text = _command_text(source.text("command") or "", pointer, maker)
    fields.refuse("with", "values that are bound by `with` cannot be converted", "Name the outputs in the text itself.")
    if not text.strip():
        report.refuse(pointer, "the prompt is empty", "Write one.")
    made.reader.own_output = loop is not None
    in_turns = loop is not None or made.reader.scope.outer is not None
    if in_turns and (filled := _FILLED.search(text)) is not None:
        report.refuse(pointer, f'"{filled[0]}" stands for a value in the task of a loop', "Write it without braces.")
    node["task"] = prompt(text, made.reader, pointer) or "?"
    node["agentId"] = _agent(fields, made, maker)
    node["timeout"] = WEEK
    if loop is not None:
        _repeat(loop, made, text, maker)
        loop.finish(ignored=True)
        fields.refuse("retry", "Archon does not accept retry at a loop")
    else:
        _retry(fields, node, report, script=False)


def _command_text(name: str, pointer: str, maker: Maker) -> str:
    text = maker.command_text(name)
    if text is None:
        advice = f"Put it there: .archon/commands/{name[:80]}.md."
        maker.report.refuse(pointer, f'the project has no command file "{name[:80]}.md"', advice)
        return "?"
    return text


def _output(fields: Fields, made: Made) -> None:
    schema = fields.take("output_format")
    step = made.step
    if isinstance(schema, dict):
        step.schema = schema
        made.outputs.append({"key": step.key, "schema": schema})
        return
    if schema is not None:
        fields.report.refuse(fields.at("output_format"), "output_format is not a mapping", "Write a JSON Schema.")
    said = "Your whole answer to the task, word for word."
    made.outputs.append({"key": step.key, "schema": {"type": "string", "description": said}})


def _repeat(loop: Fields, made: Made, text: str, maker: Maker) -> None:
    found = loops.control(loop, maker.report, group=False, talks=True)
    step = made.step
    until = []
    if found.signal is not None:
        condition = loops.signal_condition(step.key, found.signal, text, loop.at("until"), maker.report)
        until += [condition] if condition else []
    if found.member is not None:
        declared = step.declared(found.member)
        if declared is None or declared.get("type") != "boolean" or not step.requires(found.member):
            message = f'"{found.member}" is not a required boolean of the output_format'
            maker.report.refuse(loop.at("until_field"), message, "Declare it so, and require it.")
        until.append(f"{step.key}.{found.member} == true")
    if found.check is not None:
        advice = "Write a loop_group with the prompt as its node, and until_bash."
        maker.report.refuse(loop.at("until_bash"), "a check of a single prompt cannot be converted", advice)
    made.node["repeat"] = {"until": " || ".join(until) or "false", "maxIterations": found.turns}


def _agent(fields: Fields, made: Made, maker: Maker) -> str:
    """The agent file of a model's node."""
    report = maker.report
    for name, why in _ONLY_CLAUDE.items():
        fields.refuse(name, why, _ADVICE.get(name, "Remove it, if the work does not need it."))
    fields.ignore("pi", '"pi" has no effect: agents are Claude Code\'s')
    if fields.flag("persist_session"):
        report.refuse(fields.at("persist_session"), "a conversation is not kept for later runs", "Remove it.")
    allowed, denied = fields.texts("allowed_tools"), fields.texts("denied_tools")
    if allowed is None:
        message = "Archon's agents may use every tool without a question; the agent's file names the common ones"
        report.differs_once("tools", fields.pointer, message, "Add what is missing, and remove what it must not use.")
    text = fields.text("systemPrompt") or ""
    if TOKEN.search(text):
        report.refuse(
            fields.at("systemPrompt"), "a value in systemPrompt cannot be filled in", "Name it in the prompt."
        )
    if "idle_timeout" in fields:
        message = "after an idle_timeout the attempt fails, where Archon takes what was said so far for the answer"
        report.differs_once("idle", fields.at("idle_timeout"), message)
    wanted = {
        "tools": list(ALL_TOOLS) if allowed is None else allowed,
        "disallowedTools": denied or None,
        **_model_fields(fields, maker),
        "idleTimeoutMs": fields.whole("idle_timeout"),
        "maxBudgetUsd": fields.positive("maxBudgetUsd"),
        "skills": fields.texts("skills") or None,
    }
    return maker.agents.model(made.step.name, wanted, text)


def _model_fields(fields: Fields, maker: Maker) -> dict[str, Any]:
    """Model and effort, of the node or the workflow."""
    report = maker.report
    own = fields.text("provider")
    provider = own or maker.defaults.get("provider") or "claude"
    if own not in {None, "claude"}:
        report.differs(fields.at("provider"), f'the agent is Claude Code, not "{own}"', "Choose a `model` in its file.")
    effort = fields.text("effort") or maker.defaults.get("effort")
    effort = "low" if effort == "minimal" else effort
    written = fields.text("model")
    given = written if written is not None else None if own not in {None, provider} else maker.defaults.get("model")
    if given is None:
        return {"effort": effort}
    model = model_name(given)
    if model is None and provider == "claude" and (model := tier(given)) is not None:
        message = f'the size "{given}" is the model {model}, as Archon has it without a configuration'
        report.differs_once(f"size {given}", fields.at("model"), message)
    elif model is None:
        message = f'"{given}" is not a model of Claude Code: the agent has none of its own, and your default is used'
        report.differs_once(f"model {given}", fields.at("model"), message, "Write a `model` into the agent's file.")
    return {"model": model, "effort": effort}


def _retry(fields: Fields, node: dict[str, Any], report: Report, *, script: bool) -> None:
    """Archon tries a model's node three times if its failure passes by itself, and a script once."""
    retry = fields.mapping("retry")
    if retry is None:
        if not script:
            node["retryPolicy"] = {"maxAttempts": 2, "initialDelay": 3000, "retryableErrors": _RETRIED}
        return
    tries = retry.whole("max_attempts", most=5)
    policy: dict[str, Any] = {"maxAttempts": tries or 1, "initialDelay": retry.whole("delay_ms") or 3000}
    policy["maxDelay"] = policy["initialDelay"] * 2 ** policy["maxAttempts"]
    errors = retry.text("on_error") or "transient"
    if errors == "transient" and not script:
        policy["retryableErrors"] = _RETRIED
    elif errors != "all":
        advice = "Write `on_error: all`, or no retry."
        report.refuse(retry.at("on_error"), "a passing failure of a script cannot be distinguished from others", advice)
    if tries is None:
        report.refuse(retry.at("max_attempts"), "the retry has no max_attempts", "Write a number from 1 to 5.")
    retry.finish(ignored=True)
    node["retryPolicy"] = policy


def _script(fields: Fields, kind: str, made: Made, maker: Maker) -> None:
    report, node, step = maker.report, made.node, made.step
    pointer = fields.at(kind)
    text = fields.text(kind) or ""
    if kind == "bash":
        script, variables = shell.convert(text, made.reader, pointer)
        program = ["bash", "-c", script.rstrip()]
        fields.ignore("with", '"with" has no effect on a bash node')
    else:
        program, variables = _other_language(fields, text, made, maker)
    options = script_options(text, variables, made.reader)
    if made.fills:
        options.append("--fill")
        lacking = [path for path in made.fills if path not in variables.values() and _may_lack(path, made.reader)]
        options += [word for path in lacking for word in ("--optional", path)]
    made.script = [*options, "--", *program]
    if not text.strip():
        report.refuse(pointer, "the script is empty", "Write one.")
    if any(ord(char) < ord(" ") and char not in "\n\t" for char in text):
        report.refuse(pointer, "the script has a control character", "Write it in another way.")
    message = "a program gets few variables of your environment: PATH, HOME, language, proxies"
    report.differs_once("environment", pointer, message, "Name what it needs in `env` of its agent file.")
    step.schema = None
    made.outputs.append({"key": step.key, "schema": {"type": "string"}})
    timeout = fields.whole("timeout") or _SCRIPT_TIMEOUT
    node |= {"task": f"Run {step.name}", "timeout": timeout, "estimatedTime": min(_SHORT, timeout // 3)}
    _retry(fields, node, report, script=True)
    for name in ("runtime", "deps"):
        fields.ignore(name, f'"{name}" has no effect on a bash node')


def script_options(text: str, variables: dict[str, str], reader: Reader) -> list[str]:
    """The options that pass the *variables* of a script."""
    options = [word for name, path in variables.items() for word in ("--env", f"{name}={path}")]
    options += [word for name in shell.EMPTY if name in text for word in ("--set", f"{name}=")]
    return options + [
        word for path in dict.fromkeys(variables.values()) if _may_lack(path, reader) for word in ("--optional", path)
    ]


def _may_lack(path: str, reader: Reader) -> bool:
    """Whether Archon puts in an empty text if the value is not there: a skipped node's, or a declared member's."""
    key, _, member = path.partition(".")
    step = next((one for one in reader.scope.steps.values() if one.key == key), None)
    return not reader.inputs.get(key) or (member != "" and step is not None and step.schema is not None)


def _other_language(fields: Fields, text: str, made: Made, maker: Maker) -> tuple[list[str], dict[str, str]]:
    """A script for bun or uv, written in the workflow or named."""
    report, pointer = maker.report, fields.at("script")
    runtime = fields.text("runtime")
    if runtime not in {"bun", "uv"}:
        report.refuse(fields.at("runtime"), "the script has no runtime", "Write bun or uv.")
    libraries = [word for library in fields.texts("deps") or [] for word in ("--with", library)]
    if libraries and runtime == "bun":
        libraries = []  # bun installs by itself, and Archon passes none
    if "with" in fields:
        fields.refuse("with", "values that are bound by `with` cannot be converted", "Let the script read files.")
    if _INLINE.search(text) is not None:
        variables = shell.environment(text, made.reader, pointer)
        start = ["bun", "--no-env-file", "-e"] if runtime == "bun" else ["uv", "run", *libraries, "python", "-c"]
        return [*start, _code(text, made, pointer)], variables
    file = maker.script_file(text.strip(), runtime or "bun")
    if file is None:
        advice = f"Put it there: .archon/scripts/{text.strip()[:80]}.{'py' if runtime == 'uv' else 'ts'}."
        report.refuse(pointer, f'the project has no script "{text.strip()[:80]}"', advice)
        return ["?"], {}
    path, content = file
    start = ["bun", "--no-env-file", "run"] if path.endswith((".ts", ".js")) else ["uv", "run", *libraries]
    return [*start, path], shell.environment(content, made.reader, pointer)


def _code(text: str, made: Made, pointer: str) -> str:
    """A script in another language with marks for the values that Archon puts into its text."""
    report = made.reader.report
    filled, marks = marked(text, made.reader, pointer, stays=shell.BY_VARIABLE_ALONE)
    if not marks:
        return text.rstrip()
    advice = "Write a bash node that passes the values to the script as variables."
    if (own := _FILLED_IN.search(text)) is not None:
        report.refuse(pointer, f'"{own[0]}" of the script has the form of a value here', advice)
    message = f"{', '.join(marks)}: these values become a part of the script's text, as in Archon, and can run as code"
    report.differs(pointer, message, "Better: a bash node that passes them to the script as variables.")
    made.fills = [mark.strip("{}") for mark in marks]
    return filled.rstrip()


def _approval(fields: Fields, made: Made, maker: Maker) -> None:
    """A gate: a node without work that waits for a yes; a no ends the run."""
    gate = fields.mapping("approval")
    node, step = made.node, made.step
    message = (gate.text("message") if gate is not None else None) or "?"
    pointer = fields.at("approval")
    if gate is not None:
        if gate.flag("capture_response"):
            advice = "Ask by an argument of the command, before the run."
            maker.report.refuse(gate.at("capture_response"), "the words of an answer reach no later node", advice)
        for name in ("decisions", "on_reject"):
            gate.refuse(name, "an approval is answered with yes or no", "Write the node that follows the yes.")
        gate.finish(ignored=True)
    if any(names_output(found) for found in TOKEN.finditer(message)):
        maker.report.refuse(pointer, "no value can be filled into the question of an approval", "Leave it out.")
    said = "a no ends the run as failed, where Archon ends it as cancelled"
    maker.report.differs(pointer, said)
    made.script = ["--", "true"]
    made.outputs.append({"key": step.key, "schema": {"type": "string"}})
    node |= {"task": f"Wait for the answer to {step.name}", "approval": {"message": message}, **_ends_the_run()}


def _cancel(fields: Fields, made: Made) -> None:
    """The end of the run with a reason: a program that fails."""
    pointer = fields.at("cancel")
    reason = fields.text("cancel") or "?"
    text, _ = marked(reason, made.reader, pointer, stays=VARIABLES)
    message = "the run ends as failed with the code STOPPED, where Archon ends it as cancelled"
    fields.report.differs(pointer, message)
    optional = [word for key, needed in made.reader.inputs.items() if not needed for word in ("--optional", key)]
    made.script = [*optional, "--fail", " ".join(text.split())]
    made.outputs.append({"key": made.step.key, "schema": {"type": "string"}})
    made.node |= {"task": f"End the run: {made.step.name}", "estimatedTime": 1000, **_ends_the_run()}


def _ends_the_run() -> dict[str, Any]:
    """A failure of the node stops the run; without work to undo, that is all it does."""
    return {"compensation": {"type": "cascade", "description": "Ends the run"}}
