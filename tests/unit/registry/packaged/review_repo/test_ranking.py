"""The ranking is total and stable, and merging loses no place."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from registry.packaged.review_repo.findings import CONFIDENCES, SEVERITIES, Finding, fingerprint, from_object
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.ranking import (
    LISTED,
    PER_MEANING,
    WORTH,
    Entry,
    chosen,
    factors,
    rank,
)


def finding(**fields: Any) -> Finding:  # noqa: ANN401 - any field
    given_ = {
        "tool": "t", "rule": "r", "meaning": "sql", "severity": "high", "confidence": "high", "file": "a.py", "line": 1,
        "message": "m", "evidence": "", "reasons": (), "fingerprint": "", **fields,
    }  # fmt: skip
    return Finding(**given_)


FINDINGS = st.lists(
    st.builds(
        finding,
        tool=st.sampled_from(["ruff", "ast-grep"]),
        rule=st.sampled_from(["r1", "r2", "r3"]),
        meaning=st.sampled_from(sorted(MEANINGS)),
        severity=st.sampled_from(SEVERITIES),
        confidence=st.sampled_from(CONFIDENCES),
        file=st.sampled_from(["a.py", "tests/a.py", "docs/a.py", "lib/b.js"]),
        line=st.integers(1, 30),
        message=st.sampled_from(["m", "n"]),
    ),
    max_size=40,
)
HEAT = st.dictionaries(st.sampled_from(["a.py", "lib/b.js"]), st.floats(0, 1))


def shown(entries: list[Entry]) -> list[list[tuple[str, int, str, str]]]:
    return [
        [(p.finding.file, p.finding.line, p.finding.meaning, p.finding.rule) for p in entry.places] for entry in entries
    ]


@given(found=FINDINGS, heat=HEAT, data=st.data())
def test_the_order_does_not_depend_on_the_order_of_the_input(
    found: list[Finding], heat: dict[str, float], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(found))
    assert rank(shuffled, heat) == rank(found, heat)


@given(found=FINDINGS, heat=HEAT)
def test_entries_fall_in_score_and_each_score_is_the_product_of_its_factors(
    found: list[Finding], heat: dict[str, float]
) -> None:
    entries = rank(found, heat)
    scores = [entry.first.score for entry in entries]
    assert scores == sorted(scores, reverse=True)
    for one in (one for entry in entries for one in entry.places):
        product = 1.0
        for value in factors(one).values():
            product *= value
        assert abs(one.score - product) <= 0.005 + 1e-9


@given(found=FINDINGS)
def test_merging_loses_no_place_and_no_tool(found: list[Finding]) -> None:
    entries = rank(found, {})
    places = [one for entry in entries for one in entry.places]
    for each in found:
        near = [
            one
            for one in places
            if one.finding.file == each.file and one.finding.meaning == each.meaning and each.tool in one.tools
        ]
        assert near, each
    rules = {(each.tool, each.rule, each.file, each.meaning, each.line) for each in found}
    kept = {(one.finding.file, one.finding.meaning, one.finding.line) for one in places}
    for tool, rule, file, meaning, line in rules:
        gone = (file, meaning, line) not in kept
        assert not gone or any((file, meaning, line + step) in kept for step in (-2, -1, 1, 2)), (tool, rule)


@given(found=FINDINGS, heat=HEAT)
def test_what_is_listed_is_worth_it_and_no_guess(found: list[Finding], heat: dict[str, float]) -> None:
    entries = rank(found, heat)
    listed = chosen(entries)
    assert [entry for entry in entries if entry in listed] == listed
    assert len(listed) <= LISTED
    for entry in listed:
        assert entry.first.score >= WORTH
        assert entry.first.finding.confidence != "low"
        assert sum(each.first.finding.meaning == entry.first.finding.meaning for each in listed) <= PER_MEANING
    lines = [(entry.first.finding.file, entry.first.finding.line) for entry in listed]
    assert len(set(lines)) == len(lines)


def test_tools_that_mean_the_same_on_nearby_lines_are_one_finding() -> None:
    [entry] = rank([finding(tool="ruff", rule="S608", line=10), finding(tool="ast-grep", rule="py-sql", line=12)], {})
    assert [one.tools for one in entry.places] == [("ast-grep", "ruff")]
    assert len(rank([finding(line=10), finding(line=11)], {})[0].places) == 2, "one rule on two lines"


def test_an_injection_is_listed_file_by_file_and_everything_else_over_the_repository() -> None:
    files = ["a.py", "b.py", "c.py"]
    assert len(rank([finding(file=file) for file in files], {})) == 3
    [entry] = rank([finding(file=file, meaning="timeout") for file in files], {})
    assert (len(entry.places), entry.files) == (3, 3)


def test_tests_examples_and_generated_code_weigh_less() -> None:
    files = ["a.py", "made.py", "examples/a.py", "tests/a.py"]
    entries = rank([finding(file=file) for file in files], {}, generated=frozenset({"made.py"}))
    assert [entry.first.role for entry in entries] == [Role.SOURCE, Role.GENERATED, Role.EXAMPLE, Role.TEST]
    assert [entry.first.score for entry in entries] == [8.4, 2.1, 1.01, 0.5]


def test_a_hot_file_comes_first_and_of_equals_the_line_that_changed_last() -> None:
    found = [finding(file="a.py"), finding(file="b.py")]
    assert rank(found, {"b.py": 1.0})[0].first.finding.file == "b.py"
    assert rank(found, {})[0].first.finding.file == "a.py"
    assert rank(found, {}, ages={("a.py", 1): 1, ("b.py", 1): 2})[0].first.finding.file == "b.py"


def test_findings_know_their_package() -> None:
    found = [finding(file="apps/web/src/a.py"), finding(file="b.py")]
    entries = rank(found, {}, packages=[".", "apps/web"])
    assert {entry.first.finding.file: entry.first.package for entry in entries} == {
        "apps/web/src/a.py": "apps/web",
        "b.py": ".",
    }


def test_a_finding_survives_its_journey_as_json() -> None:
    one = finding(reasons=("a", "b"), fingerprint=fingerprint("a", "b  c"))
    assert from_object(one.as_object()) == one
    assert fingerprint("a", "b c") == one.fingerprint


def test_a_guess_never_stands_for_an_entry_that_holds_more() -> None:
    guess = finding(file="a.py", line=1, severity="critical", confidence="low", rule="r1")
    more = finding(file="a.py", line=9, severity="medium", confidence="medium", rule="r1")
    [entry] = rank([guess, more], {})
    assert entry.first.finding == more
    assert chosen([entry]) == [entry]
    assert chosen(rank([guess], {})) == []
