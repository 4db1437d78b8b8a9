"""Bandit's and detect-secrets' findings as the review shows them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from registry.packaged.review_repo import leaks, lint, security
from registry.packaged.review_repo.security_reasons import reason
from tests.unit.registry.packaged.review_repo.conftest import rules

if TYPE_CHECKING:
    from tests.unit.registry.packaged.review_repo.conftest import Repo

# Put together here, so that no scanner takes this file for a leak.
KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
PASSWORD = "hunter2" + "-Qv9x"
PRIVATE = "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIBogIBAAJBAL\n-----END RSA PRIVATE" + " KEY-----\n"


def test_a_shell_call_is_found_with_reason_and_remedy(repo: Repo) -> None:
    repo.commit(**{"run.py": "import subprocess\n\n\ndef go(x):\n    subprocess.call(x, shell=True)\n"})
    output = repo.ask(security.review)["security"]
    (finding,) = output["findings"]
    assert (finding["rule"], finding["file"], finding["line"], finding["severity"]) == ("B602", "run.py", 5, "high")
    (rule,) = output["rules"]
    assert (rule["why"], rule["fix"]) == reason("B602")
    assert rule["url"].startswith("https://")


def test_a_password_in_the_code_is_found_and_not_shown(repo: Repo) -> None:
    repo.commit(**{"conf.py": f"password = '{PASSWORD}'\n", "tests/test_conf.py": f"password = '{PASSWORD}'\n"})
    output = repo.ask(security.review)["security"]
    assert [(finding["rule"], finding["file"]) for finding in output["findings"]] == [("B105", "conf.py")]
    assert PASSWORD not in json.dumps(output)


@pytest.mark.parametrize("name", ["two words.py", "line\nbreak.py", "ü.py", "-rf.py"])
def test_a_file_with_a_strange_name_is_scanned(repo: Repo, name: str) -> None:
    repo.commit(**{name: f"exec(input())\nkey = '{KEY}'\n"})
    assert [finding["file"] for finding in repo.ask(security.review)["security"]["findings"]] == [name]
    assert [finding["file"] for finding in repo.ask(leaks.review)["secrets"]["findings"]] == [name]


def test_the_projects_own_bandit_settings_are_respected(repo: Repo) -> None:
    repo.commit(**{"pyproject.toml": '[tool.bandit]\nskips = ["B102"]\n', "a.py": "exec(input())\n"})
    output = repo.ask(security.review)["security"]
    assert output["findings"] == []
    assert output["note"] == "the project's own bandit settings"


def test_broken_bandit_settings_are_told_and_left(repo: Repo) -> None:
    repo.commit(**{"pyproject.toml": "[tool.bandit]\nskips = [\n", "a.py": "exec(input())\n"})
    output = repo.ask(security.review)["security"]
    assert rules(output) == {"B102"}
    assert "could not be used" in output["limits"][0]


def test_what_the_time_did_not_reach_is_told(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(**{"a.py": f"exec(input())\nkey = '{KEY}'\n"})
    monkeypatch.setattr(security, "SECONDS", 0)
    monkeypatch.setattr(leaks, "SECONDS", 0)
    for output in (*repo.ask(security.review).values(), *repo.ask(leaks.review).values()):
        assert output["findings"] == []
        assert "0 of 1" in " ".join(output["limits"])


def test_a_missing_scanner_is_told(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(**{"a.py": "x = 1\n"})
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert repo.failure(security.review)["code"] == "TOOL_MISSING"
    assert repo.failure(leaks.review)["code"] == "TOOL_MISSING"


def test_an_entry_outside_of_the_root_is_no_finding() -> None:
    assert security.to_finding({"filename": "../x.py", "test_id": "B102"}) is None


@pytest.mark.parametrize(
    ("code", "known"), [("B301", True), ("B319", True), ("B506", True), ("B999", False), ("", False)]
)
def test_the_table_knows_a_test_or_says_nothing(code: str, known: bool) -> None:  # noqa: FBT001 - a parameter
    assert all(reason(code)) is known


def test_secrets_are_found_in_any_language_and_never_shown(repo: Repo) -> None:
    repo.commit(
        **{
            "deploy.sh": f"export AWS_ACCESS_KEY_ID={KEY}\n",
            "keys/server.pem": PRIVATE,
            "config.yaml": f'db:\n  password: "{PASSWORD}"\n',
            "clean.go": "package main\n",
        }
    )
    output = repo.ask(leaks.review)["secrets"]
    found = {finding["file"]: (finding["rule"], finding["severity"], finding["line"]) for finding in output["findings"]}
    assert found == {
        "deploy.sh": ("secret-aws-access-key", "critical", 1),
        "keys/server.pem": ("secret-private-key", "critical", 1),
        "config.yaml": ("secret-keyword", "medium", 2),
    }
    text = json.dumps(output)
    assert KEY not in text
    assert PASSWORD not in text
    assert hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest() not in text


def test_placeholders_tests_and_manuals_hold_no_secret_keywords(repo: Repo) -> None:
    line = f'password = "{PASSWORD}"\n'
    repo.commit(
        **{
            "a.py": 'password = "change-me-now"\n',
            "tests/test_b.py": line,
            "docs/c.md": line,
            "d.py": line,
            "url.py": 'u = "postgres://postgres:postgres@localhost/x"\n',
        }
    )
    assert [finding["file"] for finding in repo.ask(leaks.review)["secrets"]["findings"]] == ["d.py"]


def test_a_key_in_a_test_counts_less(repo: Repo) -> None:
    repo.commit(**{"tests/server.pem": PRIVATE, "tests/example.sh": f"# example\nKEY={KEY} # example\n"})
    found = repo.ask(leaks.review)["secrets"]["findings"]
    assert [finding["confidence"] for finding in found] == ["low", "low"]


def test_what_the_projects_baseline_lists_is_left_out(repo: Repo) -> None:
    digest = hashlib.sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest()
    known = {"results": {"a.py": [{"hashed_secret": digest, "type": "Secret Keyword"}]}, "plugins_used": []}
    line = f'password = "{PASSWORD}"\n'
    repo.commit(**{".secrets.baseline": json.dumps(known), "a.py": line, "b.py": line})
    assert [finding["file"] for finding in repo.ask(leaks.review)["secrets"]["findings"]] == ["b.py"]


@pytest.mark.parametrize("text", ["[]", "{", '{"results": [1]}', '{"results": {"a": 1}}'])
def test_a_broken_baseline_is_none(repo: Repo, text: str) -> None:
    repo.commit(**{".secrets.baseline": text, "b.py": f'password = "{PASSWORD}"\n'})
    assert len(repo.ask(leaks.review)["secrets"]["findings"]) == 1


@pytest.mark.parametrize(
    ("text", "suspect"),
    [
        ("x = 1\n", False),
        ("sha = 'd41d8cd98f00b204e9800998ecf8427e'\n", False),
        ("def test_something_rather_long_2(): ...\n", False),
        (f"k = {KEY}\n", True),
        ("token: Zk3" + "xQv9LmN2pR7sT1uW4\n", True),
        ("0123456789abcdef0123456789abcdef" + "-us12\n", True),
        ("the Password is\n", True),
    ],
)
def test_only_files_that_could_hold_a_secret_are_scanned(text: str, suspect: bool) -> None:  # noqa: FBT001
    assert leaks.may_hold_secret(text) is suspect


def stand_in(repo: Repo, monkeypatch: pytest.MonkeyPatch, tool: str, program: str) -> None:
    """Put a program of that name before the installed tool."""
    folder = repo.root.parent / "stand-in" / tool
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "__main__.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))


TOOLS = {"ruff": lint, "bandit": security, "detect_secrets": leaks}


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_tool_that_fails_is_a_failure_with_its_complaint(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    repo.commit(**{"a.py": f"key = '{KEY}'\n"})
    structure = repo.structure()
    stand_in(repo, monkeypatch, tool, "raise SystemExit('it broke')\n")
    failure = repo.failure(TOOLS[tool].review, structure=structure)
    assert failure["code"] == "TOOL_FAILED"
    assert "it broke" in failure["message"]


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_a_tool_that_hangs_is_stopped_and_told(repo: Repo, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    repo.commit(**{"a.py": f"key = '{KEY}'\n"})
    structure = repo.structure()
    stand_in(repo, monkeypatch, tool, "import threading\nthreading.Event().wait()\n")
    monkeypatch.setattr(TOOLS[tool], "SECONDS", 2)
    (output,) = TOOLS[tool].review({"inputs": {"structure": structure}})["outputs"].values()
    assert output["findings"] == []
    assert any("limit" in limit or "time was up" in limit for limit in output["limits"])
