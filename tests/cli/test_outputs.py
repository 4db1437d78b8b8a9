"""The outputs of runs: whole, of every phase, as text or JSON, on stdout or in a file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from engine.errors import NotFound
from engine.ids import NodeId
from engine.statefolder.links import JOURNAL
from engine.values.reading import value_of
from mcp_server.cli import outputs
from mcp_server.cli.app import app
from mcp_server.project import outputs as project_outputs
from mcp_server.project.project import RunRequest, open_project
from mcp_server.project.root import SESSION_VARIABLE
from tests.interaction.projects import environment
from tests.support.definitions import command, node, phase
from tests.support.real_agents import ended

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from engine.service import View

LONG = "a line of the report\n" * 5000


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run(project: Path) -> str:
    """A simulated run with a persisted text in its first phase, a number in its second, and a text in its last."""
    first = node("first-node", context={"outputs": [{"key": "report", "persist": True}, {"key": "draft"}]})
    second = node("second-node", context={"outputs": [{"key": "count"}]})
    third = node("third-node", context={"outputs": [{"key": "verdict"}]})
    definition = command(phase("one", first), phase("two", second), phase("three", third), name="/outputs")
    folder = project / ".claude" / "commands" / "v2"
    (folder / "outputs.json").write_text(json.dumps(definition), encoding="utf-8")
    sets = [f"first-node.report={json.dumps(LONG)}", 'second-node.count={"n": 3}', 'third-node.verdict="fine"']
    words = [word for one in sets for word in ("--set", one)]
    ran = orchestrate(project, "run", "/outputs", "--executor", "simulate", "--json", *words)
    name: str = json.loads(ran.stdout)["runId"]
    return name


def test_the_result_of_many_outputs_is_found_in_one_look(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look for each of them would cost the square of their number."""
    looks = Mock(wraps=project_outputs.keys_of)
    monkeypatch.setattr(project_outputs, "keys_of", looks)
    nodes = [node(f"node-{number}", context={"outputs": [{"key": f"key{number}"}]}) for number in range(20)]
    definition = command(phase("one", *nodes), name="/many")
    (project / ".claude" / "commands" / "v2" / "many.json").write_text(json.dumps(definition), encoding="utf-8")
    ran = orchestrate(project, "run", "/many", "--executor", "simulate")
    assert (ran.stdout.count("<key"), looks.call_count) == (20, 1)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def told(result: Result) -> Any:  # noqa: ANN401 - any JSON value
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_every_output_of_every_phase_is_shown_whole(project: Path, run: str) -> None:
    assert told(orchestrate(project, "output", run, "--json")) == {
        "report": LONG,
        "draft": "<draft by worker>",
        "count": {"n": 3},
        "verdict": "fine",
    }
    shown = orchestrate(project, "output", run).stdout
    assert LONG.rstrip() in shown
    assert [line for line in shown.splitlines() if line.startswith("──")] == [
        "── report ──",
        "── draft ──",
        "── count ──",
        "── verdict ──",
    ]


def test_one_output_is_shown_by_its_key_and_those_of_a_node_by_its_name(project: Path, run: str) -> None:
    assert orchestrate(project, "output", run, "verdict").stdout == "fine\n"
    assert told(orchestrate(project, "output", run, "count")) == {"n": 3}
    assert told(orchestrate(project, "output", run, "count", "--json")) == {"n": 3}
    assert told(orchestrate(project, "output", run, "second-node", "--json")) == {"count": {"n": 3}}
    assert "── draft ──" in orchestrate(project, "output", run, "first-node").stdout


def test_raw_prints_exactly_the_value(project: Path, run: str) -> None:
    assert orchestrate(project, "output", run, "report", "--raw").stdout == LONG
    assert orchestrate(project, "output", run, "verdict", "--raw").stdout == "fine"
    assert orchestrate(project, "output", run, "second-node", "--raw").stdout == '{"n":3}\n'
    several = orchestrate(project, "output", run, "--raw")
    assert several.exit_code == 2
    assert "Name one: report, draft, count, verdict." in several.stderr
    assert orchestrate(project, "output", run, "--raw", "--json").exit_code == 2


@pytest.mark.parametrize(
    ("name", "expected"), [("verdit", 'Did you mean "verdict"?'), ("zzz", "It has report, draft, count, verdict")]
)
def test_an_unknown_name_is_an_error_that_names_the_others(project: Path, run: str, name: str, expected: str) -> None:
    failed = orchestrate(project, "output", run, name)
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert "OUTPUT_NOT_FOUND" in failed.stderr
    assert expected in failed.stderr
    assert json.loads(orchestrate(project, "output", run, name, "--json").stdout)["error"]["code"] == "OUTPUT_NOT_FOUND"


def test_an_output_whose_values_do_not_join_is_left_out_and_named(project: Path) -> None:
    """It fails a node that reads it, and there is none."""
    both = {"key": "both", "merge": "merge"}
    first = node("first-node", context={"outputs": [both, {"key": "count"}]})
    second = node("second-node", context={"outputs": [both]})
    definition = command(phase("one", first), phase("two", second), name="/both")
    (project / ".claude" / "commands" / "v2" / "both.json").write_text(json.dumps(definition), encoding="utf-8")
    sets = ["first-node.both={}", "first-node.count=3", "second-node.both=5"]
    words = ["/both", "--executor", "simulate", *(word for one in sets for word in ("--set", one))]
    assert orchestrate(project, "run", *words).exit_code == 0
    ran = told(orchestrate(project, "run", *words, "--json"))
    assert (ran["state"], ran["outputs"], ran["outputsLeftOut"]) == ("completed", {"count": 3}, 1)
    shown = orchestrate(project, "output", "--json")
    assert told(shown) == {"count": 3}
    assert shown.stderr == "left out, since their values do not join: both\n"
    named = orchestrate(project, "output", ran["runId"], "both")
    assert (named.exit_code, named.stdout) == (2, "")
    assert "MERGE_TYPE" in named.stderr


def test_a_run_without_outputs_says_so(project: Path) -> None:
    orchestrate(project, "run", "/hello", "--executor", "simulate", "--fail", "first-greeting=error")
    shown = orchestrate(project, "output")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (0, "", "this run has no outputs\n")
    assert told(orchestrate(project, "output", "--json")) == {}


def test_a_node_without_outputs_says_in_which_state_it_is(project: Path) -> None:
    orchestrate(project, "run", "/hello", "--executor", "simulate", "--fail", "first-greeting=error")
    run = told(orchestrate(project, "runs", "--json"))[0]["runId"]
    failed = orchestrate(project, "output", run, "first-greeting")
    assert failed.exit_code == 2
    assert 'node "first-greeting" of run' in failed.stderr
    assert "has no outputs: it is failed" in failed.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("output", "verdict"),
        ("output", "verdict", "--raw"),
        ("output", "--json"),
        ("report",),
        ("report", "--format", "json"),
        ("report", "--format", "html"),
    ],
    ids=" ".join,
)
def test_a_document_goes_into_a_new_file_as_it_would_go_to_stdout(
    project: Path, run: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    name, *rest = words
    file = tmp_path / "out" / "file"
    written = orchestrate(project, name, run, *rest, "--output", str(file))
    assert (written.exit_code, written.stdout) == (0, "")
    assert file.read_text(encoding="utf-8") == orchestrate(project, name, run, *rest).stdout
    again = orchestrate(project, name, run, *rest, "--output", str(file))
    assert again.exit_code == 2
    assert "FILE_EXISTS" in again.stderr


@pytest.mark.parametrize("words", [("plan", "/hello"), ("output",), ("report",), ("migrate", "/hello")], ids=" ".join)
def test_a_dash_is_stdout_and_no_file(
    project: Path, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    del run  # the newest
    monkeypatch.chdir(tmp_path)
    dashed = orchestrate(project, *words, "--output", "-")
    assert (dashed.exit_code, dashed.stdout) == (0, orchestrate(project, *words).stdout)
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("format_", ["text", "mermaid", "json", "svg"])
def test_a_plan_goes_into_a_file_too(project: Path, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "plan"
    assert orchestrate(project, "plan", "/hello", "--format", format_, "--output", str(file)).exit_code == 0
    assert file.read_text(encoding="utf-8") == orchestrate(project, "plan", "/hello", "--format", format_).stdout


def test_the_end_of_a_run_shows_what_is_persisted_and_the_last_phase(
    project: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del run  # its command file is used
    monkeypatch.setattr(outputs, "MAX_JSON_LENGTH", 10)
    value = json.dumps({"long": "x" * 100})
    shown = orchestrate(project, "run", "/outputs", "--executor", "simulate", "--set", f"third-node.verdict={value}")
    assert "── report ──\n<report by worker>\n" in shown.stdout
    assert "draft" not in shown.stdout
    assert "count" not in shown.stdout.partition("── verdict ──")[0]
    assert "characters of JSON: orchestrate output r-" in shown.stdout
    assert told(orchestrate(project, "output", "--json"))["verdict"] == {"long": "x" * 100}


async def test_a_run_that_is_removed_while_its_outputs_are_read_is_not_found(project: Path) -> None:
    async with open_project(project, home=project / "home") as opened:
        run = await opened.start(RunRequest(source="/hello"))
        await ended(await opened.engine(), run)
    async with open_project(project, home=project / "home") as opened:
        engine = await opened.reader()

        def removed_meanwhile(view: View) -> object:
            with closing(sqlite3.connect(project / JOURNAL)) as db:
                for table, column in (("runs", "id"), ("events", "run")):
                    db.execute(f"DELETE FROM {table} WHERE {column} = ?", (run,))  # noqa: S608 - names of ours
                db.execute("DELETE FROM vals")
                db.commit()
            return value_of(view.run.nodes[NodeId("first-greeting")].outputs["greeting"], engine.values.get)

        with pytest.raises(NotFound) as raised:
            await engine.read(run, removed_meanwhile)
        assert raised.value.code == "RUN_NOT_FOUND"
