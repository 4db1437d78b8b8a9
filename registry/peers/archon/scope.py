"""The values that texts of an Archon workflow name: outputs of other nodes, variables of the run, inputs.

Pure. A text is converted once for each node; what it names becomes an input of that node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from registry.peers.keys import ARGUMENTS, Keys, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.peers.report import Report

TOKEN = re.compile(
    r"\$LOOP_PREV\.(?P<previous>[A-Za-z_][\w-]*)(?:\.output(?:\.\w+)?)?"
    r"|\$INPUTS\.(?P<input>[A-Za-z_][\w-]*)"
    r"|\$(?P<node>[A-Za-z_][\w-]*)\.output(?:\.(?P<field>[A-Za-z_]\w*))?"
    r"|\$(?P<word>ARGUMENTS|USER_MESSAGE|ARTIFACTS_DIR|STATE_DIR|BASE_BRANCH|DOCS_DIR|WORKFLOW_ID|LOOP_USER_INPUT"
    r"|LOOP_PREV_OUTPUT|REJECTION_REASON|(?:EXTERNAL_CONTEXT|ISSUE_CONTEXT|CONTEXT)(?![A-Za-z0-9_]))",
    re.ASCII,
)
_MARK = re.compile(r"\{\{[\w.]+\}\}")
_SAME = {"USER_MESSAGE": "ARGUMENTS", "EXTERNAL_CONTEXT": "ISSUE_CONTEXT", "CONTEXT": "ISSUE_CONTEXT"}
PREVIOUS = "LOOP_PREV_OUTPUT"
"""The variable of a loop with the output of the turn before."""
TEXT = frozenset({"ARGUMENTS", "USER_MESSAGE"})
"""Variables with the text of the run, which Archon leaves alone in the text of a script."""
_EMPTY = frozenset({"LOOP_USER_INPUT", "REJECTION_REASON"})
"""Variables that only an interactive loop or a rejected approval fills; both are refused."""
_ABOUT = {
    "ARTIFACTS_DIR": "A folder for the files of this run; it has to exist",
    "STATE_DIR": "A folder for files that all runs of the project share; it has to exist",
    "LOG_DIR": "A folder for the logs of this run; it has to exist",
    "BASE_BRANCH": "The branch that the work starts from",
    "WORKFLOW_ID": "A name for this run, other than that of any other",
}
_DEFAULTS = {"DOCS_DIR": "docs/", "ISSUE_CONTEXT": ""}
_VARIABLES = tuple(word.lower() for word in (*_ABOUT, *_DEFAULTS))
"""Context keys of the variables."""


@dataclass(slots=True)
class Arguments:
    """The arguments of the command: those that the workflow declares, and the variables that its texts use."""

    report: Report
    keys: Keys = field(default_factory=lambda: Keys(_VARIABLES))
    found: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By context key."""
    declared: dict[str, str] = field(default_factory=dict)
    """Context keys of the declared inputs, by name."""

    def word_of(self, key: str) -> str | None:
        """The variable with the context key *key*."""
        return key.upper() if key in _VARIABLES else None

    def variable(self, word: str, pointer: str) -> str:
        """The context key of the variable *word*."""
        word = _SAME.get(word, word)
        key = word.lower()
        if word == "ARGUMENTS":
            text = {"name": ARGUMENTS, "description": "The text that the run begins with", "default": ""}
            self.found.setdefault(ARGUMENTS, text)
        elif word in _DEFAULTS:
            self.found.setdefault(key, {"name": key, "default": _DEFAULTS[word]})
        elif key not in self.found:
            self.found[key] = {"name": key, "description": _ABOUT[word], "required": True}
            message = f'Archon itself provides "${word}"; here it is the argument "{key}" of each run'
            self.report.differs(pointer, message, f"Pass it: `--arg {key}=…`.")
        return key


class Child(msgspec.Struct, frozen=True):
    """A workflow that another one runs."""

    command: str
    """With the slash."""
    arguments: dict[str, dict[str, Any]]
    """By context key."""
    declared: dict[str, str]
    """Context keys of its inputs, by name."""
    key: str
    """Context key of its result; empty if it has none that is certain."""
    schema: dict[str, Any] | None
    """Of a result that is an object."""
    sure: bool
    """Whether it has a result whenever none of its nodes fails."""


@dataclass(slots=True)
class Callers:
    """Parts that the nodes that run workflows share."""

    find: Callable[[str], Child | None]
    initial: dict[str, Any]
    """Initial values of the command."""


@dataclass(slots=True)
class Scope:
    """The steps that texts can name, from the innermost loop outwards."""

    arguments: Arguments
    steps: dict[str, Step] = field(default_factory=dict)
    outer: Scope | None = None
    crossed_steps: dict[str, Step] = field(default_factory=dict)
    """Steps outside whose whole output is read here."""
    crossed: dict[str, bool] = field(default_factory=dict)
    """Outer values that are read here, by key; whether they are required."""

    def find(self, name: str) -> Step | None:
        """The step *name* of this scope or one around it."""
        found = self.steps.get(name)
        return found if found is not None or self.outer is None else self.outer.find(name)

    def pass_in(self, key: str, *, required: bool) -> None:
        """Hand a value from outside to this scope; each scope on the way declares it."""
        if self.outer is not None:
            self.crossed[key] = self.crossed.get(key, False) or required
            self.outer.pass_in(key, required=required)


@dataclass(slots=True)
class Reader:
    """Resolves what the texts of one node name."""

    scope: Scope
    step: Step
    report: Report
    inputs: dict[str, bool] = field(default_factory=dict)
    """Required or not, by context key."""
    own_output: bool = False
    """Whether the text is that of a loop, which sees its own last output."""
    loose: dict[str, Step] = field(default_factory=dict)
    """Steps whose whole output is read, and is empty if they were skipped."""
    members: dict[tuple[str, str], None] = field(default_factory=dict)
    """Context key and name of each member that has to be in the output of a script."""

    def path(self, found: re.Match[str], pointer: str) -> str | None:
        """The path of the value that a `TOKEN` names; an empty text for one that is always empty, None if refused."""
        if found["previous"] is not None:
            advice = "Let the steps of the loop write what the next turn needs into a file."
            self.report.refuse(
                pointer, f'"{found[0]}" reads another step\'s last turn, which no step sees here', advice
            )
            return None
        if found["node"] is not None:
            return self._member(found["node"], found["field"], pointer)
        if found["input"] is not None:
            return self._input(found["input"], pointer)
        word = found["word"]
        if word in _EMPTY or (word == PREVIOUS and not self.own_output):
            return ""
        if word == PREVIOUS:
            return self.step.key
        return self.variable(word, pointer)

    def variable(self, word: str, pointer: str) -> str:
        """The path of the variable *word* of the run."""
        return self._use(self.scope.arguments.variable(word, pointer), outside=True)

    def _use(self, key: str, *, required: bool = True, outside: bool = False) -> str:
        self.inputs[key] = self.inputs.get(key, False) or required
        if outside:
            self.scope.pass_in(key, required=required)
        return key

    def _input(self, name: str, pointer: str) -> str | None:
        key = self.scope.arguments.declared.get(name)
        if key is None:
            self.report.refuse(pointer, f'"$INPUTS.{name}" is not among the inputs of the workflow', "Declare it.")
            return None
        return self._use(key, outside=True)

    def _member(self, name: str, member: str | None, pointer: str) -> str | None:
        step = self.step_of(name, pointer)
        if step is None:
            return None
        required = member is not None or name in self.step.sure
        if not required and name in self.scope.steps:
            self.loose[name] = step
        elif not required:
            self.scope.crossed_steps[name] = step
        outside = name not in self.scope.steps
        if member is None:
            return self._use(step.key, required=required, outside=outside)
        if step.schema is not None:
            if step.declared(member) is None:
                self.report.refuse(pointer, f'"{member}" is not in the output_format of node "{name}"', "Declare it.")
                return None
            return f"{self._use(step.key, outside=outside)}.{member}"
        step.read.add(member)
        self.members[step.members, member] = None
        return f"{self._use(step.members, outside=outside)}.{member}"

    def step_of(self, name: str, pointer: str) -> Step | None:
        """The step *name*, if it has ended when this one starts."""
        step = self.scope.find(name)
        if step is None:
            self.report.refuse(pointer, f'"${name}.output" names no node of the workflow', "Correct its name.")
            return None
        if name in self.scope.steps and name not in self.step.before:
            message = f'"${name}.output" may be read before node "{name}" has ended'
            self.report.refuse(pointer, message, f'Write "{name}" into depends_on.')
            return None
        return step


def names_output(found: re.Match[str]) -> bool:
    """Whether a `TOKEN` names an output of a node."""
    return found["node"] is not None or found["previous"] is not None


VARIABLES = frozenset(
    {"ARGUMENTS", "USER_MESSAGE", "ARTIFACTS_DIR", "STATE_DIR", "BASE_BRANCH", "DOCS_DIR", "WORKFLOW_ID"}
    | {"LOOP_USER_INPUT", "LOOP_PREV_OUTPUT", "REJECTION_REASON", "EXTERNAL_CONTEXT", "ISSUE_CONTEXT", "CONTEXT"}
    | {"INPUTS"}
)
"""Words that stand for other values than outputs of nodes; `INPUTS` for all inputs."""


def fill(
    text: str, reader: Reader, pointer: str, put: Callable[[str], str], *, stays: frozenset[str] = frozenset()
) -> str:
    """*text* with `put(path)` for each value that it names, except the words of *stays*; one that is refused stays."""

    def replace(found: re.Match[str]) -> str:
        if (found["word"] or ("INPUTS" if found["input"] is not None else "")) in stays:
            return found[0]
        path = reader.path(found, pointer)
        return found[0] if path is None else put(path) if path else ""

    return TOKEN.sub(replace, text)


def prompt(text: str, reader: Reader, pointer: str) -> str:
    """The task of a model: its values are in its inputs, and `{{key.member}}` stands for one of them."""
    filled, marks = marked(text, reader, pointer)
    return f"{filled}\n\n{explained(marks)}" if marks else filled


def marked(text: str, reader: Reader, pointer: str, *, stays: frozenset[str] = frozenset()) -> tuple[str, list[str]]:
    """*text* with a mark `{{key.member}}` for each value that it names, and these marks.

    *stays* are words of `VARIABLES` that Archon leaves alone in this text.
    """
    marks: dict[str, None] = {}
    own = frozenset(_MARK.findall(text))

    def put(path: str) -> str:
        mark = f"{{{{{path}}}}}"
        if mark in own:
            reader.report.refuse(pointer, f'the text itself has "{mark}"', "Spell it in another way.")
        marks[mark] = None
        return mark

    return fill(text, reader, pointer, put, stays=stays).strip(), list(marks)


def explained(marks: list[str]) -> str:
    """The sentence about the marks of a task."""
    listed = ", ".join(marks)
    stands = "stands for this value" if len(marks) == 1 else "stand for these values"
    return f"In this text {listed} {stands} of your inputs; a value that is not there is empty."
