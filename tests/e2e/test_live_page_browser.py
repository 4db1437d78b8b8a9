"""The live page in a real browser: what a person sees, with eyes, keys and a screen reader, and what it costs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.executors.simulate import parse_fault
from mcp_server.project.project import RunRequest, open_project
from tests.interaction.projects import AGENTS, environment, make_project
from tests.support.browser import chromium
from tests.support.by_hand import rollback
from tests.support.definitions import Raw, command, in_place, node, phase
from tests.support.installed import ORCHESTRATE
from tests.support.node_tools import TOOLS
from tests.support.node_tools import node as node_program
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).parent / "live_page.mjs"
SHOTS = "LIVE_PAGE_SHOTS"
"""Names a folder for what the browser shows."""
LONG = 61
"""Items of a list, one more than the panel shows."""
MOST_FOR_TEN_TIMES = 12
"""How much more scripting 1,000 nodes may take than 100."""

pytestmark = [
    pytest.mark.timeout(330),
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
]

LISTER = """
import json, sys
json.load(sys.stdin)
print("found some files", file=sys.stderr)
print(json.dumps({"outputs": {"files": ["a.py", "b.py", "c.py"]}}))
"""


def asking() -> Raw:
    """A run with one of everything, which waits for a person in the end."""
    files = {"outputs": [{"key": "files", "schema": {"type": "array"}}]}
    cover = node("cover", "find", context={"inputs": [{"key": "files"}]}, forEach={"items": "files"})
    fix = node("fix", repeat={"until": "iteration >= 2", "maxIterations": 3})
    docs = in_place("docs", phase("write", node("draft"), node("polish", "draft")))
    shaky = node("shaky", agent="failer", retryPolicy={"maxAttempts": 1, "initialDelay": 100})
    return command(
        phase("scan", node("find", agent="lister", context=files), node("lint")),
        phase("work", cover, fix, docs, shaky, continueOnError=True),
        phase("ship", node("ask", approval={"message": "Deploy it?\nTo everybody"}), node("announce", "ask")),
        name="/asking",
    )


def listed() -> Raw:
    """A long list whose last item fails, after a step that is then undone."""
    return command(
        phase("first", node("make", compensation=rollback())),
        phase("second", node("cover", context={"inputs": [{"key": "files"}]}, forEach={"items": "files"})),
        name="/listed",
        globalContext={"initial": {"files": list(range(LONG))}},
    )


def wide(count: int, name: str) -> Raw:
    """Ten phases of many nodes, some of which need others."""
    each = count // 10
    phases = [
        phase(
            f"p{step}",
            *(
                node(f"n{step}-{place}", *([f"n{step - 1}-{place}"] if step and place % 3 == 0 else []))
                for place in range(each)
            ),
        )
        for step in range(10)
    ]
    return command(*phases, name=name)


@pytest.fixture(scope="session")
def live_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("live") / "project")
    (root / "lister.py").write_text(LISTER, encoding="utf-8")
    argv = json.dumps([sys.executable, "lister.py"])
    head = f"---\nname: lister\ndescription: Lists\nexecutor: process\ncommand: {argv}\n---\n"
    (root / ".claude" / "agents" / "lister.md").write_text(head, encoding="utf-8")
    assert {"worker", "failer"} <= AGENTS.keys()
    for made in (asking(), listed(), wide(100, "/hundred"), wide(1000, "/thousand"), wide(300, "/large")):
        path = root / ".claude" / "commands" / "v2" / f"{made['name'][1:]}.json"
        path.write_text(json.dumps(made), encoding="utf-8")
    trust_all(root, root / "home")
    return root


def run(project: Path, *words: str) -> str:
    """The id of the run that `orchestrate run` starts."""
    env = os.environ | environment(project)
    done = subprocess.run(
        [ORCHESTRATE, "run", *words, "--json"],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: str = json.loads(done.stdout)["runId"]
    return found


async def simulated(project: Path, *commands: str) -> dict[str, str]:
    """The ids of simulated runs, by command."""
    runs: dict[str, str] = {}
    async with open_project(project, home=project / "home") as found:
        engine = await found.engine()
        for name in commands:
            faults = dict([parse_fault(f"cover/{LONG}=error")] if name == "listed" else [])
            one = await found.start(RunRequest(source=f"/{name}", executor="simulate", faults=faults))
            while not (await engine.view(one)).run.ended:
                await engine.wait(one, 1)
            runs[name] = one
    return runs


def killed(project: Path) -> str:
    """The id of a run whose process was killed while an agent of it worked."""
    words = [ORCHESTRATE, "run", "/wait"]
    env = os.environ | environment(project)
    with subprocess.Popen(words, cwd=project, env=env, stdout=subprocess.DEVNULL) as owner:
        try:
            with (project / "gate").open("w"):  # waits until its agent is there
                owner.kill()
        finally:
            owner.kill()
    words = [ORCHESTRATE, "runs", "--command", "/wait", "--json"]
    listed = subprocess.run(words, cwd=project, env=env, capture_output=True, check=True, timeout=60)
    [one] = json.loads(listed.stdout)
    found: str = one["runId"]
    return found


@pytest.fixture(scope="session")
def seen(live_project: Path) -> dict[str, Any]:
    """All that a person has seen at the page, in one session of one browser."""
    runs = asyncio.run(simulated(live_project, "hundred", "thousand", "large", "listed", *["hello"] * 4))
    runs["asking"] = run(live_project, "/asking", "--detach")
    runs["failed"] = run(live_project, "/fail")
    runs["killed"] = killed(live_project)
    given = {"serve": [ORCHESTRATE, "view", "--no-open"], "runs": runs, "shots": os.environ.get(SHOTS, "")}
    done = subprocess.run(
        [node_program(), str(SCRIPT), str(TOOLS), chromium() or "", json.dumps(given)],
        cwd=live_project,
        env=os.environ | environment(live_project),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_view_has_a_fault_for_a_screen_reader_or_for_eyes_at_either_width_in_light_or_dark(
    seen: dict[str, Any],
) -> None:
    assert len(seen["audits"]) == 22
    assert {name: found for name, found in seen["audits"].items() if found} == {}


def test_the_browser_reports_no_error_and_blocks_nothing_of_the_page(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []


def test_everything_is_reached_by_keys_and_their_focus_is_seen(seen: dict[str, Any]) -> None:
    keys = seen["keys"]
    assert {"Approve", "Reject", "Graph"} <= set(keys["tabs"])
    assert keys["path"] == ["find", "cover", "fix", "cover", "cover/1", "cover/2", "cover"]
    assert keys["ring"] == "solid"
    assert keys["tab"] == "Timeline"


def test_a_question_is_answered_in_place_and_every_tab_sees_the_end(seen: dict[str, Any]) -> None:
    answers = seen["answers"]
    assert "Deploy it?\nTo everybody" in answers["asked"], "in its lines"
    assert answers["ends"] == ["degraded", "degraded"]
    assert "token" not in answers["url"], "it does not stay in the history"


def test_in_a_low_window_a_node_is_shown_with_its_task_and_a_long_list_from_what_failed_on(
    seen: dict[str, Any],
) -> None:
    assert seen["low"]["task"] > 0
    assert seen["low"]["first"].split() == ["item", str(LONG), "failed"]


def test_the_time_of_a_node_that_was_undone_is_that_of_its_work(seen: dict[str, Any]) -> None:
    assert seen["low"]["undone"] == "1 min 0 s"


def test_a_killed_run_is_resumed_and_cancelled_and_a_failed_one_retried_by_their_buttons(seen: dict[str, Any]) -> None:
    actions = seen["actions"]
    assert actions["ended"] == ["lost", "cancelled"]
    assert [one for one in actions["drawn"] if "failed" in one] == []
    assert "try cancelled" in actions["drawn"]
    assert actions["open"] == [1, 0], "the phase of a run that is over is over"
    assert actions["before"] == "\N{MULTIPLICATION SIGN}1"
    assert actions["after"] == "\N{MULTIPLICATION SIGN}2"


def test_the_list_is_filtered_and_leads_to_a_run_and_back(seen: dict[str, Any]) -> None:
    assert (seen["list"]["all"], seen["list"]["running"]) == (11, 1)
    assert "/runs/r-" in seen["list"]["there"]


def test_a_server_that_goes_away_and_another_in_its_place_are_told(seen: dict[str, Any]) -> None:
    assert "connection lost" in seen["away"]["lost"]
    assert "orchestrate view" in seen["away"]["alert"]
    assert seen["away"]["cards"] == 100, "what was there stays"


def test_a_thousand_nodes_cost_little_more_than_ten_times_a_hundred(seen: dict[str, Any]) -> None:
    hundred, thousand = seen["cost"]["hundred"], seen["cost"]["thousand"]
    assert (hundred["nodes"], thousand["nodes"]) == (100, 1000)
    for what in ("opening", "unfolded"):
        for metric in ("script", "task"):
            assert thousand[what][metric] <= MOST_FOR_TEN_TIMES * hundred[what][metric], (hundred, thousand)


def test_the_time_of_a_run_that_is_over_stands_still_from_the_first_picture_on(seen: dict[str, Any]) -> None:
    assert "10 min 0 s" in seen["cost"]["hundred"]["clock"]


def test_a_change_of_one_node_redraws_that_node_and_no_other(seen: dict[str, Any]) -> None:
    for cost in seen["cost"].values():
        assert cost["touched"] == [cost["chosen"]]
        assert "s-failed" in cost["state"]


def arguments() -> Sequence[str]:
    return [node_program(), "mcp_server/live/web/build.mjs", str(TOOLS)]


def test_the_page_is_what_its_sources_build_and_has_the_licences_of_its_libraries(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    built = tmp_path / "page.html"
    subprocess.run([*arguments(), str(built)], cwd=root, check=True, timeout=60)
    shipped = root / "mcp_server" / "live" / "page.html"
    assert built.read_bytes() == shipped.read_bytes(), "run node mcp_server/live/web/build.mjs .cache/npm/node_modules"
    text = shipped.read_text(encoding="utf-8")
    assert len(text.encode()) <= 150_000
    for library in ("preact 11.2.0 (MIT)", "@preact/signals 2.11.4 (MIT)", "@preact/signals-core"):
        assert library in text
    assert text.count("Permission is hereby granted") >= 3


def test_the_sources_of_the_page_have_no_type_errors() -> None:
    words = [node_program(), str(TOOLS / ".bin" / "tsc"), "-p", "mcp_server/live/web"]
    root = Path(__file__).parents[2]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
