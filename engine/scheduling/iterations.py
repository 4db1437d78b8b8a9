"""The instances of a node: how many it may have, and whether a loop begins another iteration.

Pure. `admission` starts the instances. Everything else about them follows from their being nodes in phases of a group,
as those of a sub-command are.

Theory of operation
===================

**The problem.** Whether a loop goes on depends on values, which no rule reads; and its process may die between the end
of an iteration and the decision about the next.

**The idea.** Folding the end of a loop's last phase notes the loop in `run.judging`. As long as it is there, `judge`
wants the values of its condition, and decides on them one of four things: the condition holds, and the loop is
completed; nothing has changed, or all iterations are used, and it fails or is completed all the same; or the next
iteration is opened. Each of these takes it out of `run.judging`. A resumed loop without an open phase is noted there
again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from engine import conditions
from engine.errors import InputError
from engine.ids import NodeId
from engine.model.plan import MAX_NODES
from engine.model.policy import Failure, FailureKind
from engine.run import events as ev
from engine.run.events import WaitReason
from engine.run.signals import ReportOutcome
from engine.scheduling import outcomes, readiness
from engine.text.cut import cut
from engine.text.redaction import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.plan import NodePlan, Repeat
    from engine.run.events import ValueRef
    from engine.run.made import Ref
    from engine.run.signals import SupplyObservations
    from engine.run.state import NodeState, Run
    from engine.scheduling.step import Step

_json = msgspec.json.Encoder()
MAX_SHOWN_LENGTH = 300
"""Characters of a value that a failure shows."""
MAX_LACKED_LENGTH = 120
"""Characters of the values that are kept of an iteration after which the condition did not hold."""


def too_many(run: Run, plan: NodePlan, count: int) -> Failure | None:
    """The failure of a node that cannot have *count* more instances; None if it can."""
    size = len(plan.template.nodes) if plan.template is not None else 0
    total = len(run.nodes) + count * size
    if total <= MAX_NODES:
        return None
    message = f'Node "{plan.id}" would bring the run to {total} nodes; at most {MAX_NODES} are possible'
    return Failure(
        FailureKind.VALIDATION, "TOO_MANY_NODES", message, "Split the list, or run the command several times."
    )


def about(observations: SupplyObservations) -> str:
    """The items that an approval is about, behind its question."""
    count = len(observations.items)
    if not observations.first:
        return ""
    more = f", and {count - len(observations.first)} more" if count > len(observations.first) else ""
    return f" ({count} item{'s' if count > 1 else ''}: {', '.join(observations.first)}{more})"


def count_of(run: Run, plan: NodePlan) -> str:
    """The same for a list that is known already."""
    if plan.each is None or plan.id not in run.unfolded:
        return ""
    count = run.unfolded[plan.id].count
    return f" ({count} item{'s' if count > 1 else ''})"


def begin(step: Step, node: NodeState) -> bool:
    """Open the first iteration of a loop; False if the run has too many nodes, which has failed it."""
    failure = too_many(step.run, node.plan, 1)
    if failure is None:
        step.emit(ev.IterationOpened(step.now, node.plan.id, 1))
        return True
    outcomes.attempt_ended(step, ReportOutcome(node.plan.id, len(node.attempts), {}, failure))
    return False


def judge(step: Step) -> bool:
    """Decide whether a loop goes on; False if the values of its condition have to be fetched first."""
    run = step.run
    name = next(iter(run.judging))
    node = run.nodes[name]
    observations = step.observations
    if observations is None or observations.node != name:
        step.wants = name
        return False
    step.observations = None
    loop = node.plan.loop
    assert loop is not None  # noqa: S101 - the fold has seen it
    failure = _verdict(run, node, loop, observations)
    if isinstance(failure, Failure):
        tolerated = loop.tolerant and failure.code in {"NOT_CONVERGED", "NO_PROGRESS"}
        if tolerated:
            _complete(step, node, warning=failure.message)
        else:
            outcomes.attempt_ended(step, ReportOutcome(name, len(node.attempts), {}, failure))
    elif failure:
        _complete(step, node)
    else:
        _open_next(step, node, loop, _lacked(observations.values))
    return True


def _verdict(run: Run, node: NodeState, loop: Repeat, observations: SupplyObservations) -> Failure | bool:
    """Whether the loop is over: true, because its condition holds; a failure, because it goes on in vain."""
    name, shape = node.plan.id, run.unfolded[node.plan.id]
    count = shape.count
    if observations.failure is not None:
        return observations.failure
    condition = conditions.parse(loop.until, strict=True)
    for output in node.plan.outputs:
        if output.key in condition.names and not written(run, name, output.key, count):
            message = f'Iteration {count} of node "{name}" wrote no "{output.key}", which `until` reads'
            return Failure(FailureKind.VALIDATION, "MISSING_OUTPUT", message)
    try:
        holds = condition.evaluate(observations.values)
    except InputError as error:
        return Failure(FailureKind.ERROR, error.code, f"until: {error.message}", error.hint)
    if holds:
        return True
    return _in_vain(run, node, loop, observations.values)


def _in_vain(run: Run, node: NodeState, loop: Repeat, values: Any) -> Failure | bool:  # noqa: ANN401 - JSON by key
    name, shape = node.plan.id, run.unfolded[node.plan.id]
    count = shape.count
    if loop.unchanged and count > 1 and count != shape.exhausted:
        now, before = ([written(run, name, key, number) for key in loop.unchanged] for number in (count, count - 1))
        if now == before:
            keys = ", ".join(f'"{key}"' for key in loop.unchanged)
            message = f'Iterations {count - 1} and {count} of node "{name}" returned the same {keys}{_seen(values)}'
            return Failure(FailureKind.ERROR, "NO_PROGRESS", message)
    if count >= shape.exhausted + loop.max_iterations:
        message = f'Node "{name}" had {count} iterations without `{loop.until}`{_seen(values)}'
        hint = "Raise `maxIterations`, or retry the run from its failed nodes for as many more."
        return Failure(FailureKind.ERROR, "NOT_CONVERGED", message, hint)
    return too_many(run, node.plan, 1) or False


def written(run: Run, name: NodeId, key: str, number: int) -> list[Ref]:
    """The contributions of iteration *number* of *name* to *key*."""
    writer = f"{name}/{number}"
    found: list[Ref] = []
    for part in reversed(run.context.get(f"{name}/{key}", ())):  # those of the last iterations are at the end
        if part.node == writer:
            found.append(part.ref)
        elif found:
            break
    return found


def _complete(step: Step, node: NodeState, *, warning: str = "") -> None:
    run, plan = step.run, node.plan
    missing = [
        output.key
        for output in plan.outputs
        if output.required and not readiness.has_value(run, f"{plan.id}/", output.key)
    ]
    if missing:
        message = f'No iteration of node "{plan.id}" wrote its output "{missing[0]}"'
        failure = Failure(FailureKind.VALIDATION, "MISSING_OUTPUT", message)
        outcomes.attempt_ended(step, ReportOutcome(plan.id, len(node.attempts), {}, failure))
        return
    outputs: dict[str, ValueRef] = {}
    warnings = (warning,) if warning else ()
    number = len(node.attempts)
    step.emit(ev.AttemptSucceeded(step.now, plan.id, number, outputs, None, (), warnings, exhausted=bool(warning)))
    outcomes.go_on_stopping(step)


def _open_next(step: Step, node: NodeState, loop: Repeat, lacked: str) -> None:
    name = node.plan.id
    number = step.run.unfolded[name].count + 1
    step.emit(ev.IterationOpened(step.now, name, number, at_once=not loop.interval, lacked=lacked))
    if loop.interval:
        until = step.now + loop.interval
        step.emit(ev.NodeWaiting(step.now, NodeId(f"{name}/{number}"), WaitReason.INTERVAL, until))
        step.emit(ev.PhaseOpened(step.now, node.plan.inner[-1]))


def _lacked(values: Mapping[str, Any]) -> str:
    """The values that the condition has looked at, on a short line without secrets."""
    shown = [
        f"{key} = {msgspec.json.format(_json.encode(value), indent=0).decode()}"
        for key, value in sorted(values.items())
        if key != "iteration"
    ]
    return one_line(", ".join(shown), limit=MAX_LACKED_LENGTH) if shown else ""


def _seen(values: Mapping[str, Any]) -> str:
    """The values that the condition has looked at, one a line."""
    return "".join(
        f"\n{key} = {cut(json.dumps(value, ensure_ascii=False), MAX_SHOWN_LENGTH)}"
        for key, value in sorted(values.items())
    )
