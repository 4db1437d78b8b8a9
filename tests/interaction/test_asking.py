from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from mcp.server.elicitation import render_elicitation_schema
from mcp_types import ElicitRequestFormParams, ElicitResult
from pydantic import ValidationError

from mcp_server.protocol.elicitation import Approval, Held
from tests.interaction.projects import ERAS, Era, call, connected, ended, refused
from tests.interaction.promises import keeps
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path


class Person:
    """Answers what the client is asked, and remembers it."""

    def __init__(self, action: str, content: dict[str, Any] | None = None) -> None:
        self.result = ElicitResult(action=cast("Any", action), content=content)
        self.asked: list[ElicitRequestFormParams] = []

    async def __call__(self, _: object, params: object) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params)
        return self.result


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("action", "content", "ending"),
    [
        ("accept", {"answer": "yes"}, "completed"),
        ("accept", {"answer": "no"}, "failed"),
        ("decline", None, "failed"),
    ],
)
@keeps("asking", "eras")
async def test_a_waiting_run_asks_the_person_at_the_client(
    project: Path, era: Era, action: str, *, content: dict[str, Any] | None, ending: str
) -> None:
    person = Person(action, content)
    async with connected(project, era, elicitation_callback=person) as client:
        status = await call(client, "run", command="/ask", wait_seconds=30)
        assert status["state"] == ending
        [asked] = person.asked
        assert asked.message == "careful-node: Really?"
        assert asked.requested_schema["properties"]["answer"]["enum"] == ["yes", "no"]
        runs = await client.read_resource("orchestration://runs")
        assert str(runs).count("runId") == 1


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("action", "content"), [("cancel", None), ("accept", {"answer": "perhaps"}), ("accept", None)])
@keeps("asking", "decisions")
async def test_a_question_that_nobody_answered_is_asked_once_and_left_to_report(
    project: Path, era: Era, action: str, content: dict[str, Any] | None
) -> None:
    person = Person(action, content)
    async with connected(project, era, elicitation_callback=person) as client:
        status = await call(client, "run", command="/ask", wait_seconds=30)
        assert status["decisions"] == [{"node": "careful-node", "question": "Really?", "answers": ["yes", "no"]}]
        again = await call(client, "status", run_id=status["runId"], wait_seconds=30)
        assert (again["decisions"], len(person.asked)) == (status["decisions"], 1)
        person.result = ElicitResult(action="accept", content={"answer": "yes"})
        decisions = [{"node": "careful-node", "answer": "yes"}]
        await call(client, "report", run_id=status["runId"], decisions=decisions)
        assert (await ended(client))["state"] == "completed"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("action", "content"), [("cancel", None), ("accept", {"answer": "perhaps"}), ("accept", None)])
@keeps("asking", "decisions")
async def test_a_decision_that_the_person_at_the_client_did_not_accept_does_not_count(
    project: Path, era: Era, action: str, content: dict[str, Any] | None
) -> None:
    person = Person(action, content)
    async with connected(project, era, elicitation_callback=person) as client:
        status = await call(client, "run", command="/ask", wait_seconds=30)
        decisions = [{"node": "careful-node", "answer": "yes"}]
        text = await refused(client, "report", {"run_id": status["runId"], "decisions": decisions})
        assert text.startswith('NOT_CONFIRMED: the user has not answered the question of node "careful-node"')
        again = await call(client, "status", run_id=status["runId"])
        assert (again["decisions"], len(person.asked)) == (status["decisions"], 2)


@pytest.mark.parametrize("era", ERAS)
@keeps("asking", "decisions")
async def test_what_the_person_chose_counts_and_not_what_the_model_sent(project: Path, era: Era) -> None:
    person = Person("cancel")
    async with connected(project, era, elicitation_callback=person) as client:
        status = await call(client, "run", command="/ask", wait_seconds=30)
        person.result = ElicitResult(action="accept", content={"answer": "no"})
        decisions = [{"node": "careful-node", "answer": "yes"}]
        await call(client, "report", run_id=status["runId"], decisions=decisions)
        assert (await ended(client))["state"] == "failed"


@pytest.mark.parametrize("era", ERAS)
@keeps("asking", "decisions", "errors")
async def test_a_decision_about_what_is_not_asked_is_refused_without_a_form(project: Path, era: Era) -> None:
    person = Person("cancel")
    async with connected(project, era, elicitation_callback=person) as client:
        status = await call(client, "run", command="/ask", wait_seconds=30)
        decisions = [{"node": "no-such-node", "answer": "yes"}]
        text = await refused(client, "report", {"run_id": status["runId"], "decisions": decisions})
        assert text.startswith("NODE_NOT_FOUND")
        assert len(person.asked) == 1


@keeps("asking")
async def test_no_form_has_an_answer_chosen_beforehand() -> None:
    for form in (Approval, Held):
        [answer] = [render_elicitation_schema(form)["properties"]["answer"]]
        assert "default" not in answer
        with pytest.raises(ValidationError):
            form.model_validate({})


@pytest.mark.parametrize("era", ERAS)
@keeps("asking")
async def test_a_status_that_waits_asks_too_and_one_that_does_not_wait_does_not(project: Path, era: Era) -> None:
    person = Person("accept", {"answer": "yes"})
    async with connected(project, era, elicitation_callback=person) as client:
        started = await call(client, "run", command="/ask")
        await call(client, "status", run_id=started["runId"])
        assert person.asked == []
        status = started
        while status["state"] == "running":
            status = await call(client, "status", run_id=started["runId"], wait_seconds=30)
        assert status["state"] == "completed"
        assert len(person.asked) == 1


@pytest.mark.parametrize("era", ERAS)
@keeps("asking")
async def test_questions_of_several_nodes_are_all_asked(project: Path, era: Era) -> None:
    person = Person("accept", {"answer": "yes"})
    nodes = [node(f"careful-{name}", minutes=0.1, approval={"message": f"{name}?"}) for name in ("left", "right")]
    async with connected(project, era, elicitation_callback=person) as client:
        definition = command(phase("work", *nodes), name="/both")
        status = await call(client, "run", command=definition, wait_seconds=30)
        assert status["state"] == "completed"
        assert sorted(asked.message for asked in person.asked) == ["careful-left: left?", "careful-right: right?"]


@pytest.mark.parametrize("era", ERAS)
@keeps("asking")
async def test_a_wait_goes_on_with_a_run_of_another_server_once_its_question_is_answered(
    project: Path, era: Era
) -> None:
    person = Person("accept", {"answer": "yes"})
    async with connected(project, era) as owner, connected(project, era, elicitation_callback=person) as other:
        run_id = (await call(owner, "run", command="/ask", wait_seconds=30))["runId"]
        status = await call(other, "status", run_id=run_id, wait_seconds=30, until="end")
        assert (status["state"], len(person.asked)) == ("completed", 1)


@pytest.mark.parametrize("era", ERAS)
@keeps("asking", "decisions")
async def test_a_question_that_was_answered_is_not_in_the_answer_even_if_another_server_has_the_run(
    project: Path, era: Era
) -> None:
    async with connected(project, era) as owner, connected(project, era) as other:
        run_id = (await call(owner, "run", command="/ask", wait_seconds=30))["runId"]
        decisions = [{"node": "careful-node", "answer": "yes"}]
        assert "decisions" not in await call(other, "report", run_id=run_id, decisions=decisions)
