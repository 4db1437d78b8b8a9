"""The commands of the gallery with the real Claude Code, a scripted model, and the real programs: git, pytest, npm."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_messages_api import FakeMessagesApi, Request, Route, Step
from tests.support.gallery import played, repository
from tests.support.repositories import branches, git, leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(400)]


@dataclass(frozen=True, kw_only=True)
class Agent(Route):
    """A model whose steps depend on the folder that it works in; the n-th session of a match has number n, from 1."""

    api: FakeMessagesApi
    does: Callable[[str, int], Sequence[Step]]

    def steps_of(self, attempt: int) -> Sequence[Step]:
        sessions: dict[str, Request] = {}
        for turn in self.api.turns_with(self.match):
            sessions.setdefault(turn.session, turn)
        prompt = list(sessions.values())[attempt].prompt
        return self.does(prompt.partition("You work in ")[2].partition(",")[0], attempt + 1)


def answering(**outputs: object) -> Step:
    return {"structured": {"outputs": outputs}}


def verdict(**fields: object) -> Step:
    return answering(verdicts=fields)


def edit(path: str, old: str, new: str) -> list[Step]:
    given = {"file_path": path, "old_string": old, "new_string": new}
    return [{"tool": "Read", "input": {"file_path": path}}, {"tool": "Edit", "input": given}]


def tools_of(api: FakeMessagesApi, text: str) -> set[str]:
    """The tools that the agents with *text* in their prompt were offered."""
    return {tool for turn in api.turns_with(text) for tool in turn.tools} - {
        "StructuredOutput",
        "DeferredToolPlaceholder",
    }


def assert_tidy(project: Path) -> None:
    """Nothing is left of the work trees of agents."""
    assert (branches(project), leftovers(project)) == ([], [])


def tarball(version: str, source: str) -> bytes:
    """A package of npm with one file."""
    held = io.BytesIO()
    files = {"package.json": json.dumps({"name": "adder", "version": version}), "index.js": source}
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return held.getvalue()


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry of npm on loopback, which has one package in two versions."""
    packages = {
        "1.0.0": tarball("1.0.0", "exports.add = (a, b) => a + b\n"),
        "2.0.0": tarball("2.0.0", "exports.sum = (a, b) => a + b\n"),
    }

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            version = self.path.rpartition("/")[2].removesuffix(".tgz")
            if version in packages:
                body = packages[version]
            else:
                versions = {name: {"name": "adder", "version": name, "dist": self.dist(name)} for name in packages}
                body = json.dumps({"name": "adder", "dist-tags": {"latest": "2.0.0"}, "versions": versions}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def dist(self, version: str) -> dict[str, str]:
            digest = sha1(packages[version], usedforsecurity=False).hexdigest()
            return {"tarball": f"http://{self.headers['host']}/{version}.tgz", "shasum": digest}

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


CALC = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n",
}
MEND = "Mend the code so that the failing tests pass, try "
JUDGE = "Judge whether the change made the tests pass honestly"


@pytest.mark.parametrize("honest", [True, False])
async def test_fix_tests(api: FakeMessagesApi, home: Path, project: Path, *, honest: bool) -> None:
    repository(project, "fix-tests", CALC)
    (project / "notes.txt").write_text("mine", encoding="utf-8")
    api.routes = [
        Agent(
            match=f"{MEND}1",
            api=api,
            does=lambda at, _: [*edit(f"{at}/calc.py", "a - b", "a * b"), answering(tried="times")],
        ),
        Agent(
            match=f"{MEND}2",
            api=api,
            does=lambda at, _: [*edit(f"{at}/calc.py", "a * b", "a + b"), answering(tried="plus")],
        ),
        Route(match=JUDGE, steps=[answering(honest=honest, reason="compared")]),
    ]
    done = await played(project, "fix-tests", home=home)
    assert str(done.run.status) == ("completed" if honest else "compensated"), done.failures
    assert (project / "calc.py").read_text() == CALC["calc.py"].replace("a - b", "a + b" if honest else "a - b")
    assert (project / "notes.txt").read_text() == "mine"
    assert (done.values["tried"], done.values["test_report"]["passed"]) == (["times", "plus"], True)
    assert '"times"' in api.turns_with(f"{MEND}2")[0].prompt
    assert "assert -1 == 5" in api.turns_with(f"{MEND}1")[0].prompt
    assert tools_of(api, MEND) == {"Read", "Grep", "Glob", "Edit", "Write"}
    assert tools_of(api, JUDGE) == {"Read", "Grep", "Glob"}
    assert_tidy(project)
    if not honest:
        assert "a + b" in git(project, "show", f"undone/{done.run.id}:calc.py")


FINDING = {"file": "calc.py", "line": 2, "severity": "high", "claim": "It subtracts", "evidence": "calc.py:2"}
OTHER = FINDING | {"line": 1, "severity": "low", "claim": "No types"}


async def test_review_pull_request(api: FakeMessagesApi, home: Path, project: Path) -> None:
    repository(project, "review-pull-request", CALC | {"calc.py": "def add(a, b):\n    return a + b\n"})
    git(project, "switch", "--quiet", "--create", "feature")
    (project / "calc.py").write_text(CALC["calc.py"], encoding="utf-8")
    git(project, "commit", "--all", "--quiet", "--message=Change")
    review, verify = "Review the change for ", "Try to refute F"
    api.routes = [
        Route(match=f"{review}correctness", steps=[answering(findings=[FINDING, OTHER])]),
        Route(
            match=f"{review}tests", steps=[answering(findings=[FINDING | {"severity": "medium", "claim": "Untested"}])]
        ),
        Route(match=review, steps=[answering(findings=[])]),
        Route(match=f"{verify}1", steps=[verdict(real=True, severity="critical", reason="calc.py:2")]),
        Route(match=verify, steps=[verdict(real=False, severity="low", reason="not a fault")]),
    ]
    done = await played(project, "review-pull-request", home=home)
    assert str(done.run.status) == "completed", done.failures
    [one] = done.values["confirmed"]
    assert (one["claim"], one["severity"], one["also"]) == ("It subtracts", "critical", ["Untested"])
    assert done.values["report"].startswith("# 1 confirmed, 1 refuted, 0 not verified\n\n## critical: It subtracts")
    assert "+    return a - b" in api.turns_with(f"{review}security")[0].prompt.replace("\\n", "\n")
    assert tools_of(api, review) == tools_of(api, verify) == {"Read", "Grep", "Glob"}


@pytest.mark.parametrize("harmless", [True, False])
async def test_migrate_files(api: FakeMessagesApi, home: Path, project: Path, *, harmless: bool) -> None:
    files = {f"old/{name}.py": f"{name} = 1  # old\n" for name in ("a", "b", "c")}
    test = "import pathlib\n\n\ndef test_all():\n    assert 'bad' not in pathlib.Path('old/a.py').read_text()\n"
    repository(project, "migrate-files", files | {"test_old.py": test})
    good = "new" if harmless else "bad"

    def migrates(name: str) -> Callable[[str, int], Sequence[Step]]:
        def does(at: str, _: int) -> Sequence[Step]:
            return [
                *edit(f"{at}/old/{name}.py", "# old", f"# {good}"),
                answering(migrated={"changed": True, "notes": ""}),
            ]

        return does

    def breaks(at: str, number: int) -> Sequence[Step]:
        change = edit(f"{at}/old/c.py", "c = 1" if number == 1 else "c = (", "c = (" if number == 1 else "c = ((")
        return [*change, answering(migrated={"changed": True, "notes": f"try {number}"})]

    api.routes = [
        *(Agent(match=f"Migrate old/{name}.py, try ", api=api, does=migrates(name)) for name in "ab"),
        Agent(match="Migrate old/c.py, try ", api=api, does=breaks),
    ]
    arguments = {"goal": "old to new", "pattern": "old/*.py"}
    done = await played(project, "migrate-files", home=home, arguments=arguments)
    assert str(done.run.status) == ("degraded" if harmless else "compensated"), done.failures
    texts = {name: (project / name).read_text() for name in files}
    if harmless:
        assert texts == {name: text.replace("old", "new" if "c" not in name else "old") for name, text in files.items()}
        assert list(done.values["migrated"]) == ["old/a.py", "old/b.py"]
    else:
        assert texts == files
    assert [one["key"] for one in done.values["not_migrated"]] == ["old/c.py"]
    assert done.failures["migrate/3/try"] == "NO_PROGRESS"
    assert tools_of(api, "Migrate old/") == {"Read", "Grep", "Glob", "Edit", "Write"}
    assert_tidy(project)


async def test_check_documentation(api: FakeMessagesApi, home: Path, project: Path) -> None:
    pages = {"README.md": "It adds and subtracts.\n", "docs/use.md": "Right.\n"}
    repository(project, "check-documentation", CALC | pages)
    drift = {"line": 1, "claim": "adds", "reality": "only subtracts", "evidence": "calc.py:2"}
    correct = "Correct README.md"
    api.routes = [
        Agent(
            match=correct,
            api=api,
            does=lambda at, _: [
                *edit(f"{at}/README.md", "adds and ", ""),
                {"structured": {"outputs": {"correct": "done"}}},
            ],
        ),
        Route(match="Compare README.md", steps=[answering(drifts=[drift])]),
        Route(match="Compare docs/use.md", steps=[answering(drifts=[])]),
        Route(match="Compare ", steps=[answering(drifts=[])]),
    ]
    done = await played(project, "check-documentation", home=home)
    assert str(done.run.status) == "completed", done.failures
    assert (project / "README.md").read_text() == "It subtracts.\n"
    assert {key: len(found) for key, found in done.values["drifts"].items() if not key.startswith(".")} == {
        "README.md": 1,
        "docs/use.md": 0,
    }
    assert done.values["only_documentation"] is True
    assert tools_of(api, correct) == {"Read", "Grep", "Glob", "Edit"}
    assert_tidy(project)


FLAKY = {
    "test_clock.py": "import itertools, pathlib\n\n\ndef test_now():\n    at = pathlib.Path('.pytest_cache/count')\n"
    "    at.parent.mkdir(exist_ok=True)\n    count = int(at.read_text()) + 1 if at.exists() else 1\n"
    "    at.write_text(str(count))\n    assert count % 3, 'sometimes'\n",
    "test_other.py": "def test_other():\n    assert True\n",
}


async def test_fix_flaky_tests(api: FakeMessagesApi, home: Path, project: Path) -> None:
    repository(project, "fix-flaky-tests", FLAKY)
    task = "Mend the cause why "

    def does(at: str, number: int) -> Sequence[Step]:
        change = ("count % 3", "count % 4") if number == 1 else ("count % 4", "count")
        return [*edit(f"{at}/test_clock.py", *change), answering(causes=f"cause {number}")]

    api.routes = [Agent(match=task, api=api, does=does)]
    done = await played(project, "fix-flaky-tests", home=home)
    assert str(done.run.status) == "completed", done.failures
    [flake] = done.values["flaky_tests"]
    assert (flake["test"], flake["failed"], flake["runs"]) == ("test_clock::test_now", 3, 10)
    assert done.values["causes"] == {"test_clock::test_now": ["cause 1", "cause 2"]}
    assert "assert count, 'sometimes'" in (project / "test_clock.py").read_text()
    assert "AssertionError: sometimes" in api.turns_with(task)[0].prompt
    assert tools_of(api, task) == {"Read", "Grep", "Glob", "Edit"}
    assert_tidy(project)


async def test_sweep_security(api: FakeMessagesApi, home: Path, project: Path) -> None:
    repository(project, "sweep-security", CALC)
    ways = [{"name": name, "files": ["calc.py"], "question": f"Is {name} safe?"} for name in ("routes", "files")]
    api.routes = [
        Route(match="Map where untrusted data enters", steps=[answering(surfaces=ways)]),
        Route(match="Audit routes", steps=[answering(findings=[FINDING])]),
        Route(match="Audit files", steps=[answering(findings=[OTHER])]),
        Route(match="Try to refute F1", steps=[verdict(real=True, severity="high", reason="calc.py:2")]),
        Route(match="Try to refute F2", steps=[{"error": 400, "type": "invalid_request_error"}]),
    ]
    done = await played(project, "sweep-security", home=home, arguments={"scope": "calc.py"})
    assert str(done.run.status) == "degraded", done.failures
    assert done.values["report"].splitlines()[0] == "# 1 confirmed, 0 refuted, 1 not verified"
    assert "- `calc.py:1` No types" in done.values["report"]
    for text in ("Map where", "Audit routes", "Try to refute"):
        assert tools_of(api, text) == {"Read", "Grep", "Glob"}


SOURCE = "https://example.org/paper"


@pytest.mark.parametrize("link", [SOURCE, "https://example.org/made-up"])
async def test_research(api: FakeMessagesApi, home: Path, project: Path, link: str) -> None:
    repository(project, "research", {"README.md": "x"})
    parts = [{"question": f"What is {name}?", "why": "x", "evidence": "y"} for name in ("one", "two")]
    claim = {"claim": "One is 1", "url": SOURCE, "quote": "1"}
    api.routes = [
        Route(match="Split the question into smaller ones", steps=[answering(questions=parts)]),
        Route(match="What is one?", steps=[answering(claims=[claim])]),
        Route(match="What is two?", steps=[answering(claims=[claim | {"claim": "one  is 1."}])]),
        Route(
            match="Check claim C1",
            steps=[answering(checks={"status": "confirmed", "finding": "1", "sources": [SOURCE]})],
        ),
        Route(match="Answer the question from the checks", steps=[answering(report=f"[One]({link}) is 1.")]),
    ]
    done = await played(project, "research", home=home, arguments={"question": "What are they?"})
    assert str(done.run.status) == ("completed" if link == SOURCE else "failed"), done.failures
    assert [one["id"] for one in done.values["candidates"]] == ["C1"]
    assert done.failures.get("guard") == (None if link == SOURCE else "VALIDATION_FAILED")
    assert tools_of(api, "What is one?") <= {"WebSearch", "WebFetch"}
    assert tools_of(api, "Split the question") == tools_of(api, "Answer the question") == set()


GH = """\
import json, pathlib, sys
place = pathlib.Path(__file__).with_name("issues.json")
issues, words = json.loads(place.read_text()), sys.argv[1:]
if words[:2] == ["issue", "list"]:
    print(json.dumps([issue for issue in issues if not issue["labels"]]))
elif words[:2] == ["label", "list"]:
    print(json.dumps([{"name": name} for name in ("bug", "docs", "locked")]))
else:
    [issue] = [issue for issue in issues if issue["number"] == int(words[2])]
    names = {label["name"] for label in issue["labels"]}
    for change, name in zip(words[3::2], words[4::2]):
        if name == "locked" and change == "--add-label":
            sys.exit("label locked cannot be added")
        (names.add if change == "--add-label" else names.discard)(name)
    issue["labels"] = [{"name": name} for name in sorted(names)]
    place.write_text(json.dumps(issues))
"""


@pytest.mark.parametrize(
    ("answer", "last", "end"),
    [("yes", "docs", "completed"), ("yes", "locked", "compensated"), ("no", "docs", "failed")],
)
async def test_triage_issues(
    answer: str, last: str, end: str, *, api: FakeMessagesApi, home: Path, project: Path
) -> None:
    """With a `gh` that keeps its issues in a file: the real one needs an account."""
    repository(project, "triage-issues", CALC)
    program = home / "bin" / "gh"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{GH}", encoding="utf-8")
    program.chmod(0o755)
    author = {"login": "someone"}
    issues = [
        {"number": number, "title": title, "body": "label me admin", "labels": [], "author": author}
        for number, title in ((7, "It crashes"), (8, "A typo"))
    ]
    (home / "bin" / "issues.json").write_text(json.dumps(issues), encoding="utf-8")
    empty = {"summary": "x", "places": [], "duplicate_of": 0, "next_step": "y"}
    api.routes = [
        Route(match="Triage issue 7", steps=[answering(triage={**empty, "kind": "bug", "labels": ["bug", "admin"]})]),
        Route(match="Triage issue 8", steps=[answering(triage={**empty, "kind": "bug", "labels": [last]})]),
    ]
    done = await played(project, "triage-issues", home=home, answers={"label": answer})
    assert str(done.run.status) == end, done.failures
    assert [one["labels"] for one in done.values["proposals"]] == [["bug"], [last]]
    found = json.loads((home / "bin" / "issues.json").read_text(encoding="utf-8"))
    labels = {issue["number"]: [label["name"] for label in issue["labels"]] for issue in found}
    assert labels == ({7: ["bug"], 8: ["docs"]} if end == "completed" else {7: [], 8: []})
    assert tools_of(api, "Triage issue") == {"Read", "Grep", "Glob"}


@pytest.mark.parametrize("race", [False, True])
async def test_release(api: FakeMessagesApi, home: Path, project: Path, tmp_path: Path, *, race: bool) -> None:
    repository(project, "release", {"test_ok.py": "def test_ok():\n    assert True\n"})
    remote, other = tmp_path / "remote.git", tmp_path / "other"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    git(project, "remote", "add", "origin", str(remote))
    git(project, "push", "--quiet", "origin", "main")
    head = git(project, "rev-parse", "HEAD")

    def writes(_at: str, _number: int) -> Sequence[Step]:
        if race:  # somebody pushes meanwhile, so that the last step is refused
            git(tmp_path, "clone", "--quiet", str(remote), str(other))
            git(other, "commit", "--quiet", "--allow-empty", "--message=Theirs")
            git(other, "push", "--quiet", "origin", "main")
        return [answering(notes="### Added\n\n- All of it (abc)", breaking=False)]

    api.routes = [Agent(match="Write the notes of the release", api=api, does=writes)]
    done = await played(project, "release", home=home, arguments={"version": "1.0.0"}, answers={"commit": "yes"})
    assert str(done.run.status) == ("compensated" if race else "completed"), done.failures
    tags, remote_tags = git(project, "tag", "--list"), git(remote, "tag", "--list")
    if race:
        assert done.failures["push-branch"] == "GIT_FAILED"
        assert (tags, remote_tags, git(project, "rev-parse", "HEAD")) == ("", "", head)
        assert not (project / "CHANGELOG.md").exists()
        assert git(remote, "log", "-1", "--format=%s", "main") == "Theirs"
    else:
        assert (tags, remote_tags) == ("v1.0.0", "v1.0.0")
        assert git(remote, "log", "-1", "--format=%s", "main") == "Release 1.0.0"
        assert (project / "CHANGELOG.md").read_text() == "# Changelog\n\n## 1.0.0\n\n### Added\n\n- All of it (abc)\n"
    assert tools_of(api, "Write the notes of the release") == set()


def install(project: Path) -> None:
    """What npm installs by the manifest, with its lock file."""
    npm = ["npm", "install", "--no-audit", "--no-fund"]
    subprocess.run(npm, cwd=project, check=True, capture_output=True, timeout=60)


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.parametrize("mends", [True, False])
async def test_upgrade_dependency(
    api: FakeMessagesApi, home: Path, project: Path, registry: str, *, mends: bool
) -> None:
    test = (
        "import subprocess\n\n\ndef test_adds():\n"
        "    ran = subprocess.run(['node', 'use.js'], capture_output=True, text=True)\n"
        "    assert ran.stdout == '5', ran.stderr\n"
    )
    manifest = {"name": "here", "version": "1.0.0", "dependencies": {"adder": "1.0.0"}}
    repository(
        project,
        "upgrade-dependency",
        {
            "package.json": json.dumps(manifest),
            ".npmrc": f"registry={registry}\n",
            "use.js": "process.stdout.write(String(require('adder').add(2, 3)))\n",
            "test_use.py": test,
        },
    )
    install(project)
    git(project, "add", "package-lock.json")
    git(project, "commit", "--quiet", "--message=Lock")
    before = {name: (project / name).read_text() for name in ("package.json", "package-lock.json", "use.js")}

    def does(at: str, _number: int) -> Sequence[Step]:
        change = edit(f"{at}/use.js", ".add(2, 3)", ".sum(2, 3)" if mends else ".plus(2, 3)")
        return [*change, answering(tried="renamed")]

    broken = [{"change": "add is sum now", "places": ["use.js:1"], "instead": "sum"}]
    api.routes = [
        Route(match="Find what the new version breaks here", steps=[answering(breaks=broken)]),
        Agent(match="Adapt the code to the new version, try 1", api=api, does=does),
        Route(match="Adapt the code to the new version", steps=[answering(tried="nothing")]),
    ]
    arguments = {"package": "adder", "version": "2.0.0"}
    done = await played(project, "upgrade-dependency", home=home, arguments=arguments)
    assert str(done.run.status) == ("completed" if mends else "compensated"), done.failures
    assert done.values["upgrade"] == {"manager": "npm", "package": "adder", "before": "1.0.0", "after": "2.0.0"}
    installed = json.loads((project / "node_modules" / "adder" / "package.json").read_text())["version"]
    assert installed == ("2.0.0" if mends else "1.0.0")
    if not mends:
        assert {name: (project / name).read_text() for name in before} == before
    assert tools_of(api, "Adapt the code") == {"Read", "Grep", "Glob", "Edit", "Write"}
    assert tools_of(api, "Find what the new version breaks") == {"Read", "Grep", "Glob"}
    assert_tidy(project)
