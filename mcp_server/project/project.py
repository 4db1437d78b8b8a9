"""One project as the server and the command line use it: its commands and its runs.

Effects: reads command files, owns the engine of the project, starts processes through it. It only translates requests
to calls: the engine has the rules of runs, the registry those of files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from engine.errors import EnvironmentFault, InputError, StateError
from engine.graph import compile_plan
from engine.ids import NodeId, parse_attempt_id
from engine.run.events import Limits, RunCreated, RunStatus
from engine.run.limits import checked
from engine.runtime.clock import SystemClock
from engine.runtime.projections import summary_of
from engine.statefolder.guard import open_state
from engine.statefolder.location import has_journal, locate
from engine.storage.database import faults
from engine.storage.port import Batch
from engine.text.cut import some
from engine.values.arguments import bind_arguments, working_agents
from mcp_server.project.background import LOGS, start_worker
from mcp_server.project.claude_settings import ClaudeSettings
from mcp_server.project.engines import breakers_of
from mcp_server.project.forecast import Forecast, costs_of, forecast_of
from mcp_server.project.nodes import find_node
from mcp_server.project.reading import Runs
from mcp_server.project.rechecks import Rechecks
from mcp_server.project.settings import load_settings, todo_options
from mcp_server.project.trusted import Trust, follows_of, open_trust
from registry.catalog import Catalog, CheckedCommand
from registry.trust.git_drivers import driver_item

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from engine.executors.port import Outcome
    from engine.executors.simulate import Fault
    from engine.ids import RunId
    from engine.model.agent import Agent
    from engine.model.plan import Plan
    from engine.run.state import Run
    from engine.service import Engine, View
    from engine.simulation import Simulated
    from engine.storage.port import RunSummary
    from engine.views.todos import TodoOptions
    from mcp_server.project.settings import Settings


LIBRARY = "ORCHESTRATION_LIBRARY"
"""Variable for a folder whose `.claude/commands` and `.claude/agents` come after the user's own: our plugin's."""
UNAVAILABLE = "EXECUTOR_UNAVAILABLE"
MAX_CHANGED = 5
"""Number of changed files that a resumed run names."""
NOT_RECORDED = "no run was recorded: the state folder of this project cannot be written"
RUNS_LOOKED_AT = 500
"""Newest runs that are searched for those of a command, for its cost."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a new run."""

    source: str | Mapping[str, Any]
    arguments: str | Mapping[str, Any] | None = None
    executor: str = "auto"
    """`auto`, `claude`, `host` or `simulate`."""
    limits: Limits = msgspec.field(default_factory=Limits)
    """For those that are absent, the project's settings apply."""
    faults: Mapping[tuple[NodeId, int | None], Fault] = msgspec.field(default_factory=dict)
    """For `simulate`: failures by node and attempt number; None is every forward attempt."""
    values: Mapping[NodeId, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    """For `simulate`: outputs by node and key."""
    seed: int | None = None
    """For `simulate`: equal seeds make equal runs."""


class Project(Runs):
    """The commands and runs of one project, from `open_project`. Its engine is opened when it is first needed."""

    def __init__(
        self,
        root: Path,
        settings: Settings,
        catalog: Catalog,
        stack: contextlib.AsyncExitStack,
        *,
        host: bool,
        trust: Trust,
        home: Path | None = None,
        reads: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        """*stack* closes what is opened; *host*: there is a client that can do model work itself.

        *notes* are shown with every run.
        """
        super().__init__(root, stack, open_one=self._opened, home=home, notes=notes)
        self.settings = settings
        self.catalog = catalog
        self.trust = trust
        self.claude_settings = ClaudeSettings(trust.project, trust.accepts)
        self._host = host
        self._home = home
        self._reads = reads

    async def engine(self) -> Engine:
        """The engine of the project. Raises `EnvironmentFault` if the state folder cannot be used."""
        return await self.engines.engine()

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Engine]:
        from engine.opening import open_engine  # noqa: PLC0415 - for runs only
        from mcp_server.project.attached import attach  # noqa: PLC0415
        from mcp_server.project.user_settings import load_user_settings  # noqa: PLC0415

        own = load_user_settings(self._home)
        opened = open_engine(
            self.root,
            claude_program=self.settings.claude_program,
            agent_environment=own.agents.variables,
            home=self._home,
            reads=self._reads,
        )
        async with contextlib.AsyncExitStack() as last, opened as engine:
            rechecks = Rechecks(self.trust)
            permits = engine.permits
            permits.begin, permits.again, permits.accepts = rechecks.begin, rechecks.again, self.trust.accepts
            permits.whole = self.claude_settings.whole
            engine.allows = lambda driver, top: self.trust.accepts(driver_item(driver, top))
            engine.breakers.update(breakers_of(self.settings))
            idle = self.settings.idle_timeout_ms
            engine.idle_timeout = None if idle is None else timedelta(milliseconds=idle)
            if self.settings.fleet.connect is not None:
                from mcp_server.project.fleet import ProjectFiles, open_fleet  # noqa: PLC0415 - its libraries take a second

                files = ProjectFiles(permits.attempt, engine.allows)
                engine.placement.fleet = open_fleet(self.settings.fleet, self.trust.project, files)
            if not self._reads:
                await attach(engine, self.settings, self.trust, own.notify, last)
            yield engine

    @property
    def todo_options(self) -> TodoOptions:
        """How todo lists are built."""
        return todo_options(self.settings)

    def load(self, source: str | Mapping[str, Any]) -> CheckedCommand:
        """The command that *source* names, with all its problems. Raises `InputError` if there is none to check."""
        return self.catalog.load(source)

    def plan(self, source: str | Mapping[str, Any] | CheckedCommand) -> Plan:
        """The plan of a command. Raises `InvalidCommand` with every problem, `NotFound`."""
        return plan_of(self.catalog, source)

    def limits(self, asked: Limits) -> Limits:
        """*asked*, and the project's settings for the rest. Raises `InputError` (INVALID_LIMIT)."""
        settings = self.settings
        defaults = Limits(
            max_parallelism=settings.max_parallelism,
            max_cost_usd=settings.max_cost_usd,
            max_attempts_total=settings.max_attempts_total,
            max_duration_seconds=settings.max_duration_seconds,
        )
        return checked(asked.over(defaults))

    async def start(self, request: RunRequest) -> RunId:
        """Start a run, or simulate one to its end; it is durable when this returns.

        Raises `InvalidCommand` with all problems, `InputError` for its arguments, and `EnvironmentFault`
        (EXECUTOR_UNAVAILABLE) if no executor can do the work of model agents.
        """
        loaded = self.load(request.source)
        plan = self.plan(loaded)
        executor = self._executor(plan, request, host=self._host)
        if executor == "simulate":
            return await self._simulate(plan, request, loaded.raw)
        plan = self._looked_over(plan, request, executor)
        engine = await self.engine()
        return await engine.start(
            plan,
            arguments=request.arguments,
            executor=executor,
            limits=self.limits(request.limits),
            definition=loaded.raw,
        )

    async def start_in_background(self, request: RunRequest) -> RunId:
        """Start a run in a separate process, which continues when this one ends; durable when this returns.

        A simulated run takes no time and is recorded here. Raises what `start` does, and `EnvironmentFault`
        (WORKER_FAILED).
        """
        loaded = self.load(request.source)
        plan = self.plan(loaded)
        if self._executor(plan, request, host=False) == "simulate":
            return await self._simulate(plan, request, loaded.raw)
        self.trust.check(_workers(plan, request))
        asked = {
            "source": request.source,
            "arguments": request.arguments,
            "executor": request.executor,
            "limits": structs.asdict(request.limits),
        }
        return await self._background({"run": asked})

    async def resume_in_background(self, run_id: RunId, *, failed: bool = False, limits: Limits | None = None) -> None:
        """Resume a run in a separate process. Raises what `resume` does, and `EnvironmentFault` (WORKER_FAILED)."""
        await self._background({"resume": run_id, "failed": failed, "limits": structs.asdict(limits or Limits())})

    async def _background(self, request: Mapping[str, Any]) -> RunId:
        place = await asyncio.to_thread(locate, self.root)
        with faults(place.state.folder):  # the worker's log is in there
            await asyncio.to_thread(open_state, place.root, home=self._home)
        home = None if self._home is None else str(self._home)
        return await asyncio.to_thread(start_worker, self.root, {**request, "home": home}, state=place.state)

    async def prune(
        self, *, keep: int | None = None, older_than: timedelta | None = None, interrupted: bool = False
    ) -> list[RunSummary]:
        """Remove old runs as `Engine.prune` does, and the logs of their workers."""
        engine = await self.engine()
        gone = await engine.prune(keep=keep, older_than=older_than, interrupted=interrupted)
        for row in gone:
            log = engine.location.state.folder / LOGS / f"{row.id}.log"
            await asyncio.to_thread(log.unlink, missing_ok=True)
        return gone

    async def dry_run(self, request: RunRequest) -> View:
        """The final state of a simulated run that is not recorded: its times are the prediction."""
        from engine.service import View  # noqa: PLC0415 - for runs only

        plan = self._looked_over(self.plan(request.source), request, request.executor)
        run = (await self._simulated(plan, request)).run
        return View(run=run, actions={}, estimates={}, now=run.ended_at or run.created_at)

    def _looked_over(self, plan: Plan, request: RunRequest, executor: str) -> Plan:
        """*plan* with warnings of what its agents will lack if *executor* does the work of model agents."""
        from mcp_server.project.preflight import preflight  # noqa: PLC0415 - for runs only

        agents = _workers(plan, request)
        notes = preflight(agents, self.root, self.claude_settings.waiting, executor=executor, home=self._home)
        return structs.replace(plan, warnings=(*plan.warnings, *notes))

    def _executor(self, plan: Plan, request: RunRequest, *, host: bool) -> str:
        """The executor of model agents: `native` (none works), `claude`, `host` or `simulate`.

        Nothing is simulated unless requested. Raises `EnvironmentFault` if no executor can do the work.
        """
        from engine.executors.claude.executor import find_program  # noqa: PLC0415 - for runs only

        asked, program = request.executor, self.settings.claude_program
        if asked == "simulate":
            return "simulate"
        if not any(agent.kind.traits.needs_model for agent in _workers(plan, request)):
            return "native"
        fleet = self.settings.fleet  # its workers have Claude Code: the engine asks them before the run starts
        far = fleet.connect is not None and "claude" in fleet.agents
        if asked in {"auto", "claude"} and (far or find_program(self.root, program) is not None):
            return "claude"
        if host and asked in {"auto", "host"}:
            return "host"
        claude = f"Claude Code ({program})" if program else "Claude Code"
        missing = "no MCP client is connected" if asked == "host" else f"{claude} was not found"
        raise EnvironmentFault(
            f"{plan.command} needs a model, but {missing}",
            code=UNAVAILABLE,
            hint="Install Claude Code (npm install -g @anthropic-ai/claude-code) or name its program as claude_program "
            'in .claude/orchestration.toml; executor "simulate" tries the command without doing any work.',
        )

    async def forecast(self, request: RunRequest) -> Forecast:
        """The forecast of a run; without earlier runs it is based on the estimates in the file."""
        plan = self.plan(request.source)
        learned: dict[str, float] = {}
        costs: list[float] = []
        if self.is_open or await asyncio.to_thread(has_journal, self.root):
            storage = (await self.reader()).storage
            learned = await storage.estimates(plan.command)
            costs = costs_of(await storage.summaries(RUNS_LOOKED_AT), plan.command)
        parallel = self.limits(request.limits).max_parallelism
        return await asyncio.to_thread(forecast_of, plan, learned=learned, costs=costs, max_parallelism=parallel)

    async def _simulate(self, plan: Plan, request: RunRequest, definition: Mapping[str, Any]) -> RunId:
        """Simulate in a thread, then record the whole run in one commit under a new id."""
        engine, recorded = await self.engines.recorder()
        simulated = await self._simulated(plan, request, definition)
        run, run_id = simulated.run, engine.clock.new_run_id()
        run.id, run.worktree = run_id, engine.location.worktree
        events = [
            structs.replace(event, run=run_id, worktree=run.worktree) if isinstance(event, RunCreated) else event
            for event in simulated.events
        ]
        batch = Batch(
            events=[(run_id, place, event) for place, event in enumerate(events)],
            values=simulated.values,
            summaries={run_id: summary_of(run, run.owner)},
        )
        await engine.storage.commit(batch, run.owner)
        if not recorded:
            engine.activity.warn(run_id, NOT_RECORDED)
        return run_id

    async def _simulated(
        self, plan: Plan, request: RunRequest, definition: Mapping[str, Any] | None = None
    ) -> Simulated:
        """The simulation; raises `InputError` (NO_EFFECT) if a requested failure or value had no effect."""
        from engine.simulation import Scenario, simulate  # noqa: PLC0415 - real runs can do without

        scenario = Scenario(
            definition=definition,
            arguments=request.arguments,
            limits=self.limits(request.limits),
            faults=request.faults,
            values=request.values,
            seed=secrets.randbits(32) if request.seed is None else request.seed,
            epoch=SystemClock().now(),
        )
        simulated = await asyncio.to_thread(simulate, plan, scenario, project=self.root)
        if simulated.lost:
            raise InputError(
                f"the simulation of {plan.command} is not as requested: {'; '.join(simulated.lost)}",
                code="NO_EFFECT",
                hint="Name a node and an attempt that the simulation reaches, or set what its skip condition reads.",
            )
        return simulated

    async def resume(self, run_id: RunId, *, failed: bool = False, limits: Limits | None = None) -> None:
        """Resume an interrupted run, or retry a failed one; *limits* replace those it had.

        Raises `StateError`, `NotFound`, `InputError` for invalid limits, and `EnvironmentFault`
        (EXECUTOR_UNAVAILABLE) for a client's work without a client.
        """
        engine = await self.engine()
        run = (await engine.view(run_id)).run
        if run.executor == "host" and not self._host:
            raise EnvironmentFault(
                f"an MCP client does the work of run {run_id}, and none is connected",
                code=UNAVAILABLE,
                hint="Resume it from the client with the tool `resume`, or run the command again with executor claude.",
            )
        if run.executor == "simulate":
            raise StateError(
                f"run {run_id} was simulated", code="NOT_RESUMABLE", hint="Run the command again; it takes no time."
            )
        await engine.resume(run_id, failed=failed, limits=limits and checked(limits))
        changed = await asyncio.to_thread(self._changed_since, run)
        if changed:
            engine.activity.warn(run_id, changed)

    def _changed_since(self, run: Run) -> str:
        """A note if files of *run* have changed since it began; the run continues with what it began with."""
        plan = run.plan
        try:
            now = self.catalog.load(plan.source) if plan.source and plan.source != "definition" else None
        except InputError:
            now = None
        agents = self.catalog.agents()
        changed = [plan.source] if now is not None and now.digest != plan.digest else []
        for name, agent in plan.agents.items():
            known = agents.get(name)
            if known is not None and known != agent:
                changed.append(f'agent "{name}"')
        if not changed:
            return ""
        return (
            f"Changed since this run began: {some(changed, MAX_CHANGED)}. The run continues with what it began with; "
            f"run {plan.command} again to use the changes."
        )

    async def decide(self, run_id: RunId | None, node: str, answer: str) -> None:
        """Submit a person's answer; a run of another process gets it by its inbox. Raises `StateError`, `NotFound`."""
        engine = await self.engine()
        run = (await engine.view(run_id)).run
        await engine.decide(run.id, find_node(run, node).plan.id, answer)

    async def report(self, run_id: RunId | None, attempt: str, outcome: Outcome | None) -> None:
        """Submit the client's report on its work; None is a heartbeat.

        Raises `StateError` for a late report, and for one about work that is not the client's.
        """
        engine = await self.engine()
        run = (await engine.view(run_id)).run
        parsed = parse_attempt_id(attempt)
        if parsed is None or parsed[0] != run.id or parsed[1] not in run.nodes:
            raise InputError(f'"{attempt}" is not an attempt of run {run.id}', code="INVALID_ATTEMPT")
        if run.ended:
            raise StateError(
                f"report rejected: run {run.id} is {run.status}",
                code="STALE_ATTEMPT",
                hint="Resume the run; it hands out its work again." if run.status is RunStatus.INTERRUPTED else None,
            )
        if run.executor != "host":
            raise StateError(f"report rejected: run {run.id} has no work for the client (executor {run.executor})")
        await engine.report(attempt, outcome)


@contextlib.asynccontextmanager
async def open_project(
    root: Path, *, host: bool = False, home: Path | None = None, reads: bool = False, notes: Sequence[str] = ()
) -> AsyncIterator[Project]:
    """The project at *root* for the duration of the block; at its end its live runs are recorded as interrupted.

    *home* is the user's home directory, by default that of the process. With *reads* nothing is ended and nothing is
    recorded of dead runs. *notes* are shown with every run. Raises `InputError` for a broken settings file.
    """
    settings = load_settings(root)
    catalog = open_catalog(root, settings, home=home)
    async with contextlib.AsyncExitStack() as stack:
        trust = open_trust(catalog, settings, home=home)
        yield Project(root, settings, catalog, stack, host=host, trust=trust, home=home, reads=reads, notes=notes)


def open_catalog(root: Path, settings: Settings, *, home: Path | None = None) -> Catalog:
    """The commands and agents of the project at *root*; needs no state folder, so it is enough for validation."""
    named = os.environ.get(LIBRARY)  # not a setting of the project: programs of the library run without a yes
    library = root / named if named else None
    return Catalog(
        root,
        home=home or Path.home(),
        library=library,
        breakers=settings.breakers,
        defaults=settings.claude.defaults(),
        follows=follows_of(root, home),
    )


def plan_of(catalog: Catalog, source: str | Mapping[str, Any] | CheckedCommand) -> Plan:
    """The plan of a command. Raises `InvalidCommand` with every problem, `NotFound`."""
    loaded = source if isinstance(source, CheckedCommand) else catalog.load(source)
    return compile_plan(catalog.bundle(loaded))


def _workers(plan: Plan, request: RunRequest) -> list[Agent]:
    """The agents that may work in the requested run. Raises `InputError` for unusable arguments."""
    return working_agents(plan, bind_arguments(plan, request.arguments)[0])
