"""The inputs of a run: arguments bound to the context.

Pure. SPEC 3 and INTERFACE "Arguments". `service` starts the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.conditions import ConditionError, parse
from engine.errors import InputError
from engine.ids import ANY
from engine.json.values import json_problem
from engine.model.plan import SkipType
from engine.values.context import fill_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.agent import Agent
    from engine.model.plan import NodePlan, Plan

_INSTANCE = f"/{ANY}"
ARGUMENTS = "$ARGUMENTS"
"""In a text: the argument text of the run."""


def initial_context(plan: Plan, text: str) -> dict[str, Any]:
    """The initial context of *plan*: `$ARGUMENTS` in a text is replaced, as in tasks.

    In a sub-command it is the sub-command's own argument text, which in turn may hold the run's.
    """
    scoped = {
        key: fill_arguments(value, text)
        for key, value in plan.initial.items()
        if key.endswith("/arguments") and isinstance(value, str)
    }

    def filled(key: str, value: object) -> object:
        if key in scoped or not isinstance(value, str):
            return scoped.get(key, value)
        scope = key.rpartition("/")[0]
        return fill_arguments(value, scoped.get(f"{scope}/arguments", "") if scope else text)

    context = {key: filled(key, value) for key, value in plan.initial.items()}
    for key, default in plan.fallbacks.items():
        if not str(context[key]).strip():
            del context[key]
            if default:
                context[key] = default[0]
    return context


def bind_arguments(plan: Plan, arguments: str | Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    """Context values and argument text of a run (SPEC 3). Raises `InputError` for missing, unknown or unusable ones.

    A text is the key `arguments`, and also the command's argument if it declares exactly one.
    """
    given: dict[str, Any] = {"arguments": arguments} if isinstance(arguments, str) else dict(arguments or {})
    text = given.get("arguments", "")
    if not isinstance(text, str) or given.keys() - {"arguments"}:
        text = " ".join(f"{key}={value}" for key, value in given.items())
    for name, value in given.items():
        problem = json_problem(value)
        if problem is not None:
            raise InputError(f'argument "{name}" is not JSON: {problem}', code="INVALID_ARGUMENT")
    _check_known(plan, given)
    whole = given.get("arguments")
    if len(plan.arguments) == 1 and isinstance(whole, str) and whole.strip():
        given.setdefault(plan.arguments[0].name, whole.strip())
    for argument in plan.arguments:
        if argument.name not in given:
            if argument.required:
                raise InputError(
                    f'{plan.command} needs the argument "{argument.name}"',
                    code="MISSING_ARGUMENT",
                    hint=f"Pass it with --arg {argument.name}=….",
                    client_hint=f'Pass it in `arguments`: {{"{argument.name}": …}}.',
                )
            if argument.has_default:
                given[argument.name] = argument.default
    return given, text


def _check_known(plan: Plan, given: Mapping[str, Any]) -> None:
    """Raise `InputError` (UNKNOWN_ARGUMENT) for an argument that nothing in *plan* uses."""
    unknown = given.keys() - {"arguments", *(argument.name for argument in plan.arguments)}
    unknown -= {key for key in unknown if key in plan.initial}
    if unknown:
        unknown -= _keys_read(plan)
    if not unknown:
        return
    from engine.text.suggestions import Names  # noqa: PLC0415 - for errors only

    declared = Names([*(argument.name for argument in plan.arguments), *sorted(_keys_read(plan))])
    loose = _reads_all(plan)
    for name in sorted(unknown):
        question = declared.question(name)
        if loose and question is None:
            continue
        names = ", ".join(f'"{argument.name}"' for argument in plan.arguments)
        raise InputError(
            f'{plan.command} has no argument "{name}", and no node reads a value of that name',
            code="UNKNOWN_ARGUMENT",
            hint=question or (f"Its arguments are {names}." if names else "It declares no arguments."),
        )


def _keys_read(plan: Plan) -> set[str]:
    """Names that nodes of the command itself read: inputs, and names in skip conditions."""
    found: set[str] = set()
    for node in plan.nodes:
        if node.scope:
            continue
        found |= {spec.key for spec in node.inputs}
        if node.skip is not None and node.skip.type is SkipType.CONTEXT:
            found |= parse(node.skip.expression).names
    return found


def _reads_all(plan: Plan) -> bool:
    """Whether anything in *plan* receives all values, or the arguments as a text."""
    texts = [
        *(value for value in plan.initial.values() if isinstance(value, str)),
        *(node.task for node in plan.with_templates()),
    ]
    texts += [node.compensation.task for node in plan.with_templates() if node.compensation is not None]
    nodes = [node for node in plan.nodes if not node.scope]
    custom = any(node.skip is not None and node.skip.type is SkipType.CUSTOM for node in nodes)
    return custom or any(node.passthrough for node in nodes) or any(ARGUMENTS in text for text in texts)


def working_agents(plan: Plan, given: Mapping[str, Any]) -> list[Agent]:
    """The agents that may work in a run of *plan*: all but those of nodes that its arguments, *given*, surely skip.

    In a sub-command, its own arguments decide, as far as they are in the file.
    """
    nodes = [*plan.with_templates()]
    asking = [node for node in nodes if node.skip is not None and node.skip.type is SkipType.CONTEXT]
    known = {scope: _known(plan, nodes, scope, given) for scope in {node.scope for node in asking}}
    skipped = [node.id for node in asking if _skips(node, known[node.scope])]
    if not skipped:
        return [*plan.agents.values()]
    idle = tuple(f"{name}/" for name in skipped)
    workers: set[str] = set()
    for node in nodes:
        if not f"{node.id}/".startswith(idle):
            workers |= {node.worker(undo=False), node.worker(undo=True)}
    return [agent for name, agent in plan.agents.items() if name in workers]


def resumed_agents(plan: Plan, executor: str) -> list[Agent]:
    """The agents that may work in a run of *plan* that began with *executor*: no model, if there was no need of one."""
    return [one for one in plan.agents.values() if executor != "native" or not one.kind.traits.needs_model]


def _known(plan: Plan, nodes: Sequence[NodePlan], scope: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values that nodes of *scope* surely see, from the first to the last: no output or input changes them."""
    changing = {output.key for node in nodes if node.output_scope == scope for output in node.outputs}
    if not scope:
        return {name: value for name, value in given.items() if name not in changing}
    around = {scope[:-1], scope[:-1].removesuffix(_INSTANCE)}  # an instance sees what its list or loop has bound
    for group in (node for node in nodes if node.id in around):
        changing |= {spec.key for spec in group.inputs} | {*group.names}
        changing |= {"arguments", *group.argument} if group.call else set()
    own = ((key[len(scope) :], value) for key, value in plan.initial.items() if key.startswith(scope))
    return {
        name: value
        for name, value in own
        if name not in changing and scope + name not in plan.fallbacks and ARGUMENTS not in str(value)
    }


def _skips(node: NodePlan, known: Mapping[str, Any]) -> bool:
    """Whether what is *known* alone decides that *node* is skipped."""
    assert node.skip is not None  # noqa: S101 - the caller has looked
    condition = parse(node.skip.expression)
    if not condition.names or condition.names - known.keys() or condition.names & {*node.names}:
        return False
    try:
        return condition.evaluate(known)
    except ConditionError:
        return False  # it fails the node when that is due
