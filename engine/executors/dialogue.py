"""One request to a program on its stdin, one answer on its stdout: the common part of process and python agents.

Effects: starts the program that its callers name, through `subprocesses/program.py`.
"""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import structs

from engine.executors.answer import ended_badly, failed, parse_text, request_of, with_stderr
from engine.executors.environment import Environment
from engine.executors.port import Heartbeat, Outcome, WorkOrder
from engine.executors.subprocesses.program import STDOUT_LIMIT, Ended, run_program
from engine.model.log import LogKind, LogLine
from engine.model.policy import FailureKind

MAX_STDOUT_LENGTH = 16 * 1024
"""Characters of the end of stdout that the log of a failed attempt has."""


async def ask(
    order: WorkOrder,
    argv: Sequence[str],
    *,
    name: str,
    environment: Environment,
    tag: str,
    heartbeat: Heartbeat,
    sources: Iterable[Path] = (),
    call: str = "",
) -> Outcome:
    """Send the request of *order* to the program *argv*, shown as *name*, and judge its answer and exit code.

    *sources* are the files of the program, as far as they are known. *call*: see `run_program`.
    """
    outcome = await _asked(order, argv, name, environment, tag, environment.heartbeat(heartbeat), call)
    if outcome.failure is None:
        return environment.told(outcome, order)
    return await asyncio.to_thread(environment.told, outcome, order, sources)


async def _asked(  # noqa: PLR0917 - what `ask` is given
    order: WorkOrder,
    argv: Sequence[str],
    name: str,
    environment: Environment,
    tag: str,
    heartbeat: Heartbeat,
    call: str,
) -> Outcome:
    heartbeat("")  # the program's name says less than its node's task
    prints = _Prints(heartbeat)
    try:
        ended = await run_program(
            argv,
            cwd=order.folder,
            environment=environment.variables,
            tag=tag,
            stdin=json.dumps(request_of(order), ensure_ascii=False).encode("utf-8", "replace") + b"\n",
            on_news=prints.take,
            keep=order.agent.keep_processes,
            call=call,
        )
    except asyncio.CancelledError:
        prints.show_stdout()
        raise
    except (OSError, ValueError) as error:
        return failed(
            FailureKind.ERROR,
            "PROGRAM_NOT_STARTED",
            f"{name} cannot be started: {error}",
            hint=f"Try it in a terminal, in {order.project}.",
            begun=False,
        )
    outcome = _judged(ended, name)
    if outcome.failure is not None:
        prints.show_stdout()
    return structs.replace(outcome, left=ended.left)


class _Prints:
    """Passes on what a program prints. The log has its stdout only if there is no answer: outputs are kept whole."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        decoder = codecs.getincrementaldecoder("utf-8")  # a piece may end within a character
        self._decoders = {1: decoder("replace"), 2: decoder("replace")}
        self._stdout = ""

    def take(self, number: int, data: bytes) -> None:
        text = self._decoders[number].decode(data)
        if number == 1:
            self._stdout = (self._stdout + text)[-MAX_STDOUT_LENGTH:]
            self._heartbeat(said=text, log=())
        else:
            self._heartbeat(said=text)

    def show_stdout(self) -> None:
        if self._stdout:
            self._heartbeat(log=[LogLine(LogKind.PRINTED, self._stdout)])


def _judged(ended: Ended, name: str) -> Outcome:
    if ended.overflow:
        return failed(
            FailureKind.VALIDATION,
            "OUTPUT_TOO_LARGE",
            f"{name} wrote more than {STDOUT_LIMIT // (1024 * 1024)} MB to stdout and was stopped",
            hint="Write large results to a file and answer with its path.",
            partial=ended.stdout[-16384:].decode("utf-8", "replace"),
        )
    if ended.returncode != 0:
        return ended_badly(ended.returncode, stdout=ended.stdout, stderr=ended.stderr, what=name)
    return with_stderr(parse_text(ended.stdout), ended.stderr.decode("utf-8", "replace"))
