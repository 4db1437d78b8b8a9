"""Asks the person at the client what a run waits for, where the client can be asked: approvals and held nodes.

Effects: sends questions and gives the answers to the run. In protocol 2026-07-28 a question is the answer of the call,
which the client then makes again with what the person said, or a part of a task (`task_states.py`); older clients are
asked while the call waits. A question that nobody answered is left to `decisions` and the tool `report`.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mcp.server.elicitation import AcceptedElicitation, render_elicitation_schema
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, Field, ValidationError

from engine.errors import OrchestrationError
from engine.ids import RunId
from engine.text.cut import cut
from engine.text.redaction import redact
from engine.text.shown import within
from engine.views.status import questions

if TYPE_CHECKING:
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

    # The form says yes, so that a client's own Accept and Decline are enough.
    answer: Literal["yes", "no"] = Field(
        default="yes", title="Go on?", description="yes: the node starts; no: it fails"
    )


class Held(BaseModel):
    """What is to become of a node that was lost in a crash."""

    answer: Literal["retry", "skip", "fail"] = Field(
        title="What now?", description="retry: do it again; skip: its work was done; fail: give it up"
    )


@dataclass(frozen=True, slots=True)
class Open:
    """A question that a run waits with."""

    run_id: RunId
    question: Question
    tries: int
    """Attempts of the node before it: a later question of the same node is another."""

    @property
    def mark(self) -> str:
        """What tells it from all others."""
        return f"{self.run_id}:{self.question.node}:{self.tries}"


async def asked_run(ctx: Context[Session, Any], project: Project) -> RunId | None:
    """The run that this call was about before the client was asked; the answers are given to it first."""
    if ctx.request_state is None:
        return None
    state = json.loads(ctx.request_state)  # sealed by the SDK: it is what `ask` wrote
    run_id = RunId(state["run"])
    waiting = {one.mark: one for one in await open_questions(project, run_id)}
    for key, mark in state["asked"].items():
        answer = (ctx.input_responses or {}).get(key)
        if mark in waiting:
            said = what_was_said(waiting[mark].question, answer if isinstance(answer, ElicitResult) else None)
            await give(_session(ctx), project, waiting[mark], said)
    return run_id


async def ask(ctx: Context[Session, Any], project: Project, run_id: RunId) -> InputRequiredResult | bool:
    """Ask what *run_id* waits for; True where something was asked, False where there is nothing or nobody to ask."""
    session = _session(ctx)
    if not can_be_asked(ctx.client_capabilities):
        return False
    fresh = [one for one in await open_questions(project, run_id) if one.mark not in session.asked]
    if not fresh:
        return False
    if is_version_at_least(ctx.protocol_version or "", MODERN):
        by_key = {f"question-{number}": one for number, one in enumerate(fresh, start=1)}
        state = {"run": run_id, "asked": {key: one.mark for key, one in by_key.items()}}
        requests = {key: _request(one.question) for key, one in by_key.items()}
        return InputRequiredResult(input_requests={**requests}, request_state=json.dumps(state))
    question = fresh[0].question
    try:
        result = await ctx.elicit(_text(question), _form(question))
        said = result.data.answer if isinstance(result, AcceptedElicitation) else _refusal(question, result.action)
    except (MCPError, ValueError):  # the client failed, or said something else
        said = None
    await give(session, project, fresh[0], said)
    return True


def can_be_asked(capabilities: ClientCapabilities | None) -> bool:
    """Whether the client can put a form before a person."""
    declared = capabilities.elicitation if capabilities is not None else None
    return declared is not None and (declared.form is not None or declared.url is None)


async def open_questions(project: Project, run_id: RunId) -> list[Open]:
    """What *run_id* waits with. Raises `NotFound`."""
    return await (await project.reader()).read(run_id, open_in)


def open_in(view: View) -> list[Open]:
    """What the run of *view* waits with."""
    run = view.run
    return [Open(run.id, question, len(run.nodes[question.node].attempts)) for question in questions(run)]


async def give(session: Session, project: Project, one: Open, said: str | None) -> None:
    """Pass on what was said; the question is not asked again, whatever becomes of it."""
    session.asked.add(one.mark)
    if said is not None:
        with contextlib.suppress(OrchestrationError):  # answered elsewhere, or the run has ended: the status tells
            await project.decide(one.run_id, one.question.node, said)


def what_was_said(question: Question, answer: ElicitResult | None) -> str | None:
    """The answer in a client's result; None where there is none."""
    if answer is None:
        return None
    if answer.action != "accept":
        return _refusal(question, answer.action)
    try:
        said: str = _form(question).model_validate(answer.content).answer
    except ValidationError:
        return None
    return said


def _refusal(question: Question, action: str) -> str | None:
    """Who declines to approve says no; who closes the question, or declines to choose, has not answered."""
    return "no" if action == "decline" and "no" in question.answers else None


def _form(question: Question) -> type[Approval | Held]:
    return Approval if "yes" in question.answers else Held


def _request(question: Question) -> ElicitRequest:
    schema = render_elicitation_schema(_form(question))
    return ElicitRequest(params=ElicitRequestFormParams(message=_text(question), requested_schema=schema))


def form_request(one: Open) -> dict[str, Any]:
    """The form that asks for *one*, as JSON data."""
    return _request(one.question).model_dump(mode="json", by_alias=True, exclude_none=True)


def _session(ctx: Context[Session, Any]) -> Session:
    session: Session = ctx.request_context.lifespan_context
    return session


def _text(question: Question) -> str:
    return cut(within(redact(f"{question.node}: {question.text}")), MAX_QUESTION_LENGTH)
