"""`orchestrate report` in its three forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mcp_server.cli.app import app
from tests.interaction.projects import environment
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


def test_the_newest_run_is_reported_where_none_is_named(project: Path) -> None:
    assert orchestrate(project, "run", "/hello").exit_code == 0
    result = orchestrate(project, "report")
    assert result.exit_code == 0
    assert result.stdout.startswith("✅ /hello completed in ")
    assert "Parallelism efficiency: " in result.stdout
    assert " * first-greeting █" in result.stdout


def test_json_has_the_numbers_and_every_span(project: Path) -> None:
    run_id = json.loads(orchestrate(project, "run", "/hello", "--executor", "simulate", "--json").stdout)["runId"]
    report = json.loads(orchestrate(project, "report", run_id, "--format", "json").stdout)
    assert (report["runId"], report["state"], report["executor"]) == (run_id, "completed", "simulate")
    assert report["parallelismEfficiency"] == 100
    assert report["criticalPath"] == ["first-greeting"]
    assert report["phases"][0]["successRate"] == 100
    (node,) = report["nodes"]
    assert node["durationMs"] == node["estimatedMs"] == report["totalMs"] == report["slowestAgents"][0]["durationMs"]
    assert node["spans"] == [
        {"kind": "attempt", "startMs": 0, "durationMs": report["totalMs"], "outcome": "ok", "attempt": 1}
    ]


def test_a_failed_run_has_a_report_with_the_failure(project: Path) -> None:
    orchestrate(project, "run", "/hello", "--executor", "simulate", "--fail", "first-greeting=error/NO_DISK")
    assert "first-greeting: NO_DISK: simulated failure" in orchestrate(project, "report").stdout
    report = json.loads(orchestrate(project, "report", "--format", "json").stdout)
    assert report["nodes"][0]["spans"][-1]["note"].startswith("NO_DISK: ")


def test_what_a_failed_agent_said_last_is_shown_and_steers_no_terminal(project: Path) -> None:
    (project / "failer.py").write_text("print('half done \\x1b[31m')\nraise SystemExit(3)\n", encoding="utf-8")
    trust_all(project, project / "home")
    ran = orchestrate(project, "run", "/fail")
    assert "last output:\n     half done [31m" in ran.stdout
    assert "last output:\n      half done [31m" in orchestrate(project, "report").stdout
    report = json.loads(orchestrate(project, "report", "--format", "json").stdout)
    assert "half done" in report["nodes"][0]["spans"][0]["lastOutput"]
    status = json.loads(orchestrate(project, "status", "--json").stdout)
    assert "half done" in status["failures"][0]["lastOutput"]
    assert "\x1b" not in ran.stdout + ran.stderr + orchestrate(project, "report").stdout


def test_html_is_one_page(project: Path) -> None:
    orchestrate(project, "run", "/hello", "--executor", "simulate")
    page = orchestrate(project, "report", "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")


def test_an_unknown_format_or_run_is_wrong_usage(project: Path) -> None:
    result = orchestrate(project, "report", "--format", "pdf")
    assert result.exit_code == 2
    assert "Choose text, json or html." in result.stderr
    assert orchestrate(project, "report", "r-000000000000").exit_code == 2
