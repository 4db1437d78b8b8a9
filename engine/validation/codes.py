"""Every code that validation can report: its severity, meaning, cause and fix.

Pure. The reference in the docs is generated from this table, and each code has a failing and a passing example in the
tests. The other modules hold the rules that report them.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """Whether a command with the problem can run: errors prevent it, warnings do not."""

    ERROR = "error"
    WARNING = "warning"


class Code(msgspec.Struct, frozen=True):
    """One code, as the docs describe it."""

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
        "A field that the format does not have: an error if it resembles a known one, otherwise a warning.",
        "A typing error, a field of another object, or a note of your own.",
        "Correct the spelling; start the names of your own notes with `x-`, or use `$comment`.",
    ),
    "LOCK_PLACEHOLDER": _error(
        "The name of a lock has a placeholder in it.",
        "Placeholders in lock names are not filled in: every run would take the same lock.",
        "Name the resource itself, or a part that covers it: `deploy` covers `deploy.staging`.",
    ),
    "NEEDS_NEWER_ENGINE": _error(
        "The command needs a newer version of the format, or a feature that the engine does not have.",
        "The file was written for another engine: `metadata.requirements` says what it needs.",
        "Update the engine, or correct the requirement; `minVersion` is a version of the format.",
    ),
    "DUPLICATE_NODE_ID": _error(
        "Two nodes have the same id.",
        "Node ids are unique in the whole command, not only in their phase.",
        "Rename one of them, and the dependencies that refer to it.",
    ),
    "DUPLICATE_PHASE_ID": _error(
        "Two phases have the same id.", "A phase was copied without a new id.", "Rename one of them."
    ),
    "UNKNOWN_DEPENDENCY": _error(
        "A node depends on an id that no node has.",
        "A typing error, or the node was renamed or removed.",
        "Name a node of this or an earlier phase, or drop the dependency.",
    ),
    "CIRCULAR_DEPENDENCY": _error(
        "Nodes depend on each other in a circle, so none of them can start.",
        "Each waits for the result of another.",
        "Drop one of the dependencies, or let all of them depend on a new node that produces what they share.",
    ),
    "FORWARD_DEPENDENCY": _error(
        "A node depends on a node of a later phase.",
        "Phases run in file order, so the later node cannot come first.",
        "Move one of the nodes to the phase of the other.",
    ),
    "AGENT_NOT_FOUND": _error(
        "No agent has the id that a node or its compensation names.",
        "A typing error, the wrong case or separator, or a missing agent file.",
        "Use an id from the list, or add a file to `.claude/agents/`.",
    ),
    "AGENT_UNUSABLE": _error(
        "The agent that a node or its compensation names has a file with an error in it.",
        "A field that cannot be read, or a misspelled one that would limit the agent, such as `allowed-tools`.",
        "Correct the file as the message says.",
    ),
    "INPUT_WITHOUT_PROVIDER": _error(
        "A required input that nothing before the node provides.",
        "No node of an earlier phase, no dependency, no initial value and no argument provides the key.",
        "Declare the key as an earlier node's output, depend on the node that writes it, or make the input optional.",
    ),
    "OUTPUT_WITHOUT_PROVIDER": _error(
        "A sub-command's node declares an output that nothing inside the sub-command writes.",
        "The key was renamed in the sub-command, or never written.",
        "Name a key that a node of the sub-command writes.",
    ),
    "OUTPUT_CONFLICT": _error(
        "Two nodes that may run in either order write the same key, and one of them replaces its value.",
        "The node that ends last would win.",
        "Use two keys, a `merge` other than `replace` on both, or a dependency between them.",
    ),
    "MERGE_TYPE": _error(
        "An output is joined by `concat` or `merge`, and its schema has another type than these join.",
        "The joining was copied from another output: `concat` is for lists and texts, `merge` for objects.",
        "Use `append`, or correct the schema.",
    ),
    "TIMEOUT_NOT_ABOVE_ESTIMATE": _error(
        "A node's timeout is not above its estimated time.",
        "The node would be stopped before it is expected to finish.",
        "Raise the timeout to about three times the estimate.",
    ),
    "INVALID_EXPRESSION": _error(
        "A skip condition's expression cannot be read.",
        "It does not fit its type: a context expression, a path in the project, a command's name.",
        "Correct it at the column that the message names.",
    ),
    "INVALID_TRANSFORM": _error(
        "An input's transform is not a valid JSONPath.",
        "Only RFC 9535 paths without `match` and `search` are accepted.",
        "Correct the path; `$.items[0].name` is an example.",
    ),
    "INVALID_OUTPUT_SCHEMA": _error(
        "An output's schema is not a valid JSON Schema.",
        "A keyword has a value that JSON Schema does not allow.",
        "Correct the schema as the message says.",
    ),
    "UNKNOWN_ROLLBACK_TARGET": _error(
        "A compensation's `rollbackTo` names a node that does not exist.",
        "A typing error, or the node was renamed.",
        "Name a node of the command, or drop `rollbackTo` to roll back the whole run.",
    ),
    "COMPENSATION_WITHOUT_TASK": _error(
        "A compensation of type rollback or custom has neither a `task` nor a `description`.",
        "The agent that undoes the node needs to know what to do.",
        "Write a `task`.",
    ),
    "ITEMS_NOT_A_LIST": _error(
        "The list of a forEach is not an input of its node, or not a list.",
        "A typing error in `items`, or a provider whose schema or value is something else.",
        'Name an input whose value is a list; give its provider a `schema` with `"type": "array"`.',
    ),
    "UNKNOWN_OUTPUT": _error(
        "A loop compares an output that its node does not declare.",
        "A typing error, or an output that was renamed.",
        "Name outputs of the node in `stopWhenUnchanged`.",
    ),
    "UNKNOWN_PLACEHOLDER": _error(
        "A placeholder is nearly one of an item, a `number` or an `iteration`, or is where nothing is filled in.",
        "A typing error, a path such as `.a-b` or `.0`, or a placeholder in a condition or an approval.",
        "Correct it, or write `$${name}` for the text itself.",
    ),
    "NAME_CLASH": _error(
        "An item, its `number` or an `iteration` has the name of an input or output of its node.",
        "Both would be found under one key.",
        "Rename the input or output, or choose another name for the item by `as`.",
    ),
    "UNKNOWN_COMMAND": _error(
        "A node runs a sub-command that does not exist.",
        "A typing error, or a command file that is missing or cannot be read.",
        "Write the task as `/name arguments` with the name of a command.",
    ),
    "RECURSIVE_COMMAND": _error(
        "A command runs itself, directly or through its sub-commands.",
        "Sub-commands are unfolded before the run, which would never end here.",
        "Remove one of the nodes that close the circle.",
    ),
    "TOO_MANY_NODES": _error(
        "With its sub-commands unfolded, the command is too large to run.",
        "Commands run sub-commands many times, or nest them too deeply.",
        "Run sub-commands less often, or split the command.",
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
        "There are more problems than are listed at once.",
        "One slip may be repeated in every node.",
        "Correct the listed ones and validate again.",
    ),
    "LONG_ESTIMATE": _warning(
        "A node is estimated to take more than an hour.",
        "The estimate is in milliseconds and may have too many zeros, or the node does too much.",
        "Correct it, or split the node.",
    ),
    "TIMEOUT_BELOW_3X": _warning(
        "A timeout is less than three times the estimated time.",
        "A slow but healthy attempt would be stopped.",
        "Raise the timeout to three times the estimate.",
    ),
    "PROVIDER_NOT_ANCESTOR": _warning(
        "An input comes from a node of an earlier phase that the node does not depend on.",
        "It works because phases run in order, but breaks when a node is moved.",
        "Add the provider to the dependencies.",
    ),
    "REDUNDANT_DEPENDENCY": _warning(
        "A dependency that another one implies.",
        "The node waits for it anyway, through the other one.",
        "Drop it.",
    ),
    "ITEMS_WITHOUT_SCHEMA": _warning(
        "The list of a forEach is written by a node whose output has no schema.",
        "A model may answer with a text, and the node then fails (`ITEMS_NOT_A_LIST`).",
        'Give the output a `schema` with `"type": "array"`.',
    ),
    "COLLECTION_AS_VALUE": _error(
        "A transform or a condition reads a member of the list of what all items of a forEach gave.",
        "Outputs of a forEach are collections: its `schema` is that of the value of one item.",
        "Name an item (`results[0].passed`), or give the forEach a `key` and name it (`results.a`).",
    ),
    "WILDCARD_ITEMS": _warning(
        "The list of a forEach is selected by a transform that finds any number of values.",
        "Where the list is missing, it finds an empty one, and nothing is done.",
        "Name the list itself, such as `$.files`: if it is missing, the node then fails.",
    ),
    "UNTIL_UNCERTAIN": _warning(
        "The condition of a loop reads nothing that an iteration changes, or a member that may be missing.",
        "It reads only inputs, or an output whose schema does not require the member.",
        "Read an output, and give it a `schema` that requires each member: a missing one fails the node.",
    ),
    "OVER_SERIALIZED": _warning(
        "A node of a parallel phase depends on another node of that phase but reads none of its outputs.",
        "They could run at the same time.",
        "Drop the dependency, unless the order matters for another reason.",
    ),
    "BROAD_PASSTHROUGH": _warning(
        "A node that others follow receives the whole context.",
        "Large contexts cost memory and attention, and expose more than the node needs.",
        "Name the inputs that the node needs.",
    ),
    "MISSING_TTL": _warning(
        "An output has no time to live.",
        "Neither the output nor `globalContext.cacheTTL` says how long it is valid.",
        "Set `ttl` in seconds: 300 for temporary data, 3600 for analyses, 7200 for reports.",
    ),
    "TASK_TOO_LONG": _warning(
        "A task has more than 80 characters.",
        "It is shown as a todo, where a long one is hard to read.",
        "Begin with a verb and keep to the essentials; details belong in the agent's file.",
    ),
    "WEAK_ID": _warning(
        "An id that does not describe the node, such as a1 or task1.",
        "Logs and errors name nodes by their id.",
        "Say what the node does: `unit-tests-backend`.",
    ),
    "PROVIDER_MAY_BE_SKIPPED": _warning(
        "Only nodes that may be skipped write a required input, or an output of a sub-command.",
        "If the condition holds, nothing writes the value and the node fails (`MISSING_INPUT`, `MISSING_OUTPUT`).",
        'Give the input `"required": false` or a `default`, or give the node the same `skipCondition`.',
    ),
    "DEPRECATED_COMMAND": _warning(
        "The command, or one that it runs, is deprecated.",
        "Its metadata says so.",
        "Use the command that replaces it.",
    ),
    "UNUSED_OUTPUT": _warning(
        "An output that no node reads and that is not kept.",
        "The reader was removed, or spells the key differently.",
        "Read it, keep it with `persist`, or drop it.",
    ),
    "LOCK_ORDER_CYCLE": _warning(
        "Two nodes that can run together name the same locks in opposite orders.",
        "Nodes of one run cannot deadlock this way, but separate runs can.",
        "Name locks in one order everywhere.",
    ),
    "SKEWED_PHASE": _warning(
        "In a parallel phase one node takes longer than all the others together.",
        "The phase takes as long as that node.",
        "Split the node.",
    ),
    "NO_COMPENSATION": _warning(
        "A node with an exclusive lock has no compensation.",
        "It changes something that a failed run should put back.",
        'Add one; `{"type": "none"}` says that there is nothing to undo.',
    ),
}
