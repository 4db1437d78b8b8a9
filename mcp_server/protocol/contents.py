"""The contents of resources: commands, agents, runs and their parts, as text with a media type.

Effects: reads command files, agents and runs. `resources.py` lists which resources there are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from engine.errors import NotFound
from engine.model.schema import command_schema
from engine.text.redaction import redact, redact_shown
from engine.text.shown import clean, escaped, printable, within
from engine.views.diagram import mermaid
from engine.views.metrics import metrics
from engine.views.report_text import text_report
from engine.views.status import snapshot
from engine.views.timeline import timeline
from mcp_server.answers.logs import log_of_run
from mcp_server.answers.node_pages import Page
from mcp_server.answers.nodes import node_of_run
from mcp_server.answers.status import status_of
from mcp_server.project.runs import questions_of, run_filter
from mcp_server.protocol import authoring
from mcp_server.protocol.uris import (
    AGENTS,
    COMMANDS,
    RUNS,
    SCHEMA,
    command_of,
    command_uri,
    conditions_of,
    node_of,
    part_of,
    reference_of,
    run_of,
)
from registry.commands import NAME
from registry.files.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.ids import RunId
    from engine.service import View
    from mcp_server.project.project import Project
    from registry.catalog import CheckedCommand
    from registry.commands import CommandSummary

JSON = "application/json"
TEXT = "text/plain"
MARKDOWN = "text/markdown"
MERMAID = "application/vnd.mermaid"
JSON_SCHEMA = "application/schema+json"
MAX_RUNS = 500
"""Runs in the list of runs, newest first."""


class Content(msgspec.Struct, frozen=True):
    """The contents at a URI."""

    mime_type: str
    text: str


async def read(project: Project, uri: str) -> Content:
    """The contents at *uri*. Raises `NotFound` (RESOURCE_NOT_FOUND, or what is missing), `InputError`."""
    fixed = {COMMANDS: _commands, AGENTS: _agents, SCHEMA: _schema}.get(uri)
    if fixed is not None:
        return fixed(project)
    where = {} if uri == RUNS else conditions_of(uri)
    if where is not None:
        return await _runs(project, where)
    name = command_of(uri)
    if name is not None:
        return _json(_loaded(project, name).raw)
    topic = reference_of(uri)
    if topic is not None:
        return Content(MARKDOWN, authoring.reference(topic))
    run_id = run_of(uri)
    if run_id is None:
        message = f'there is no resource "{uri[:200]}"'
        raise NotFound(message, code="RESOURCE_NOT_FOUND", hint=f"{COMMANDS} and {RUNS} list the others.")
    part, key = part_of(uri)
    if key is not None:
        return await _output(project, uri, key)
    node, is_log = node_of(uri)
    if node is not None:
        return await (_log if is_log else _node)(project, run_id, node)
    engine = await project.reader()
    if part is None:
        options = project.todo_options
        return _json(
            await engine.read(run_id, lambda view: status_of(view, values=engine.values, options=options).data())
        )
    return await engine.read(run_id, {"report": _report, "timeline": _timeline, "diagram": _diagram}[part])


def runnable(project: Project) -> list[CommandSummary]:
    """The commands that can be run by name: neither shadowed nor unreadable."""
    found = project.catalog.commands()
    return [one for one in found if one.shadowed_by is None and one.problem is None and NAME.fullmatch(one.name)]


async def complete(project: Project, argument: str, value: str, given: Mapping[str, str]) -> list[str]:
    """Completions of *value* for *argument* of a URI; *given* are the other arguments."""
    found: Iterable[str] = ()
    if argument == "name":
        found = (summary.name.removeprefix("/") for summary in runnable(project))
        value = value.removeprefix("/")
    elif argument == "topic":
        found = authoring.topics()
    elif argument == "id":
        found = (summary.id for summary in await (await project.reader()).storage.summaries())
    elif argument == "key" and (run_id := run_of(f"{RUNS}/{given.get('id', '')}")) is not None:
        engine = await project.reader()
        found = await engine.read(run_id, lambda view: [line.key for line in snapshot(view.run, view.now).outputs])
    elif argument == "node" and (run_id := run_of(f"{RUNS}/{given.get('id', '')}")) is not None:
        found = await (await project.reader()).read(run_id, lambda view: list(view.run.nodes))
    return [one for one in found if one.startswith(value)]


def _loaded(project: Project, name: str) -> CheckedCommand:
    """The command of that name; paths, which can be loaded elsewhere, are rejected."""
    if NAME.fullmatch(name) is None:
        raise NotFound(
            f'"{name[:200]}" is not the name of a command',
            code="COMMAND_NOT_FOUND",
            hint=f"{COMMANDS} lists all commands.",
        )
    return project.load(name)


def _json(data: Any, mime_type: str = JSON) -> Content:  # noqa: ANN401 - any JSON value
    return Content(mime_type, escaped(json.dumps(data, ensure_ascii=False, indent=2)))


def _commands(project: Project) -> Content:
    return _json([_command(project, summary) for summary in project.catalog.commands()])


def _command(project: Project, summary: CommandSummary) -> dict[str, Any]:
    row = {
        "name": clean(summary.name),
        "description": clean(summary.description),
        "arguments": [clean(argument) for argument in summary.arguments],
        "format": summary.format,
        "source": summary.source.value,
        "path": clean(shown(project.root, summary.path)),
        "resource": command_uri(summary.name) if summary.shadowed_by is None else None,
        "deprecated": summary.deprecated or None,
        "shadowedBy": clean(shown(project.root, summary.shadowed_by)) if summary.shadowed_by is not None else None,
        "problem": within(str(summary.problem)) if summary.problem is not None else None,
    }
    return {key: value for key, value in row.items() if value is not None}


def _agents(project: Project) -> Content:
    found = project.catalog.agents()
    agents = [
        {
            "id": clean(agent.id),
            "description": clean(agent.description),
            "executor": agent.kind.value,
            "source": agent.source.value,
        }
        for agent in found.agents.values()
    ]
    notes = [within(str(note)) for note in (*found.problems, *found.shadowed)]
    return _json({"agents": agents, "problems": notes} if notes else {"agents": agents})


def _schema(_: Project) -> Content:
    return _json(command_schema(), JSON_SCHEMA)


async def _runs(project: Project, where: Mapping[str, str]) -> Content:
    engine = await project.reader()
    wanted = run_filter(
        states=[where["state"]] if "state" in where else (),
        command=where.get("command"),
        since=where.get("since"),
        text=where.get("grep"),
        now=engine.clock.now(),
    )
    rows = wanted.select(await engine.archive.look_after_all())[:MAX_RUNS]
    asking = questions_of(engine.project, rows)
    return _json(
        [
            {
                "runId": row.id,
                "command": clean(row.command),
                "state": str(row.status),
                "executor": row.executor,
                "createdAt": row.created_at.isoformat(timespec="milliseconds"),
                "done": row.done,
                "total": row.total,
                "failed": row.failed,
                **({"questions": asking[row.id]} if row.id in asking else {}),
                **({"worktree": clean(row.worktree)} if row.worktree else {}),
                "resource": f"{RUNS}/{row.id}",
            }
            for row in rows
        ]
    )


async def _output(project: Project, uri: str, key: str) -> Content:
    """One output, whole: text unchanged, all else as JSON."""
    run_id = run_of(uri)
    try:
        value = await project.output(run_id, key)
    except NotFound as error:
        if error.code != "OUTPUT_NOT_FOUND" or unquote(key) == key:
            raise
        value = await project.output(run_id, unquote(key))
    value = redact_shown(value)
    return Content(TEXT, value) if isinstance(value, str) else _json(value)


async def _node(project: Project, run_id: RunId, name: str) -> Content:
    return _json((await node_of_run(project, run_id, name)).data())


async def _log(project: Project, run_id: RunId, name: str) -> Content:
    return Content(TEXT, await log_of_run(project, run_id, name))


def _report(view: View) -> Content:
    run = view.run
    return Content(TEXT, printable(redact(text_report(run, metrics(run, view.now), timeline(run, view.now)))))


def _diagram(view: View) -> Content:
    return Content(MERMAID, mermaid(view.run.plan))


def _timeline(view: View) -> Content:
    status = status_of(view, view_name="timeline", values=None, page=Page(whole=True))
    return _json([span.data() for span in status.timeline or ()])
