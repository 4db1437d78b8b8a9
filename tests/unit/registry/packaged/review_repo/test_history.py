"""Hot spots and coupling from real and from written-down logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from registry.packaged.review_repo import history

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.registry.packaged.review_repo.conftest import Repo

COMPLEX = "def f(x):\n" + "".join(f"    if x == {n}:\n        for y in x:\n            print(y)\n" for n in range(20))


def test_a_file_that_changes_often_and_is_complex_is_the_hottest(repo: Repo) -> None:
    for number in range(12):
        repo.commit(**{"hot.py": COMPLEX + f"# {number}\n", "flat.py": f"x = {number}\n"})
    repo.commit(**{"quiet.py": COMPLEX})
    hot = repo.ask(history.review)["hotspots"]
    assert [file["path"] for file in hot["files"]] == ["hot.py", "flat.py"]
    first = hot["files"][0]
    assert (first["score"], first["changes"], first["authors"], first["main_author"]) == (1.0, 12, 1, "Ada")
    assert first["last"] == "2025-01-13"
    assert hot["weights"]["hot.py"] == 1.0
    assert (hot["commits"], hot["since"], hot["until"]) == (13, "2025-01-02", "2025-01-14")


def test_few_changes_make_no_great_heat(repo: Repo) -> None:
    for number in range(2):
        repo.commit(**{"a.py": COMPLEX + f"# {number}\n"})
    assert repo.ask(history.review)["hotspots"]["files"][0]["score"] < 0.5


def test_a_renamed_file_keeps_its_history(repo: Repo) -> None:
    for number in range(4):
        repo.commit(**{"old.py": COMPLEX + f"# {number}\n"})
    repo.git("mv", "old.py", "new.py")
    repo.commit()
    repo.commit(**{"new.py": COMPLEX + "# last\n"})
    files = repo.ask(history.review)["hotspots"]["files"]
    assert [(file["path"], file["changes"]) for file in files] == [("new.py", 6)]


def test_files_that_change_together_are_coupled_and_tests_of_a_file_are_not(repo: Repo) -> None:
    for number in range(5):
        text = f"x = {number}\n"
        repo.commit(**{"a.py": text, "b.py": text, "tests/test_a.py": text})
    repo.commit(**{"a.py": "x = 9\n"})
    coupled = repo.ask(history.review)["hotspots"]["coupled"]
    assert coupled == [{"left": "a.py", "right": "b.py", "together": 5, "percent": 100}]


def test_a_commit_that_touches_everything_couples_nothing() -> None:
    wide = tuple((f"{number}.py", 1) for number in range(history.WIDE_COMMIT + 1))
    commits = [history.Commit(at=1, author="Ada", changes=wide)] * 9
    assert history.coupled(commits, {path for path, _ in wide}) == []


def test_a_name_with_a_line_break_and_a_tab_is_read_from_the_log(repo: Repo) -> None:
    for number in range(3):
        repo.commit(**{"odd\n\tname.py": COMPLEX + f"# {number}\n"})
    assert [file["path"] for file in repo.ask(history.review)["hotspots"]["files"]] == ["odd\n\tname.py"]


def test_a_repository_with_one_commit_has_no_hot_spots(repo: Repo) -> None:
    repo.commit(**{"a.py": COMPLEX})
    assert repo.ask(history.review)["hotspots"]["files"] == []


def test_a_shallow_clone_says_so(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        repo.commit(**{"a.py": f"x = {number}\n"})
    repo.git("clone", "-q", "--depth=2", f"file://{repo.root}", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    hot = repo.ask(history.review)["hotspots"]
    assert any("shallow" in limit for limit in hot["limits"])


def test_a_partial_clone_fetches_nothing_and_counts_commits(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        repo.commit(**{"a.py": COMPLEX + f"# {number}\n"})
    repo.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    repo.git("clone", "-q", "--filter=blob:none", f"file://{repo.root}", str(clone))
    packs = {path.name for path in (clone / ".git/objects").rglob("*")}
    monkeypatch.chdir(clone)
    hot = repo.ask(history.review)["hotspots"]
    assert [(file["path"], file["changes"], file["churn"]) for file in hot["files"]] == [("a.py", 3, 0)]
    assert any("Line counts" in limit for limit in hot["limits"])
    assert {path.name for path in (clone / ".git/objects").rglob("*")} == packs


def test_only_the_newest_commits_are_read(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "COMMITS", 2)
    for number in range(4):
        repo.commit(**{"a.py": f"x = {number}\n"})
    hot = repo.ask(history.review)["hotspots"]
    assert hot["commits"] == 2
    assert "Only the newest 2 commits were read." in hot["limits"]


def test_two_space_and_tab_indentation_measure_the_same_nesting() -> None:
    tabs = "a {\n" + "\tb {\n\t\tc\n\t}\n" * 10 + "}\n"
    assert history.complexity(tabs) == history.complexity(tabs.replace("\t", "  "))


def test_a_log_that_is_garbage_gives_no_commits() -> None:
    assert list(history.parse_log(b"\x01junk\0x\0y\x01\x01")) == []
