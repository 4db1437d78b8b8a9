"""A deep review: what models are given, what their words decide, and what the report says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from registry.packaged.review_repo import conclusion, history, structure
from registry.packaged.review_repo.deep import FILES
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.verdicts import OTHERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.unit.registry.packaged.review_repo.conftest import Repo

INJECTION = (
    "import subprocess\n\nfrom flask import request\n\n\ndef ping():\n"
    "    host = request.args['host']\n    subprocess.run('ping ' + host, shell=True, check=True)\n"
)
EVAL = "from flask import request\n\n\ndef run():\n    return eval(request.args['code'])\n"
FAULT = {
    "line": 4,
    "kind": "bug",
    "severity": "high",
    "title": "The second call reads a closed file",
    "why": "run() is called twice",
    "fix": "Open it in run",
}


def judged(word: str, file: str, line: int, why: str = "Because of this line") -> dict[str, Any]:
    return {"verdict": word, "file": file, "line": line, "why": why}


def finding(meaning: str, file: str, line: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    title = MEANINGS[meaning].title
    return {
        "tool": "ast-grep", "rule": meaning, "meaning": meaning, "severity": "high", "confidence": "high", "file": file,
        "line": line, "message": title, "evidence": "f(x)", "reasons": [], "fingerprint": f"{file}:{line}", **fields,
    }  # fmt: skip


SHELL, EVALUATED = finding("shell", "src/app.py", 8), finding("eval", "src/run.py", 5, severity="medium")


def deep(repo: Repo, *findings: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The context of a deep review before any model has answered, with what scanners have found."""
    context: dict[str, Any] = {"deep": "true", **more}
    context |= repo.ask(structure.review, **context)
    context |= repo.ask(history.review, **context)
    code = {"findings": list(findings or (SHELL, EVALUATED)), "scans": [], "dropped": {}, "limits": []}
    context |= {"code": code, "automation": {**code, "findings": []}, "text": {**code, "findings": []}}
    context |= repo.ask(conclusion.choose_files, **context)
    return context | repo.ask(conclusion.choose_findings, **context)


def concluded(context: Mapping[str, Any], cost: float | None = None) -> dict[str, Any]:
    """The outputs of the report's agent."""
    request: dict[str, Any] = {"inputs": dict(context)}
    outputs: dict[str, Any] = conclusion.review(request | ({} if cost is None else {"costUsd": cost}))["outputs"]
    return outputs


@pytest.fixture
def hot(repo: Repo) -> Repo:
    """A repository with two injections in files that change often."""
    for number in range(3):
        repo.commit(**{"src/app.py": INJECTION + f"# {number}\n", "src/run.py": EVAL + f"x = {number}\n"})
    return repo


def test_models_are_given_the_list_with_its_numbers_and_the_hottest_files(hot: Repo) -> None:
    context = deep(hot)
    assert [(claim["number"], claim["file"], claim["line"]) for claim in context["claims"]] == [
        (1, "src/app.py", 8),
        (2, "src/run.py", 5),
    ]
    assert context["claims"][0]["code"] == "f(x)"
    assert {file["path"] for file in context["hot"]} == {"src/app.py", "src/run.py"}
    assert ["line 8: Shell command built from a value"] in [file["known"] for file in context["hot"]]


def test_a_false_finding_and_one_by_design_leave_the_list_and_are_named_below_it(hot: Repo) -> None:
    context = deep(hot)
    context["verdicts"] = {
        "1": judged("false", "src/app.py", 7, "host is | checked <b>"),
        "2": judged("true", "./src/run.py", 5),
    }
    outputs = concluded(context, cost=0.5)
    text = outputs["report"]
    assert "**Nothing serious was found** in what was read; 1 entry worth a look." in text
    listed = text[text.index("## Findings\n") : text.index("## Read by models")]
    assert "src/app.py" not in listed
    assert "verified by a model at `src/run.py:5`: Because of this line" in listed
    assert "Of the first 2 entries, models verified 2 (1 true, 1 false). No file was read as a whole." in text
    assert "The agents of this run cost $0.50." in text
    row = "Shell command built from a value | false | host is \\| checked &lt;b&gt; | `src/app.py:7` |"
    assert f"| `src/app.py:8` | {row}" in text
    ranks = {entry["file"]: (entry["rank"], entry["verdict"]["verdict"]) for entry in outputs["findings"]}
    assert ranks == {"src/app.py": (None, "false"), "src/run.py": (1, "true")}


def test_what_was_not_verified_stays_and_the_report_says_why(hot: Repo) -> None:
    context = deep(hot)
    context["unjudged"] = [{"number": n, "code": "PERMISSION_DENIED", "message": "m", "item": 1} for n in (1, 2)]
    text = concluded(context)["report"]
    assert "models verified 0; 2 could not be verified (2 by PERMISSION\\_DENIED)." in text
    assert text.count("not verified by a model") == 2
    assert "No cost was reported." in text
    assert "`src/app.py:8` Shell command" in text[: text.index("## Read by models")]


@pytest.mark.parametrize("place", [("src/app.py", 99), ("gone.py", 1), ("../repo/src/app.py", 1), ("/etc/passwd", 1)])
def test_a_verdict_without_a_line_of_the_repository_does_not_count(hot: Repo, place: tuple[str, int]) -> None:
    context = deep(hot)
    context["verdicts"] = {"1": judged("false", *place)}
    text = concluded(context)["report"]
    assert "`src/app.py:8` Shell command" in text[: text.index("## Read by models")]
    assert "1 statement about lines that are not there did not count." in text


def test_what_a_model_found_by_reading_is_verified_by_another_before_it_is_listed(hot: Repo) -> None:
    context = deep(hot)
    number = next(str(file["number"]) for file in context["hot"] if file["path"] == "src/run.py")
    context["readings"] = {number: {"findings": [FAULT, {**FAULT, "line": 400}]}}
    context |= hot.ask(conclusion.choose_findings, **context)
    [claim] = [claim for claim in context["claims"] if claim["by"].startswith("model")]
    assert (claim["title"], claim["code"], claim["why"]) == ("Fault", "def run():", "run() is called twice")
    unconfirmed = concluded(context)["report"]
    assert "second call" not in unconfirmed[: unconfirmed.index("## Read by models")]
    assert "| `src/run.py:4` | Fault: The second call reads a closed file | not confirmed |" in unconfirmed
    context["verdicts"] = {str(claim["number"]): judged("true", "src/run.py", 4)}
    outputs = concluded(context)
    text = outputs["report"]
    top = text[: text.index("## Read by models")]
    assert "**high** `src/run.py:4` Fault: The second call reads a closed file" in top
    assert "Why: run() is called twice. Do: Open it in run." in top
    told = "; of 1 finding of theirs among the first, others confirmed 1."
    assert f"Models read `src/run.py` for what scanners cannot see{told}" in text
    [found] = [entry for entry in outputs["findings"] if entry["tool"] == "model"]
    assert (found["why"], found["fix"]) == ("run() is called twice", "Open it in run")
    assert f"model/{found['rule']}" in {rule["id"] for rule in outputs["sarif"]["runs"][0]["tool"]["driver"]["rules"]}


def test_several_findings_of_a_reading_are_several_entries(hot: Repo) -> None:
    context = deep(hot)
    told = [FAULT, {**FAULT, "line": 1, "title": "Another"}]
    context["readings"] = {str(context["hot"][0]["number"]): {"findings": told}}
    claims = hot.ask(conclusion.choose_findings, **context)["claims"]
    assert sorted(claim["message"] for claim in claims if claim["by"].startswith("model")) == [
        "Another",
        "The second call reads a closed file",
    ]


def test_no_model_is_shown_a_secret_nor_a_file_with_one(hot: Repo) -> None:
    for number in range(6):
        hot.commit(**{"src/keys.py": f"KEY = 'x'\nx = {number}\n"})
    context = deep(hot, SHELL, finding("secret", "src/keys.py", 1, evidence=""))
    assert "src/keys.py" in {file["path"] for file in context["history"]["files"]}
    assert "src/keys.py" not in {file["path"] for file in context["hot"]}
    assert "src/keys.py" not in {claim["file"] for claim in context["claims"]}
    text = concluded(context)["report"]
    assert "1 about secrets were not shown to one" in text
    assert "not shown to a model" in text


def test_files_that_no_one_shipped_and_more_than_a_few_are_not_read(repo: Repo) -> None:
    names = [f"src/m{number}.py" for number in range(FILES + 3)]
    for number in range(3):
        repo.commit(
            **dict.fromkeys(names, f"x = {number}\n"), **{"tests/test_a.py": f"x = {number}\n", "a.md": f"{number}\n"}
        )
    assert len(deep(repo)["hot"]) == FILES
    assert all(file["path"] in names for file in deep(repo)["hot"])


def test_a_file_too_long_to_read_whole_is_left_out(repo: Repo) -> None:
    for number in range(3):
        repo.commit(**{"src/long.py": f"x = {number}\n" * 5_000, "src/a.py": f"x = {number}\n"})
    assert [file["path"] for file in deep(repo)["hot"]] == ["src/a.py"]


def test_since_a_revision_only_changed_files_and_lines_count(hot: Repo) -> None:
    hot.commit(**{"src/run.py": EVAL + "x = 2\ny = 3\n", "src/new.py": "a = 1\n"})
    context = deep(hot, since="HEAD~1")
    assert [(file["path"], file["changed"]) for file in context["hot"]] == [
        ("src/run.py", [[7, 7]]),
        ("src/new.py", [[1, 1]]),
    ]
    context["readings"] = {"1": {"findings": [FAULT, {**FAULT, "line": 7}]}}
    claims = hot.ask(conclusion.choose_findings, **context)["claims"]
    assert [claim["line"] for claim in claims if claim["by"].startswith("model")] == [7]


def test_a_finding_names_a_few_of_its_other_places(repo: Repo) -> None:
    repo.commit(**{"src/a.py": "x = 1\n"})
    [claim] = deep(repo, *(finding("bug", "src/a.py", line) for line in range(1, OTHERS + 4)))["claims"]
    assert claim["others"] == [f"src/a.py:{line}" for line in range(2, OTHERS + 2)]


def test_what_a_model_says_neither_opens_nor_closes_the_gate_of_fail_on(hot: Repo) -> None:
    context = deep(hot, **{"fail-on": "high"})
    context["verdicts"] = {"1": judged("false", "src/app.py", 8), "2": judged("by design", "src/run.py", 5)}
    context |= concluded(context)
    assert hot.failure(conclusion.limit, **context)["message"].startswith("1 finding of severity high")
    own = [{**entry, "tool": "model"} for entry in context["findings"]]
    assert hot.ask(conclusion.limit, **{**context, "findings": own}) == {}


def test_without_deep_nothing_is_said_of_models(hot: Repo) -> None:
    context = deep(hot, deep="") | {"verdicts": {"1": judged("false", "src/app.py", 8)}}
    context |= concluded(context)
    assert context["structure"]["deep"] is False
    assert "model" not in context["report"]
    assert all("verdict" not in entry for entry in context["findings"])


@pytest.mark.parametrize(("given", "means"), [("true", True), (True, True), ("false", False), (" ", False)])
def test_deep_is_true_or_false(repo: Repo, given: object, means: object) -> None:
    assert repo.ask(structure.review, deep=given)["structure"]["deep"] is means


@pytest.mark.parametrize("name", structure.WISHES)
def test_another_value_is_refused_before_anything_is_scanned(repo: Repo, name: str) -> None:
    refused = repo.failure(structure.review, **{name: "yes"})
    assert refused["code"] == "INVALID_ARGUMENT"
    assert f"{name}=true" in refused["message"]
