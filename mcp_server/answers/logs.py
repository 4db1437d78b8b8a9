"""The log of an attempt as lines of text for people.

Effects: reads logs. Each line starts with a time or is indented, so that nothing an agent prints can pass for a line of
ours.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.model.log import LogKind
from engine.model.plan import NodeKind
from engine.run.events import Role
from engine.run.made import size_of
from engine.scheduling.readiness import waiting_for
from engine.storage.attempt_logs import LogReader
from engine.text.cut import some
from engine.text.redaction import one_line, redact
from engine.text.shown import clean, printable
from engine.views.durations import took
from engine.views.money import dollars
from engine.views.status import session_of
from mcp_server.project.nodes import attempts_of, find_node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.ids import RunId
    from engine.model.log import LogEntry
    from engine.run.state import Run
    from mcp_server.project.nodes import Chosen
    from mcp_server.project.reading import Runs

INDENT = " " * 10
"""As wide as a time and two blanks."""
MAX_MESSAGE_LENGTH = 300
MAX_OUTPUTS = 5
MAX_TAIL_LENGTH = 64 * 1024
"""Characters of the end of a log that one answer holds."""
_MARKS = {LogKind.DID: "● ", LogKind.RESULT: "⎿ "}
_STEERING = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Sequences that control a terminal, such as those for colours."""
_BREAKS = re.compile(r"\r\n?")
KILO = 1024


def heading(run: Run, chosen: Chosen) -> str:
    """The line above the log of an attempt."""
    node, record = chosen
    undo = record.role is Role.COMPENSATE
    session = session_of(run, node, record)
    parts = [
        f"{chosen.name} · {node.plan.worker(undo=undo)}",
        "rollback" if undo else "",
        f"transcript: claude --resume {session}" if session else "",
    ]
    return clean(" · ".join(part for part in parts if part))


def ending(run: Run, chosen: Chosen) -> Iterator[str]:
    """The line below the log of an attempt that has ended."""
    record = chosen.record
    if record.lost:
        text = (
            f"⏸️ lost with the worker {clean(record.lost_worker)}" if record.lost_worker else "⏸️ lost: its process ended"
        )
    elif record.ended_at is None:
        if not run.ended:
            return
        text = "⏸️ interrupted with its run; resume continues it"
    elif record.failure is not None:
        message = one_line(record.failure.message, limit=MAX_MESSAGE_LENGTH)
        text = f"❌ failed after {took(run.worked(record, record.ended_at))}: {clean(record.failure.code)}: {message}"
    else:
        text = f"✅ completed in {took(run.worked(record, record.ended_at))}{_outputs(chosen)}"
    cost = record.usage.cost_usd if record.usage is not None else None
    at = _time(record.ended_at) if record.ended_at is not None else " " * 8
    yield f"{at}  {text}{f' · {dollars(cost)}' if cost else ''}"


def _outputs(chosen: Chosen) -> str:
    """The outputs of a node, which its log does not repeat."""
    outputs = chosen.node.outputs
    if not outputs or chosen.record.role is Role.COMPENSATE:
        return ""
    return f" · outputs: {some([f'{clean(key)} ({_size(size_of(ref))})' for key, ref in outputs.items()], MAX_OUTPUTS)}"


def lines_of(entry: LogEntry) -> Iterator[str]:
    """The lines of an entry."""
    at = _time(datetime.fromtimestamp(entry.at / 1000, UTC))
    if entry.kind is LogKind.LEFT_OUT:
        yield f"{at}  … {_size(entry.size)} left out …"
        return
    text = _BREAKS.sub("\n", _STEERING.sub("", entry.text)).removesuffix("\n")
    by = f"[{clean(entry.by)}] " if entry.by else ""
    first, *rest = printable(text).split("\n")
    yield f"{at}  {by}{_MARKS.get(entry.kind, '')}{first}"
    yield from (f"{INDENT}{line}" for line in rest)


def nothing_of(run: Run, chosen: Chosen) -> str:
    """The line in the place of a log without lines."""
    return f"{INDENT}{_why_empty(run, chosen)}"


def _why_empty(run: Run, chosen: Chosen) -> str:
    if run.executor == "simulate":
        return "(simulated: nothing was printed)"
    if chosen.node.plan.kind is NodeKind.SUB_COMMAND and chosen.record.role is Role.FORWARD:
        return "(a sub-command: see its nodes)"
    agent = run.plan.agents.get(chosen.node.plan.worker(undo=chosen.record.role is Role.COMPENSATE))
    if run.executor == "host" and agent is not None and agent.kind.traits.needs_model:
        return "(done by the client, whose own transcript has it)"
    return (
        "(nothing but its answer, or its log had to make room for others)"
        if chosen.record.ended_at
        else "(nothing yet)"
    )


def entries_of(reader: LogReader, chosen: Chosen) -> Iterable[LogEntry]:
    """All entries of a log, read piece by piece."""
    place = 0
    while (page := reader.read(chosen.node.plan.id, chosen.record.number, place)).entries:
        yield from page.entries
        place = page.place


def tail_of(run: Run, reader: LogReader, chosen: Chosen) -> str:
    """The log of an attempt as one text: its end, if it is long."""
    found: deque[str] = deque()
    size = left_out = 0
    for entry in entries_of(reader, chosen):
        for line in lines_of(entry):
            found.append(redact(line))
            size += len(found[-1]) + 1
            while size > MAX_TAIL_LENGTH and len(found) > 1:
                gone = len(found.popleft()) + 1
                size, left_out = size - gone, left_out + gone
    above = [heading(run, chosen), *([f"{INDENT}… {_size(left_out)} left out …"] if left_out else [])]
    return "\n".join([*above, *(found or [nothing_of(run, chosen)]), *ending(run, chosen)])


async def log_of_run(project: Runs, run_id: RunId, name: str) -> str:
    """The end of the log of the last attempt of a node, or of the attempt *name*. Raises `NotFound`."""
    engine = await project.reader()
    run = (await engine.view(run_id)).run
    chosen = attempts_of(run, name)
    if not chosen:
        return f"nothing has begun yet: it waits for {waiting_for(run, find_node(run, name)) or 'its turn'}"
    reader = await asyncio.to_thread(LogReader, engine.location.state, run.id)
    return await asyncio.to_thread(tail_of, run, reader, chosen[-1])


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")


def _size(size: int) -> str:
    """`312 bytes`, `12 kB`, `1.5 MB`."""
    if size < KILO:
        return f"{size} bytes"
    return f"{size / KILO:.0f} kB" if size < KILO * KILO else f"{size / KILO / KILO:.1f} MB"
