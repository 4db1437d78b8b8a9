"""Ruff's findings as the review shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.packaged.review_repo import lint, programs
from tests.unit.registry.packaged.review_repo.conftest import rules

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.packaged.review_repo.conftest import Repo


def test_defects_are_found_with_place_reason_and_remedy(repo: Repo) -> None:
    repo.commit(**{"app.py": "import os\n\n\ndef f(x=[]):\n    return y\n"})
    output = repo.ask(lint.review)["lint"]
    found = {finding["rule"]: finding for finding in output["findings"]}
    assert set(found) == {"F401", "F821", "B006"}
    assert (found["F821"]["file"], found["F821"]["line"], found["F821"]["severity"]) == ("app.py", 5, "high")
    assert found["F401"]["severity"] == "low"
    table = {rule["rule"]: rule for rule in output["rules"]}
    assert table["F401"]["fix"] == "Remove unused import"
    assert table["B006"]["name"] == "mutable-argument-default"
    assert table["B006"]["why"].startswith("Function defaults are evaluated once")


def test_code_that_cannot_be_parsed_is_one_kind_of_finding(repo: Repo) -> None:
    repo.commit(**{"old.py": 'print "hello"\n'})
    output = repo.ask(lint.review)["lint"]
    assert rules(output) == {"invalid-syntax"}
    assert "cannot parse" in output["rules"][0]["why"]


def test_the_projects_own_settings_are_respected_below_them(repo: Repo) -> None:
    bad = "import os\nl = 1\n"
    repo.commit(
        **{
            "own/pyproject.toml": '[tool.ruff.lint]\nselect = ["E741"]\n',
            "own/a.py": bad,
            "other/b.py": bad,
        }
    )
    output = repo.ask(lint.review)["lint"]
    assert {(finding["file"], finding["rule"], finding["severity"]) for finding in output["findings"]} == {
        ("own/a.py", "E741", "style"),
        ("other/b.py", "F401", "low"),
    }
    assert output["note"] == "1 files by the project's own ruff settings, 1 by ours"


def test_broken_settings_of_the_project_are_told_and_replaced(repo: Repo) -> None:
    repo.commit(**{"ruff.toml": 'required-version = "==0.0.1"\n', "a.py": "import os\n"})
    output = repo.ask(lint.review)["lint"]
    assert rules(output) == {"F401"}
    assert "settings could not be used" in output["limits"][0]


def test_settings_that_would_fix_or_write_do_neither(repo: Repo) -> None:
    repo.commit(**{"ruff.toml": 'fix = true\ncache-dir = "cache"\n', "a.py": "import os\n"})
    repo.ask(lint.review)
    assert (repo.root / "a.py").read_text() == "import os\n"
    assert repo.git("status", "--porcelain", "--ignored") == ""


@pytest.mark.parametrize("name", ["two words.py", "line\nbreak.py", "ü.py", "-rf.py", "@args.py", "[x].py"])
def test_a_file_with_a_strange_name_is_linted(repo: Repo, name: str) -> None:
    repo.write(name, "import os\n")
    repo.commit()
    assert [finding["file"] for finding in repo.ask(lint.review)["lint"]["findings"]] == [name]


def test_more_files_than_one_call_takes_are_all_linted(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "BATCH_CHARACTERS", 30)
    repo.commit(**{f"module_{number}.py": "import os\n" for number in range(7)})
    assert repo.ask(lint.review)["lint"]["total"] == 7


def test_new_syntax_is_no_error(repo: Repo) -> None:
    repo.commit(**{"new.py": "type A = int\n\n\ndef f[T](x: T) -> T:\n    return x\n"})
    assert repo.ask(lint.review)["lint"]["findings"] == []


def test_a_script_without_an_ending_is_linted(repo: Repo) -> None:
    repo.write("tool", "#!/usr/bin/env python3\nimport os\n")
    repo.commit()
    assert rules(repo.ask(lint.review)["lint"]) == {"F401"}


def test_findings_of_one_rule_are_bounded_and_counted(repo: Repo) -> None:
    repo.commit(**{"many.py": "".join(f"import m{number}\n" for number in range(100))})
    output = repo.ask(lint.review)["lint"]
    assert len(output["findings"]) == 40
    assert (output["total"], output["rules"][0]["count"], output["severities"]) == (100, 100, {"low": 100})


def test_time_that_is_up_is_told(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "SECONDS", 0)
    repo.commit(**{"a.py": "import os\n"})
    assert "time was up" in repo.ask(lint.review)["lint"]["limits"][0]


def test_a_missing_ruff_is_told(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(**{"a.py": "x = 1\n"})
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    failure = repo.failure(lint.review)
    assert failure["code"] == "TOOL_MISSING"
    assert 'the extra "review"' in failure["message"]


def test_an_entry_outside_of_the_root_is_no_finding(tmp_path: Path) -> None:
    assert lint.to_finding({"filename": "/etc/passwd", "code": "F401"}, tmp_path) is None


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        ("F632", "high"),
        ("FURB105", "style"),
        ("FBT001", "style"),
        ("SIM102", "style"),
        ("S105", "medium"),
        (None, "high"),
    ],
)
def test_a_rule_has_the_severity_of_its_family(code: str | None, severity: str, tmp_path: Path) -> None:
    finding = lint.to_finding({"filename": f"{tmp_path}/a.py", "code": code, "location": {"row": 3}}, tmp_path)
    assert finding is not None
    assert (finding.file, finding.line, finding.severity) == ("a.py", 3, severity)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", ""),
        ("## What\nx\n## Why is this bad?\nOne [thing](u). Two [`x`]. Three.\n\nMore", "One thing. Two `x`."),
        ("## Why is this bad?\n" + "A" * 200 + ". Second.", "A" * 200 + "."),
    ],
)
def test_the_reason_is_the_beginning_of_the_rules_explanation(text: str, why: str) -> None:
    assert lint.why_of(text) == why
