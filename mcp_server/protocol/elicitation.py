"""Asks the person at the client, by elicitation, for approvals and for decisions about lost nodes.

Effects: sends questions and passes the answers to the run. In protocol 2026-07-28 a question is the result of the call,
which the client then repeats with the person's answer, or a part of a task (`task_states.py`); older clients are asked
while the call waits. A question without an answer is left to `decisions` and the tool `report`, which asks again: a
model cannot answer for a person who can be asked.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import msgspec
from mcp.server.elicitation import AcceptedElicitation, render_elicitation_schema
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, Field, ValidationError

from engine.errors import OrchestrationError, StateError
from engine.ids import RunId
from engine.text.cut import cut
from engine.text.redaction import redact
from engine.text.shown import within
from engine.views.status import questions
from mcp_server.answers.follow import until_answered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcp.server.mcpserver import Context
    from mcp_types import ClientCapabilities

    from engine.service import View
    from engine.views.status import Question
    from mcp_server.project.project import Project
    from mcp_server.protocol.session import Session

MODERN = "2026-07-28"
MAX_QUESTION_LENGTH = 2000


# Clients show these docstrings to the person.


class Approval(BaseModel):
    """Whether the node may start."""

    # Without a default: a form that is sent off unread must not be a yes.
    answer: Literal["yes", "no"] = Field(title="Continue?", description="yes: the node starts; no: it fails")


class Held(BaseModel):
    """The decision about a node that was lost in a crash."""

    answer: Literal["retry", "skip", "fail"] = Field(
        title="What now?", description="retry: run it again; skip: its work was done; fail: let it fail"
    )


class OpenQuestion(msgspec.Struct, frozen=True):
    """A question that a run waits for an answer to."""

    run_id: RunId
    question: Question
    tries: int
    """Attempts of the node before it: a later question of the same node is another one."""

    @property
    def key(self) -> str:
        """Its unique key."""
        return f"{self.run_id}:{self.question.node}:{self.tries}"


async def asked_run(ctx: Context[Session, Any], project: Project) -> RunId | None:
    """The run of a call that is repeated with answers, which are passed to it first; None for any other call."""
    if ctx.request_state is None:
        return None
    run_id = RunId(json.loads(ctx.request_state)["run"])
    await pass_on(_session(ctx), project, _answered(ctx, await open_questions(project, run_id)))
    return run_id


async def ask(ctx: Context[Session, Any], project: Project, run_id: RunId) -> InputRequiredResult | bool:
    """Ask what *run_id* waits for; False if there is no new question, or no one to ask."""
    session = _session(ctx)
    if not can_be_asked(ctx.client_capabilities):
        return False
    fresh = [one for one in await open_questions(project, run_id) if one.key not in session.asked]
    if not fresh:
        return False
    if _repeats_calls(ctx):
        return _forms(run_id, fresh)
    await pass_on(session, project, [(fresh[0], await _elicited(ctx, fresh[0].question))])
    return True


async def confirm(
    ctx: Context[Session, Any], project: Project, run_id: RunId, nodes: Iterable[str]
) -> InputRequiredResult | dict[str, bool]:
    """Ask the person for the decisions about *nodes* that the client's model has sent, even if asked before.

    The answers are passed to *run_id*. Returns whether the person answered, by node; a node without an open question is
    missing. Raises `NotFound`.
    """
    named = frozenset(nodes)
    waiting = [one for one in await open_questions(project, run_id) if one.question.node in named]
    if not waiting:
        return {}
    if not _repeats_calls(ctx):
        answers = [(one, await _elicited(ctx, one.question)) for one in waiting]
    elif ctx.request_state is None:
        return _forms(run_id, waiting)
    else:
        answers = _answered(ctx, waiting)
    await pass_on(_session(ctx), project, answers)
    return {one.question.node: answer is not None for one, answer in answers}


async def unconfirmed(run_id: RunId, node: str) -> NoReturn:
    """Raise the `StateError` (NOT_CONFIRMED) of a decision that the person has not made."""
    raise StateError(
        f'the user has not answered the question of node "{node}" in the form',
        code="NOT_CONFIRMED",
        hint=f"Call report again when the user is ready to answer, or ask the user to run `orchestrate decide {run_id} "
        f"{node} ANSWER` in a terminal.",
    )


def _repeats_calls(ctx: Context[Session, Any]) -> bool:
    """Whether the client repeats a call with the person's answers, instead of being asked during the call."""
    return is_version_at_least(ctx.protocol_version or "", MODERN)


def _forms(run_id: RunId, asked: Sequence[OpenQuestion]) -> InputRequiredResult:
    """The forms for *asked*, as the result of a call that the client then repeats."""
    by_name = {f"question-{number}": one for number, one in enumerate(asked, start=1)}
    state = {"run": run_id, "asked": {name: one.key for name, one in by_name.items()}}
    requests = {name: _request(one.question) for name, one in by_name.items()}
    return InputRequiredResult(input_requests={**requests}, request_state=json.dumps(state))


def _answered(ctx: Context[Session, Any], waiting: Iterable[OpenQuestion]) -> list[tuple[OpenQuestion, str | None]]:
    """Those of *waiting* that the repeated call was about, each with the person's answer."""
    asked: dict[str, str] = json.loads(ctx.request_state or "{}")["asked"]  # sealed by the SDK: `_forms` wrote it
    names = {key: name for name, key in asked.items()}
    found = []
    for one in waiting:
        if one.key in names:
            result = (ctx.input_responses or {}).get(names[one.key])
            found.append((one, answer_in(one.question, result if isinstance(result, ElicitResult) else None)))
    return found


async def _elicited(ctx: Context[Session, Any], question: Question) -> str | None:
    """The answer of the person, who is asked while the call waits; None without one."""
    try:
        result = await ctx.elicit(_text(question), _form(question))
    except (MCPError, ValueError):  # the client failed, or sent something else
        return None
    return result.data.answer if isinstance(result, AcceptedElicitation) else _declined(question, result.action)


def can_be_asked(capabilities: ClientCapabilities | None) -> bool:
    """Whether the client can show a form to a person."""
    declared = capabilities.elicitation if capabilities is not None else None
    return declared is not None and (declared.form is not None or declared.url is None)


async def open_questions(project: Project, run_id: RunId) -> list[OpenQuestion]:
    """The open questions of *run_id*. Raises `NotFound`."""
    return await (await project.reader()).read(run_id, open_in)


def open_in(view: View) -> list[OpenQuestion]:
    """The open questions of the run in *view*."""
    run = view.run
    return [OpenQuestion(run.id, question, len(run.nodes[question.node].attempts)) for question in questions(run)]


async def pass_on(session: Session, project: Project, answers: Sequence[tuple[OpenQuestion, str | None]]) -> None:
    """Pass *answers* to their run, until it has read them; the questions are not asked again in this session."""
    given = []
    for one, answer in answers:
        session.asked.add(one.key)
        if answer is not None:
            with contextlib.suppress(OrchestrationError):  # answered elsewhere, or the run has ended: see the status
                await project.decide(one.run_id, one.question.node, answer)
                given.append(one)
    if given:
        await until_answered(await project.engine(), given[0].run_id, [one.question.node for one in given])


def answer_in(question: Question, result: ElicitResult | None) -> str | None:
    """The answer in a client's *result*; None if it has none."""
    if result is None:
        return None
    if result.action != "accept":
        return _declined(question, result.action)
    try:
        answer: str = _form(question).model_validate(result.content).answer
    except ValidationError:
        return None
    return answer


def _declined(question: Question, action: str) -> str | None:
    """The answer of a person who did not accept: declining an approval means no; anything else is not an answer."""
    return "no" if action == "decline" and "no" in question.answers else None


def _form(question: Question) -> type[Approval | Held]:
    return Approval if "yes" in question.answers else Held


def _request(question: Question) -> ElicitRequest:
    schema = render_elicitation_schema(_form(question))
    return ElicitRequest(params=ElicitRequestFormParams(message=_text(question), requested_schema=schema))


def form_request(one: OpenQuestion) -> dict[str, Any]:
    """The form that asks for *one*, as JSON data."""
    return _request(one.question).model_dump(mode="json", by_alias=True, exclude_none=True)


def _session(ctx: Context[Session, Any]) -> Session:
    session: Session = ctx.request_context.lifespan_context
    return session


def _text(question: Question) -> str:
    return cut(within(redact(f"{question.node}: {question.text}")), MAX_QUESTION_LENGTH)
