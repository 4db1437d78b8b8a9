"""The command `new`: a command that runs at once, in whatever project, and nothing that was there is lost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from engine.text.shown import printable
from mcp_server.cli.app import app
from mcp_server.project.root import SESSION_VARIABLE
from registry.agents.load import PACKAGED_AGENTS
from registry.templates import TEMPLATES, Template, templates
from tests.support.installed import ORCHESTRATE
from tests.support.readonly import read_only
from tests.support.state import contents

if TYPE_CHECKING:
    from typer.testing import Result

ALL = templates()
WITHOUT_MODEL = [one for one in ALL if one.name in {"patterns/for-each", "patterns/pipeline", "patterns/saga"}]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    for name in (SESSION_VARIABLE, ATTEMPT_VARIABLE, "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder with nothing in it, not even git."""
    root = tmp_path / "empty"
    root.mkdir()
    return root


def orchestrate(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(root), *words])


def answer(result: Result) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(result.stdout)


def names(one: Template) -> str:
    return one.name


def test_the_templates_are_found_and_described() -> None:
    patterns = {"fan-out", "for-each", "pipeline", "repeat", "review", "saga"}
    assert {f"patterns/{name}" for name in patterns} <= {one.name for one in ALL}
    assert all(one.description for one in ALL)


@pytest.mark.parametrize("one", ALL, ids=names)
def test_a_new_command_has_no_problem_and_can_be_simulated(empty: Path, one: Template) -> None:
    written = orchestrate(empty, "new", "mine", "--from", one.name)
    assert written.exit_code == 0, written.stderr
    checked = answer(orchestrate(empty, "validate", "/mine", "--json"))
    assert (checked["valid"], checked["errors"], checked["warnings"]) == (True, [], [])
    shown = answer(orchestrate(empty, "plan", "/mine", "--format", "json"))
    needed = [word for name in shown["arguments"] if name.endswith("!") for word in ("--arg", f"{name[:-1]}=1.0.0")]
    called = " ".join(["/mine", *needed]).replace("=1.0.0", "=…")
    assert f"`orchestrate run {called} --executor simulate` tries it" in written.stderr
    assert f"`orchestrate run {called}` runs it" in written.stderr
    simulated = orchestrate(empty, "run", "/mine", *(needed or ["text"]), "--executor", "simulate")
    assert simulated.exit_code == 0, simulated.stderr
    warned = [line for line in simulated.stderr.splitlines() if line.startswith("warning")]
    assert [line for line in warned if not line.startswith("warning: Assumed for ")] == []


@pytest.mark.parametrize("one", ALL, ids=names)
def test_its_comments_name_the_new_command_and_not_the_template(one: Template) -> None:
    text = next(iter(one.files("/mine").values()))
    own = f"/{one.folder.name}"
    words = text.replace("`", " ").replace('"', " ").split()
    assert own not in words
    assert "/mine" in words


@pytest.mark.parametrize("name", ["/x", "/a-name-that-is-much-longer-than-that-of-the-template"])
@pytest.mark.parametrize("one", [one for one in ALL if one.name.startswith("patterns/")], ids=names)
def test_what_its_comments_say_about_calls_is_in_one_column(one: Template, name: str) -> None:
    text = next(iter(one.files(name).values()))
    calls = re.findall(r"^(#   orchestrate .*?\S {3,})\S", text, re.MULTILINE)
    assert len(calls) > 2
    assert len({len(call) for call in calls}) == 1


def test_templates_do_not_get_into_each_others_way() -> None:
    packaged = {path.name for path in PACKAGED_AGENTS.iterdir()}
    seen: dict[str, str] = {}
    for one in ALL:
        for path, text in list(one.files("/mine").items())[1:]:
            assert path.name not in packaged
            assert seen.setdefault(str(path), text) == text, f"{path} of {one.name} is another file elsewhere"


def test_every_folder_of_templates_is_one() -> None:
    found = [path for path in TEMPLATES.glob("*/*") if path.is_dir() and path.name != "__pycache__"]
    assert {f"{path.parent.name}/{path.name}" for path in found} == {one.name for one in ALL}


@pytest.mark.processes
@pytest.mark.parametrize("one", WITHOUT_MODEL, ids=names)
def test_a_new_command_of_programs_really_runs(empty: Path, one: Template) -> None:
    assert "orchestrate trust" in orchestrate(empty, "new", "mine", "--from", one.name).stderr
    assert orchestrate(empty, "trust", "--yes").exit_code == 0
    ran = orchestrate(empty, "run", "/mine", "--json")
    assert ran.exit_code == 0, ran.stderr
    assert answer(ran)["state"] == "completed"


@pytest.mark.processes
def test_the_saga_really_rolls_back(empty: Path) -> None:
    orchestrate(empty, "new", "mine", "--pattern", "saga")
    orchestrate(empty, "trust", "--yes")
    assert orchestrate(empty, "run", "/mine", "first").exit_code == 0
    assert (empty / "build/saga/published.txt").read_text(encoding="utf-8") == "first\n"
    failed = orchestrate(empty, "run", "/mine", "broken", "--json")
    assert (failed.exit_code, answer(failed)["state"]) == (1, "compensated")
    assert list((empty / "build/saga").iterdir()) == []


@pytest.mark.processes
@pytest.mark.parametrize(
    ("tests", "answered"),
    [
        ("true", {"outputs": {"result": {"passed": True, "output": ""}}}),
        ("sh -c 'echo broken; exit 3'", {"outputs": {"result": {"passed": False, "output": "broken\n"}}}),
        ("no-such-program", None),
        ("", None),
        ('"', None),
    ],
)
def test_the_loop_takes_failing_tests_as_a_result_and_missing_ones_as_a_failure(
    empty: Path, tests: str, answered: object
) -> None:
    orchestrate(empty, "new", "mine", "--pattern", "repeat")
    done = subprocess.run(
        [sys.executable, ".claude/programs/repeat/check.py"],
        input=json.dumps({"inputs": {"tests": tests}}),
        cwd=empty,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    found = json.loads(done.stdout)
    assert found == answered or (answered is None and found["failure"]["code"] == "TESTS_MISSING")


def test_it_can_be_run_twice_and_keeps_what_has_not_changed(empty: Path) -> None:
    first = answer(orchestrate(empty, "new", "/mine", "--json"))
    assert (first["command"], first["template"], first["kept"]) == ("/mine", "patterns/pipeline", [])
    before = contents(empty)
    again = answer(orchestrate(empty, "new", "mine", "--json"))
    assert (again["written"], again["kept"]) == ([], first["written"])
    assert contents(empty) == before
    other = answer(orchestrate(empty, "new", "other", "--json"))
    assert other["written"] == [".claude/commands/v2/other.yaml"]


def test_a_changed_file_is_replaced_by_force_alone_and_then_nothing_else_is_left(empty: Path) -> None:
    orchestrate(empty, "new", "mine")
    file = empty / ".claude/agents/pipeline-lister.md"
    file.write_text("mine", encoding="utf-8")
    before = contents(empty)
    refused = orchestrate(empty, "new", "other", "--json")
    assert (refused.exit_code, answer(refused)["error"]["code"]) == (2, "FILE_EXISTS")
    assert ".claude/agents/pipeline-lister.md exists already" in refused.stderr
    assert "--force" in refused.stderr
    assert contents(empty) == before
    assert orchestrate(empty, "new", "other", "--force").exit_code == 0
    assert "pipeline-lister" in file.read_text(encoding="utf-8")


def test_a_changed_agent_is_used_as_it_is_by_another_command_if_the_user_says_so(empty: Path) -> None:
    """A gallery is taken one command after the other, and its agents name the user's tools by then."""
    orchestrate(empty, "new", "mine")
    file = empty / ".claude/agents/pipeline-lister.md"
    changed = file.read_text(encoding="utf-8").replace("description: ", "description: Our own. ")
    file.write_text(changed, encoding="utf-8")
    refused = answer(orchestrate(empty, "new", "other", "--json"))["error"]
    assert (refused["code"], "--keep" in refused["hint"]) == ("FILE_EXISTS", True)
    made = answer(orchestrate(empty, "new", "other", "--keep", "--json"))
    assert made["written"] == [".claude/commands/v2/other.yaml"]
    assert ".claude/agents/pipeline-lister.md" in made["kept"]
    assert file.read_text(encoding="utf-8") == changed


@pytest.mark.parametrize("place", ["empty/.claude/agents/deep/x.md", "home/.claude/agents/x.md"])
def test_an_agent_in_another_file_is_used_as_it_is_if_the_user_says_so(empty: Path, place: str) -> None:
    other = put(empty.parent / place, AGENT)
    assert "--keep" in orchestrate(empty, "new", "mine").stderr
    made = answer(orchestrate(empty, "new", "mine", "--keep", "--json"))
    assert str(other) in [str(empty / path) for path in made["kept"]]
    assert not (empty / ".claude/agents/pipeline-lister.md").exists()


def test_a_command_that_is_there_is_never_kept_for_a_new_one(empty: Path) -> None:
    put(empty / ".claude/commands/v2/mine.yaml", "mine")
    refused = orchestrate(empty, "new", "mine", "--keep")
    assert (refused.exit_code, "FILE_EXISTS" in refused.stderr, "--keep" in refused.stderr) == (2, True, False)


def put(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


SKILL = "---\nname: mine\n---\nDo it."
DEFINITION = (
    '{"version": "2.0.0", "name": "/mine", "description": "d", "phases": '
    '[{"id": "p", "name": "P", "agents": [{"id": "a", "agentId": "general-assistant", "task": "Do"}]}]}'
)
AGENT = "---\nname: pipeline-lister\ndescription: Mine\n---\nDo it."


@pytest.mark.parametrize(
    ("where", "text", "told"),
    [
        pytest.param("home/.claude/commands/v2/mine.json", DEFINITION, "/mine is a command already", id="user"),
        pytest.param("home/.claude/skills/mine/SKILL.md", SKILL, "/mine is a skill of Claude Code", id="skill of user"),
        pytest.param("empty/.claude/skills/mine/SKILL.md", SKILL, "/mine is a skill of Claude Code", id="skill"),
        pytest.param("home/.claude/commands/mine.md", "Do it.", "/mine is a prompt of Claude", id="prompt of user"),
        pytest.param("empty/.claude/commands/mine.md", "Do it.", "/mine is a prompt of Claude Code", id="prompt"),
        pytest.param("home/.claude/agents/x.md", AGENT, '"pipeline-lister" is an agent already', id="agent of user"),
    ],
)
def test_a_name_that_means_something_else_already_is_hidden_by_force_alone(
    empty: Path, where: str, text: str, told: str
) -> None:
    put(empty.parent / where, text)
    before = contents(empty.parent)
    refused = orchestrate(empty, "new", "mine", "--json")
    assert (refused.exit_code, answer(refused)["error"]["code"]) == (2, "NAME_TAKEN")
    assert told in answer(refused)["error"]["message"]
    assert contents(empty.parent) == before
    assert orchestrate(empty, "new", "mine", "--force").exit_code == 0


def test_a_packaged_command_is_hidden_by_force_alone(empty: Path) -> None:
    refused = orchestrate(empty, "new", "review-repo")
    assert refused.exit_code == 2
    assert "NAME_TAKEN" in refused.stderr
    assert "packaged" in refused.stderr
    assert contents(empty) == {}


@pytest.mark.parametrize(
    ("where", "text"),
    [("empty/.claude/commands/v2/deep/elsewhere.json", DEFINITION), ("empty/.claude/agents/x.md", AGENT)],
)
def test_two_files_of_one_project_never_have_one_name(empty: Path, where: str, text: str) -> None:
    put(empty.parent / where, text)
    before = contents(empty)
    for words in (("new", "mine"), ("new", "mine", "--force")):
        refused = orchestrate(empty, *words)
        assert (refused.exit_code, "NAME_TAKEN" in refused.stderr) == (2, True)
        assert re.search(r"[Rr]emove (it|the other file) first", refused.stderr)
    assert contents(empty) == before


def test_a_skill_that_sync_wrote_is_not_in_the_way(empty: Path) -> None:
    orchestrate(empty, "new", "mine")
    assert orchestrate(empty, "sync").exit_code == 0
    assert orchestrate(empty, "new", "mine", "--pattern", "saga").exit_code == 2, "the command itself is"
    assert orchestrate(empty, "new", "mine", "--pattern", "saga", "--force").exit_code == 0


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "//x", "../x", "/../x", "a/b", "A", "ä", "a b", "a\n", "a\0", "-x", "x" * 65, ".", "..", "nul\u202e",
        "$(touch x)", "%s", "x.json", "/etc/passwd",
    ],
)  # fmt: skip
def test_a_hostile_name_is_refused_and_changes_nothing(empty: Path, name: str) -> None:
    refused = orchestrate(empty, "new", "--json", "--", name)
    assert (refused.exit_code, answer(refused)["error"]["code"]) == (2, "INVALID_NAME")
    assert printable(refused.stderr) == refused.stderr
    assert contents(empty) == {}


def test_a_near_name_is_proposed(empty: Path) -> None:
    assert 'For example "my-first-command".' in orchestrate(empty, "new", "My First_Command!").stderr
    assert 'For example "ubersicht-2".' in orchestrate(empty, "new", "Übersicht ②").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("new",),
        ("new", "mine", "--list"),
        ("new", "--list", "--force"),
        ("new", "--list", "--keep"),
        ("new", "mine", "--force", "--keep"),
        ("new", "mine", "--pattern", "saga", "--from", "patterns/saga"),
    ],
)
def test_words_that_make_no_sense_together_are_refused(empty: Path, words: tuple[str, ...]) -> None:
    assert orchestrate(empty, *words).exit_code == 2
    assert contents(empty) == {}


@pytest.mark.parametrize("name", ["gallery/nothing", "../patterns/saga", "patterns", "", "/etc", "sagaa"])
def test_an_unknown_template_is_refused(empty: Path, name: str) -> None:
    refused = orchestrate(empty, "new", "mine", "--from", name)
    assert (refused.exit_code, "TEMPLATE_NOT_FOUND" in refused.stderr) == (2, True)
    assert "orchestrate new --list" in refused.stderr
    assert contents(empty) == {}


def test_the_nearest_template_is_proposed(empty: Path) -> None:
    for name in ("sagaa", "patterns/sagaa", "gallery/sagaa"):
        assert 'Did you mean "patterns/saga"?' in orchestrate(empty, "new", "mine", "--from", name).stderr


@pytest.mark.parametrize("name", ["/etc/passwd", "gallery/nope", "patterns/nope"])
def test_nothing_is_proposed_where_only_the_kind_of_template_is_alike(empty: Path, name: str) -> None:
    assert "Did you mean" not in orchestrate(empty, "new", "mine", "--from", name).stderr


def test_the_list_is_one_row_a_template(empty: Path) -> None:
    listed = answer(orchestrate(empty, "new", "--list", "--json"))["templates"]
    assert [one["name"] for one in listed] == [one.name for one in ALL]
    rows = orchestrate(empty, "new", "--list").stdout.splitlines()
    assert [row.split()[0] for row in rows] == [one.name for one in ALL]


@pytest.mark.parametrize("place", [".claude", ".claude/commands", ".claude/agents"])
def test_a_folder_behind_a_link_is_left_alone(empty: Path, place: str) -> None:
    outside = empty.parent / "shared"
    outside.mkdir()
    link = empty / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    refused = orchestrate(empty, "new", "mine", "--force")
    assert refused.exit_code == 2
    assert "PATH_OUTSIDE_PROJECT" in refused.stderr
    assert list(outside.iterdir()) == []


def test_a_file_that_is_a_link_is_not_followed(empty: Path) -> None:
    target = put(empty / "target.txt", "precious")
    link = empty / ".claude/commands/v2/mine.yaml"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    assert orchestrate(empty, "new", "mine").exit_code == 2
    assert orchestrate(empty, "new", "mine", "--force").exit_code == 0
    assert target.read_text(encoding="utf-8") == "precious"
    assert not link.is_symlink()


@pytest.mark.parametrize("force", [False, True])
def test_what_cannot_be_written_whole_is_not_written_at_all(empty: Path, *, force: bool) -> None:
    (empty / ".claude/agents").mkdir(parents=True)
    put(empty / ".claude/programs", "a file in the place of a folder")
    before = contents(empty)
    refused = orchestrate(empty, "new", "mine", *(["--force"] if force else []))
    assert (refused.exit_code, "FILE_UNWRITABLE" in refused.stderr) == (2, True)
    assert contents(empty) == before
    assert not (empty / ".claude/commands").exists()


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_replaced(empty: Path) -> None:
    orchestrate(empty, "new", "mine")
    put(empty / ".claude/commands/v2/mine.yaml", "changed")
    program = empty / ".claude/programs/pipeline/steps.py"
    program.unlink()
    program.mkdir()
    before = contents(empty)
    refused = orchestrate(empty, "new", "mine", "--force")
    assert (refused.exit_code, "FILE_UNWRITABLE" in refused.stderr) == (2, True)
    assert contents(empty) == before


@pytest.mark.processes
def test_a_read_only_project_is_reported_and_left_as_it_is(empty: Path) -> None:
    with read_only(empty) as words:
        refused = subprocess.run(
            [*words, ORCHESTRATE, "--project", str(empty), "new", "mine"],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
        )
    assert (refused.returncode, "FILE_UNWRITABLE" in refused.stderr) == (2, True)
    assert contents(empty) == {}


@pytest.mark.processes
def test_two_that_write_one_command_at_once_do_not_mix(empty: Path) -> None:
    program = [ORCHESTRATE, "--project", str(empty), "new", "mine", "--pattern"]
    running = [
        subprocess.Popen([*program, pattern], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for pattern in ("saga", "fan-out")
    ]
    codes = [(one.wait(timeout=50), (one.stderr and one.stderr.read()) or "") for one in running]
    assert sorted(code for code, _ in codes) == [0, 2], codes
    assert any("FILE_EXISTS" in text or "NAME_TAKEN" in text for _, text in codes)
    assert answer(orchestrate(empty, "validate", "/mine", "--json"))["valid"]
    for one in running:
        assert one.stderr is not None
        one.stderr.close()
