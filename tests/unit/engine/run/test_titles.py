"""A title says of a node's task what the run knows without reading values."""

from __future__ import annotations

from engine.run.titles import title
from tests.support.definitions import in_place, node, phase
from tests.unit.engine.scheduling.test_for_each import begun, each
from tests.unit.engine.scheduling.test_repeat import begun as looping
from tests.unit.engine.scheduling.test_repeat import loop

FILES = ({"path": "a.py"}, {"path": "b\n.py"})


def test_the_node_of_a_list_stands_for_each_item_and_an_instance_for_its_key() -> None:
    shape = {"as": "file", "key": "$.path"}
    run = begun(
        each(shape=shape, task="Cover ${file.path} (${number}), not $${file} of ${HOME}$ARGUMENTS"), files=FILES
    ).run
    titles = [title(run, run.nodes[name]) for name in ("cover", "cover/1", "cover/2")]  # type: ignore[index]
    assert titles == [
        "Cover each file.path (number), not ${file} of ${HOME}",
        "Cover a.py (1), not ${file} of ${HOME}",
        "Cover b .py (2), not ${file} of ${HOME}",
    ]
    assert [one.plan.name for one in run.phases if one.plan.group] == [
        "Cover each file.path (number), not ${file} of ${HOME}"
    ]


def test_a_part_of_an_item_that_is_no_key_appears_by_its_name() -> None:
    run = begun(each(shape={"as": "file", "key": "$.path"}, task="Cover ${file} at ${file.size}"), files=FILES).run
    assert title(run, run.nodes["cover/1"]) == "Cover file at file.size"  # type: ignore[index]
    unnamed = begun(each(shape={"as": "file"}, task="Cover ${file.path}"), files=FILES).run
    assert title(unnamed, unnamed.nodes["cover/1"]) == "Cover file.path"  # type: ignore[index]


def test_nodes_inside_an_instance_know_the_names_of_all_around_them() -> None:
    inner = in_place("write", phase("in", node("type", task="Type ${file}, try ${iteration} of ${number}")))
    cover = {
        **in_place("cover", phase("all", {**inner, **_again()})),
        "forEach": {"items": "files", "as": "file", "key": "$"},
    }
    cover |= {"dependencies": ["find"], "context": {"inputs": [{"key": "files"}]}}
    run = begun(cover, files=("x", "y")).run
    titles = [title(run, node) for name, node in run.nodes.items() if name.startswith("cover/2/write/")]
    assert titles == ["Do write", "Type y, try 1 of 2"]


def _again() -> dict[str, object]:
    return {"repeat": {"until": "iteration == 2", "maxIterations": 2}}


def test_a_loop_has_the_number_of_its_iteration() -> None:
    run = looping(loop(task="Fix it, try ${iteration}"))
    assert [title(run.run, run.run.nodes[name]) for name in ("fix", "fix/1")] == ["Fix it, try 1"] * 2  # type: ignore[index]
    run.succeed("fix/1", result={"passed": False})
    assert [title(run.run, run.run.nodes[name]) for name in ("fix", "fix/1", "fix/2")] == [  # type: ignore[index]
        "Fix it, try 2",
        "Fix it, try 1",
        "Fix it, try 2",
    ]
    assert [one.plan.name for one in run.run.phases[1:]] == [
        "Fix it, try 1",
        'Fix it, try 2, since result = {"passed": false}',
    ]
