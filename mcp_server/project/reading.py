"""The runs of one project, for those who ask about them: neither commands nor settings nor agents are read for that.

Effects: opens engines that only read. It imports little of what runs need, since a person waits for `status`.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from mcp_server.project.engines import Engines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from engine.ids import RunId
    from engine.service import Engine, View
    from engine.views.todos import TodoOptions


class Runs:
    """The runs of one project; its engine is opened when it is first needed."""

    def __init__(
        self,
        root: Path,
        stack: contextlib.AsyncExitStack,
        *,
        open_one: Callable[[], AbstractAsyncContextManager[Engine]],
        home: Path | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """*stack* closes what is opened, *open_one* opens the engine; *notes* are shown with every run."""
        self.root = root
        self.engines = Engines(root, stack, open_one=open_one, home=home, notes=notes)

    async def reader(self) -> Engine:
        """The engine for questions, which needs no write access. Raises `EnvironmentFault` if it cannot be opened."""
        return await self.engines.reader()

    @property
    def is_open(self) -> bool:
        """Whether the engine is open."""
        return self.engines.is_open

    @property
    def todo_options(self) -> TodoOptions:
        """How todo lists are built. Raises `InputError` for a broken settings file."""
        from mcp_server.project.settings import load_settings, todo_options  # noqa: PLC0415 - only some answers need it

        return todo_options(load_settings(self.root))

    async def view(self, run_id: RunId | None = None) -> View:
        """The durable state of a run, or of the latest one. Raises `NotFound`."""
        return await (await self.reader()).view(run_id)

    async def output(self, run_id: RunId | None, key: str) -> Any:  # noqa: ANN401 - any JSON value
        """The value of one output of a run. Raises `NotFound`."""
        from mcp_server.project.outputs import output_of  # noqa: PLC0415 - only some answers need it

        engine = await self.reader()
        return await engine.read(run_id, lambda view: output_of(view.run, engine.values, key))


@contextlib.asynccontextmanager
async def open_runs(root: Path, *, home: Path | None = None, notes: Sequence[str] = ()) -> AsyncIterator[Runs]:
    """The runs of the project at *root*, for the duration of the block: nothing is ended or recorded of dead runs.

    *home* is the user's home directory, by default that of the process. *notes* are shown with every run.
    """
    from engine.opening import open_engine  # noqa: PLC0415 - see `Runs.engines`

    async with contextlib.AsyncExitStack() as stack:
        yield Runs(root, stack, open_one=partial(open_engine, root, home=home, reads=True), home=home, notes=notes)
