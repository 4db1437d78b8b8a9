"""The answers of tools and of the command line: the only place where names are camelCase.

No effects but reading stored values. It shapes, cuts and redacts; `engine/views/status.py` says what is true of a run.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticSerializationError, to_json

from engine.model.attribute_docs import Documented

if TYPE_CHECKING:
    from collections.abc import Iterable

ViewName = Literal["summary", "todos", "nodes", "outputs", "timeline", "report"]
"""The part of a status that is included in full."""
Until = Literal["end", "phase", "change"]
"""The event that ends a wait for a run, unless one comes first that always does."""
SHORT_WAIT = 50  # seconds that a call of any client may take: many end one after a minute


@lru_cache(4096)
def _line(text: str) -> str:  # the same names come with each status
    from engine.text.shown import clean  # noqa: PLC0415 - compiles patterns that a good start does not need

    return clean(text)


def _words(text: str) -> str:
    from engine.text.shown import within  # noqa: PLC0415 - as above

    return within(text)


# Text of others that a person may see; all else is an id of ours, a value that stays exact, or text of a view.
Line = Annotated[str, PlainSerializer(_line, return_type=str)]
"""A name, a path or a sentence: one line without control characters, and without what reorders, pads or hides text."""
Words = Annotated[str, PlainSerializer(_words, return_type=str)]
"""A message that may have several lines: those after the first are indented, so that none passes for one of ours."""


def _short(schema: dict[str, Any]) -> None:
    """Let the schema say that an optional field is absent, never null, and leave out descriptions of models.

    Every session of a client reads it.
    """
    schema.pop("description", None)
    schema.pop("additionalProperties", None)  # a later version may have more fields
    for entry in schema.get("properties", {}).values():
        options = [option for option in entry.get("anyOf", ()) if option != {"type": "null"}]
        if len(options) == 1:
            del entry["anyOf"]
            entry.pop("default", None)
            entry.update(options[0])


class Wire(Documented, BaseModel):
    """Base of all answers: camelCase names, absent fields instead of nulls, docstrings as descriptions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        defer_build=True,
        json_schema_extra=_short,
    )

    def data(self) -> dict[str, Any]:
        """The answer as JSON data, without empty fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def text(self) -> str:
        """The answer as compact JSON."""
        return compact(self.data())


def compact(data: dict[str, Any]) -> str:
    """*data* as JSON without white space."""
    try:
        return to_json(data).decode()
    except PydanticSerializationError:  # half of a surrogate pair
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


class TodoLine(Wire):
    """One line of Claude Code's todo list."""

    content: Line
    status: Literal["pending", "in_progress", "completed"]
    active_form: Line


class TodoWrite(Wire):
    """The input of Claude Code's TodoWrite tool, unchanged."""

    todos: list[TodoLine]


class TaskCreate(Wire):
    """The input of Claude Code's TaskCreate tool."""

    subject: Line
    description: Line
    active_form: Line


class TaskUpdate(Wire):
    """The input of Claude Code's TaskUpdate tool, without the `taskId` that TaskCreate returned."""

    status: Literal["pending", "in_progress", "completed"] | None = None
    subject: Line | None = None


class TaskLine(Wire):
    """The calls for one task, in this order: create it, then update it."""

    task: Line
    """The subject with which it was created: TaskCreate returned its id then."""
    create: TaskCreate | None = None
    """Pass it to TaskCreate unchanged."""
    update: TaskUpdate | None = None
    """Pass it to TaskUpdate with the `taskId` of the task."""


class RefusedLine(Wire):
    """A part of a report that was rejected; the other parts were accepted."""

    of: Line
    """The attempt, or the node of a decision."""
    code: str
    message: Words


class ProblemLine(Wire):
    """An error in a command, or a warning about it."""

    code: str
    severity: Literal["error", "warning"]
    message: Words
    pointer: Line
    """JSON Pointer into the command file."""
    suggestion: Words | None = None
    place: Line | None = None
    """File, line and column, as in `.claude/commands/v2/ship.json:12:7`."""
    count: int | None = None
    """How many warnings of this code this one stands for; absent for a single one."""
    pointers: list[Line] | None = None
    """Where some of the others are."""


class InterruptedLine(Wire):
    """A run whose process ended before it did."""

    run_id: str
    command: Line
    done: int
    total: int


class Validation(Wire):
    """Every error and warning of a command file."""

    valid: bool
    """Whether the command can run; with `strict`, whether there are no errors and no warnings."""
    name: Line
    errors: list[ProblemLine]
    warnings: list[ProblemLine]
    problems_left_out: int | None = None
    """Number of problems that are not listed; correct the listed ones first."""
    interrupted: list[InterruptedLine] | None = None


class LoadedPhase(Wire):
    """One phase of a command."""

    id: str
    name: Line
    parallel: bool
    nodes: list[str]
    """Node ids in file order."""


class Loaded(Wire):
    """A command as it would run."""

    name: Line
    description: Line
    hash: str
    """SHA-256 of the definition."""
    format: Literal["json", "yaml", "markdown", "dialect", "archon", "conductor"]
    """The format of the file."""
    source: Line
    """The file, relative to the project."""
    phases: list[LoadedPhase]
    node_count: int
    most_attempts: int | None = None
    """The most attempts of a run, if lists or loops decide about their number."""
    most_cost_usd: float | None = None
    """The most that they can cost, if all its model agents have a `maxBudgetUsd`."""
    critical_path: list[str]
    """The nodes that determine the shortest possible time."""
    sequential_ms: int
    """Sum of all estimates."""
    critical_path_ms: int
    """Shortest possible time, by the estimates."""
    speedup_percent: int
    """How much shorter that is than running one after the other."""
    arguments: list[Line]
    """Names of its arguments; required ones end in `!`."""
    problems: list[ProblemLine]
    """Warnings: a command with errors is not loaded."""
    problems_left_out: int | None = None
    """Number of warnings that are not listed; `validate` lists more."""
    mermaid: str | None = None
    """The graph as a Mermaid flowchart; absent for very large commands."""
    todos: TodoWrite
    """The todo list at the start of a run."""
    interrupted: list[InterruptedLine] | None = None


class ProgressCount(Wire):
    """Nodes that have ended, of all."""

    done: int
    total: int
    percent: int


class PhaseLine(Wire):
    """One phase of a run."""

    id: str
    name: Line
    state: str
    """pending, running, completed, failed, cancelled, compensated or interrupted."""
    done: int
    total: int


class NodeStatusLine(Wire):
    """One node of a run."""

    id: str
    phase: str
    agent_id: Line
    state: str
    attempts: int
    started_ms: int | None = None
    """Milliseconds after the start of the run, without those in which it had no process."""
    duration_ms: int | None = None
    waiting_for: Line | None = None
    error: Line | None = None
    depends_on: list[str] | None = None
    """With `task` and `estimateMs` where the node was asked for by its name."""
    task: Words | None = None
    estimate_ms: int | None = None


class SpanLine(Wire):
    """When one node ran."""

    node: str
    phase: str
    start_ms: int
    """Milliseconds after the start of the run."""
    duration_ms: int
    state: str


class FailureLine(Wire):
    """One failure of a run."""

    node: str | None = None
    """Absent: the run itself."""
    kind: str
    code: Line
    message: Words
    hint: Words | None = None
    """For the first failures only, as is `lastOutput`."""
    last_output: str | None = None
    """The last output of the attempt."""
    session: str | None = None
    """The Claude Code session of the attempt, for `claude --resume`."""
    compensated: bool
    """Whether the node's work was undone."""


class DecisionLine(Wire):
    """A decision that a person has to make before a node continues; answer with `report`."""

    node: str
    question: Words
    answers: list[str]


class LockLine(Wire):
    """A lock that is held or requested."""

    resource: Line
    type: str
    """exclusive, shared or upgrade."""
    state: str
    """held, waiting, or reserved for a run whose process died."""
    run: str
    node: str | None = None
    """Absent: the run itself."""
    since: str
    waits_for: list[Line] | None = None
    """Each as `resource (locked by run:node)`."""


class WorkLine(Wire):
    """Work for a subagent of the client; report it with `report`."""

    attempt: str
    node: str
    subagent_type: Line
    description: Line
    prompt: str
    isolation: str | None = None
    """`worktree`: the agent works in a copy of the repository."""
    outputs: list[str]
    output_schema: dict[str, Any]
    deadline: str


class OpenLine(Wire):
    """Work that the client received earlier and has not reported."""

    attempt: str
    deadline: str


class EstimateLine(Wire):
    """The estimated time and cost of a run."""

    agents: int
    sequential_ms: int
    expected_ms: int
    cost_usd: float | None = None
    """Median of earlier runs of the command."""
    cost_runs: int | None = None
    """Number of runs that the cost is based on."""
    most_attempts: int | None = None


class Status(Wire):
    """A run at one moment."""

    run_id: str | None = None
    """Absent for a dry run, which is not recorded."""
    command: Line
    state: str
    """pending, running or compensating while it is live; completed, degraded, failed, compensated, compensation_failed,
    cancelled or interrupted once it has ended."""
    executor: str
    """Where model agents work: native (none needed), claude, host, or simulate (no work is done)."""
    worktree: Line | None = None
    """The linked git worktree of the run; absent in the main one."""
    dry_run: bool | None = None
    started_at: str
    elapsed_ms: int
    remaining_ms: int | None = None
    """Estimate; absent if unknown."""
    message: Words | None = None
    """Why the run ended in this state."""
    progress: ProgressCount
    phases: list[PhaseLine] | None = None
    nodes: list[NodeStatusLine] | None = None
    nodes_left_out: int | None = None
    """Number of nodes that are not listed; `offset` lists all in pages."""
    next_offset: int | None = None
    """`offset` of the next page."""
    timeline: list[SpanLine] | None = None
    failures: list[FailureLine] | None = None
    failures_left_out: int | None = None
    outputs: dict[str, Any] | None = None
    """Values by key; a large one is `{"$ref": uri, "bytes": n}`."""
    outputs_left_out: int | None = None
    """Number of outputs that are not included; read them as `orchestration://runs/{id}/outputs/{key}`."""
    todos: TodoWrite | None = None
    """Pass it to TodoWrite unchanged."""
    tasks: list[TaskLine] | None = None
    """In view `todos`: the calls of TaskCreate and TaskUpdate that are still due in this session."""
    display: str | None = None
    """As text: what changed since the last answer; all of it if the call did not wait."""
    report: str | None = None
    """The timeline and the run in numbers, as text."""
    work: list[WorkLine] | None = None
    """Work for the client, with executor host: what this session has not received yet."""
    work_left_out: int | None = None
    """Number of further work orders: the next answer has more."""
    open: list[OpenLine] | None = None
    """Work received earlier and not reported; view `nodes` repeats it in full."""
    stop: list[str] | None = None
    """Attempts that the client should stop working on, with executor host."""
    decisions: list[DecisionLine] | None = None
    refused: list[RefusedLine] | None = None
    """In the answer of `report`: the parts that were rejected."""
    locks: list[LockLine] | None = None
    """The run's own locks and all waits; those of nodes are in view `nodes`."""
    warnings: list[Line] | None = None
    cost_usd: float | None = None
    estimate: EstimateLine | None = None
    """In the answer of `run`: the expectation before it began."""
    interrupted: list[InterruptedLine] | None = None
    """In a session's first answer: earlier runs that `resume` continues."""
    next: Line
    """Instructions for the next step."""


def lock_lines(lines: Iterable[Any]) -> list[LockLine]:
    """`engine.views.locks.LockLine` values for the wire."""
    return [
        LockLine(
            resource=line.resource,
            type=line.type,
            state=line.state,
            run=line.run,
            node=line.node,
            since=line.since.isoformat(timespec="milliseconds"),
            waits_for=list(line.waits_for) or None,
        )
        for line in lines
    ]
