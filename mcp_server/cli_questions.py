"""Questions of a run to the person at the terminal: approvals, and nodes that were lost in a crash.

Effects: prints to stderr and reads lines of stdin while the loop goes on. Where there is no terminal an approval is
refused, so that no run waits for somebody who is not there.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.model.policy import Failure, FailureKind
from engine.views.status import questions
from mcp_server import console

if TYPE_CHECKING:
    from engine.ids import RunId
    from engine.service import Engine
    from engine.views.status import Question

LOOK_AGAIN = 0.25
"""Seconds after which it is seen whether a question still stands."""
LONGEST_LINE = 4096
CODE = "APPROVAL_NEEDED"


def has_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and console.notes.is_terminal


async def answer_questions(engine: Engine, run_id: RunId, *, person: bool) -> bool:
    """Ask the person at the terminal all that the run waits for; False where a held node waits and nobody is there.

    Without a *person* an approval is answered with no, recorded as APPROVAL_NEEDED. A held node is left as it is: only
    somebody who looks can say whether its work was done.
    """
    answered = True
    for question in await _open(engine, run_id):
        if person:
            await _ask(engine, run_id, question)
        elif "no" in question.answers:
            failure = Failure(FailureKind.ERROR, CODE, f'Node "{question.node}" needs a yes: {question.text}', _HINT)
            await _decide(engine, run_id, question, "no", failure)
        else:
            message = f'{CODE}: node "{question.node}" waits for a decision: {question.text}\nhint: {_HINT}'
            console.notes.print(message, highlight=False, markup=False, soft_wrap=True)
            answered = False
    return answered


_HINT = "Run it on a terminal, or in Claude Code, where a person can answer."


async def _open(engine: Engine, run_id: RunId) -> tuple[Question, ...]:
    return await engine.read(run_id, lambda view: questions(view.run))


async def _decide(
    engine: Engine, run_id: RunId, question: Question, answer: str, failure: Failure | None = None
) -> None:
    try:
        await engine.decide(run_id, question.node, answer, failure=failure)
    except StateError as error:  # somebody else was quicker, or the run has ended
        console.notes.print(error.message, highlight=False, markup=False, soft_wrap=True)


async def _ask(engine: Engine, run_id: RunId, question: Question) -> None:
    choices = "/".join(question.answers)
    prompt = f"❓ {question.node}: {question.text} [{choices}] "
    console.notes.print(prompt, highlight=False, markup=False, soft_wrap=True, end="")
    while question in await _open(engine, run_id):
        line = await _line(LOOK_AGAIN)
        if line is None:
            continue
        word = line.strip().lower()
        meant = [answer for answer in question.answers if word and answer.startswith(word)]
        if len(meant) == 1:
            await _decide(engine, run_id, question, meant[0])
            return
        console.notes.print(f"[{choices}] ", highlight=False, markup=False, end="")
        if not line:  # the terminal is gone: there is nobody to wait for
            await _decide(engine, run_id, question, question.answers[-1])
            return


async def _line(seconds: float) -> str | None:
    """The next line of the terminal, empty at its end; None where none comes within *seconds*."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def come() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sys.stdin.fileno(), come)
    try:
        await asyncio.wait_for(ready, seconds)
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return os.read(sys.stdin.fileno(), LONGEST_LINE).decode("utf-8", "replace")
