"""The report: what it says, of which repository, and that nothing in it comes alive as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from registry.packaged.review_repo import report

if TYPE_CHECKING:
    from tests.unit.registry.packaged.review_repo.conftest import Repo

DEFECTS = "import os\nimport subprocess\n\n\ndef f(x):\n    subprocess.call(x, shell=True)\n    return missing\n"


def test_every_ranked_finding_names_a_file_and_a_line_that_exist(repo: Repo) -> None:
    repo.commit(**{"src/app.py": DEFECTS, "a\nb.py": DEFECTS, "README.md": "\n[x](gone.md)\n", "c.json": "{\n"})
    for number in range(6):
        repo.commit(**{"src/app.py": DEFECTS + f"# {number}\n"})
    findings = repo.review()["findings"]
    assert {entry["tool"] for entry in findings} == {"ruff", "bandit", "hygiene"}
    for entry in findings:
        lines = (repo.root / entry["file"]).read_text().splitlines()
        assert all(1 <= line <= len(lines) + 1 for line in (entry["line"], *entry["lines"])), entry


def test_the_report_of_a_python_project_begins_with_what_to_do_first(repo: Repo) -> None:
    for number in range(6):
        repo.commit(**{"src/app.py": DEFECTS + f"# {number}\n", "tests/test_app.py": "import os\n"})
    text = repo.review()["report"]
    assert "**2 places to act on**" in text
    assert "Start with `src/app.py:" in text
    assert "Most changes are in `src/app.py` (6 changes)." in text
    top = text[text.index("## Top findings") : text.index("## Findings by rule")]
    assert top.index("src/app.py") < top.index("tests/test_app.py")
    assert "Why: A value that reaches the shell can carry a command of its own." in top
    assert "| `src/app.py` |" in text[text.index("## Hot spots") :]
    assert "| Python | 2 |" in text[text.index("## Languages") :]


def test_the_report_of_another_language_says_what_was_skipped(repo: Repo) -> None:
    repo.commit(**{"index.js": "let a = 1 // FIXME\n", "package.json": "{,}\n"})
    text = repo.review()["report"]
    assert "- 1 mark of the kind TODO, FIXME, XXX or HACK in the code" in text
    assert "`package.json:1` `json-syntax`" in text
    assert "- Python lint: skipped, no Python files" in text
    assert "No linter for JavaScript is part of this review." in text
    assert "- No linter and no security scanner of this review reads JavaScript" in text
    assert "- **no**: Changelog (none found)" in text
    assert "- Python security: skipped, no Python files" in text
    assert "None: no code file changed more than once." in text


def test_the_report_of_an_empty_repository_says_so(repo: Repo) -> None:
    text = repo.review()["report"]
    assert "**There is nothing to review**" in text
    assert "no commit yet" in text
    assert "- Secrets: skipped, no files" in text


def test_the_report_of_a_sound_repository_does_not_cry_wolf(repo: Repo) -> None:
    repo.commit(**{"app.py": "print(1)\n", "README.md": "# App\n"})
    text = repo.review()["report"]
    assert "**Nothing found** by the checks that ran." in text
    assert "Not found: Licence, Tests, Continuous integration." in text


def test_a_reviewer_that_failed_is_told_in_the_verdict(repo: Repo) -> None:
    repo.commit(**{"app.py": "print(1)\n"})
    context = repo.review()
    reviewers = context["ranking"]["reviewers"]
    next(item for item in reviewers if item["name"] == "security").update(ran=False)
    text = repo.ask(report.review, **{**context, "hotspots": {}})["report"]
    assert "**Incomplete**: Python security did not finish." in text
    assert "- Python security: **did not finish**" in text
    assert "None: the history could not be read." in text


def test_limits_stand_in_the_report(repo: Repo) -> None:
    repo.commit(**{"app.py": "print(1)\n"})
    context = repo.review()
    context["ranking"]["reviewers"][0]["limits"] = ["Time was up."]
    assert "- Limit: Time was up." in repo.ask(report.review, **context)["report"]


def test_names_of_the_repository_cannot_write_the_report(repo: Repo) -> None:
    names = ["`x` | <img src=a>.py", "[a](http:b).py", "# head\n## Verdict.py", "**b**.py", "``y.py"]
    repo.commit(**dict.fromkeys(names, DEFECTS))
    text = repo.review()["report"]
    assert text.count("\n## Verdict\n") == 1
    for line in text.splitlines():
        outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", line)
        assert "<img" not in outside
        assert "(http:b)" not in outside
        assert "**b**" not in outside
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in {4 + 1, 7 + 1}


def test_a_long_report_is_cut(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SIZE", 100)
    repo.commit(**{"app.py": "print(1)\n"})
    assert repo.review()["report"].endswith("the report was cut here.\n")


def test_an_entry_with_more_lines_than_are_shown_counts_the_others() -> None:
    entry: dict[str, Any] = {
        "severity": "low", "confidence": "medium", "role": "test", "heat": 1.5, "file": "a.py", "line": 1, "rule": "R",
        "score": 1.0,
        "message": "m", "count": 12, "lines": [2, 3], "why": "w", "fix": "", "url": "javascript:x",
    }  # fmt: skip
    inputs = {"structure": {"files": 1}, "findings": [entry], "ranking": {"minor": 1}}
    text = report.review({"inputs": inputs})["outputs"]["report"]
    assert "1. **low, medium confidence, test, hot spot** `a.py:1` `R` m (also lines 2, 3 and 9 more)" in text
    assert "   Why: w.\n" in text
    assert "javascript" not in text


def test_a_verdict_without_urgent_findings_says_so() -> None:
    row = {
        "tool": "t", "rule": "R", "name": "", "severity": "low", "score": 1.0, "count": 1, "files": 1, "shown": 1,
        "file": "a.py", "line": 1,
    }  # fmt: skip
    look = {"look": 2, "minor": 3, "rules": [{**row, "rule": f"R{number}"} for number in range(30)]}
    text = report.review({"inputs": {"structure": {"files": 1}, "ranking": look}})["outputs"]["report"]
    assert "**Nothing urgent**: 2 places worth a look, 3 minor." in text
    assert "5 more rules with findings of lower rank are left out." in text
    text = report.review({"inputs": {"structure": {"files": 1}, "ranking": {"minor": 1}}})["outputs"]["report"]
    assert "**In good order**: 1 minor finding only." in text


def test_files_that_change_together_stand_in_the_report(repo: Repo) -> None:
    for number in range(5):
        repo.commit(**{"a.py": f"x = {number}\n", "b.py": f"y = {number}\n"})
    assert "- `a.py` and `b.py`: 5 times, 100% of the changes" in repo.review()["report"]
