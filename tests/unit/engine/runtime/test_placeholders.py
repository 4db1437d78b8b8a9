"""Names of forEach and repeat stand for values in the texts of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.ids import NodeId
from engine.model.agent import Agent
from engine.run import events as ev
from engine.runtime.orders import make_order
from engine.text.placeholders import fill
from tests.support.by_hand import ByHand, rollback
from tests.support.definitions import Raw, command, in_place, node, phase
from tests.unit.engine.scheduling.test_for_each import begun, each, value

READ: Raw = {"inputs": [{"key": "files"}]}


def filled(text: str, arguments: str = "", **values: Any) -> str:  # noqa: ANN401 - JSON
    return fill(text, values.keys(), values.__getitem__, arguments)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("Read ${file}", "Read a.py"),
        ("Read ${item.path} of ${item.tags[1]}", "Read src/a.py of two"),
        ("Item ${number}", "Item 3"),
        ("${item.tags}", '["one","two"]'),
        ("$${file} and ${HOME}", "${file} and ${HOME}"),
        ("$ARGUMENTS: ${file}", "fast ${file}: a.py"),
        ("${lines}", "one two"),
        ("${file", "${file"),
        ("${file:-${number}} and $${file:-x}", "${file:-3} and ${file:-x}"),
        ("$${ file } and $${HOME:-x}", "${ file } and $${HOME:-x}"),
    ],
)
def test_a_text_is_filled_in_one_pass(text: str, becomes: str) -> None:
    item = {"path": "src/a.py", "tags": ["one", "two"]}
    assert filled(text, "fast ${file}", file="a.py", number=3, item=item, lines="one\r\n\ttwo") == becomes


def test_what_was_put_in_is_not_looked_into_again() -> None:
    assert filled("${a}", "args", a="$ARGUMENTS ${b}", b=1) == "$ARGUMENTS ${b}"


@pytest.mark.parametrize("text", ["${item.lost}", "${item.tags[9]}", "${item.path.more}", "${item[0]}"])
def test_a_missing_member_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        filled(text, item={"path": "x", "tags": []})
    assert caught.value.code == "PLACEHOLDER_MISSING"


def test_a_text_that_becomes_too_long_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        filled("${item}", item="x" * 20_001)
    assert caught.value.code == "PLACEHOLDER_TOO_LONG"


def task_of(run: ByHand, name: str) -> str:
    """The task of the live attempt of *name*, as its agent gets it."""
    state = run.node(name)
    live = state.live
    assert live is not None
    event = ev.AttemptScheduled(run.now, NodeId(name), live.number, live.role, state.version or 0, live.deadline)
    return make_order(run.run, state, event, agent=Agent(id="worker"), values=run.values, project=Path()).task


def test_tasks_name_items_and_iterations_around_them() -> None:
    fix = node("fix", task="Fix ${file.path}, try ${iteration} of item ${number}")
    fix |= {"repeat": {"until": "iteration == 2"}}
    run = begun(
        each(body=in_place("cover", phase("in", fix)), context={"inputs": [{"key": "files"}]}),
        files=({"path": "a"}, {"path": "b"}),
    )
    assert task_of(run, "cover/2/fix/1") == "Fix b, try 1 of item 2"
    run.succeed("cover/2/fix/1")
    assert task_of(run, "cover/2/fix/2") == "Fix b, try 2 of item 2"


def test_a_task_that_undoes_names_its_item_too() -> None:
    undo = rollback(task="Undo ${file}")
    run = begun(each(compensation=undo), node("last", "cover"), files=("a",))
    run.succeed("cover/1", covered=1)
    run.fail("last")
    assert task_of(run, "cover/1") == "Undo a"


def test_a_message_of_a_skipped_item_names_it() -> None:
    skip = {"type": "context", "expression": "file == 'b'", "skipMessage": "${file} is done"}
    run = begun(each(skipCondition=skip), files=("a", "b"))
    assert run.node("cover/2").skip_message == "b is done"


def test_texts_outside_stay_as_they_are() -> None:
    run = ByHand(command(phase("one", node("build", task="Build ${HOME} and ${file}"))))
    assert task_of(run, "build") == "Build ${HOME} and ${file}"


def called(task: str, *arguments: Raw) -> ByHand:
    """A run that calls a command with the arguments *task* for each file."""
    inner = command(
        phase("in", node("do", task="Do $ARGUMENTS with ${file}")), name="/inner", arguments=list(arguments)
    )
    calls = each(body=node("cover", agent="command", task=f"/inner {task}"), context={"inputs": [{"key": "files"}]})
    find = node("find", context={"outputs": [{"key": "files"}]})
    run = ByHand(command(phase("one", find, calls)), inner)
    run.succeed("find", files=["a", "b"])
    return run


def test_the_arguments_of_a_sub_command_name_the_item_and_its_texts_do_not() -> None:
    run = called("${file} now")
    assert task_of(run, "cover/2/do") == "Do b now with ${file}"


def test_a_text_fills_the_only_argument_of_a_sub_command() -> None:
    run = called("${file}", {"name": "path", "default": "none"})
    assert value(run, "cover/2/path") == "b"


def test_an_item_fills_the_argument_of_its_name() -> None:
    run = called("", {"name": "file", "default": "none"})
    assert value(run, "cover/2/file") == "b"
