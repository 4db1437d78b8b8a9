"""A look into a node: its logs, and everything that is known about it; and the list of runs, filtered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from mcp_server.cli import logs, runs
from mcp_server.cli.app import app
from mcp_server.project.root import SESSION_VARIABLE
from tests.interaction.projects import environment
from tests.support.definitions import command, node, phase

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def told(result: Result) -> Any:  # noqa: ANN401 - any JSON value
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def run_of(project: Path, *words: str) -> str:
    status = json.loads(orchestrate(project, "run", *words, "--json").stdout)
    assert "error" not in status, status
    name: str = status["runId"]
    return name


def test_the_logs_of_a_run_show_each_attempt_below_its_name(project: Path) -> None:
    run = run_of(project, "/hello")
    for words in ((), ("first-greeting",), ("first-greeting#1",), ("first-greeting", "-f")):
        head, said, end = orchestrate(project, "logs", run, *words).stdout.splitlines()
        assert head == "first-greeting#1 · worker"
        assert said.endswith("thinking of first-greeting")
        assert "✅ completed in" in end
        assert end.endswith(" · outputs: greeting (27 bytes)")
    followed = orchestrate(project, "logs", run, "-f").stdout.splitlines()
    assert all(line.startswith("first-greeting#1 | ") for line in followed[1:])


def test_the_log_of_a_failure_has_its_reason_without_its_secret(project: Path) -> None:
    run = run_of(project, "/fail")
    shown = orchestrate(project, "logs", run).stdout
    assert "hunter22" not in shown
    assert "❌ failed after" in shown
    assert "BROKEN: password=[redacted]" in shown


def test_a_simulated_run_and_an_unknown_attempt_have_one_clear_answer(project: Path) -> None:
    run = run_of(project, "/hello", "--executor", "simulate")
    assert "(simulated: nothing was printed)" in orchestrate(project, "logs", run).stdout
    failed = orchestrate(project, "logs", run, "first-greeting#7")
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert "ATTEMPT_NOT_FOUND" in failed.stderr
    assert "RUN_NOT_FOUND" in orchestrate(project, "logs", "r-none00000000").stderr


def test_a_node_is_shown_with_all_that_is_known_about_it(project: Path) -> None:
    first = node("first-node", minutes=2, context={"outputs": [{"key": "speed", "persist": True}, {"key": "more"}]})
    second = node("second-node", "first-node", minutes=3, context={"inputs": [{"key": "speed"}], "outputs": []})
    third = node("third-node", minutes=1, approval={"message": "Really?"})
    definition = command(phase("one", first, second), phase("two", third), name="/show")
    folder = project / ".claude" / "commands" / "v2"
    (folder / "show.json").write_text(json.dumps(definition), encoding="utf-8")
    run = run_of(project, "/show", "--executor", "simulate", "--set", 'first-node.speed="fast, token=\\u202e"')
    shown = told(orchestrate(project, "show", run, "second-node", "--json"))
    assert {key: shown[key] for key in ("id", "agentId", "executor", "state", "dependsOn", "estimateMs")} == {
        "id": "second-node",
        "agentId": "worker",
        "executor": "process",
        "state": "completed",
        "dependsOn": ["first-node"],
        "estimateMs": 180_000,
    }
    [given] = shown["inputs"]
    assert (given["key"], given["fromNodes"], given["value"]) == ("speed", ["first-node"], "fast, token=\u202e")
    assert json.loads(shown["prompt"])["inputs"] == {"speed": "fast, token=\u202e"}
    assert [(one["number"], one["state"], one["durationMs"]) for one in shown["attempts"]] == [
        (1, "completed", 180_000)
    ]
    text = orchestrate(project, "show", run, "second-node").stdout
    assert "\u202e" not in text
    assert "after:     first-node" in text
    assert "✅ #1 completed" in text
    assert "took 3.0 min" in text
    assert f"orchestrate logs {run} second-node\n" in text
    assert "to persist" in orchestrate(project, "show", run, "first-node").stdout


def test_a_node_that_waits_says_what_for_and_a_failed_one_why(project: Path) -> None:
    ran = orchestrate(project, "run", "/fail", "--json")
    run = json.loads(ran.stdout)["runId"]
    shown = orchestrate(project, "show", run, "failing-node").stdout
    assert "❌ #1 failed" in shown
    assert "     BROKEN: password=[redacted]" in shown
    answer = told(orchestrate(project, "show", run, "failing-node", "--json"))
    assert answer["attempts"][0]["code"] == "BROKEN"
    asked = json.loads(orchestrate(project, "run", "/ask", "--detach", "--json").stdout)["runId"]
    try:
        waits = told(orchestrate(project, "show", asked, "careful-node", "--json"))
        assert (waits["waitingFor"], waits["attempts"]) == ("approval: Really?", [])
        assert "prompt" not in waits
        assert "waits for: approval: Really?" in orchestrate(project, "show", asked, "careful-node").stdout
        begun = orchestrate(project, "logs", asked, "careful-node")
        assert (begun.stdout, begun.stderr) == ("", "nothing has begun yet: it waits for approval: Really?\n")
    finally:
        orchestrate(project, "cancel", asked)


def test_the_list_shows_the_newest_runs_and_says_how_many_are_left_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUNS_SHOWN", 2)
    names = [run_of(project, "/hello", "--executor", "simulate") for _ in range(3)]
    shown = orchestrate(project, "runs")
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == [names[2], names[1]]
    assert shown.stderr == "1 older run not shown; --all shows all\n"
    every = orchestrate(project, "runs", "--all")
    assert (len(every.stdout.splitlines()), every.stderr) == (4, "")
    assert len(told(orchestrate(project, "runs", "--json"))) == 3, "programs get all"


def test_the_list_is_filtered(project: Path) -> None:
    run_of(project, "/hello", "--executor", "simulate")
    failed = run_of(project, "/fail", "--executor", "simulate", "--fail", "failing-node=error")
    for words in (
        ("--state", "failed"),
        ("--command", "/fail"),
        ("--grep", failed),
        ("--since", "1h", "--grep", "FAIL"),
    ):
        assert [row["runId"] for row in told(orchestrate(project, "runs", "--json", *words))] == [failed]
    none = orchestrate(project, "runs", "--state", "cancelled")
    assert (none.stdout, none.stderr) == ("", "no run among 2 runs meets the conditions\n")
    wrong = orchestrate(project, "runs", "--state", "done")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "INVALID_ARGUMENT" in wrong.stderr


def test_a_status_as_json_lists_every_node_of_a_large_run(project: Path) -> None:
    many = [node(f"node-{number}", minutes=0.1) for number in range(1000)]
    definition = command(phase("work", *many), name="/many")
    (project / ".claude" / "commands" / "v2" / "many.json").write_text(json.dumps(definition), encoding="utf-8")
    run = run_of(project, "/many", "--executor", "simulate")
    shown = told(orchestrate(project, "status", run, "--json"))
    assert len(shown["nodes"]) == 1000


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_line_continues_below_its_text_on_a_terminal(width: int) -> None:
    line = "14:42:37  " + "x" * (width - 10) + "first-node#1 · worker" + "漢" * width
    first, *rest = logs._broken(line, width)
    assert cell_len(first) <= width
    assert all(part.startswith(" " * 10) and cell_len(part) <= width for part in rest)
    assert first + "".join(part[10:] for part in rest) == line
    assert logs._broken("short", width) == ["short"]
    assert logs._broken("x" * width, width) == ["x" * width]


def test_a_node_of_a_model_shows_its_prompt_with_large_inputs_named(project: Path) -> None:
    first = node("first-node", context={"outputs": [{"key": "large"}]})
    second = node("second-node", "first-node", agent="general-purpose", context={"inputs": [{"key": "large"}]})
    definition = command(phase("one", first, second), name="/prompt")
    (project / ".claude" / "commands" / "v2" / "prompt.json").write_text(json.dumps(definition), encoding="utf-8")
    large = json.dumps("x" * 40_000)
    run = run_of(project, "/prompt", "--executor", "simulate", "--set", f"first-node.large={large}")
    shown = told(orchestrate(project, "show", run, "second-node", "--json"))
    assert "This value is large: read it from the JSON file (39 kB)" in shown["prompt"]
    assert "value" not in shown["inputs"][0]
    text = orchestrate(project, "show", run, "second-node").stdout
    assert "prompt:" in text
    assert "x" * 1000 not in text


def test_the_logs_of_a_command_in_a_command_are_those_of_its_nodes(project: Path) -> None:
    outer = command(phase("one", node("inner-hello", agent="command", task="/hello", minutes=0.1)), name="/outer")
    (project / ".claude" / "commands" / "v2" / "outer.json").write_text(json.dumps(outer), encoding="utf-8")
    run = run_of(project, "/outer")
    for words in (("inner-hello",), ("inner-hello", "-f")):
        shown = orchestrate(project, "logs", run, *words).stdout
        assert "inner-hello/first-greeting#1 · worker" in shown
        assert "thinking of inner-hello/first-greeting" in shown
    group = told(orchestrate(project, "show", run, "inner-hello", "--json"))
    assert (group["executor"], group["state"]) == ("command", "completed")
    assert "prompt" not in group
    assert "hello from" in orchestrate(project, "output", run, "inner-hello/first-greeting").stdout
