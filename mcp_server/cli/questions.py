"""A run's questions to a person: approvals, and nodes lost in a crash; asked on the terminal, or answered by `decide`.

Effects: prints to stderr and reads lines of stdin without blocking the loop. Without a terminal an approval is denied,
so that no run waits for a person who is not there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import StateError
from engine.ids import RunId
from engine.model.policy import Failure, FailureKind
from engine.text.shown import clean, within
from engine.views.status import questions
from mcp_server.cli import console, lazy
from mcp_server.cli.shared import OK, finish, project_root
from mcp_server.cli.watch import LOOK_AGAIN, until_heard

if TYPE_CHECKING:
    from engine.run.state import Run
    from engine.service import Engine
    from engine.views.status import Question

MAX_LINE_LENGTH = 4096
CODE = "APPROVAL_NEEDED"


def has_terminal() -> bool:
    """Whether a person can be asked on the terminal."""
    return sys.stdin.isatty() and console.notes.is_terminal


def decide(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    node: Annotated[str, typer.Argument(metavar="NODE")],
    answer: Annotated[
        str, typer.Argument(metavar="ANSWER", help="yes or no; for a lost attempt: retry, skip or fail.")
    ],
) -> None:
    """Answer a question of a run. Another process may be running it."""
    finish(_decide(RunId(run_id), node, answer))


async def _decide(run_id: RunId, node: str, answer: str) -> int:
    async with lazy.open_project(project_root()) as project:
        engine = await project.engine()
        await project.decide(run_id, node, answer)
        await until_heard(engine, run_id, lambda run: all(one.node != node for one in questions(run)))
        console.results.print(f"{node}: {answer}", soft_wrap=True)
    return OK


def question_lines(run: Run) -> list[str]:
    """The questions of *run*, each with the command that answers it."""
    return [f"❓ {one.node}: {within(one.text, console.INSET)}\n   {_command(run.id, one)}" for one in questions(run)]


def question_text(run: Run) -> str:
    """The first question of *run* in a line, for a notification."""
    return next((f"{clean(run.plan.command)} asks about {one.node}: {one.text}" for one in questions(run)), "")


def _command(run_id: RunId, question: Question) -> str:
    return f"orchestrate decide {run_id} {question.node} {' or '.join(question.answers)}"


async def answer_questions(engine: Engine, run_id: RunId, *, person: bool) -> bool:
    """Ask the person at the terminal all questions of the run; False if no one is there to answer.

    Without a *person* an approval is denied, and recorded as APPROVAL_NEEDED. A held node stays as it is: only a person
    who looks can say whether its work was done.
    """
    asked = await _open(engine, run_id)
    if person:
        return all([await _ask(engine, run_id, question) for question in asked])
    refused = [question for question in asked if "no" in question.answers]
    for question in refused:
        hint = "Run it in a terminal or in Claude Code, where a person can answer."
        failure = Failure(FailureKind.ERROR, CODE, f'Node "{question.node}" needs a yes: {question.text}', hint)
        await _answer(engine, run_id, question, "no", failure)
    if refused or not asked:
        return True
    for question in asked:
        message = (
            f'{CODE}: node "{question.node}" waits for a decision: {within(question.text, console.INSET)}\n'
            f"hint: `orchestrate resume {run_id}` asks on a terminal; without one use "
            f"`orchestrate resume {run_id} --detach`, then `{_command(run_id, question)}`."
        )
        console.notes.print(message, soft_wrap=True)
    return False


async def _open(engine: Engine, run_id: RunId) -> tuple[Question, ...]:
    return await engine.read(run_id, lambda view: questions(view.run))


async def _answer(
    engine: Engine, run_id: RunId, question: Question, answer: str, failure: Failure | None = None
) -> None:
    try:
        await engine.decide(run_id, question.node, answer, failure=failure)
    except StateError as error:  # someone else was quicker, or the run has ended
        console.notes.print(within(error.message, console.INSET), soft_wrap=True)
    else:
        await until_heard(engine, run_id, lambda run: question not in questions(run))


async def _ask(engine: Engine, run_id: RunId, question: Question) -> bool:
    """Ask until the question is answered, here or elsewhere; False if stdin ends and another process owns the run."""
    choices = "/".join(question.answers)
    prompt = f"❓ {question.node}: {within(question.text, console.INSET)} [{choices}] "
    console.notes.print(prompt, soft_wrap=True, end="")
    while question in await _open(engine, run_id):
        line = await _line(LOOK_AGAIN)
        if line is None:
            continue
        word = line.strip().lower()
        matching = [answer for answer in question.answers if word and answer.startswith(word)]
        if len(matching) == 1:
            await _answer(engine, run_id, question, matching[0])
            return True
        console.notes.print(f"[{choices}] ", end="")
        if not line:  # stdin has ended: there is no one to wait for
            if run_id not in engine.live_runs.runs:
                return False
            await _answer(engine, run_id, question, question.answers[-1])
            return True
    return True


async def _line(seconds: float) -> str | None:
    """The next line of the terminal, empty at its end; None if there is none within *seconds*."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sys.stdin.fileno(), on_ready)
    try:
        async with asyncio.timeout(seconds):
            await ready
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return os.read(sys.stdin.fileno(), MAX_LINE_LENGTH).decode("utf-8", "replace")
