"""Runs model agents: one headless Claude Code process for each work order.

Effects: starts processes, writes large inputs into private files for the duration of the attempt.
`prompt.py` makes the prompt, `result.py` judges the answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.errors import EnvironmentFault
from engine.executors.answer import failed
from engine.executors.claude.log import LogLines
from engine.executors.claude.mcp_servers import named_servers
from engine.executors.claude.prompt import (
    MAX_ARGUMENT_LENGTH,
    agent_definition,
    arguments_of,
    large_inputs,
    prompt_of,
)
from engine.executors.claude.result import action_of, judge, parse_line
from engine.executors.claude.session import Session, text_of
from engine.executors.claude.settings import given_settings
from engine.executors.environment import open_environment
from engine.executors.port import TIME_IS_UP, Heartbeat, Outcome, WorkOrder
from engine.executors.scratch import scratch_folder, write_private
from engine.executors.shielding import uncancelled
from engine.executors.subprocesses.process_tags import tag_of
from engine.executors.subprocesses.program import Ended, run_program
from engine.ids import RunId, session_id
from engine.model.log import LogKind, LogLine
from engine.model.policy import FailureKind
from engine.statefolder.executables import find_outside

MAX_LINE_LENGTH = 32 * 1024 * 1024
MEMORY = {"CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1"}
"""Makes Claude Code read CLAUDE.md and rules in the folders of --add-dir, the only ones without project settings."""
PATIENCE = timedelta(seconds=3)
"""Time for Claude Code to exit after its answer; it stays while a shell of its agent still runs."""


def find_program(project: Path, program: str | None = None) -> str | None:
    """The Claude Code to run in *project*: *program*, a path or a name, or else `claude`; None if there is none.

    A name is looked up on the PATH, but not in *project*: a program there is not the user's Claude Code.
    """
    return find_outside(program or "claude", project)


class ClaudeExecutor:
    """Runs `claude -p` with an agent's definition, in the project root or in the agent's worktree."""

    def __init__(
        self,
        program: str | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        whole: Callable[[RunId], bool] = lambda _run: False,
    ) -> None:
        """*program* is a path or a name, `claude` by default; *environment* is added to that of every agent.

        `$NAME` in it stands for a variable of this process. *whole* says whether Claude Code may use, in a run, all
        that the project configures for it, programs too; otherwise it gets only restrictions and instructions.
        """
        self._program = program
        self._environment = dict(environment or {})
        self._whole = whole

    async def execute(self, order: WorkOrder, heartbeat: Heartbeat) -> Outcome:
        """Execute *order*; Claude Code and all that its tools started have ended when this returns."""
        program = find_program(order.project, self._program)
        if program is None:
            return failed(
                FailureKind.ERROR,
                "EXECUTOR_UNAVAILABLE",
                f"the program {self._program or 'claude'} was not found",
                hint="Run `npm install -g @anthropic-ai/claude-code`, then run `claude` once and sign in.",
                begun=False,
            )
        try:
            with scratch_folder(order.project) as folder:
                return await self._run(program, order, heartbeat, folder)
        except EnvironmentFault as fault:
            return failed(FailureKind.ERROR, fault.code, fault.message, hint=fault.hint, begun=False)

    async def _run(self, program: str, order: WorkOrder, heartbeat: Heartbeat, folder: Path) -> Outcome:
        servers, missing = named_servers(order.agent, order.project)
        if missing:
            return failed(
                FailureKind.ERROR,
                "MCP_SERVER_NOT_FOUND",
                f'the agent "{order.agent.id}" needs the MCP server {", ".join(missing)}, which is not configured',
                hint="Add it to .mcp.json, or run `claude mcp add`.",
                begun=False,
            )
        tag = tag_of(order.attempt, order.project, keep=order.agent.keep_processes)
        ignores = order.agent.ignores_project
        whole = not ignores and await asyncio.to_thread(self._whole, order.run)
        added = self._environment if whole or ignores else self._environment | MEMORY
        environment = open_environment(order, tag, added, whole=True)
        if isinstance(environment, Outcome):
            return environment
        session = Session(order.outputs)
        stream = _Stream(session, environment.heartbeat(heartbeat), str(order.folder))
        arguments = arguments_of(
            order,
            session=session_id(order.attempt),
            agents=_json_or_file(agent_definition(order.agent), folder / "agents.json"),
            mcp_config=_private({"mcpServers": servers}, folder / "mcp.json") if servers else None,
            whole=whole,
            folders=[
                *([] if whole or ignores else [order.folder]),
                *([] if folder.is_relative_to(order.folder) else [folder]),
            ],
            settings=_settings_file(order, folder / "settings.json", whole=whole),
        )
        heartbeat(f"Starting {order.agent.id}")
        try:
            ended, in_time = await _until_answered(
                run_program(
                    [program, *arguments],
                    cwd=order.folder,
                    environment=environment.variables,
                    tag=tag,
                    stdin=prompt_of(order, _files_of(order, folder)).encode("utf-8", "replace"),
                    on_line=stream.take,
                    stdout_limit=MAX_LINE_LENGTH,
                    keep=order.agent.keep_processes,
                    enough=stream.enough,
                ),
                stream,
            )
        except (OSError, ValueError) as error:
            what = f"{program} cannot be started: {error}"
            return failed(FailureKind.ERROR, "PROGRAM_NOT_STARTED", what, begun=False)
        stderr = ended.stderr.decode("utf-8", "replace")
        stream.note(stderr)
        if not session.results and stream.garbage:
            stderr = f"{stderr}\n(stdout was not stream-json: {stream.garbage})"
        outcome = judge(session, exit_code=ended.returncode, stderr=stderr)
        return environment.told(structs.replace(outcome, in_time=in_time, left=ended.left), order)


async def _until_answered(program: Coroutine[Any, Any, Ended], stream: _Stream) -> tuple[Ended, bool]:
    """How *program* ended, and whether it had answered when its time was up.

    An answer in time counts: when the time is up, the program is then ended as it is after any answer.
    """
    running = asyncio.ensure_future(program)
    try:
        return await asyncio.shield(running), False
    except asyncio.CancelledError as error:
        if error.args != (TIME_IS_UP,) or not stream.session.has_answer:
            running.cancel()
            await uncancelled(_ended(running))
            raise
        stream.enough.set()
        await uncancelled(_ended(running))
        return running.result(), True
    finally:
        stream.close()


async def _ended(running: asyncio.Future[Ended]) -> None:
    await asyncio.wait([running])


class _Stream:
    """Takes stream-json line by line, and notes when there is nothing more to wait for."""

    def __init__(self, session: Session, heartbeat: Heartbeat, project: str) -> None:
        self.session = session
        self.garbage = ""
        self.enough = asyncio.Event()
        """Set when the answer was given, no turn is under way, and Claude Code has had time to exit."""
        self._heartbeat = heartbeat
        self._project = project
        self._lines = LogLines(project)
        self._patience: asyncio.TimerHandle | None = None

    def take(self, line: bytes) -> None:
        message = parse_line(line)
        if message is None:
            self.garbage = self.garbage or line[:200].decode("utf-8", "replace").strip()
            self.note(f"{line.decode('utf-8', 'replace')}\n")
            return
        self.session.take(message)
        if not self.session.is_over:
            self.close()
        elif self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE.total_seconds(), self.enough.set)
        self._heartbeat(action_of(message, project=self._project), text_of(message) or "", self._lines.of(message))

    def note(self, printed: str) -> None:
        """Put into the log what Claude Code printed beside its messages."""
        if printed.strip():
            self._heartbeat(log=[LogLine(LogKind.PRINTED, printed)])

    def close(self) -> None:
        """Stop waiting."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _settings_file(order: WorkOrder, path: Path, *, whole: bool) -> str | None:
    """*path*, with the project settings for Claude Code written to it; None if there are none."""
    folders = list(dict.fromkeys([order.folder, order.project]))
    given = given_settings(order.project, folders, whole=whole, isolated=order.worktree is not None)
    return _private(given, path) if given else None


def _files_of(order: WorkOrder, folder: Path) -> dict[str, str]:
    """Write the large inputs of *order* into *folder*; returns the path of each."""
    files = {}
    for number, (key, data) in enumerate(large_inputs(order).items(), start=1):
        path = folder / f"input-{number}.json"
        write_private(path, data)
        files[key] = str(path)
    return files


def _json_or_file(value: Mapping[str, Any] | None, path: Path) -> str | None:
    """*value* as JSON, or *path* with the JSON in it if that is too long for an argument."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text.encode("utf-8", "replace")) <= MAX_ARGUMENT_LENGTH else _private(value, path)


def _private(value: Mapping[str, Any], path: Path) -> str:
    write_private(path, json.dumps(value).encode())
    return str(path)
