"""What a run is given: `$ARGUMENTS`, declared arguments, and names that mean nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import InputError
from engine.graph import compile_plan
from engine.values.arguments import bind_arguments, initial_context, resumed_agents, working_agents
from registry.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.plan import Plan


def node(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"id": "look", "agentId": "general-assistant", "task": "Look", "dependencies": [], **fields}


def command(name: str, first: dict[str, Any], **initial: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    phases = [{"id": "one", "name": "One", "agents": [first]}]
    return {
        "version": "2.0.0",
        "name": name,
        "description": "Looks",
        "globalContext": {"initial": initial},
        "phases": phases,
    }


def test_the_argument_text_is_filled_into_texts_and_nothing_else(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    plan = compile_plan(catalog.bundle(catalog.load(command("/x", node(), a="at $ARGUMENTS", b=["$ARGUMENTS"], c=1))))
    assert initial_context(plan, "src $ARGUMENTS") == {"a": "at src $ARGUMENTS", "b": ["$ARGUMENTS"], "c": 1}


def test_a_sub_command_has_its_own_argument_text(tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    (folder / "inner.json").write_text(json.dumps(command("/inner", node(), a="at $ARGUMENTS")))
    catalog = Catalog(tmp_path)
    outer = command("/outer", node(id="call", agentId="command", task="/inner the $ARGUMENTS"), a="for $ARGUMENTS")
    plan = compile_plan(catalog.bundle(catalog.load(outer)))
    found = initial_context(plan, "docs")
    assert found["a"] == "for docs"
    assert found["call/a"] == "at the docs"


PERSON, TONE = {"name": "person", "default": "nobody"}, {"name": "tone", "default": "polite"}


def plan_of(tmp_path: Path, first: dict[str, Any], *arguments: dict[str, Any], **fields: Any) -> Plan:  # noqa: ANN401 - JSON
    """The plan of a command with one node."""
    catalog = Catalog(tmp_path)
    raw = {**command("/greet", first, seen=1), "arguments": list(arguments), **fields}
    return compile_plan(catalog.bundle(catalog.load(raw)))


def refused(plan: Plan, **given: Any) -> InputError:  # noqa: ANN401 - JSON
    with pytest.raises(InputError) as caught:
        bind_arguments(plan, given)
    assert caught.value.code == "UNKNOWN_ARGUMENT"
    return caught.value


def test_an_argument_that_nothing_takes_notice_of_is_an_error_with_the_one_that_is_meant(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, node(), PERSON, TONE)
    error = refused(plan, persn="Ada")
    assert error.message.startswith('/greet has no argument "persn"')
    assert error.hint == 'Did you mean "person"?'
    assert refused(plan, colour="red").hint == 'Its arguments are "person", "tone".'
    assert refused(plan_of(tmp_path, node()), colour="red").hint == "It declares no arguments."


@pytest.mark.parametrize("name", ["person", "read", "asked", "seen", "arguments"])
def test_what_is_declared_or_read_or_has_an_initial_value_can_be_given(tmp_path: Path, name: str) -> None:
    skip = {"type": "context", "expression": 'asked == "no"'}
    reading = node(context={"inputs": [{"key": "read", "required": False}]}, skipCondition=skip)
    given, _ = bind_arguments(plan_of(tmp_path, reading, PERSON, TONE), {name: "x"})
    assert given[name] == "x"


@pytest.mark.parametrize(
    "first",
    [
        node(context={"passthrough": True}),
        node(task="Look at $ARGUMENTS"),
        node(skipCondition={"type": "custom", "expression": "mine"}),
        node(compensation={"type": "rollback", "task": "Forget $ARGUMENTS"}),
    ],
    ids=["passthrough", "task", "custom condition", "compensation"],
)
def test_where_everything_is_read_any_name_can_be_given_that_is_no_slip(tmp_path: Path, first: dict[str, Any]) -> None:
    plan = plan_of(tmp_path, first, PERSON, TONE)
    assert bind_arguments(plan, {"colour": "red"})[0]["colour"] == "red"
    assert refused(plan, persn="Ada").hint == 'Did you mean "person"?'


@pytest.mark.parametrize("given", ["Ada", {"arguments": "Ada"}, " Ada "])
def test_a_text_is_the_declared_argument_where_there_is_one(tmp_path: Path, given: str | dict[str, str]) -> None:
    bound, text = bind_arguments(plan_of(tmp_path, node(), PERSON), given)
    assert bound["person"] == "Ada"
    assert text.strip() == "Ada"


def test_an_argument_that_is_given_by_name_wins_over_the_text(tmp_path: Path) -> None:
    bound, text = bind_arguments(plan_of(tmp_path, node(), PERSON), {"arguments": "Ada", "person": "Bob"})
    assert bound["person"] == "Bob"
    assert text == "arguments=Ada person=Bob"


def test_arguments_by_name_are_a_text_of_pairs(tmp_path: Path) -> None:
    assert (
        bind_arguments(plan_of(tmp_path, node(), PERSON, TONE), {"person": "Ada", "tone": 2})[1] == "person=Ada tone=2"
    )


def calling(tmp_path: Path, task: str, *arguments: dict[str, Any]) -> Plan:
    """The plan of a command that calls /inner, which declares *arguments*, by *task*."""
    folder = tmp_path / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    (folder / "inner.json").write_text(json.dumps({**command("/inner", node()), "arguments": list(arguments)}))
    catalog = Catalog(tmp_path)
    return compile_plan(catalog.bundle(catalog.load(command("/outer", node(id="call", agentId="command", task=task)))))


@pytest.mark.parametrize("task", ["/inner Ada", "/inner   Ada ", "/inner\tAda", "/inner\nAda"])
def test_a_text_is_the_one_argument_of_a_sub_command_as_well(tmp_path: Path, task: str) -> None:
    found = initial_context(calling(tmp_path, task, PERSON), "")
    assert (found["call/person"], found["call/arguments"]) == ("Ada", "Ada")


def test_of_several_arguments_a_text_is_none(tmp_path: Path) -> None:
    found = initial_context(calling(tmp_path, "/inner Ada", PERSON, TONE), "")
    assert (found["call/person"], found["call/tone"], found["call/arguments"]) == ("nobody", "polite", "Ada")


@pytest.mark.parametrize(
    ("argument", "text", "expected"),
    [
        (PERSON, "Ada", {"call/person": "Ada"}),
        (PERSON, " ", {"call/person": "nobody"}),
        ({"name": "person"}, "", {}),
        ({"name": "person", "required": True}, "Ada", {"call/person": "Ada"}),
    ],
    ids=["given", "default", "nothing", "required"],
)
def test_the_runs_text_is_passed_on_and_an_empty_one_is_none(
    tmp_path: Path, argument: dict[str, Any], text: str, expected: dict[str, str]
) -> None:
    found = initial_context(calling(tmp_path, "/inner $ARGUMENTS", argument), text)
    assert {key: value for key, value in found.items() if key == "call/person"} == expected


def test_an_argument_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='argument "person" is not JSON') as caught:
        bind_arguments(plan_of(tmp_path, node(), PERSON), {"person": float("nan")})
    assert caught.value.code == "INVALID_ARGUMENT"


def test_what_is_read_inside_of_a_sub_command_is_no_argument_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    inner = node(context={"inputs": [{"key": "depth", "required": False}]})
    (folder / "inner.json").write_text(json.dumps(command("/inner", inner, depth=1)))
    plan = plan_of(tmp_path, node(id="call", agentId="command", task="/inner"), PERSON)
    assert 'no argument "depth"' in refused(plan, depth="2").message


def deep(expression: str, *, produced: str = "found", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A command whose second node, a forEach with an undoing agent, is skipped by *expression*."""
    output = {"key": produced, "ttl": 60}
    each = node(
        id="each",
        agentId="senior-reviewer",
        dependencies=["look"],
        skipCondition={"type": "context", "expression": expression, "skipMessage": "Not deep"},
        forEach={"items": "files"},
        compensation={"type": "rollback", "agentId": "test-engineer", "task": "Undo"},
        context={"inputs": [{"key": "files"}], "outputs": [{"key": "read", "ttl": 60}]},
    )
    phases = [
        {"id": "one", "name": "One", "agents": [node(context={"outputs": [{"key": "files", "ttl": 60}, output]})]},
        {"id": "two", "name": "Two", "agents": [each]},
    ]
    return {"arguments": [{"name": "deep", "default": ""}], "phases": phases, **fields}


def workers(tmp_path: Path, fields: dict[str, Any], **given: Any) -> set[str]:  # noqa: ANN401 - JSON
    plan = plan_of(tmp_path, node(), **fields)
    return {agent.id for agent in working_agents(plan, bind_arguments(plan, given)[0])}


EVERYONE = {"general-assistant", "senior-reviewer", "test-engineer"}


def test_agents_of_nodes_that_arguments_skip_do_not_work_nor_undo(tmp_path: Path) -> None:
    asked = deep("deep != 'true'")
    assert workers(tmp_path, asked) == {"general-assistant"}
    assert workers(tmp_path, asked, deep="true") == EVERYONE


@pytest.mark.parametrize(
    "fields",
    [
        deep("deep != 'true'", produced="deep"),
        deep("found == null"),
        deep("deep"),
        deep("true"),
    ],
    ids=["an output may change it", "an output is read", "it has no answer", "it reads nothing"],
)
def test_what_arguments_do_not_decide_may_work(tmp_path: Path, fields: dict[str, Any]) -> None:
    assert workers(tmp_path, fields) == EVERYONE


def test_an_agent_of_a_skipped_node_works_if_another_node_has_it(tmp_path: Path) -> None:
    fields = deep("deep != 'true'")
    fields["phases"][0]["agents"].append(node(id="more", agentId="senior-reviewer"))
    assert workers(tmp_path, fields) == {"general-assistant", "senior-reviewer"}


def inside(tmp_path: Path, inner: dict[str, Any], **call: Any) -> set[str]:  # noqa: ANN401 - JSON
    """The agents that may work in a command that calls one with the fields *inner*, by a node with those of *call*."""
    folder = tmp_path / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inner.json").write_text(json.dumps({**command("/inner", node()), **inner}))
    calling = node(**{"id": "call", "agentId": "command", "task": "/inner", "dependencies": ["look"], **call})
    outputs = [{"key": key, "ttl": 60} for key in ("deep", "items")]
    catalog = Catalog(tmp_path)
    raw = command("/outer", node(agentId="documentation-expert", context={"outputs": outputs}))
    raw["phases"][0]["agents"].append(calling)
    plan = compile_plan(catalog.bundle(catalog.load(raw)))
    return {agent.id for agent in working_agents(plan, {"deep": "true"})} - {"documentation-expert"}


UNASKED = {"general-assistant"}
SEVERAL = {"arguments": [{"name": "deep", "default": ""}, {"name": "path", "default": "."}]}


@pytest.mark.parametrize(
    ("inner", "call", "expected"),
    [
        (SEVERAL, {}, UNASKED),
        (SEVERAL, {"task": "/inner src"}, UNASKED),
        (SEVERAL, {"forEach": {"items": "items"}, "context": {"inputs": [{"key": "items"}]}}, UNASKED),
        (SEVERAL, {"context": {"inputs": [{"key": "deep"}]}}, EVERYONE),
        (
            SEVERAL,
            {"forEach": {"items": "items"}, "context": {"inputs": [{"key": "items"}, {"key": "deep"}]}},
            EVERYONE,
        ),
        (SEVERAL, {"forEach": {"items": "items", "as": "deep"}, "context": {"inputs": [{"key": "items"}]}}, EVERYONE),
        ({}, {"task": "/inner shallow"}, UNASKED),
        ({}, {"task": "/inner true"}, EVERYONE),
        ({}, {"task": "/inner $ARGUMENTS"}, EVERYONE),
        (
            {},
            {"task": "/inner ${item}", "forEach": {"items": "items"}, "context": {"inputs": [{"key": "items"}]}},
            EVERYONE,
        ),
        ({"globalContext": {"initial": {"deep": "if $ARGUMENTS"}}, **SEVERAL, "arguments": []}, {}, EVERYONE),
    ],
    ids=[
        "default",
        "default beside a text",
        "default in a list",
        "passed in",
        "passed in to a list",
        "an item",
        "text",
        "the text that asks",
        "the text of the run",
        "the text of an item",
        "made of the text",
    ],
)
def test_agents_of_a_sub_command_do_not_work_if_its_own_arguments_skip_their_nodes(
    tmp_path: Path, inner: dict[str, Any], call: dict[str, Any], expected: set[str]
) -> None:
    assert inside(tmp_path, {**deep("deep != 'true'"), **inner}, **call) == expected


def test_an_output_inside_of_a_sub_command_may_change_what_a_condition_there_reads(tmp_path: Path) -> None:
    assert inside(tmp_path, deep("deep != 'true'", produced="deep") | SEVERAL) == EVERYONE


def test_no_model_works_in_a_resumed_run_that_began_without_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, node(), **deep("deep != 'true'"))
    assert resumed_agents(plan, "native") == []
    assert {agent.id for agent in resumed_agents(plan, "claude")} == EVERYONE
