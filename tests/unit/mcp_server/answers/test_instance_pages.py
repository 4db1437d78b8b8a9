"""The instances of a list in pages of a status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.runtime.view import View
from mcp_server.answers.node_pages import MAX_NODES_SHOWN, Page
from mcp_server.answers.status import status_of
from tests.unit.engine.scheduling.test_for_each import begun, each

if TYPE_CHECKING:
    from mcp_server.answers.wire import Status

COUNT = 1000


def shown(page: Page) -> Status:
    """The nodes of a run with a list of a thousand items, of which one failed and four run."""
    shape = {"maxItems": COUNT, "maxParallelism": 4, "continueOnError": True}
    run = begun(each(shape=shape), files=tuple(range(COUNT)))
    run.succeed("cover/1", covered=1)
    run.fail("cover/2")
    view = View(run=run.run, actions={}, estimates={}, now=run.now)
    return status_of(view, view_name="nodes", values=None, page=page)


def test_a_status_folds_a_list_and_names_what_happens_in_it() -> None:
    status = shown(Page())
    assert [line.id for line in status.nodes or ()] == [
        "find", "cover", "cover/2", "cover/3", "cover/4", "cover/5", "cover/6",
    ]  # fmt: skip
    assert len(status.text()) < 10_000
    assert (status.progress.total, status.progress.percent) == (2, 50)


def test_a_node_with_an_offset_opens_its_instances() -> None:
    first = shown(Page("cover", 0))
    assert [line.id for line in first.nodes or ()][:2] == ["cover/1", "cover/2"]
    assert (len(first.nodes or ()), first.next_offset) == (MAX_NODES_SHOWN, MAX_NODES_SHOWN)
    last = shown(Page("cover", COUNT - 3))
    assert [line.id for line in last.nodes or ()] == ["cover/998", "cover/999", "cover/1000"]
    assert last.next_offset is None


def test_an_instance_that_is_folded_is_found_by_its_name() -> None:
    nodes = shown(Page("cover/700")).nodes
    assert nodes is not None
    [line] = nodes
    assert (line.id, line.state, line.task) == ("cover/700", "pending", "Do cover")
