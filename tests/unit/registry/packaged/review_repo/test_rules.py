"""Our rules find their failing example and leave the passing one alone; tables name what exists."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from registry.packaged.review_repo.findings import CONFIDENCES, SEVERITIES
from registry.packaged.review_repo.meanings import KINDS, MEANINGS, SECURITY
from registry.packaged.review_repo.rules import LANGUAGES, RULES, as_yaml
from registry.packaged.review_repo.tools import ast_grep, oxlint, ruff, shellcheck, zizmor
from registry.packaged.scanners import program_of

ENDINGS = {
    "Python": "py", "JavaScript": "js", "TypeScript": "ts", "Tsx": "tsx", "Go": "go", "Java": "java", "Php": "php",
    "Ruby": "rb", "CSharp": "cs", "Rust": "rs", "Kotlin": "kt",
}  # fmt: skip
"""The languages of rules; the example of a rule holds for all of its languages."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The rules that find something in each example: file name to rules."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules").mkdir()
    (folder / "rules" / "all.yml").write_text(as_yaml())
    (folder / "sgconfig.yml").write_text("ruleDirs: [rules]\n")
    for rule in RULES:
        for language in rule.languages:
            (folder / f"{rule.id} bad.{ENDINGS[language]}").write_text(rule.bad)
            (folder / f"{rule.id} good.{ENDINGS[language]}").write_text(rule.good)
    program = program_of("ast-grep-cli", "ast-grep")
    done = subprocess.run(
        [str(program), "scan", "-c", "sgconfig.yml", "--json=stream", "."],
        cwd=folder, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert done.stderr == ""
    found: dict[str, list[str]] = defaultdict(list)
    for line in done.stdout.splitlines():
        item = json.loads(line)
        found[Path(item["file"]).name].append(item["ruleId"].partition("--")[0])
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_its_failing_example_once_and_nothing_is_found_in_the_passing_one(
    rule: object, seen: dict[str, list[str]]
) -> None:
    known = next(each for each in RULES if each is rule)
    for language in known.languages:
        assert seen[f"{known.id} bad.{ENDINGS[language]}"].count(known.id) == 1
        assert seen[f"{known.id} good.{ENDINGS[language]}"] == []


def test_every_rule_has_its_own_name_a_meaning_and_a_weight() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.meaning in MEANINGS
        assert rule.severity in SEVERITIES
        assert rule.confidence in CONFIDENCES


def test_tables_of_scanners_use_meanings_and_weights_that_exist() -> None:
    tables = (ruff.RULES, oxlint.RULES, shellcheck.RULES, zizmor.RULES)
    for meaning, severity, confidence in (row for table in tables for row in table.values()):
        assert (meaning in MEANINGS, severity in SEVERITIES, confidence in CONFIDENCES) == (True, True, True)


def test_every_meaning_has_a_kind_and_says_what_to_do() -> None:
    assert {meaning.kind for meaning in MEANINGS.values()} == set(KINDS)
    assert set(KINDS) > SECURITY
    for name, meaning in MEANINGS.items():
        assert all(text[0].isupper() for text in (meaning.title, meaning.fix)), name
        assert meaning.why.endswith(".")
        assert meaning.fix.endswith(".")


def test_the_installed_ruff_knows_every_rule_of_the_table() -> None:
    program = str(program_of("ruff", "ruff"))
    listed = subprocess.run(
        [program, "rule", "--all", "--output-format=json"], capture_output=True, check=True, timeout=50
    )
    known = {item["code"] for item in json.loads(listed.stdout)}
    assert set(ruff.RULES) <= known
    selected = tuple(ruff.SELECTED.split(","))
    assert all(code.startswith(selected) for code in ruff.RULES)


def test_every_language_of_a_rule_is_one_whose_files_are_scanned() -> None:
    assert {name for _, names in ast_grep.LANGUAGES.values() for name in names} == LANGUAGES
