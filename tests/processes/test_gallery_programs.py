"""The programs of the gallery: what they answer, what they refuse, and that they put back everything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.templates import TEMPLATES
from tests.support.repositories import git, make_repository, write_files
from tests.support.uv import uv_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.processes
FILES = {"a.py": "a = 1\n", "sub/b.py": "b = 1\n", "sub/[c].py": "c = 1\n", ".gitignore": "ignored\n"}


def ask(root: Path, program: str, *words: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What a program answers, started in *root* as the engine starts it."""
    asked = {"runId": "r-1", "inputs": {}, "outputs": [], "produced": {}, **request}
    ran = subprocess.run(
        [sys.executable, str(TEMPLATES / "programs" / f"{program}.py"), *words],
        cwd=root,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def failure(answer: Mapping[str, Any]) -> str:
    return str(answer["failure"]["code"])


def contents(root: Path) -> dict[str, str]:
    """All files by path, with where links lead, and whether they can be executed."""
    paths = [path for path in root.rglob("*") if ".git" not in path.parts and (path.is_symlink() or path.is_file())]
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else f"{path.stat().st_mode & 0o100} {path.read_text()}"
        for path in paths
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", FILES)


# --- the state of files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [".", "sub"], ids=["the whole repository", "a folder of it"])
@pytest.mark.parametrize("commits", [True, False], ids=["with a commit", "without a commit"])
def test_everything_is_put_back_and_what_is_given_up_is_kept(tmp_path: Path, below: str, *, commits: bool) -> None:
    top = make_repository(tmp_path / "project", FILES if commits else None)
    write_files(top, {**FILES, f"{below}/mine.txt": "not committed", "ignored": "as it is"})
    (top / below / "link").symlink_to("mine.txt")
    root, before = top / below, contents(top)
    index = git(top, "diff", "--cached", "--name-only") if commits else ""
    checkpoint = ask(root, "git_state", "checkpoint")["outputs"]["checkpoint"]
    write_files(root, {"new/file.txt": "new", "mine.txt": "changed", "b.py" if below == "sub" else "a.py": "x"})
    (root / "[c].py").unlink(missing_ok=True)
    (root / "link").unlink()
    (root / "link").write_text("a file now", encoding="utf-8")
    (root / "mine.txt").chmod(0o755)
    (top / "ignored").write_text("changed as well", encoding="utf-8")
    changed = ask(root, "git_state", "changes", inputs={"checkpoint": checkpoint})["outputs"]["changes"]
    assert {"new/file.txt", "mine.txt", "link"} <= {file["path"] for file in changed["files"]}
    assert "+changed" in changed["diff"]
    undo = {"role": "compensate", "produced": {"checkpoint": checkpoint}}
    assert ask(root, "git_state", "checkpoint", **undo) == {"outputs": {}}
    assert contents(top) == before | {"ignored": "0 changed as well"}
    assert git(top, "show", f"undone/r-1:{below}/new/file.txt".replace("./", "")) == "new"
    assert (git(top, "diff", "--cached", "--name-only") if commits else "") == index


PATHS = ("a.py", "sub", "sub/b.py", "sub/deep/c", "x", "x/y", "with space", "naïve", "-dash")


def change(root: Path, path: str, what: str) -> None:
    """Make *path* a file, a program or a link, or remove it, whatever is there or above it."""
    place = root / path
    for above in (*reversed(place.relative_to(root).parents), place.relative_to(root)):
        if (there := root / above) != root and (there.is_symlink() or there.is_file()):
            there.unlink()
    if place.is_dir():
        shutil.rmtree(place)
    if what == "removed":
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if what == "link":
        place.symlink_to("nowhere")
    else:
        place.write_text(what, encoding="utf-8")
        place.chmod(0o755 if what == "program" else 0o644)


CHANGES = st.lists(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(("text", "program", "link", "removed"))), max_size=6
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(first=CHANGES, second=CHANGES)
def test_whatever_changed_a_restored_checkpoint_is_what_it_was(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = make_repository(Path(folder, "project"), FILES)
        for path, what in first:
            change(root, path, what)
        before = contents(root)
        checkpoint = ask(root, "git_state", "checkpoint")["outputs"]["checkpoint"]
        for path, what in second:
            change(root, path, what)
        ask(root, "git_state", "checkpoint", role="compensate", produced={"checkpoint": checkpoint})
        assert contents(root) == before


def test_nothing_to_undo_leaves_no_branch(repository: Path) -> None:
    checkpoint = ask(repository, "git_state", "checkpoint")["outputs"]["checkpoint"]
    ask(repository, "git_state", "checkpoint", role="compensate", produced={"checkpoint": checkpoint})
    assert git(repository, "branch", "--list", "undone/*") == ""


def test_one_file_is_put_back_whatever_its_name(repository: Path) -> None:
    checkpoint = ask(repository, "git_state", "checkpoint")["outputs"]["checkpoint"]
    write_files(repository, dict.fromkeys(("a.py", "sub/b.py", "sub/[c].py"), "x"))
    inputs = {"checkpoint": checkpoint, "file": {"path": "sub/[c].py"}}
    ask(repository, "git_state", "restore", role="compensate", inputs=inputs)
    assert [(repository / name).read_text() for name in ("a.py", "sub/b.py", "sub/[c].py")] == ["x", "x", "c = 1\n"]


@pytest.mark.parametrize("checkpoint", ["", "--all", "HEAD", "0" * 40, None])
def test_only_a_checkpoint_is_gone_back_to(repository: Path, checkpoint: str | None) -> None:
    answer = ask(repository, "git_state", "changes", inputs={"checkpoint": checkpoint})
    assert failure(answer) in {"NO_CHECKPOINT", "GIT_FAILED"}


def test_a_branch_is_compared_with_where_it_began(repository: Path) -> None:
    git(repository, "switch", "--quiet", "--create", "feature")
    (repository / "a.py").write_text("a = 2\n", encoding="utf-8")
    git(repository, "commit", "--quiet", "--all", "--message=Change")
    git(repository, "switch", "--quiet", "main")
    git(repository, "commit", "--quiet", "--allow-empty", "--message=Theirs")
    git(repository, "switch", "--quiet", "feature")
    changes = ask(repository, "git_state", "branch", inputs={"base": "main"})["outputs"]["changes"]
    assert changes["files"] == [{"path": "a.py", "added": 1, "removed": 1}]
    assert changes["whole"]
    assert failure(ask(repository, "git_state", "branch", inputs={"base": "--output=x"})) == "UNKNOWN_BASE"
    assert not (repository / "x").exists()


def test_files_are_listed_by_pattern_and_kept_to(repository: Path) -> None:
    write_files(repository, {"ignored": "x", "new.py": "x"})
    listed = ask(repository, "git_state", "files", "*.md", inputs={"pattern": "*.py"})["outputs"]["files"]
    assert [file["path"] for file in listed] == ["a.py", "new.py", "sub/[c].py", "sub/b.py"]
    for path, good in (("docs/x.md", True), ("a.py", False)):
        request = {"outputs": ["only"], "inputs": {"changes": {"files": [{"path": path}]}}}
        assert ask(repository, "git_state", "only", "*.md", **request) == {"outputs": {"only": good}}


# --- tests -----------------------------------------------------------------------------------------------------------

RUNNER = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junit-xml={report}")
KEYS = ["test_report", "tests_pass", "flaky_tests", "broken_tests", "rerun"]


def test_each_failure_is_reported_with_its_message(tmp_path: Path) -> None:
    write_files(tmp_path, {"test_x.py": "def test_bad():\n    assert 1 == 2, 'no'\n\n\ndef test_good():\n    pass\n"})
    answer = ask(tmp_path, "run_tests", *RUNNER, outputs=KEYS, inputs={"flake": {"test": "test_x::test_bad"}})
    outputs = answer["outputs"]
    [one] = outputs["test_report"]["failures"]
    assert (one["test"], one["message"].splitlines()[0]) == ("test_x::test_bad", "AssertionError: no")
    assert "assert 1 == 2" in one["detail"]
    assert (outputs["test_report"]["passed"], outputs["tests_pass"]) == (False, False)
    assert outputs["rerun"] == {"stable": False, "failed": 1, "runs": 1}
    assert [one["test"] for one in outputs["broken_tests"]] == ["test_x::test_bad"]
    assert outputs["flaky_tests"] == []


def test_a_run_without_a_test_is_a_failure_and_no_success(tmp_path: Path) -> None:
    report = ask(tmp_path, "run_tests", *RUNNER, outputs=["test_report"])["outputs"]["test_report"]
    assert (report["passed"], report["failures"][0]["message"]) == (False, "the tests ended with exit code 5")


def test_a_test_that_fails_sometimes_is_flaky(tmp_path: Path) -> None:
    text = "import pathlib\n\n\ndef test_x():\n    with pathlib.Path('n').open('a+') as f:\n        f.write('x')\n"
    write_files(tmp_path, {"test_x.py": f"{text}    assert pathlib.Path('n').stat().st_size % 2\n"})
    outputs = ask(tmp_path, "run_tests", "--times", "3", *RUNNER, outputs=KEYS)["outputs"]
    [flaky] = outputs["flaky_tests"]
    assert (flaky["test"], flaky["failed"], flaky["runs"], outputs["broken_tests"]) == ("test_x::test_x", 1, 3, [])


def test_tests_that_cannot_be_started_are_named(tmp_path: Path) -> None:
    assert failure(ask(tmp_path, "run_tests", "./no-such-program", outputs=KEYS)) == "TESTS_NOT_STARTED"


@pytest.mark.parametrize(
    ("name", "text", "good"),
    [
        ("a.py", "a = 1\n", True),
        ("a.py", "a = (\n", False),
        ("a.json", "{}", True),
        ("a.json", "{", False),
        ("a.toml", "a =", False),
        ("a.xml", "<a>", False),
        ("a.txt", "anything (", True),
    ],
)
def test_a_file_is_parsed_by_its_kind(tmp_path: Path, name: str, text: str, *, good: bool) -> None:
    write_files(tmp_path, {name: text})
    problems = ask(tmp_path, "check_syntax", inputs={"file": {"path": name}})["outputs"]["problems"]
    assert (problems == []) is good


def test_a_file_outside_or_gone_is_a_problem(tmp_path: Path) -> None:
    for path, said in (("../other.py", "it is outside of the project"), ("gone.py", "the file is gone")):
        assert ask(tmp_path, "check_syntax", inputs={"file": {"path": path}}) == {"outputs": {"problems": [said]}}


# --- packages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "version"),
    [("--global", "1.0.0"), ("../evil", "1.0.0"), ("a", "--force"), ("a", "file:../x"), ("a b", "1"), (None, "1")],
)
def test_no_input_becomes_an_option_or_an_address(repository: Path, package: str | None, version: str) -> None:
    lock = json.dumps({"packages": {"node_modules/a": {"version": "1.0.0"}}})
    (repository / "package-lock.json").write_text(lock, encoding="utf-8")
    answer = ask(repository, "upgrade", inputs={"package": package, "version": version, "checkpoint": ""})
    assert failure(answer) == "INVALID_PACKAGE"


def test_a_package_has_to_be_there_and_a_lock_file_too(repository: Path) -> None:
    inputs = {"package": "a", "version": "2.0.0", "checkpoint": ""}
    assert failure(ask(repository, "upgrade", inputs=inputs)) == "NO_LOCK_FILE"
    (repository / "uv.lock").write_text('[[package]]\nname = "b"\nversion = "1"\n', encoding="utf-8")
    assert failure(ask(repository, "upgrade", inputs=inputs)) == "NOT_INSTALLED"


def wheel(folder: Path, version: str) -> None:
    """A package of Python with one module, as `pip` and `uv` install it."""
    info = f"adder-{version}.dist-info"
    files = {
        "adder.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: adder\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"adder-{version}-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)


def test_a_package_of_uv_is_upgraded_and_installed_again_as_it_was(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real uv, and an index that is a folder."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(uv_folder()), os.environ["PATH"]]))
    for name in ("UV_PROJECT_ENVIRONMENT", "UV_NO_SYNC", "UV_FROZEN", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_PYTHON", sys.executable)
    monkeypatch.setenv("UV_OFFLINE", "1")
    (repository / "wheels").mkdir()
    for version in ("1.0.0", "2.0.0"):
        wheel(repository / "wheels", version)
    project = '[project]\nname = "here"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["adder==1.0.0"]\n'
    project += '[tool.uv]\npackage = false\nno-index = true\nfind-links = ["wheels"]\n'
    write_files(repository, {"pyproject.toml": project, ".gitignore": ".venv\n"})
    subprocess.run(["uv", "sync", "--quiet"], cwd=repository, check=True, timeout=50)
    checkpoint = ask(repository, "git_state", "checkpoint")["outputs"]["checkpoint"]
    lock = (repository / "uv.lock").read_text()

    def installed() -> str:
        [found] = (repository / ".venv").rglob("adder.py")
        return found.read_text().split("'")[1]

    inputs = {"package": "adder", "version": "2.0.0", "checkpoint": checkpoint}
    answer = ask(repository, "upgrade", inputs=inputs)
    assert answer == {
        "outputs": {"upgrade": {"manager": "uv", "package": "adder", "before": "1.0.0", "after": "2.0.0"}}
    }
    assert installed() == "2.0.0"
    assert ask(repository, "upgrade", inputs=inputs, role="compensate") == {"outputs": {}}
    assert (installed(), (repository / "uv.lock").read_text()) == ("1.0.0", lock)
    assert (repository / "pyproject.toml").read_text() == project


# --- releases --------------------------------------------------------------------------------------------------------

RELEASE = {"version": "1.0.0", "remote": "origin", "branch": "main"}


@pytest.fixture
def released(repository: Path, tmp_path: Path) -> Path:
    """A repository with a remote that has its branch."""
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "remote.git"))
    git(repository, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(repository, "push", "--quiet", "origin", "main")
    git(repository, "config", "user.name", "A Person")
    git(repository, "config", "user.email", "person@example.com")
    return repository


def test_what_can_be_released_is_listed_and_what_cannot_is_refused(released: Path) -> None:
    inspect = {"inputs": RELEASE}
    found = ask(released, "release", "inspect", **inspect)["outputs"]["candidate"]
    assert (found["tag"], found["previous"], len(found["commits"])) == ("v1.0.0", None, 1)
    (released / "a.py").write_text("x", encoding="utf-8")
    assert failure(ask(released, "release", "inspect", **inspect)) == "NOT_CLEAN"
    git(released, "checkout", "--quiet", "a.py")
    git(released, "tag", "v1.0.0")
    assert failure(ask(released, "release", "inspect", **inspect)) == "TAG_EXISTS"
    again = {"inputs": RELEASE | {"version": "1.0.1"}}
    assert failure(ask(released, "release", "inspect", **again)) == "NOTHING_TO_RELEASE"
    git(released, "switch", "--quiet", "--create", "other")
    assert failure(ask(released, "release", "inspect", **again)) == "WRONG_BRANCH"


@pytest.mark.parametrize("bad", [{"version": "1.0"}, {"remote": "--upload-pack=x"}, {"branch": "-x"}])
def test_a_release_takes_no_option_for_a_name(released: Path, bad: dict[str, str]) -> None:
    assert failure(ask(released, "release", "inspect", inputs=RELEASE | bad)) == "INVALID_RELEASE"


def test_each_step_is_undone_unless_others_have_built_on_it(released: Path) -> None:
    head = git(released, "rev-parse", "HEAD")
    done = ask(released, "release", "commit", inputs=RELEASE | {"notes": "All"})["outputs"]
    steps = {"inputs": RELEASE | done}
    for step in ("tag", "push-tag"):
        assert ask(released, "release", step, **steps) == {"outputs": {}}
    assert ask(released, "release", "is-published", **steps) == {"outputs": {"state": {"published": True}}}
    git(released, "tag", "--force", "v1.0.0", head)
    undo = {**steps, "role": "compensate", "produced": done}
    assert failure(ask(released, "release", "push-tag", **undo)) == "TAG_MOVED"
    git(released, "fetch", "--quiet", "--force", "origin", "tag", "v1.0.0")
    for step in ("push-tag", "tag", "commit"):
        assert ask(released, "release", step, **undo) == {"outputs": {}}
    assert (git(released, "tag"), git(released, "ls-remote", "--tags", "origin")) == ("", "")
    assert (git(released, "rev-parse", "HEAD"), (released / "CHANGELOG.md").exists()) == (head, False)


def test_a_commit_that_others_have_built_on_stays(released: Path) -> None:
    done = ask(released, "release", "commit", inputs=RELEASE | {"notes": "All"})["outputs"]
    git(released, "commit", "--quiet", "--allow-empty", "--message=Later")
    undo = {"inputs": RELEASE, "role": "compensate", "produced": done}
    assert failure(ask(released, "release", "commit", **undo)) == "BRANCH_MOVED"


def test_notes_whose_commit_was_refused_go(released: Path) -> None:
    (released / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0\n", encoding="utf-8")
    assert ask(released, "release", "commit", inputs=RELEASE, role="compensate") == {"outputs": {}}
    assert not (released / "CHANGELOG.md").exists()


# --- findings and claims ---------------------------------------------------------------------------------------------

FINDING = {"file": "a.py", "line": 3, "severity": "low", "claim": "One", "evidence": "a.py:3"}


def test_findings_at_one_place_become_one_with_the_highest_severity(tmp_path: Path) -> None:
    findings = [FINDING, FINDING | {"severity": "critical", "claim": "Two"}, FINDING | {"line": 9, "severity": "high"}]
    found = ask(tmp_path, "findings", "merge", inputs={"findings": findings})["outputs"]["candidates"]
    assert [(one["id"], one["claim"], one["also"]) for one in found] == [("F1", "Two", ["One"]), ("F2", "One", [])]


def test_only_what_was_verified_is_confirmed_and_the_rest_is_counted(tmp_path: Path) -> None:
    candidates = [FINDING | {"id": f"F{number}", "line": number} for number in (1, 2, 3)]
    verdicts = {
        "F1": {"real": True, "severity": "high", "reason": "seen"},
        "F2": {"real": False, "severity": "low", "reason": "guarded"},
    }
    inputs = {"candidates": candidates, "verdicts": verdicts}
    outputs = ask(tmp_path, "findings", "report", inputs=inputs)["outputs"]
    assert [(one["id"], one["severity"]) for one in outputs["confirmed"]] == [("F1", "high")]
    assert outputs["report"].startswith("# 1 confirmed, 1 refuted, 1 not verified\n")
    assert "- `a.py:3` One" in outputs["report"]


@pytest.mark.parametrize(
    ("report", "good"),
    [
        ("[x](https://a.example/1), and https://b.example/2.", True),
        ("[x](https://a.example/1) and [y](https://made.example/up)", False),
        ("[x](https://c.example/3)", False),
        ("no link", False),
    ],
)
def test_a_report_links_only_to_what_was_found(tmp_path: Path, report: str, *, good: bool) -> None:
    checks = {
        "C1": {"status": "confirmed", "sources": ["https://a.example/1", "https://b.example/2"]},
        "C2": {"status": "contradicted", "sources": ["https://c.example/3"]},
    }
    answer = ask(tmp_path, "findings", "citations", inputs={"report": report, "checks": checks}, outputs=["good"])
    assert answer == {"outputs": {"good": good}}


# --- issues ----------------------------------------------------------------------------------------------------------


def test_a_label_that_the_repository_does_not_have_is_not_proposed(tmp_path: Path) -> None:
    issues = [{"number": number, "title": "t", "labels": ["old"]} for number in (1, 2, 3)]
    triage = {"1": {"labels": ["bug", "admin", "old"]}, "2": {"labels": ["admin"]}}
    inputs = {"issues": issues, "labels": ["bug", "old"], "triage": triage}
    answer = ask(tmp_path, "issues", "propose", inputs=inputs)
    assert answer["outputs"]["proposals"] == [{"number": 1, "title": "t", "labels": ["bug"]}]
