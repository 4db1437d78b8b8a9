"""Whatever a list holds: it is done whole, or refused with one clear error before any of its items starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.run import events as ev
from tests.support.by_hand import ByHand
from tests.support.definitions import command, in_place, node, phase
from tests.unit.engine.scheduling.test_for_each import FIND, begun, each, value

if TYPE_CHECKING:
    from tests.support.definitions import Raw


def deep(levels: int) -> list[Any]:
    """A list in a list in a list."""
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def refused(run: ByHand) -> tuple[str, str]:
    """Code and message of the failure of `cover`, none of whose items has begun."""
    failure = run.node("cover").failure
    assert failure is not None
    assert not [event for event in run.events if isinstance(event, ev.NodesUnfolded)]
    assert list(run.run.nodes) == ["find", "cover"]
    assert run.state() == "failed"
    return failure.code, failure.message


@pytest.mark.parametrize(
    ("files", "shape", "code", "words"),
    [
        ("a, b, c", {}, "ITEMS_NOT_A_LIST", "a text"),
        (7, {}, "ITEMS_NOT_A_LIST", "a number"),
        ({"a": 1}, {}, "ITEMS_NOT_A_LIST", "an object"),
        (None, {}, "ITEMS_NOT_A_LIST", "null"),
        ([0] * 1_000_000, {}, "TOO_MANY_ITEMS", "1000000 items, more than 100"),
        ([0] * 10_001, {"maxItems": 10_000}, "TOO_MANY_ITEMS", "10001 items, more than 10000"),
        ([{"p": "a"}, {"p": "a"}], {"key": "$.p"}, "BAD_ITEM_KEY", "a"),
        ([{"p": "a"}, {"q": "a"}], {"key": "$.p"}, "BAD_ITEM_KEY", "2"),
        ([deep(100), "x"], {"key": "$.p"}, "BAD_ITEM_KEY", "1"),
    ],
)
def test_a_list_that_cannot_be_done_whole_is_refused_whole(files: object, shape: Raw, code: str, words: str) -> None:
    found, message = refused(begun(each(shape=shape), files=files))
    assert found == code
    assert words in message


def test_a_list_whose_items_would_bring_the_run_past_its_most_nodes_is_refused_whole() -> None:
    """Ten thousand items of ten nodes and the one around them."""
    cover = in_place("cover", phase("in", *(node(f"step-{number}") for number in range(10))))
    run = begun(each(body=cover, shape={"maxItems": 10_000}, context={"outputs": []}), files=[0] * 10_000)
    code, message = refused(run)
    assert code == "TOO_MANY_NODES"
    assert "110002 nodes; at most 100000" in message


@pytest.mark.parametrize("item", [deep(100), "x" * 5_000_000, {"a": ["b"] * 100_000}, None, "", "${file}", "../.."])
def test_any_value_may_be_an_item(item: object) -> None:
    run = begun(each(), files=[item])
    assert value(run, "cover/1/file") == item
    run.succeed("cover/1", covered=item)
    assert (run.state(), value(run, "covered")) == ("completed", [item])


@pytest.mark.parametrize("expression", ["file.path.x.y == 1", "file == nowhere"])
def test_a_condition_of_an_item_that_reads_what_is_not_there_does_not_hold(expression: str) -> None:
    run = begun(each(skipCondition={"type": "context", "expression": expression}), files=("a",))
    assert (run.live(), run.node("cover/1").failure) == (["cover/1"], None)


def test_a_list_of_another_run_may_follow_a_refused_one() -> None:
    """What was refused leaves nothing behind that a retry would trip over."""
    run = ByHand(command(phase("one", node("prepare"), {**FIND, "dependencies": ["prepare"]}, each())))
    run.succeed("prepare")
    run.succeed("find", files="a text")
    assert run.state() == "failed"
    run.resume(failed=True)
    assert refused_again(run) == ["ITEMS_NOT_A_LIST"] * 2


def refused_again(run: ByHand) -> list[str]:
    """The codes of all failures of `cover`."""
    return [event.failure.code for event in run.events if isinstance(event, ev.NodeFailed) and event.node == "cover"]
