"""Workflows of other programs, converted and run with their real scripts: they do what they did there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.ids import NodeId
from engine.run.events import RunStatus
from engine.run.state import NodeStatus
from engine.runtime.observations import values_of
from mcp_server.project.project import RunRequest, open_project
from registry.catalog import Catalog
from tests.support.real_agents import ended
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from pathlib import Path

    from engine.run.state import Run
    from registry.catalog import CheckedCommand

pytestmark = pytest.mark.processes

ARCHON = """\
name: joins
description: Joins, members, a group of nodes and a failure
nodes:
  - id: seed
    bash: |
      echo '{"mode": "fast", "n": 2}'
  - {id: taken, bash: "echo \\"it's $seed.output.n\\"", depends_on: [seed], when: "$seed.output.mode == 'fast'"}
  - {id: passed-by, bash: echo no, depends_on: [seed], when: "$seed.output.mode == 'slow'"}
  - {id: all, bash: "test $seed.output.n = 2 && echo all", depends_on: [taken, passed-by], trigger_rule: all_done}
  - id: one
    bash: printf '%s|' $taken.output $passed-by.output
    depends_on: [taken, passed-by]
    trigger_rule: one_success
  - id: count
    depends_on: [seed]
    loop_group:
      max_iterations: 5
      until_bash: test "$(wc -l < counted)" -ge 3
      nodes:
        - {id: tick, bash: "echo $seed.output.mode >> counted; wc -l < counted"}
  - {id: broken, bash: exit 3, depends_on: [seed]}
  - {id: after-broken, bash: echo no, depends_on: [broken]}
  - {id: in-spite, bash: echo spite, depends_on: [broken, after-broken], trigger_rule: all_done}
  - {id: reader, bash: "echo $broken.output", depends_on: [broken], trigger_rule: all_done}
"""
LAYERS = """\
name: layers
description: A layer ends before the next begins, and a reader of a missing member fails alone
nodes:
  - {id: quick, bash: echo text}
  - {id: slow, bash: "sleep 0.5; echo slow >> order"}
  - {id: after-quick, bash: echo after >> order, depends_on: [quick]}
  - {id: member, bash: echo $quick.output.name, depends_on: [quick]}
  - {id: not-a-list, workflow: one, depends_on: [quick], fan_out: {items: $quick.output}}
"""
FAN_OUT = """\
name: many
description: Each in a workflow of its own
nodes:
  - {id: find, bash: "echo '[\\"a\\", \\"bad\\", \\"c\\"]'"}
  - {id: each, workflow: one, depends_on: [find], fan_out: {items: $find.output, max_parallel: 2}}
  - {id: report, bash: "printf '%s' $each.output", depends_on: [each]}
"""
ONE = """\
name: one
description: One item
mutates_checkout: false
nodes:
  - {id: made, bash: 'test "$ARGUMENTS" != bad && echo "made $ARGUMENTS"'}
"""
CONDUCTOR = """\
workflow:
  name: poll
  description: Poll until it is ready, then end
  entry_point: check
  limits: {max_iterations: 20}
  input: {wanted: {type: number, required: false, default: 3}}
agents:
  - name: check
    type: script
    command: bash
    args:
      - -c
      - |
        echo x >> polled
        n=$(wc -l < polled)
        if [ "$n" -ge {{ workflow.input.wanted }} ]; then echo '{"status": "ready"}'; else echo '{"status": "no"}'; fi
    routes: [{to: ends, when: "status == 'ready'"}, {to: pause}]
  - {name: pause, type: wait, duration: 10ms, routes: [{to: check}]}
  - name: ends
    type: script
    command: cat
    stdin: "{{ check.output.stdout | json }}"
    output: {}
    routes: []
"""


def write(root: Path, loaded: CheckedCommand, stem: str) -> None:
    """Write the command and the agents of a converted workflow, as `migrate` does."""
    assert loaded.errors == ()
    for folder, files in (("agents", loaded.agents), ("commands/v2", {stem: json.dumps(loaded.raw)})):
        (root / ".claude" / folder).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            suffix = "md" if folder == "agents" else "json"
            (root / ".claude" / folder / f"{name}.{suffix}").write_text(content, encoding="utf-8")


async def played(root: Path, text: str) -> tuple[Run, dict[str, Any]]:
    """A run of the workflow *text* after its conversion, and the values that it leaves."""
    (root / "flow.yaml").write_text(text, encoding="utf-8")
    loaded = Catalog(root).load("flow.yaml")
    write(root, loaded, "flow")
    trust_all(root, root / "home")
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source=loaded.name))
        seen = await ended(engine, run)
        keys = [key for key in seen.context if "/" not in key]
        return seen, values_of(seen, "", keys, seen.version, engine.values)


def statuses(run: Run) -> dict[str, NodeStatus]:
    return {name: node.status for name, node in run.nodes.items() if "/" not in name}


async def test_a_workflow_of_archon(tmp_path: Path) -> None:
    run, values = await played(tmp_path, ARCHON)
    assert run.status is RunStatus.DEGRADED
    found = statuses(run)
    assert {name for name, status in found.items() if status is NodeStatus.SKIPPED} == {"passed-by", "after-broken"}
    assert {name for name, status in found.items() if status is NodeStatus.FAILED} == {"broken", "reader"}
    assert values["taken"] == "it's '2'"
    assert values["one"] == "it's '2'||"
    assert (values["all"], values["in_spite"]) == ("all", "spite")
    assert (values["count"].strip(), values["count_done"]) == ("3", True)
    assert (tmp_path / "counted").read_text(encoding="utf-8") == "fast\n" * 3


async def test_layers_and_missing_members_of_archon(tmp_path: Path) -> None:
    (tmp_path / ".archon/workflows").mkdir(parents=True)
    (tmp_path / ".archon/workflows/one.yaml").write_text(ONE, encoding="utf-8")
    write(tmp_path, Catalog(tmp_path).load(".archon/workflows/one.yaml"), "one")
    run, _ = await played(tmp_path, LAYERS)
    found = statuses(run)
    assert (tmp_path / "order").read_text(encoding="utf-8") == "slow\nafter\n"
    assert {name for name, status in found.items() if status is NodeStatus.FAILED} == {"member", "not-a-list"}
    assert found["quick"] is NodeStatus.COMPLETED


async def test_a_fan_out_of_archon(tmp_path: Path) -> None:
    (tmp_path / ".archon/workflows").mkdir(parents=True)
    (tmp_path / ".archon/workflows/one.yaml").write_text(ONE, encoding="utf-8")
    write(tmp_path, Catalog(tmp_path).load(".archon/workflows/one.yaml"), "one")
    run, values = await played(tmp_path, FAN_OUT)
    assert run.status is RunStatus.DEGRADED
    assert values["made"] == ["made a", "made c"]
    assert values["report"] == '["made a","made c"]'


async def test_a_workflow_of_conductor(tmp_path: Path) -> None:
    run, values = await played(tmp_path, CONDUCTOR.replace("    output: {}\n", ""))
    assert run.status is RunStatus.COMPLETED
    assert values["check_next"] == "ends"
    assert values["check"]["status"] == "ready"
    assert json.loads(values["ends"]["stdout"]) == values["check"]["stdout"]
    assert [name for name in run.nodes if name.startswith("loop-check/") and name.count("/") == 1] == [
        "loop-check/1",
        "loop-check/2",
        "loop-check/3",
    ]


async def test_a_script_of_conductor_that_breaks_its_promise_ends_the_run(tmp_path: Path) -> None:
    run, _ = await played(tmp_path, CONDUCTOR)
    assert run.status is RunStatus.FAILED
    failure = run.nodes[NodeId("ends")].failure
    assert failure is not None
    assert failure.code == "NO_JSON_OBJECT"
