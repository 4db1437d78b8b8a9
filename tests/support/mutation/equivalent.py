"""Mutants that no test can notice, since they decide the same; each with its reason."""

from __future__ import annotations

_TYPED = "The other part of the condition is there for the type checker alone: it never makes the difference."

EQUIVALENT: dict[str, str] = {
    "admission._admit: plan.inputs and _lacks_inputs(step, node, readiness.missing_keys(step.run, node)) → "
    "_lacks_inputs(step, node, readiness.missing_keys(step.run, node))": "Without inputs no key is missing.",
    "admission._end_phases: if run.open_phases and (not run.drained) → if False": (
        "A short cut: where no phase has ended, nothing follows, and while one is open the run does not end."
    ),
    "admission._writers: other.status is NodeStatus.FAILED and failure is not None → "
    "other.status is NodeStatus.FAILED": "A failed node has its failure. " + _TYPED,
    "admission._start: readiness.put_back(run, node) → pass": (
        "The run stops in the same decision, which clears what is ready; taking it up again makes it ready once more."
    ),
    "retry._fibonacci: one < enough → one <= enough": "Numbers beyond the limit are cut to it.",
    "saga.compensate: step.run.version if node.version is None else node.version → node.version": (
        "Only what has started is undone, and that has a version. " + _TYPED
    ),
    "saga.failure_text: node.compensation_failure.message if node.compensation_failure else 'unknown' → "
    "node.compensation_failure.message": "It is asked about nodes whose undoing has failed. " + _TYPED,
    "decide.check_answer: node is None or not allowed → not allowed": (
        "A node that is not there waits for nothing, so that nothing is allowed. " + _TYPED
    ),
    "decide._wait_due: None if waiting is None else waiting.reason → waiting.reason": (
        "The timer of a node counts only as long as the node waits. " + _TYPED
    ),
    "decide._continue: run.status is RunStatus.RUNNING and run.stop is None → run.stop is None": (
        "A run that goes on, and neither stops nor waits for its locks, is at work."
    ),
    "decide._continue: run.status is RunStatus.RUNNING and run.stop is None → run.status is RunStatus.RUNNING": (
        "A resumed run that stops has no live attempt, so it has ended or is being rolled back by then."
    ),
    "decide._wait_due: waiting is not None and reason is WaitReason.BREAKER → reason is WaitReason.BREAKER": (
        "Without a wait there is no reason. " + _TYPED
    ),
    "losses.repeat: step.emit(ev.NodeCancelled(step.now, name)) → pass": (
        "A commit holds a whole step: a run that stops has asked all of its attempts to end in the same one."
    ),
    "decide._due: outcomes.go_on_stopping(step) → pass": (
        "A node that fails takes the next step of undoing itself; what is asked to end takes it when it has ended."
    ),
    "outcomes.go_on_stopping: if run.undoing → if True (2)": "If nothing is undone, there is nothing to go through.",
    "outcomes._cancel_idle: node.live is None and idle → idle": "A node that waits or is pending has no live attempt.",
    "succession.Readers.of: reader != name and looked is not None and (looked >= ended) → "
    "looked is not None and looked >= ended": "Who asks has the node itself already.",
    "succession._with_nodes_inside: (name, *inside(run, name)) if run.nodes[name].plan.inner else (name,) → "
    "(name, *inside(run, name))": "Nothing is inside of what is no sub-command.",
}
"""By name of the mutant."""
