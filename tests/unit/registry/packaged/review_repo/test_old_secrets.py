"""Secrets that only old commits hold, in real histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from registry.packaged.review_repo import conclusion, history, old_secrets, structure

if TYPE_CHECKING:
    from tests.unit.registry.packaged.review_repo.conftest import Repo

KEY = "AKIA" + "Q3EGRIEP4ZMT7WXD"
OTHER = "ghp_" + "a8Kd0PqLm3Xv7Zt2Rw5Yb9Nc4Hj6Fs1Gu0Ei"


def searched(repo: Repo) -> dict[str, Any]:
    context = repo.ask(structure.review, **{"old-secrets": "true"})
    found: dict[str, Any] = repo.ask(history.review, **context)["history"]["secrets"]
    return found


def test_a_secret_that_was_removed_is_named_with_its_commit_and_without_its_value(repo: Repo) -> None:
    repo.commit(**{"src/a.py": f"x = 1\nkey = '{KEY}'\n", "src/b.py": f"key = '{OTHER}'\n"})
    commit = repo.git("rev-parse", "--short", "HEAD").strip()
    repo.commit(**{"src/a.py": "x = 1\n"})
    assert searched(repo) == {
        "commits": old_secrets.COMMITS,
        "places": [{"commit": commit, "on": "2025-01-02", "file": "src/a.py", "rule": "aws-key"}],
        "count": 1,
        "whole": True,
    }
    context = repo.ask(structure.review, **{"old-secrets": "true"})
    context |= repo.ask(history.review, **context)
    report = repo.ask(conclusion.review, **context)["report"]
    assert f"| `src/a.py` | `{commit}` | 2025-01-02 | aws-key |" in report
    assert "although the files no longer hold them: revoke them." in report
    assert KEY not in str(context) + report


def test_a_secret_of_a_file_that_is_gone_is_found_once(repo: Repo) -> None:
    for number in range(3):
        repo.commit(**{"src/a.py": f"key = '{KEY}'\nx = {number}\n"})
    repo.git("rm", "-q", "src/a.py")
    repo.commit()
    assert [place["file"] for place in searched(repo)["places"]] == ["src/a.py"]


def test_samples_and_tests_hold_no_secrets(repo: Repo) -> None:
    repo.commit(**dict.fromkeys(("tests/test_a.py", ".env.example", "locales/en.py"), f"key = '{KEY}'\n"))
    repo.git("rm", "-q", "-r", ".")
    repo.commit()
    assert searched(repo)["places"] == []


def test_without_the_argument_old_commits_are_not_searched(repo: Repo) -> None:
    repo.commit(**{"a.py": "x = 1\n"})
    context = repo.ask(structure.review)
    context |= repo.ask(history.review, **context)
    assert context["history"]["secrets"] is None
    assert "Secrets in the history" not in repo.ask(conclusion.review, **context)["report"]


def test_a_limit_that_was_reached_is_told(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(**{"a.py": f"key = '{KEY}'\n" * 5_000})
    repo.commit(**{"a.py": "x = 1\n"})
    monkeypatch.setattr(old_secrets, "LIMIT", 100)
    context = repo.ask(structure.review, **{"old-secrets": True})
    context |= repo.ask(history.review, **context)
    assert context["history"]["secrets"]["whole"] is False
    assert "but not all of their changes" in repo.ask(conclusion.review, **context)["report"]


def test_many_places_are_counted(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_secrets, "KEPT", 1)
    repo.commit(**{f"src/a{number}.py": f"key = '{KEY}'\n" for number in range(3)})
    repo.git("rm", "-q", "-r", ".")
    repo.commit(**{"a.py": "x = 1\n"})
    context = repo.ask(structure.review, **{"old-secrets": True})
    context |= repo.ask(history.review, **context)
    assert context["history"]["secrets"]["count"] == 3
    assert "2 more places." in repo.ask(conclusion.review, **context)["report"]
