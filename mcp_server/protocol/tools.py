"""The tools: they translate a client's requests to calls of the project, and runs to answers.

Effects: starts, ends and waits for runs. Heavy modules are imported on the first call, so that the server answers its
first request quickly. Parameters are spelled as users type them: the SDK would list an alias but not accept it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
import anyio.lowlevel
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.errors import OrchestrationError
from mcp_server.answers import wire
from mcp_server.protocol import instructions
from mcp_server.protocol.results import RunInProgress, result_of, result_with, takes_tasks
from mcp_server.protocol.session import Session
from mcp_server.protocol.uris import APP

if TYPE_CHECKING:
    from engine.executors.port import Outcome
    from engine.ids import RunId
    from engine.run.events import Limits
    from mcp_server.project.project import Project, RunRequest

ALWAYS_LOAD = {"anthropic/alwaysLoad": True}
"""Claude Code shows such a tool to the model from the start; others by name only."""
SHOWN_BY = {"ui": {"resourceUri": APP}, "ui/resourceUri": APP}
"""Hosts of MCP Apps show the run of such a tool in the live view; the second name is that of older hosts."""
FOR_THE_VIEW = {"ui": {"visibility": ["app"]}}
"""Such a tool is for the live view: hosts do not offer it to models. Any client can call it, so it is guarded too."""
FIRST_LOOK_SECONDS = 5.0
"""Seconds that `live` waits at least, so that its first answer is seldom empty."""
CANCEL_SECONDS = 30.0
"""Seconds that `cancel` waits for agents to end."""

Ctx = Context[Session, Any]
Status = Annotated[CallToolResult, wire.Status]
"""Declared by `status` alone: the schema is long, and each session reads the schemas of all tools."""


def _as_text(value: object) -> object:
    """An object as its JSON, None as empty text: the schema asks for text, which any client's form can fill.

    The SDK reads texts as JSON for every other type, `str | None` too: "null" would be None.
    """
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_as_text)]
Source = Annotated[
    Text,
    Field(description='"/name", a path under the project root, or a command definition (JSON object)'),
]
Wait = Annotated[float, Field(ge=0, le=3600, description="Seconds to wait; 0 returns immediately")]
RunIdText = Annotated[str, Field(min_length=1, max_length=200, description="Id of the run")]
MaxParallelism = Annotated[int | None, Field(ge=1, le=1000, description="Maximum number of agents running at once")]
MaxCost = Annotated[float | None, Field(gt=0, description="Stop once the agents have cost this much, in USD")]
MaxAttempts = Annotated[int | None, Field(ge=1, description="Stop after this many attempts")]
MaxDuration = Annotated[float | None, Field(gt=0, description="Stop after this many seconds")]
Executor = Annotated[
    Literal["auto", "claude", "host", "simulate"],
    Field(description="Where model agents run; simulate replaces all agents and does no work"),
]


class Failed(BaseModel):
    """Why an attempt did not succeed."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(default="AGENT_ERROR", min_length=1, max_length=100)
    kind: Literal["error", "timeout", "validation", "cancel"] = "error"
    message: str = Field(max_length=10_000)


class Result(BaseModel):
    """The result of the client's attempt: outputs, or a failure; neither is a heartbeat."""

    model_config = ConfigDict(extra="forbid")

    attempt: str = Field(max_length=500)
    outputs: dict[str, Any] | None = None
    failure: Failed | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Result:
        if self.outputs is not None and self.failure is not None:
            msg = "an attempt has outputs or a failure, not both"
            raise ValueError(msg)
        return self


class Decision(BaseModel):
    """A person's answer to a question of a run."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(max_length=500)
    answer: Literal["yes", "no", "retry", "skip", "fail"]


async def load_command(ctx: Ctx, source: Source) -> CallToolResult:
    """See `instructions.LOAD_COMMAND`."""
    project = await _session(ctx).project()
    from mcp_server.answers.status import loaded_of  # noqa: PLC0415 - heavy: see session.py

    loaded = project.load(source)
    answer = loaded_of(loaded, project.plan(loaded), project.todo_options)
    return result_of(answer.model_copy(update=await _first(ctx, project)))


async def validate(
    ctx: Ctx,
    source: Source,
    strict: Annotated[bool, Field(description="Treat warnings as errors")] = False,  # noqa: FBT002
) -> CallToolResult:
    """See `instructions.VALIDATE`."""
    project = await _session(ctx).project()
    from mcp_server.answers.status import validation_of  # noqa: PLC0415 - heavy: see session.py

    answer = validation_of(project.load(source), strict=strict)
    return result_of(answer.model_copy(update=await _first(ctx, project)))


async def run(  # noqa: PLR0917 - clients pass parameters by name
    ctx: Ctx,
    command: Source,
    arguments: Annotated[
        Text,
        Field(description="The text after the command's name, or arguments by name as a JSON object"),
    ] = "",
    executor: Executor = "auto",
    dry_run: Annotated[bool, Field(description="Only predict the timeline; run and record nothing")] = False,  # noqa: FBT002
    wait_seconds: Wait = 0,
    detach: Annotated[bool, Field(description="Keep the run going when this call or this client ends")] = False,  # noqa: FBT002
    max_parallelism: MaxParallelism = None,
    max_cost_usd: MaxCost = None,
    max_attempts_total: MaxAttempts = None,
    max_duration_seconds: MaxDuration = None,
) -> CallToolResult | InputRequiredResult:
    """See `instructions.RUN`."""
    session = _session(ctx)
    project = await session.project()
    from mcp_server.project.project import RunRequest  # noqa: PLC0415
    from mcp_server.protocol.elicitation import asked_run  # noqa: PLC0415
    from mcp_server.protocol.waits import wait_for_end  # noqa: PLC0415 - heavy: see session.py

    limits = _limits(max_parallelism, max_cost_usd, max_attempts_total, max_duration_seconds)
    request = RunRequest(source=command, arguments=_object_or_text(arguments), executor=executor, limits=limits)
    estimate = await _estimate(project, request)
    if dry_run:
        from mcp_server.answers.status import status_of  # noqa: PLC0415

        predicted = status_of(await project.dry_run(request), values=None, dry_run=True)
        return result_of(predicted.model_copy(update={"estimate": estimate, **await _first(ctx, project)}))
    with anyio.CancelScope(shield=True):  # a run that has started must not be lost before its id is known
        begun = await asked_run(ctx, project)  # the repeated call, with a person's answers
        start = project.start_in_background if detach else project.start
        run_id = begun if begun is not None else await start(request)
    try:
        await anyio.lowlevel.checkpoint()
        if wait_seconds and (asked := await wait_for_end(ctx, project, run_id, seconds=wait_seconds, detached=detach)):
            return asked
    except anyio.get_cancelled_exc_class():
        if not (detach or session.closing):
            with anyio.CancelScope(shield=True):
                if not await session.ran_out_of_time(ctx.request_id):
                    await (await project.engine()).cancel(run_id, reason="the call was cancelled")
        raise
    goes_on = bool(wait_seconds) and takes_tasks(ctx.request_context)
    return await _answer(ctx, run_id, estimate=estimate, kind=RunInProgress if goes_on else CallToolResult)


async def status(  # noqa: PLR0917 - clients pass parameters by name
    ctx: Ctx,
    run_id: Annotated[
        str | None, Field(min_length=1, max_length=200, description="Id of the run (default: the latest)")
    ] = None,
    wait_seconds: Wait = 0,
    until: Annotated[
        wire.Until,
        Field(description="The event that ends the wait"),
    ] = "phase",
    view: Annotated[wire.ViewName, Field(description="The part of the run to show in full")] = "summary",
    node: Annotated[Text, Field(max_length=500, description="View nodes: only this one, with its plan")] = "",
    offset: Annotated[int | None, Field(ge=0, description="View nodes, timeline: the first of a page of 200")] = None,
) -> Status | InputRequiredResult:
    """See `instructions.STATUS`."""
    project = await _session(ctx).project()
    wanted = _run_id(run_id)
    if wait_seconds:
        from mcp_server.protocol.waits import wait_for_news  # noqa: PLC0415 - heavy: see session.py

        wanted, asked = await wait_for_news(ctx, project, wanted, seconds=wait_seconds, until=until)
        if asked is not None:
            return asked
    if view == "summary" and (node, offset) != ("", None):
        view = "nodes"
    return await _answer(ctx, wanted, view_name=view, nodes=(node or None, offset), afresh=not wait_seconds)


async def report(
    ctx: Ctx,
    run_id: RunIdText,
    results: Annotated[list[Result], Field(max_length=1000, description="Results of work that this client did")] = [],  # noqa: B006 - never changed
    decisions: Annotated[
        list[Decision], Field(max_length=1000, description="The user's answers to questions of the run")
    ] = [],  # noqa: B006
) -> CallToolResult | InputRequiredResult:
    """See `instructions.REPORT`."""
    session = _session(ctx)
    project = await session.project()
    from mcp_server.answers.follow import until_answered  # noqa: PLC0415 - heavy: see session.py
    from mcp_server.protocol.elicitation import can_be_asked, confirm, unconfirmed  # noqa: PLC0415 - see session.py

    wanted = _known(run_id)
    answered: dict[str, bool] = {}
    if decisions and can_be_asked(ctx.client_capabilities):
        asked = await confirm(ctx, project, wanted, [decision.node for decision in decisions])
        if isinstance(asked, InputRequiredResult):
            return asked
        answered = asked
    refused: list[OrchestrationError] = []
    lines: list[wire.RefusedLine] = []

    async def take(of: str, taking: Awaitable[None]) -> None:
        try:
            await taking
        except OrchestrationError as error:
            refused.append(error)
            lines.append(wire.RefusedLine(of=of, code=error.code, message=error.message))

    for result in results:
        await take(result.attempt, project.report(wanted, result.attempt, _outcome(result)))
    for decision in decisions:
        if decision.node not in answered:
            await take(decision.node, project.decide(wanted, decision.node, decision.answer))
        elif not answered[decision.node]:
            await take(decision.node, unconfirmed(wanted, decision.node))
    if refused and len(refused) == len(results) + len(decisions):
        raise refused[0]
    submitted = {decision.node for decision in decisions} - answered.keys() - {line.of for line in lines}
    if submitted:
        await until_answered(await project.engine(), wanted, submitted)
    return await _answer(ctx, wanted, refused=lines or None)


async def cancel(
    ctx: Ctx,
    run_id: RunIdText,
    reason: Annotated[str, Field(max_length=500, description="Reason, shown in status and report")] = "",
    compensate: Annotated[bool, Field(description="Roll back what the run did")] = True,  # noqa: FBT002
) -> CallToolResult:
    """See `instructions.CANCEL`."""
    session = _session(ctx)
    project = await session.project()
    from mcp_server.answers.follow import until_calm  # noqa: PLC0415 - heavy: see session.py

    engine = await project.engine()
    wanted = _known(run_id)
    with anyio.CancelScope(shield=True):  # a requested cancellation is carried out
        await engine.cancel(wanted, reason=reason, compensate=compensate)
    await until_calm(engine, wanted, seconds=CANCEL_SECONDS)
    return await _answer(ctx, wanted, cancelling=True)


async def resume(  # noqa: PLR0917 - clients pass parameters by name
    ctx: Ctx,
    run_id: RunIdText,
    failed: Annotated[bool, Field(description="Retry a failed or degraded run from its failed nodes")] = False,  # noqa: FBT002
    max_parallelism: MaxParallelism = None,
    max_cost_usd: MaxCost = None,
    max_attempts_total: MaxAttempts = None,
    max_duration_seconds: MaxDuration = None,
) -> CallToolResult:
    """See `instructions.RESUME`."""
    session = _session(ctx)
    project = await session.project()
    limits = _limits(max_parallelism, max_cost_usd, max_attempts_total, max_duration_seconds)
    wanted = _known(run_id)
    with anyio.CancelScope(shield=True):
        await project.resume(wanted, failed=failed, limits=limits)
    return await _answer(ctx, wanted)


async def live(
    ctx: Ctx,
    run_id: Annotated[str, Field(max_length=200)] = "",
    feed: Annotated[str, Field(max_length=100)] = "",
    number: Annotated[int, Field(ge=0)] = 0,
    wait_seconds: Annotated[float, Field(ge=0, le=50)] = 0,
) -> CallToolResult:
    """See `instructions.LIVE`."""
    session = _session(ctx)
    project = await session.project()
    watching = session.watching(project)
    wanted = (await project.view(_run_id(run_id or None))).run.id
    async with watching.run(wanted) as watched:
        news = await watched.news(number, feed or None, seconds=max(wait_seconds, FIRST_LOOK_SECONDS))
        return result_with(await watching.message(watched, news))


def add_tools(server: MCPServer[Session]) -> None:
    """Offer all tools on *server*."""

    def add(tool: Callable[..., Awaitable[Any]], description: str, title: str, **hints: bool) -> None:
        meta = {**ALWAYS_LOAD, **SHOWN_BY} if tool in {run, status} else FOR_THE_VIEW if tool is live else None
        annotations = ToolAnnotations(title=title, open_world_hint=hints.pop("open_world", False), **_hints(hints))
        server.add_tool(tool, description=description, annotations=annotations, meta=meta)

    add(load_command, instructions.LOAD_COMMAND, "Load a command", read_only=True)
    add(validate, instructions.VALIDATE, "Validate a command", read_only=True)
    add(
        run,
        instructions.RUN,
        "Run a command (an interrupt cancels it, unless detached)",
        destructive=True,
        open_world=True,
    )
    add(status, instructions.STATUS, "Status of a run (an interrupt leaves it running)", read_only=True)
    add(report, instructions.REPORT, "Report to a run", destructive=False)
    add(cancel, instructions.CANCEL, "Cancel a run", destructive=True, idempotent=True)
    add(resume, instructions.RESUME, "Resume a run", destructive=True, open_world=True)
    add(live, instructions.LIVE, "Follow a run", read_only=True)


def _hints(hints: dict[str, bool]) -> dict[str, Any]:
    read_only = hints.get("read_only", False)
    return {
        "read_only_hint": read_only,
        "destructive_hint": hints.get("destructive", False),
        "idempotent_hint": read_only or hints.get("idempotent", False),
    }


def _object_or_text(text: str) -> str | dict[str, Any] | None:
    """The arguments by name where *text* is a JSON object, else what was typed behind the command's name."""
    if text.lstrip().startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            found: dict[str, Any] = json.loads(text)
            return found
    return text or None


def _session(ctx: Ctx) -> Session:
    session: Session = ctx.request_context.lifespan_context
    return session


def _run_id(text: str | None) -> RunId | None:
    return text  # type: ignore[return-value]  # the engine checks whether it exists


def _known(text: str) -> RunId:
    return text  # type: ignore[return-value]


def _limits(parallelism: int | None, cost_usd: float | None, attempts: int | None, seconds: float | None) -> Limits:
    from engine.run.events import Limits  # noqa: PLC0415 - heavy: see session.py

    return Limits(
        max_parallelism=parallelism,
        max_cost_usd=cost_usd,
        max_attempts_total=attempts,
        max_duration_seconds=seconds,
    )


def _outcome(result: Result) -> Outcome | None:
    from engine.executors.port import Outcome  # noqa: PLC0415 - heavy: see session.py
    from engine.model.policy import Failure, FailureKind  # noqa: PLC0415

    failure = result.failure
    if failure is None:
        return None if result.outputs is None else Outcome(outputs=result.outputs)
    return Outcome(failure=Failure(FailureKind(failure.kind), failure.code, failure.message))


async def _answer(
    ctx: Ctx,
    run_id: RunId | None,
    *,
    kind: type[CallToolResult] = CallToolResult,
    **parts: Any,  # noqa: ANN401 - those of `answer_about`
) -> CallToolResult:
    """See `run_answers.answer_about`."""
    from mcp_server.protocol.run_answers import answer_about  # noqa: PLC0415 - heavy: see session.py

    return await answer_about(ctx.request_context, await _session(ctx).project(), run_id, kind=kind, **parts)


async def _first(ctx: Ctx, project: Project) -> dict[str, list[wire.InterruptedLine] | None]:
    """A further field of the first answer of a session."""
    from mcp_server.protocol.run_answers import interrupted_runs  # noqa: PLC0415 - heavy: see session.py

    session = _session(ctx)
    lines = await interrupted_runs(session, project)
    session.answered = True
    return {"interrupted": lines or None}


async def _estimate(project: Project, request: RunRequest) -> wire.EstimateLine:
    from mcp_server.answers.status import estimate_of  # noqa: PLC0415 - heavy: see session.py

    return estimate_of(await project.forecast(request))
