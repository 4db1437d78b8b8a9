"""`orchestrate runs` and `orchestrate status` where the state of the project is certain at a glance.

Effects: reads the state folder and prints. A person waits for these two, and most of the time of the ordinary way goes
into imports: the parser, the event loop, and the engine, which can do much more than read. So the plain forms are
answered from the rows and the journal of the database, with the same views and tables.

Theory of operation. This way decides nothing that the ordinary way might decide otherwise. Where a look is not enough
(other options, `--json`, a state folder that only `guard` can judge, a run that has lost its process or holds locks,
rows that are damaged or of another version, a fault of any kind), `shown` prints nothing and returns False, and the
ordinary way does all of it and reports what is wrong.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.statefolder.quick_look import Uncertain, quick_state
from engine.statefolder.run_notes import open_questions
from mcp_server.cli.line import configuration, root_of
from mcp_server.cli.run_rows import OWNERS, connected, is_alive
from mcp_server.cli.streams import take_any_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.ids import RunId
    from engine.runtime.view import View
    from mcp_server.cli.terminal import ListedRun

SCHEMA = 3
"""The version of the database that is read here, as in `engine/storage/schema.py`, which brings much of the engine."""
UNDER_WAY = frozenset({"pending", "running", "compensating"})
OVER = frozenset({"completed", "degraded", "failed", "compensated", "compensation_failed", "cancelled", "interrupted"})
"""States in which nothing happens by itself."""
_LIST = (
    "SELECT id, command, status, executor, created_at, ended_at, done, total, worktree, idle, owner FROM "
    "runs ORDER BY created_at DESC, rowid DESC LIMIT ?"
)
_ONE = "SELECT id, status, owner, command FROM runs WHERE ? IN ('', id) ORDER BY created_at DESC, rowid DESC LIMIT 1"


def shown(words: Sequence[str]) -> bool:
    """Answer the command line *words*; False if that needs the ordinary way, before anything is printed."""
    place = next((at for at, word in enumerate(words) if word in {"runs", "status"}), 0)
    options, name, rest = words[:place], words[place], words[place + 1 :]
    if name == "runs" and set(rest) <= {"--all"}:
        return _answered(options, lambda folder, db, now: _runs(folder, db, now, every=bool(rest)))
    if name == "status" and len(rest) <= 1 and not any(word.startswith("-") for word in rest):
        return _answered(options, lambda folder, db, now: _status(folder, db, now, *rest))
    return False


def _answered(options: Sequence[str], look: Callable[[str, sqlite3.Connection, datetime], Callable[[], None]]) -> bool:
    try:
        folder = quick_state(root_of(options), configuration())
        if folder is None:
            return False
        db = connected(folder)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA:
                return False
            _check_owners(folder)
            db.execute("BEGIN")  # all of it at one moment
            tell = look(folder, db, datetime.fromtimestamp(time.time(), UTC))  # noqa: TID251 - as in `line`
        finally:
            db.close()
    except Exception:  # noqa: BLE001 - whatever is wrong, the ordinary way reports it
        return False
    take_any_stream()
    tell()
    return True


def _check_owners(folder: str) -> None:
    """Raise `EnvironmentFault` if another machine works on the project."""
    try:
        found = any((Path(folder) / OWNERS).iterdir())
    except FileNotFoundError:
        return
    if found:
        from engine.statefolder.identity import this_process  # noqa: PLC0415 - most projects are at rest
        from engine.statefolder.owners import check_hosts, records  # noqa: PLC0415

        known = records(Path(folder) / OWNERS)
        check_hosts(Path(folder), known, this_process(), time.time())  # noqa: TID251


def _runs(folder: str, db: sqlite3.Connection, now: datetime, *, every: bool) -> Callable[[], None]:
    from mcp_server.cli.terminal import RUNS_SHOWN, ListedRun, notes, results, runs_table  # noqa: PLC0415 - brings rich

    owners = f"{folder}/{OWNERS}"
    rows: list[ListedRun] = []
    alive: set[str] = set()
    for *columns, owner in db.execute(_LIST, (-1 if every else RUNS_SHOWN,)):
        row = ListedRun(*_sound(columns, owner))
        lives = row.status in UNDER_WAY and is_alive(owners, owner, now.timestamp())
        alive.update([owner] if lives else [])
        rows.append(row if lives or row.status in OVER else _interrupted(row, owners, owner))
    if not rows:
        raise Uncertain
    asking = open_questions(owners, alive)
    left = db.execute("SELECT count(*) FROM runs").fetchone()[0] - len(rows)

    def tell() -> None:
        results.print(runs_table(rows, now, asking))
        if left:
            word = "run" if left == 1 else "runs"
            notes.print(f"{left} older {word} not shown; --all shows all", soft_wrap=True)

    return tell


def _interrupted(row: ListedRun, owners: str, owner: str) -> ListedRun:
    """*row* of a run whose *owner* has died."""
    from engine.statefolder.owners import record_of  # noqa: PLC0415 - rare

    record = record_of(Path(owners), owner)
    seen = None if record is None else record.lived
    return row._replace(status="interrupted", ended_at=None if seen is None else max(seen, row.created_at))


def _sound(columns: Sequence[object], owner: object) -> tuple[Any, ...]:
    """The columns of a `ListedRun`. Raises `Uncertain`, ValueError if one is not what it should be."""
    run, command, status, executor, created, ended, done, total, worktree, idle = columns
    texts = (run, command, status, executor, created, worktree, owner)
    if not all(isinstance(text, str) for text in texts) or not isinstance(done, int) or not isinstance(total, int):
        raise Uncertain
    if not isinstance(idle, float):
        raise Uncertain
    if status not in UNDER_WAY | OVER:
        raise Uncertain
    until = None if ended is None else _time(ended)
    return run, command, status, executor, _time(created), until, done, total, worktree, timedelta(seconds=idle)


def _time(text: object) -> datetime:
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise Uncertain
    return found


def _status(folder: str, db: sqlite3.Connection, now: datetime, name: str = "") -> Callable[[], None]:
    found = db.execute(_ONE, (name,)).fetchone()
    if found is None:
        raise Uncertain
    run, status, owner, command = found
    if status not in OVER and not (status in UNDER_WAY and is_alive(f"{folder}/{OWNERS}", owner, now.timestamp())):
        raise Uncertain
    view = _view(db, run, command, now)
    from mcp_server.cli import console  # noqa: PLC0415 - for what is printed

    tree = console.tree(view)
    return lambda: console.results.print(tree)


def _view(db: sqlite3.Connection, run: RunId, command: str, now: datetime) -> View:
    """The view of a run. Raises `Uncertain` if it holds or waits for anything but its turn."""
    from engine.run.reducer import fold  # noqa: PLC0415 - `runs` does not need it
    from engine.runtime.view import View  # noqa: PLC0415
    from engine.storage.journal import Chain, Head, checked  # noqa: PLC0415
    from engine.storage.rows import learned_in, rows_of  # noqa: PLC0415
    from engine.views.status import questions  # noqa: PLC0415

    end = Head(*db.execute("SELECT events, chain FROM runs WHERE id=?", (run,)).fetchone())
    folded = fold(checked(run, rows_of(db, run), Chain(run), end))
    if (folded.uses_locks and not folded.ended) or questions(folded):
        raise Uncertain
    estimates = {} if folded.ended else learned_in(db, command)
    return View(run=folded, actions={}, estimates=estimates, now=now)
