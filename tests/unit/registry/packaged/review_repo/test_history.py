"""Facts from real histories: people, hot files, coupling, and what the log does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from registry.packaged.review_repo import facts, history
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.log import Commit, parse_log, with_one_name
from registry.packaged.review_repo.programs import Finished, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.unit.registry.packaged.review_repo.conftest import Repo

COMPLEX = "def f(x):\n" + "".join(f"    if x == {n}:\n        for y in x:\n            print(y)\n" for n in range(20))


def told(repo: Repo) -> dict[str, Any]:
    found: dict[str, Any] = repo.ask(history.review)["history"]
    return found


def test_a_file_that_changes_often_and_is_complex_is_the_hottest(repo: Repo) -> None:
    for number in range(12):
        repo.commit(**{"hot.py": COMPLEX + f"# {number}\n", "flat.py": f"x = {number}\n"})
    repo.commit(**{"quiet.py": COMPLEX})
    hot = told(repo)
    assert [file["path"] for file in hot["files"]] == ["hot.py", "flat.py"]
    first = hot["files"][0]
    assert (first["heat"], first["changes"], first["authors"], first["owner"]) == (1.0, 12, 1, "Ada")
    assert (first["function"], first["line"], first["complexity"]) == ("f", 1, 41)
    assert first["last"] == "2025-01-13"
    assert hot["weights"]["hot.py"] == 1.0
    assert (hot["commits"], hot["since"], hot["until"]) == (13, "2025-01-02", "2025-01-14")


def test_what_a_program_writes_is_no_hot_file_and_what_is_no_function_is_not_named(repo: Repo) -> None:
    for number in range(4):
        repo.commit(
            **{
                "schema.py": f"# This file is auto-generated from the database\n{COMPLEX}# {number}\n",
                "page.css": "@media (width > 9em) {\n  a { color: red; }\n}\n" * (number + 1),
                "Main.cs": "using (var a = b()) {\n  if (a) {\n    run(a);\n  }\n}\n" * (number + 1),
            }
        )
    files = told(repo)["files"]
    assert {file["path"]: file["function"] for file in files} == {"page.css": None, "Main.cs": None}


@pytest.mark.parametrize("breaks_at", [["b.py"], ["a.py", "d.py"], ["a.py", "b.py", "c.py", "d.py", "e.py"]])
def test_a_file_that_lizard_breaks_at_leaves_the_others_their_functions(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, breaks_at: list[str]
) -> None:
    def breaking(argv: Sequence[str], **options: Any) -> Finished:  # noqa: ANN401 - handed on
        if {name.rpartition("/")[2] for name in argv}.isdisjoint(breaks_at):
            return run(argv, **options)
        return Finished(code=1, stdout=b"", stderr="IndexError: list index out of range\n")

    monkeypatch.setattr("registry.packaged.review_repo.tools.lizard.run", breaking)
    for number in range(3):
        repo.commit(**{f"{letter}.py": f"{COMPLEX}# {number}\n" for letter in "abcde"})
    hot = told(repo)
    named = {file["path"]: file["function"] for file in hot["files"]}
    assert named == {f"{letter}.py": None if f"{letter}.py" in breaks_at else "f" for letter in "abcde"}
    assert hot["limits"] == [f"lizard failed, so no function is named of: {', '.join(breaks_at)}."]


def test_few_changes_make_no_great_heat(repo: Repo) -> None:
    for number in range(2):
        repo.commit(**{"a.py": COMPLEX + f"# {number}\n"})
    assert told(repo)["files"][0]["heat"] < 0.5


def test_a_renamed_file_keeps_its_history(repo: Repo) -> None:
    for number in range(4):
        repo.commit(**{"old.py": COMPLEX + f"# {number}\n"})
    repo.git("mv", "old.py", "new.py")
    repo.commit()
    repo.commit(**{"new.py": COMPLEX + "# last\n"})
    files = told(repo)["files"]
    assert [(file["path"], file["changes"]) for file in files] == [("new.py", 6)]


def test_files_that_change_together_are_coupled_and_tests_of_a_file_are_not(repo: Repo) -> None:
    for number in range(5):
        text = f"x = {number}\n"
        repo.commit(**{"a.py": text, "b.py": text, "tests/test_a.py": text})
    repo.commit(**{"a.py": "x = 9\n"})
    coupled = told(repo)["coupled"]
    assert coupled == [{"left": "a.py", "right": "b.py", "together": 5, "percent": 100}]


def test_a_commit_that_touches_everything_couples_nothing() -> None:
    wide = tuple(f"{number}.py" for number in range(facts.WIDE_COMMIT + 1))
    commits = [Commit(at=1, author="Ada", email="", paths=wide)] * 9
    assert facts.coupled(commits, dict.fromkeys(wide, Role.SOURCE)) == []


def test_a_name_with_a_line_break_and_a_tab_is_read_from_the_log(repo: Repo) -> None:
    for number in range(3):
        repo.commit(**{"odd\n\tname.py": COMPLEX + f"# {number}\n"})
    assert [file["path"] for file in told(repo)["files"]] == ["odd\n\tname.py"]


def test_a_repository_with_one_commit_has_no_hot_spots(repo: Repo) -> None:
    repo.commit(**{"a.py": COMPLEX})
    assert told(repo)["files"] == []


def test_a_shallow_clone_says_so(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        repo.commit(**{"a.py": f"x = {number}\n"})
    repo.git("clone", "-q", "--depth=2", f"file://{repo.root}", str(tmp_path / "clone"))
    monkeypatch.chdir(tmp_path / "clone")
    hot = told(repo)
    assert any("shallow" in limit for limit in hot["limits"])


def test_a_partial_clone_fetches_nothing_and_counts_changes(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        repo.commit(**{"a.py": COMPLEX + f"# {number}\n"})
    repo.git("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    repo.git("clone", "-q", "--filter=blob:none", f"file://{repo.root}", str(clone))
    packs = {path.name for path in (clone / ".git/objects").rglob("*")}
    monkeypatch.chdir(clone)
    hot = told(repo)
    assert [(file["path"], file["changes"]) for file in hot["files"]] == [("a.py", 3)]
    assert {path.name for path in (clone / ".git/objects").rglob("*")} == packs


def test_only_the_newest_commits_are_read(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "COMMITS", 2)
    for number in range(4):
        repo.commit(**{"a.py": f"x = {number}\n"})
    hot = told(repo)
    assert hot["commits"] == 2
    assert "Only the newest 2 commits were read." in hot["limits"]


def test_two_space_and_tab_indentation_measure_the_same_nesting() -> None:
    tabs = "a {\n" + "\tb {\n\t\tc\n\t}\n" * 10 + "}\n"
    assert facts.nesting(tabs) == facts.nesting(tabs.replace("\t", "  "))


def test_a_log_that_is_garbage_gives_no_commits() -> None:
    assert list(parse_log(b"\x01junk\0x\0y\x01\x01")) == []


def test_one_person_has_one_name_whatever_its_case_address_or_mailmap(repo: Repo) -> None:
    for number, (name, email) in enumerate(
        [("Ada", "ada@example.com"), ("ADA", "old@example.com"), ("A. Lovelace", "ada@example.com"), ("al", "al@home")]
    ):
        repo.write("a.py", f"x = {number}\n")
        repo.git("add", "-A")
        repo.git("-c", f"user.name={name}", "-c", f"user.email={email}", "commit", "-q", "-m", "change")
    assert told(repo)["people"] == 2
    repo.commit(**{".mailmap": "Ada <ada@example.com> <al@home>\n"})
    assert told(repo)["people"] == 1


def test_bots_are_no_people() -> None:
    names = ["dependabot[bot]", "renovate", "github-actions", "Talbot Hughes", "Abbot"]
    commits = [Commit(at=1, author=name, email="", paths=("a.py",)) for name in names]
    assert set(facts.people_of(commits)) == {"Talbot Hughes", "Abbot"}
    assert facts.records_of(commits, {"a.py": Role.SOURCE})["a.py"].changes == 5


def commits_by(**files: str) -> list[Commit]:
    """Ten commits a file: the file, and its only author."""
    return [Commit(at=1, author=author, email="", paths=(path,)) for path, author in files.items()] * 10


def test_the_truck_factor_is_the_least_number_of_people_who_know_more_than_half() -> None:
    code = dict.fromkeys(("a", "b", "c", "d"), Role.SOURCE)
    alone = facts.records_of(commits_by(a="Ada", b="Ada", c="Ada", d="Ben"), code)
    assert facts.truck_factor(alone) == (1, ["Ada"])
    spread = facts.records_of(commits_by(a="Ada", b="Ben", c="Cy", d="Di"), code)
    assert facts.truck_factor(spread) == (3, ["Ada", "Ben", "Cy"])
    assert facts.truck_factor({}) == (0, [])


def test_files_whose_people_are_gone_are_counted(repo: Repo) -> None:
    year = 400 * facts.DAY
    commits = [
        Commit(at=year, author="Ben", email="", paths=("b",)),
        Commit(at=0, author="Ada", email="", paths=("a",)),
    ]
    records = facts.records_of(commits, dict.fromkeys("ab", Role.SOURCE))
    assert facts.orphaned(records, facts.people_of(commits), year) == (1, 2)
    assert told_about_no_commit(repo) == 0


def told_about_no_commit(repo: Repo) -> int:
    repo.commit(**{"README.md": "x\n"})
    return int(told(repo)["truck_factor"])


def test_commits_that_change_tests_too_are_counted() -> None:
    code = {"a.py": Role.SOURCE, "tests/a.py": Role.TEST}
    changes = [("a.py", "tests/a.py"), ("a.py",), ("tests/a.py",)]
    commits = [Commit(at=1, author="Ada", email="", paths=paths) for paths in changes]
    assert facts.tested_share(commits, code) == (1, 2)


def test_an_address_names_the_newest_of_its_names() -> None:
    commits = [Commit(2, "New", "a@x", ()), Commit(1, "Old", "a@x", ()), Commit(0, "old", "b@x", ())]
    assert {commit.author for commit in with_one_name(commits)} == {"New"}
