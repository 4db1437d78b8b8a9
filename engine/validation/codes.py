"""Every code that validation can tell: how bad it is, what it means, where it comes from and what to do.

Pure. The reference in the docs is generated from this table, and each code has a failing and a passing example in the
tests. Which rule finds what is the other modules'.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Whether a command with the problem can run."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Code:
    """One code, as the docs tell it."""

    severity: Severity
    description: str
    cause: str
    fix: str


def _error(description: str, cause: str, fix: str) -> Code:
    return Code(Severity.ERROR, description, cause, fix)


def _warning(description: str, cause: str, fix: str) -> Code:
    return Code(Severity.WARNING, description, cause, fix)


CODES: dict[str, Code] = {
    "SCHEMA": _error(
        "A field is missing, or its value has the wrong type, range or form.",
        "The file does not have the shape of a v2 command.",
        "Give the field a value of the kind that the message names.",
    ),
    "UNKNOWN_FIELD": _error(
        "A field that the format does not have; an error where it is nearly one, else a warning.",
        "A slip of the pen, a field of another object, or a note of your own.",
        "Correct the spelling; begin the names of your own notes with `x-`, or use `$comment`.",
    ),
    "LOCK_PLACEHOLDER": _error(
        "The name of a lock has a placeholder in it.",
        "Nothing is filled into the name of a lock: every run would take the same one.",
        "Name the resource itself, or a part that covers it: `deploy` covers `deploy.staging`.",
    ),
    "NEEDS_NEWER_ENGINE": _error(
        "The command needs a newer version of the format, or a feature that the engine does not have.",
        "The file was written for another engine: `metadata.requirements` says what it needs.",
        "Update the engine, or correct the requirement; `minVersion` is a version of the format.",
    ),
    "DUPLICATE_NODE_ID": _error(
        "Two nodes have one id.",
        "Node ids are unique in the whole command, not only in their phase.",
        "Rename one of them, and the dependencies that mean it.",
    ),
    "DUPLICATE_PHASE_ID": _error(
        "Two phases have one id.", "A phase was copied without a new id.", "Rename one of them."
    ),
    "UNKNOWN_DEPENDENCY": _error(
        "A node depends on an id that no node has.",
        "A typing error, or the node was renamed or removed.",
        "Name a node of this or an earlier phase, or drop the dependency.",
    ),
    "CIRCULAR_DEPENDENCY": _error(
        "Nodes depend on each other in a circle, so none of them can be first.",
        "Each waits for what the others make.",
        "Drop one of the dependencies, or give all of them a new node in common that makes what they share.",
    ),
    "FORWARD_DEPENDENCY": _error(
        "A node depends on a node of a later phase.",
        "Phases run in file order, so the later node cannot come first.",
        "Move one of the two nodes to the other's phase.",
    ),
    "AGENT_NOT_FOUND": _error(
        "No agent has the id that a node or its compensation names.",
        "A typing error, the wrong case or separator, or an agent file that is not there.",
        "Use an id of the list, or add a file to `.claude/agents/`.",
    ),
    "AGENT_UNUSABLE": _error(
        "The agent that a node or its compensation names has a file, and something in it is an error.",
        "A field that cannot be read, or one that would limit the agent and is misspelled, as `allowed-tools`.",
        "Correct the file as the message says.",
    ),
    "INPUT_WITHOUT_PROVIDER": _error(
        "A required input that nothing before the node provides.",
        "No node of an earlier phase, no node it depends on, no initial value and no argument has the key.",
        "Declare the key as an earlier node's output, depend on the node that writes it, or make the input optional.",
    ),
    "OUTPUT_WITHOUT_PROVIDER": _error(
        "A sub-command's node declares an output that nothing inside the sub-command writes.",
        "The key was renamed in the sub-command, or never written.",
        "Name a key that a node of the sub-command writes.",
    ),
    "OUTPUT_CONFLICT": _error(
        "Two nodes that may run in either order write one key, and one of them replaces what is there.",
        "Whichever ends last would win.",
        "Use two keys, a `merge` other than `replace` on both, or a dependency between them.",
    ),
    "TIMEOUT_NOT_ABOVE_ESTIMATE": _error(
        "A node's timeout is not above its estimated time.",
        "The node would be stopped before it is expected to be done.",
        "Raise the timeout to about three times the estimate.",
    ),
    "INVALID_EXPRESSION": _error(
        "A skip condition's expression cannot be read.",
        "It is no expression of its type: a context expression, a path under the project, a command's name.",
        "Correct it at the column that the message names.",
    ),
    "INVALID_TRANSFORM": _error(
        "An input's transform is no JSONPath.",
        "Only RFC 9535 paths without `match` and `search` are taken.",
        "Correct the path; `$.items[0].name` is one.",
    ),
    "INVALID_OUTPUT_SCHEMA": _error(
        "An output's schema is no JSON Schema that can be checked.",
        "A keyword has a value that JSON Schema does not allow.",
        "Correct the schema as the message says.",
    ),
    "UNKNOWN_ROLLBACK_TARGET": _error(
        "A compensation's `rollbackTo` names no node.",
        "A typing error, or the node was renamed.",
        "Name a node of the command, or drop `rollbackTo` to roll back the whole run.",
    ),
    "COMPENSATION_WITHOUT_TASK": _error(
        "A compensation of type rollback or custom says neither in `task` nor in `description` what to do.",
        "An agent has to undo the node, and is told nothing.",
        "Write a `task`.",
    ),
    "UNKNOWN_COMMAND": _error(
        "A node runs a sub-command that is not there.",
        "A typing error, or a command file that is missing or cannot be read.",
        "Let the task be `/name arguments` with the name of a command.",
    ),
    "RECURSIVE_COMMAND": _error(
        "A command runs itself, directly or through its sub-commands.",
        "Sub-commands are unfolded before the run, and this one would never end.",
        "Take the call out of the circle.",
    ),
    "TOO_MANY_NODES": _error(
        "With its sub-commands unfolded, the command is too large to run.",
        "Sub-commands call each other many times, or too deep.",
        "Call sub-commands less often, or split the command.",
    ),
    "DUPLICATE_LOCK": _error(
        "One list of locks names a resource twice.",
        "A lock was copied, or two types were meant.",
        "Keep the stronger one.",
    ),
    "UNKNOWN_BREAKER": _error(
        "A node names a circuit breaker that the settings do not have.",
        "A typing error, or a breaker that was not configured.",
        "Configure it in `.claude/orchestration.toml`, or correct the name.",
    ),
    "MORE_PROBLEMS": _error(
        "There are more problems than are told at once.",
        "One slip may be repeated in every node.",
        "Correct those that are told, and validate again.",
    ),
    "LONG_ESTIMATE": _warning(
        "A node is estimated to take more than an hour.",
        "The estimate is in milliseconds and may have too many zeros, or the node does too much.",
        "Correct it, or split the node.",
    ),
    "TIMEOUT_BELOW_3X": _warning(
        "A timeout is less than three times the estimated time.",
        "A slow but sound attempt would be stopped.",
        "Raise the timeout to three times the estimate.",
    ),
    "PROVIDER_NOT_ANCESTOR": _warning(
        "An input comes from a node of an earlier phase that the node does not depend on.",
        "It works because phases run in order, and breaks when a node is moved.",
        "Add the provider to the dependencies.",
    ),
    "REDUNDANT_DEPENDENCY": _warning(
        "A dependency that another one implies.",
        "The node waits for it anyway, through the other one.",
        "Drop it.",
    ),
    "OVER_SERIALIZED": _warning(
        "A node of a parallel phase depends on another one of it, and reads nothing that it writes.",
        "They could run at the same time.",
        "Drop the dependency, unless the order matters for another reason.",
    ),
    "BROAD_PASSTHROUGH": _warning(
        "A node that others follow is given the whole context.",
        "Large contexts cost memory and attention, and show more than is needed.",
        "Name the inputs that the node needs.",
    ),
    "MISSING_TTL": _warning(
        "An output has no time to live.",
        "Neither the output nor `globalContext.cacheTTL` says how long it is good for.",
        "Set `ttl` in seconds: 300 for temporary data, 3600 for analyses, 7200 for reports.",
    ),
    "TASK_TOO_LONG": _warning(
        "A task has more than 80 characters.",
        "It is shown as a todo, where a long one is hard to read.",
        "Begin with a verb and say the essential; details belong into the agent's file.",
    ),
    "WEAK_ID": _warning(
        "An id that says nothing, such as a1 or task1.",
        "Logs and errors name nodes by their id.",
        "Say what the node does: `unit-tests-backend`.",
    ),
    "PROVIDER_MAY_BE_SKIPPED": _warning(
        "A node needs an input, or gives an output of a sub-command, that only nodes write which may be skipped.",
        "Where the condition holds, nothing writes the value: the node fails (`MISSING_INPUT`, `MISSING_OUTPUT`).",
        'Give the input `"required": false` or a `default`, or give the node the same `skipCondition`.',
    ),
    "DEPRECATED_COMMAND": _warning(
        "The command, or one that it runs, is deprecated.",
        "Its metadata say so.",
        "Use the command that replaces it.",
    ),
    "UNUSED_OUTPUT": _warning(
        "An output that no node reads and that is not kept.",
        "The reader was removed, or spells the key differently.",
        "Read it, keep it with `persist`, or drop it.",
    ),
    "LOCK_ORDER_CYCLE": _warning(
        "Two nodes that can run together name the same locks in opposite orders.",
        "Nodes of one run cannot deadlock, but the habit does between runs.",
        "Name locks in one order everywhere.",
    ),
    "SKEWED_PHASE": _warning(
        "In a parallel phase one node takes longer than all the others together.",
        "The phase is no faster than that node.",
        "Split the node.",
    ),
    "NO_COMPENSATION": _warning(
        "A node with an exclusive lock has no compensation.",
        "It changes something that a failed run should put back.",
        'Add one; `{"type": "none"}` says that nothing is to be undone.',
    ),
}
