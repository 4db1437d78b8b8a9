"""Looks at runs for pages that follow them: one look for all followers of a run, and none while there are none.

Effects: reads the project, in a task for each document that is followed.

A page far away, or one that is slow, costs nothing but its connection: there are no queues. Each follower says which
number it has, and is given what came since, or a snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any

from engine.errors import InternalError, OrchestrationError
from engine.views.durations import milliseconds
from engine.views.feed import Feed, News
from engine.views.live import run_document
from engine.views.outlook import remaining
from mcp_server.live.rows import list_document
from mcp_server.project.runs import questions_of, run_filter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from datetime import datetime, timedelta

    from engine.ids import RunId
    from engine.service import View
    from mcp_server.project.reading import Runs

MAX_RUNS = 500
"""Runs in the list, newest first."""
FRAME_SECONDS = 0.1
"""The shortest time between two looks at a run of this process, which wakes its followers."""
PAUSE_SECONDS = 0.25
"""The time between two looks at a run of another process."""
LIST_SECONDS = 1.0
"""The time between two looks at the list of runs."""
SHARE = 10
"""A look is followed by a pause of at least this many times its own length, so that watching takes little of a core."""
LINGER_SECONDS = 5.0
"""How long a document is looked at after its last follower has gone: one that polls comes again."""


class Moment:
    """The times of a run as of one look: they change without any event, and are sent with news only."""

    def __init__(self, view: View) -> None:
        """As of *view*."""
        run = view.run
        self._created = run.created_at
        self._at = view.now
        self._remaining: timedelta | None = None if run.ended else remaining(run, view.now, view.estimates)

    def data(self, now: datetime) -> dict[str, int]:
        """Milliseconds since the request for the run, and what is left by the estimates."""
        found = {"atMs": milliseconds(now - self._created)}
        if self._remaining is not None:
            found["remainingMs"] = max(0, milliseconds(self._remaining - (now - self._at)))
        return found


class Watched:
    """One document that is followed."""

    def __init__(self) -> None:
        """Nothing was looked at yet."""
        self.feed = Feed(secrets.token_hex(6))
        self.failure: OrchestrationError | None = None
        """Why it can no longer be followed."""
        self.moment: Moment | None = None
        self.seen: tuple[object, int, tuple[str, ...]] | None = None
        """The run of the last look, its number of events, and its warnings."""
        self.followers = 0
        self.task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Wake all followers."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def news(self, number: int, feed: str | None = None, *, seconds: float) -> News:
        """The news since *number* of *feed*, as soon as there is anything, at most after *seconds*.

        Raises why it can no longer be followed, once all that was seen of it is known.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.failure is None and not (self.feed.number and self.feed.since(number, feed)):
                    await self._changed.wait()
        news = self.feed.since(number, feed) if self.feed.number else News(self.feed.name, 0)
        if self.failure is not None and not news:
            raise self.failure
        return news


class Watching:
    """The documents of one project that are followed."""

    def __init__(self, project: Runs) -> None:
        """Of *project*, which is opened for reading when the first page asks."""
        self._project = project
        self._watched: dict[object, Watched] = {}

    @contextlib.asynccontextmanager
    async def run(self, run_id: RunId) -> AsyncIterator[Watched]:
        """Follow a run during the block."""
        async with self._following(run_id, lambda watched: self._look_at_run(watched, run_id)) as watched:
            yield watched

    @contextlib.asynccontextmanager
    async def runs(self, where: Mapping[str, str]) -> AsyncIterator[Watched]:
        """Follow the list of runs: those *where* `state`, `command`, `since` and `grep` are as given."""
        key = tuple(sorted(where.items()))
        async with self._following(key, lambda watched: self._look_at_list(watched, where)) as watched:
            yield watched

    async def close(self) -> None:
        """End all looks."""
        tasks = [one.task for one in self._watched.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def message(self, watched: Watched, news: News) -> dict[str, Any]:
        """*news* as they are sent."""
        found: dict[str, Any] = {"feed": news.feed, "number": news.number}
        if news.snapshot is not None:
            found["snapshot"] = news.snapshot
        if news.patches:
            found["patches"] = [{"number": one.number, "changes": one.changes} for one in news.patches]
        if watched.moment is not None:
            found |= watched.moment.data((await self._project.reader()).clock.now())
        return found

    @contextlib.asynccontextmanager
    async def _following(self, key: object, look: Callable[[Watched], Awaitable[float]]) -> AsyncIterator[Watched]:
        watched = self._watched.get(key)
        if watched is None or watched.failure is not None:
            watched = self._watched[key] = Watched()
            watched.task = asyncio.create_task(self._look(key, watched, look))
        watched.followers += 1
        try:
            yield watched
        finally:
            watched.followers -= 1

    async def _look(self, key: object, watched: Watched, look: Callable[[Watched], Awaitable[float]]) -> None:
        """Look until there was no follower for `LINGER_SECONDS`, or it fails; *look* returns the shortest pause."""
        time = asyncio.get_running_loop().time
        left_at: float | None = None
        try:
            while left_at is None or time() - left_at < LINGER_SECONDS:
                began = time()
                pause = await look(watched)
                await asyncio.sleep(max(pause, SHARE * (time() - began)))
                left_at = None if watched.followers else (left_at or time())
        except OrchestrationError as error:
            watched.failure = error
        except Exception as error:  # a fault of ours must not leave pages waiting for ever
            watched.failure = InternalError(f"the run cannot be shown ({type(error).__name__})")
            raise
        finally:
            if self._watched.get(key) is watched:
                del self._watched[key]
            watched.notify()

    async def _look_at_run(self, watched: Watched, run_id: RunId) -> float:
        engine = await self._project.reader()

        def built(view: View) -> dict[str, Any] | None:
            run, seen = view.run, watched.seen
            if seen is not None and seen[0] is run and seen[1:] == (run.events, view.warnings):
                return None
            watched.moment, watched.seen = Moment(view), (run, run.events, view.warnings)
            return run_document(run, view.now, view.estimates, view.warnings)

        document = await engine.read(run_id, built)
        if document is not None and watched.feed.look(document):
            watched.notify()
        if run_id not in engine.live_runs.runs:
            return PAUSE_SECONDS
        await asyncio.sleep(FRAME_SECONDS)
        await engine.wait(run_id, LIST_SECONDS)
        return 0.0

    async def _look_at_list(self, watched: Watched, where: Mapping[str, str]) -> float:
        engine = await self._project.reader()
        wanted = run_filter(
            states=[where["state"]] if where.get("state") else (),
            command=where.get("command"),
            since=where.get("since"),
            text=where.get("grep"),
            now=engine.clock.now(),
        )
        rows = wanted.select(await engine.archive.look_after_all())[:MAX_RUNS]
        if watched.feed.look(list_document(rows, questions_of(engine.project, rows))):
            watched.notify()
        return LIST_SECONDS
