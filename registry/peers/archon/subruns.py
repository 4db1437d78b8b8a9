"""Converts a node of Archon that runs another workflow, once or for each item of a list, to a sub-command.

Pure. The other workflow is converted by itself; here only its arguments and its result count.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from registry.peers.archon.nodes import WEEK, Made, Maker, no_model
from registry.peers.archon.scope import TEXT, TOKEN, Reader
from registry.peers.keys import ARGUMENTS

if TYPE_CHECKING:
    from registry.peers.archon.scope import Callers, Child, Scope
    from registry.peers.keys import Step
    from registry.peers.report import Fields

MAX_ITEMS = 10_000
_AT_ONCE = 5
"""Runs at once, if the node does not say how many."""


def make(fields: Fields, step: Step, scope: Scope, maker: Maker) -> Made:
    """The node with *fields*, except for its order."""
    made = Made(step, Reader(scope, step, maker.report), {"id": step.name, "agentId": "command", "task": "/"})
    description = fields.text("description")
    if description is not None:
        made.node["x-description"] = description
    fields.ignore("output_format", "the output is that of the other workflow, with its schema")
    no_model(fields)
    for name in ("retry", "always_run", "output_type"):
        fields.refuse(name, f'"{name}" of another workflow cannot be converted', "Write it in that workflow.")
    if fields.text("isolation") == "worktree":
        fields.report.refuse(fields.at("isolation"), "a sub-command works in the project", "Isolate its agents.")
    pointer = fields.at("workflow")
    name = fields.text("workflow") or "?"
    child = maker.callers.find(name)
    if child is None or not child.key:
        why = "is not in .archon/workflows" if child is None else "does not say which node has its result"
        advice = "Put it there." if child is None else "Write `returns` there."
        fields.report.refuse(pointer, f'the workflow "{name[:80]}" {why}', advice)
        for left in fields.names():
            if left not in {"when", "trigger_rule"}:
                fields.take(left)
        return made
    if not child.sure:
        message = f'the node with the result of "{name[:80]}" may be skipped, and the result is then empty in Archon'
        fields.report.refuse(pointer, message, "Let that node run always: by `trigger_rule`, without `when`.")
    if child.key != step.key and not scope.arguments.keys.take(child.key):
        message = f'the result of "{name[:80]}" is called "{child.key}", as another output here'
        fields.report.refuse(pointer, message, "Rename that node.")
    step.key, step.schema = child.key, child.schema
    message = "a failed node in the other workflow fails this one if its result is missing, and in Archon always"
    fields.report.differs_once("failed inside", pointer, message)
    made.node |= {"task": child.command, "timeout": WEEK}
    given = _given(fields, made, child, maker.callers)
    each = _for_each(fields, made, child, maker.callers)
    _arguments(fields, made, child, {*given, *([each["as"]] if each else [])})
    output: dict[str, Any] = {"key": step.key, "schema": child.schema or {"type": "string"}}
    made.outputs.append(output)
    if each:
        made.node["forEach"] = each
        step.schema = {"type": "array"}
    return made


def _given(fields: Fields, made: Made, child: Child, callers: Callers) -> set[str]:
    """The context keys of the values that the node passes by name."""
    values = fields.mapping("with")
    given = set()
    for name in values.names() if values is not None else []:
        key = child.declared.get(name)
        value = values.take(name) if values is not None else None
        at = fields.at("with", name)
        if key is None or (isinstance(value, str) and TOKEN.search(value)):
            why = "is not an input of the other workflow" if key is None else "is not known before the run"
            fields.report.refuse(at, f'the value of "{name[:80]}" {why}', "Write the value itself.")
        elif key in callers.initial or not made.reader.scope.arguments.keys.take(key):
            fields.report.refuse(at, f'"{key}" is the name of another value here', "Rename the input.")
        else:
            callers.initial[key] = value
            given.add(key)
            made.reader.inputs[key] = True
            made.reader.scope.pass_in(key, required=True)
    return given


def _for_each(fields: Fields, made: Made, child: Child, callers: Callers) -> dict[str, Any] | None:
    """The forEach of a node that runs the workflow for each item."""
    fan = fields.mapping("fan_out")
    if fan is None:
        return None
    each: dict[str, Any] = {"items": _items(fan, made, callers), "as": ARGUMENTS, "maxItems": MAX_ITEMS}
    named = fan.text("as")
    if named is not None:
        each["as"] = child.declared.get(named, "item")
        if named not in child.declared or ARGUMENTS in child.arguments:
            message = f'the other workflow does not take an item as "{named[:80]}" alone'
            fields.report.refuse(fan.at("as"), message, "Declare that input there, and read nothing else.")
    each["maxParallelism"] = fan.whole("max_parallel") or _AT_ONCE
    join = fan.text("join") or "all_done"
    if join == "all_done":
        each["continueOnError"] = True
        message = "a failed item leaves nothing in the list, and the node fails if all fail; Archon puts a mark there"
        fields.report.differs(fan.pointer, message, "Look at the steps that read the list.")
    elif join != "all_success":
        fields.report.refuse(fan.at("join"), f'"{join[:40]}" is not a join', "Write all_done or all_success.")
    fan.finish(ignored=True)
    return each


def _items(fan: Fields, made: Made, callers: Callers) -> str:
    """The context key of the list."""
    text = (fan.text("items") or "").strip()
    pointer = fan.at("items")
    found = TOKEN.fullmatch(text)
    if found is None or found["node"] is None:
        key = f"{made.step.key}_items"
        try:
            items = json.loads(text)
        except ValueError:
            items = None
        if not isinstance(items, list):
            fan.report.refuse(pointer, "the items are neither a list nor an output", "Write $node.output.field.")
        callers.initial[key] = items
        made.reader.inputs[key] = True
        made.reader.scope.pass_in(key, required=True)
        return key
    step = made.reader.step_of(found["node"], pointer)
    if step is None:
        return "?"
    outside = step.name not in made.reader.scope.steps
    if step.schema is None and found["field"] is None:
        step.listed = True
        key, rest = step.list_key, ""
    else:
        key, rest = step.key, found["field"] or ""
        kind = step.declared(rest) if rest else step.schema
        if kind is None or kind.get("type") != "array":
            fan.report.refuse(pointer, f'"{text[:80]}" is not declared as an array', "Declare it in output_format.")
    made.reader.inputs[key] = True
    if rest:
        made.transforms[key] = f"$.{rest}"
    if outside:
        made.reader.scope.pass_in(key, required=True)
    return key


def _arguments(fields: Fields, made: Made, child: Child, given: set[str]) -> None:
    """Pass on the variables and the text of the run."""
    arguments = made.reader.scope.arguments
    text = (fields.text("input") or "").strip()
    found = TOKEN.fullmatch(text)
    whole = found is not None and found["word"] in TEXT
    if ARGUMENTS in child.arguments and ARGUMENTS not in given:
        if text and not whole:
            message = "the input of another workflow can only be the whole $ARGUMENTS"
            fields.report.refuse(fields.at("input"), message, "Let that workflow declare `inputs`, and write `with`.")
        if whole:
            given.add(arguments.variable("ARGUMENTS", fields.at("input")))
            made.reader.inputs[ARGUMENTS] = True
            made.reader.scope.pass_in(ARGUMENTS, required=True)
    elif text:
        fields.report.differs(fields.at("input"), "the other workflow does not read its input", "Remove it.")
    for key, one in child.arguments.items():
        if key in given or key == ARGUMENTS:
            continue
        word = arguments.word_of(key)
        if word is not None:
            message = "in Archon the other workflow has a folder and an id of its own; here it gets those of this one"
            fields.report.differs_once("own folder", fields.pointer, message)
            made.reader.inputs[arguments.variable(word, fields.pointer)] = True
            made.reader.scope.pass_in(key, required=True)
        elif one.get("required"):
            fields.report.refuse(fields.pointer, f'the other workflow needs "{one["name"]}"', "Pass it by `with`.")
