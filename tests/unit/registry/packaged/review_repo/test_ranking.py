"""The one scale for all findings."""

from __future__ import annotations

from typing import Any

import pytest

from registry.packaged.review_repo import ranking


def finding(rule: str, file: str = "src/a.py", line: int = 1, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    made = {"rule": rule, "severity": "medium", "confidence": "high", "file": file, "line": line, "message": "m"}
    return {**made, **fields}


def output(tool: str, *findings: dict[str, Any]) -> dict[str, Any]:
    table = [
        {"rule": rule, "name": "n", "why": "w", "fix": "f", "url": "", "count": 7, "files": 3}
        for rule in {found["rule"] for found in findings}
    ]
    return {"tool": tool, "files": 9, "total": len(findings), "findings": list(findings), "rules": table}


def ranked(**inputs: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    outputs: dict[str, Any] = ranking.review({"inputs": inputs})["outputs"]
    return outputs


def order(outputs: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["rule"], entry["file"]) for entry in outputs["findings"]]


def test_severity_confidence_place_and_heat_all_count() -> None:
    lint = output(
        "ruff",
        finding("LOW", severity="low"),
        finding("TEST", "tests/test_a.py", severity="high"),
        finding("UNSURE", severity="high", confidence="low"),
        finding("HIGH", severity="high"),
        finding("HOT", "src/hot.py", severity="high"),
        finding("EXAMPLE", "docs/x.py", severity="high"),
    )
    outputs = ranked(lint=lint, hotspots={"weights": {"src/hot.py": 0.5}})
    assert [(entry["rule"], entry["score"]) for entry in outputs["findings"]] == [
        ("HOT", 9.0),
        ("HIGH", 6.0),
        ("EXAMPLE", 3.0),
        ("UNSURE", 2.4),
        ("TEST", 1.8),
        ("LOW", 1.0),
    ]
    assert [entry["rank"] for entry in outputs["findings"]] == [1, 2, 3, 4, 5, 6]


def test_heat_is_never_more_than_double() -> None:
    outputs = ranked(lint=output("ruff", finding("A")), hotspots={"weights": {"src/a.py": 40}})
    assert outputs["findings"][0]["heat"] == 2.0


@pytest.mark.parametrize(("one", "other"), [("B105", "secret-keyword"), ("S602", "B602"), ("E722", "B110")])
def test_what_two_tools_say_of_one_line_counts_once(one: str, other: str) -> None:
    outputs = ranked(lint=output("ruff", finding(one)), security=output("bandit", finding(other, severity="high")))
    assert order(outputs) == [(other, "src/a.py")]


def test_different_rules_on_one_line_both_count() -> None:
    outputs = ranked(lint=output("ruff", finding("F401"), finding("F811")))
    assert len(outputs["findings"]) == 2


def test_a_rule_has_one_entry_for_each_file_with_its_other_lines() -> None:
    found = [finding("F401", line=line) for line in range(20, 0, -1)]
    (entry,) = ranked(lint=output("ruff", *found))["findings"]
    assert (entry["line"], entry["count"], entry["lines"]) == (1, 20, [2, 3, 4, 5, 6, 7, 8, 9])
    assert (entry["why"], entry["fix"], entry["tool"]) == ("w", "f", "ruff")


def test_the_places_of_one_rule_are_capped_and_counted() -> None:
    found = [finding("F401", f"src/m{number}.py") for number in range(9)]
    outputs = ranked(lint=output("ruff", *found))
    assert len(outputs["findings"]) == ranking.PER_RULE
    (row,) = outputs["ranking"]["rules"]
    assert (row["shown"], row["count"], row["files"], row["file"]) == (5, 7, 3, "src/m0.py")
    assert (outputs["ranking"]["act"], outputs["ranking"]["look"], outputs["ranking"]["minor"]) == (0, 9, 0)


def test_the_list_is_bounded() -> None:
    found = [finding(f"R{number}") for number in range(300)]
    assert len(ranked(lint=output("ruff", *found))["findings"]) == ranking.LISTED


def test_reviewers_that_gave_nothing_are_told() -> None:
    outputs = ranked(lint=output("ruff"), security={}, secrets=None)
    assert outputs["findings"] == []
    assert {item["name"]: item["ran"] for item in outputs["ranking"]["reviewers"]} == {
        "lint": True,
        "security": False,
        "secrets": False,
        "hygiene": False,
    }
