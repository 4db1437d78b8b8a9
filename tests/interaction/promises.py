"""What the server promises its clients, each promise with the tests that keep it.

`test_promises.py` checks both directions: no promise without a test, no test without a promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = TypeVar("Test", bound=Callable[..., object])

PROMISES = {
    "eras": "every tool answers in protocol 2026-07-28 and after the initialize handshake",
    "tool-list": "the eight tools have fixed names and parameters, hints, and texts that no client cuts",
    "todos": "todos pass TodoWrite's schema as they are",
    "tasks": "calls of the Task tools bring a session's list up to date, pass their schemas, and are told once",
    "run-waits": "run with wait_seconds answers when the run has ended",
    "run-at-once": "run without wait_seconds answers while the run goes on",
    "dry-run": "a dry run predicts the timeline and records nothing",
    "simulate": "a simulated run is recorded as one, and cannot be resumed",
    "watch-until": "a wait ends at the end, a phase or a change as asked, and always at a question, a failure or work",
    "watch-display": "display holds what changed since the last answer, and all where nothing was waited for",
    "watch-cost": "who does what next says follows 40 nodes with at most 4 calls and 25 kB; each list fits 2 kB",
    "watch-left": "the first answer of a session names runs that were interrupted, and no other one does",
    "status-early": "status with wait_seconds answers at the next change",
    "status-missed": "status with wait_seconds answers at once where the client has missed a change",
    "progress": "a waiting call tells one line under 200 characters at each change, with growing numbers",
    "cancelled-run-call": "cancelling a run call cancels the run, unless it is detached",
    "cancelled-status-call": "cancelling a status call ends the wait and nothing else",
    "cancel": "cancel answers when no agent runs forward any more",
    "decisions": "an approval is asked for in the status and answered with report",
    "asking": "where the client can be asked, a call that waits asks the person there; else it is left to decisions",
    "task-offer": "a client that offers tasks gets one from a run that outlasts its call; nobody else does",
    "task-end": "a task ends once, with the answer that the call would have had; every server of the project knows it",
    "task-questions": "a task asks what its run waits for; an answer is taken once, and no answer is left to report",
    "task-cancel": "cancelling a task cancels its run, and nothing else does; one that is over stays as it is",
    "task-errors": "what is no task, no answer or not offered is told with the code of the extension",
    "report-fence": "report takes work only from runs whose work is the client's",
    "large-outputs": "a value over 8 KB is a reference, and a node's secret does not come through",
    "shown-text": "no text of a project, an agent or a caller steers, hides, pads or forges a line in an answer",
    "few-tokens": "no view of a run of 200 nodes exceeds 10,000 tokens",
    "pages": "the nodes of a large run can all be listed in pages, and one is shown with its plan",
    "errors": "each bad input gives one error with a code that says what is wrong, and leaves nothing behind",
    "no-executor": "executor claude without Claude Code is refused with the ways out",
    "host": "a client can do the model agents' work: it is handed out in order, reported, renewed, stopped",
    "host-fence": "a late report, a wrong answer and a reported failure are told as what they are",
    "state-folder": "validation works where the state folder cannot be used; a run is refused with one error",
    "foreign-state": "runs that came with the project are neither read nor touched; each call about runs says so",
    "stdout": "stdout carries the protocol and nothing else",
    "http": "over HTTP every request needs the token and a local Host and Origin; both eras are served on loopback",
    "stdin-closed": "when stdin closes the server ends, its runs are interrupted, and no process is left",
    "signals": "on SIGTERM, SIGINT and SIGHUP the server ends as when stdin closes",
    "orphans": "what a killed server left running is ended when the next one starts, though no tool is called",
    "resume": "an interrupted run goes on in the next server, completed nodes are not run again",
    "resources": "commands, agents, runs and their parts are resources with media types; what is missing is named",
    "resource-names": "addresses complete names of commands, ids of runs and keys of outputs",
    "live-page": "the live page shows runs to those who have its address; no other page reads or changes anything",
    "live-view": "hosts of MCP Apps show a run in a page, which follows it by a tool that only reads",
    "news": "a client is told when commands change and when a run that it subscribed to moves, in both eras",
    "prompts": "each command is a prompt of its name, whose argument text reaches run as it was typed",
    "one-project": "two servers of one project see each other's runs, and cancel them",
}


def keeps(*names: str) -> Callable[[Test], Test]:
    """Say which promises a test keeps."""
    assert set(names) <= set(PROMISES)
    return lambda test: test
