from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import InputError, NotFound
from registry import commands as commands_module
from registry.commands import CommandIndex, CommandSource, CommandSummary
from registry.files import listed
from registry.files.paths import inside, shown

PROSE = "# Fix the bug\n\nLook at $ARGUMENTS and fix it.\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / ".claude" / "commands" / "v2").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".claude" / "commands" / "v2").mkdir(parents=True)
    return tmp_path / "home"


def definition(name: str, description: str = "Says hello") -> dict[str, object]:
    node = {"id": "greet", "agentId": "claude", "task": "Say hello"}
    return {
        "version": "2.0.0",
        "name": name,
        "description": description,
        "phases": [{"id": "greeting", "name": "Greeting", "agents": [node]}],
    }


def write(root: Path, name: str, *, file: str | None = None, description: str = "Says hello") -> Path:
    path = root / ".claude" / "commands" / (file or f"v2/{name[1:]}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(definition(name, description)), encoding="utf-8")
    return path


def index(project: Path, home: Path | None = None, packaged: Path | None = None) -> CommandIndex:
    return CommandIndex(project, home=home, packaged=packaged)


def by_name(commands: CommandIndex) -> dict[str, list[CommandSummary]]:
    found: dict[str, list[CommandSummary]] = {}
    for summary in commands.list():
        found.setdefault(summary.name, []).append(summary)
    return found


def test_a_file_that_looks_like_the_command_is_named(project: Path) -> None:
    write(project, "/other", file="v2/mine.json")
    write(project, "slashless", file="v2/slashless.json")
    write(project, "/stray", file="stray.json")
    write(project, "/away", file="../away.json")
    said = {"/mine": 'mine.json has the name "/other". ', "/slashless": 'slashless.json has the name "slashless". '}
    said |= {"/stray": "stray.json is in .claude/commands; move it to .claude/commands/v2. ", "/../away": ""}
    for name, sentence in said.items():
        with pytest.raises(NotFound) as caught:
            index(project).find(name)
        assert caught.value.hint == f"{sentence}Commands here: /other."


def test_commands_are_found_by_the_name_inside_the_file(project: Path) -> None:
    path = write(project, "/hello", file="v2/deep/er/other.json")
    assert index(project).find("/hello") == path
    with pytest.raises(NotFound):
        index(project).find("/other")


def test_a_summary_tells_what_a_list_shows(project: Path) -> None:
    path = write(project, "/hello")
    raw = json.loads(path.read_text())
    raw |= {"metadata": {"deprecated": True}, "arguments": [{"name": "who"}]}
    path.write_text(json.dumps(raw))
    (summary,) = index(project).list()
    assert (summary.name, summary.description, summary.path) == ("/hello", "Says hello", path)
    assert (summary.source, summary.format, summary.deprecated) == (CommandSource.PROJECT, "json", True)
    assert summary.arguments == ("who",)


def test_the_project_wins_over_the_user_over_the_packaged_and_the_shadowed_are_told(
    project: Path, home: Path, tmp_path: Path
) -> None:
    packaged = tmp_path / "packaged"
    packaged.mkdir()
    (packaged / "hello.json").write_text(json.dumps(definition("/hello")))
    (packaged / "only.json").write_text(json.dumps(definition("/only")))
    mine, users = write(project, "/hello"), write(home, "/hello")
    commands = index(project, home, packaged)
    found = by_name(commands)
    assert [(one.source, one.shadowed_by) for one in found["/hello"]] == [
        (CommandSource.PROJECT, None),
        (CommandSource.USER, mine),
        (CommandSource.PACKAGED, mine),
    ]
    assert commands.find("/hello") == mine
    mine.unlink()
    assert commands.find("/hello") == users
    assert commands.find("/only") == packaged / "only.json"


def test_v2_wins_over_v1_of_one_name(project: Path) -> None:
    v1 = project / ".claude" / "commands" / "hello.md"
    v1.write_text("# /hello\n\nSays hello.\n\n1. claude - Say hello (1 min)\n")
    commands = index(project)
    assert commands.find("/hello") == v1
    v2 = write(project, "/hello")
    assert commands.find("/hello") == v2
    assert {one.path: one.shadowed_by for one in commands.list()} == {v2: None, v1: v2}


def test_of_two_files_with_one_name_the_one_named_so_wins(project: Path) -> None:
    write(project, "/hello", file="v2/a.json")
    named = write(project, "/hello")
    assert index(project).find("/hello") == named


def test_a_broken_file_hides_no_other_and_is_listed_with_its_problem(project: Path) -> None:
    write(project, "/hello")
    broken = project / ".claude" / "commands" / "v2" / "broken.json"
    broken.write_text("{")
    found = by_name(index(project))
    assert found["/hello"][0].problem is None
    assert found["/broken"][0].problem is not None
    with pytest.raises(InputError) as caught:
        index(project).find("/broken")
    assert caught.value.code == "INVALID_JSON"


def test_a_broken_file_of_the_project_is_not_passed_over_for_a_packaged_one(project: Path, tmp_path: Path) -> None:
    (tmp_path / "packaged").mkdir()
    (tmp_path / "packaged" / "hello.json").write_text(json.dumps(definition("/hello")))
    (project / ".claude" / "commands" / "v2" / "hello.json").write_text("{")
    with pytest.raises(InputError):
        index(project, packaged=tmp_path / "packaged").find("/hello")


def test_prose_is_no_command_in_lists_and_one_clear_error_by_name(project: Path, home: Path) -> None:
    (project / ".claude" / "commands" / "fix.md").write_text(PROSE)
    commands = index(project, home)
    assert commands.list() == ()
    with pytest.raises(InputError, match="prose without numbered steps") as caught:
        commands.find("/fix")
    assert caught.value.code == "NOT_A_COMMAND"
    users = write(home, "/fix")
    assert commands.find("/fix") == users
    assert commands.list()[0].shadowed_by is None


def test_a_prompt_with_numbered_steps_is_no_command_in_lists(project: Path) -> None:
    prompt = project / ".claude" / "commands" / "commit.md"
    prompt.write_text("---\nallowed-tools: Bash\n---\nDo this:\n\n1. Look at the diff\n2. Write the message\n")
    commands = index(project)
    assert commands.list() == ()
    with pytest.raises(InputError, match="prompt of Claude Code"):
        commands.find("/commit")


def test_a_plain_file_with_steps_is_found_by_its_name_and_is_in_no_list(project: Path) -> None:
    plain = project / ".claude" / "commands" / "ship.md"
    plain.write_text("# Ship\n\n1. Run the tests\n2. Push the branch\n")
    commands = index(project)
    assert commands.list() == ()
    assert commands.find("/ship") == plain


def test_an_unknown_name_is_answered_with_the_nearest_and_how_to_list(project: Path) -> None:
    write(project, "/review-code")
    with pytest.raises(NotFound) as caught:
        index(project).resolve("/reveiw-code")
    assert caught.value.code == "COMMAND_NOT_FOUND"
    assert caught.value.hint is not None
    assert 'Did you mean "/review-code"?' in caught.value.hint
    assert "orchestration" not in caught.value.hint
    assert "orchestration://commands" in str(caught.value.client_hint)


def test_a_name_in_another_case_or_with_arguments_is_answered_with_the_right_one(project: Path) -> None:
    write(project, "/review-code")
    with pytest.raises(NotFound, match=r"COMMAND_NOT_FOUND.*\n.*/review-code"):
        index(project).resolve("/Review_Code")
    with pytest.raises(NotFound, match="pass the rest as arguments"):
        index(project).resolve("/review-code src/")


def test_an_empty_project_says_that_it_has_no_commands(project: Path) -> None:
    with pytest.raises(NotFound, match="none yet"):
        index(project).resolve("/hello")


def test_many_commands_are_not_all_named(project: Path) -> None:
    for number in range(20):
        write(project, f"/command-{number}")
    with pytest.raises(NotFound, match="and 8 more"):
        index(project).resolve("/zzz")


def test_paths_relative_and_absolute_resolve_inside_the_project(project: Path) -> None:
    path = write(project, "/hello")
    commands = index(project)
    assert commands.resolve(".claude/commands/v2/hello.json") == path
    assert commands.resolve(str(path)) == path
    assert commands.resolve("hello") == path


@pytest.mark.parametrize(
    "source", ["../secret.json", "/etc/passwd", "/etc/passwd.json", "a/../../secret.json", "link.json"]
)
def test_a_path_out_of_the_project_is_refused(project: Path, source: str) -> None:
    (project.parent / "secret.json").write_text("{}")
    (project / "link.json").symlink_to(project.parent / "secret.json")
    with pytest.raises(InputError) as caught:
        index(project).resolve(source)
    assert caught.value.code == "PATH_OUTSIDE_PROJECT"


def test_a_linked_file_in_the_command_folder_is_not_read_from_outside(project: Path) -> None:
    secret = project.parent / "secret.json"
    secret.write_text(json.dumps(definition("/secret")))
    (project / ".claude" / "commands" / "v2" / "x.json").symlink_to(secret)
    (summary,) = index(project).list()
    assert summary.problem is not None
    assert summary.problem.code == "PATH_OUTSIDE_PROJECT"
    assert summary.description == ""


@pytest.mark.parametrize(
    ("source", "code"), [("", "INVALID_PATH"), ("a\0b", "INVALID_PATH"), ("x" * 5000, "INVALID_PATH")]
)
def test_what_is_no_path_is_refused(project: Path, source: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        index(project).resolve(source)
    assert caught.value.code == code


def test_a_link_in_a_circle_is_refused(project: Path) -> None:
    (project / "circle.json").symlink_to(project / "circle.json")
    with pytest.raises(InputError) as caught:
        index(project).resolve("circle.json")
    assert caught.value.code in {"INVALID_PATH", "FILE_NOT_FOUND"}


def test_a_file_that_is_not_there_is_answered_with_the_command_that_may_be_meant(project: Path) -> None:
    write(project, "/hello")
    with pytest.raises(NotFound, match='Did you mean "/hello"'):
        index(project).resolve("commands/helo.json")
    with pytest.raises(NotFound, match="Name a path in the project"):
        index(project).resolve("qqqqqq/wwww.json")


def test_only_command_files_are_read(project: Path) -> None:
    (project / ".env").write_text("TOKEN=1")
    with pytest.raises(InputError) as caught:
        index(project).read(project / ".env")
    assert caught.value.code == "UNSUPPORTED_FILE"


def test_an_unchanged_file_is_parsed_once(project: Path) -> None:
    path = write(project, "/hello")
    commands = index(project)
    first = commands.read(path)
    assert commands.read(path) is first
    path.touch()
    commands.list()
    assert commands.read(path) is first
    path.write_text(json.dumps(definition("/hello", "Anew")))
    assert commands.read(path).raw["description"] == "Anew"
    assert [one.description for one in commands.list()] == ["Anew"]


def test_a_remembered_error_is_raised_anew_each_time(project: Path) -> None:
    path = project / "x.json"
    path.write_text("{")
    commands = index(project)
    errors = []
    for _ in range(2):
        with pytest.raises(InputError) as caught:
            commands.read(path)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert str(errors[0]) == str(errors[1])


def test_the_signature_changes_with_the_files(project: Path) -> None:
    commands = index(project)
    before = commands.signature()
    path = write(project, "/hello")
    between = commands.signature()
    assert between == commands.signature()
    path.unlink()
    assert before == commands.signature() != between


def test_a_home_that_is_the_project_is_not_listed_twice(project: Path) -> None:
    write(project, "/hello")
    assert len(index(project, home=project).list()) == 1


@pytest.mark.parametrize(
    "raw", [{"phases": [{}] * 2001}, {"phases": [{"agents": [{}] * 20_001}]}, {f"a{n}": n for n in range(1001)}]
)
def test_a_command_of_absurd_size_is_refused_before_its_problems_are_listed(
    project: Path, raw: dict[str, object]
) -> None:
    (project / "x.json").write_text(json.dumps(raw))
    with pytest.raises(InputError) as caught:
        index(project).read(project / "x.json")
    assert caught.value.code == "TOO_LARGE"


def test_paths_are_shown_relative_where_they_lie_in_the_project(project: Path) -> None:
    assert shown(project, project / "a" / "b.json") == "a/b.json"
    assert shown(project, Path("/elsewhere/b.json")) == "/elsewhere/b.json"
    assert inside(project, "a/b.json") == project / "a" / "b.json"


def test_a_link_to_nothing_is_listed_with_its_problem(project: Path) -> None:
    (project / ".claude" / "commands" / "v2" / "gone.json").symlink_to(project / "nothing.json")
    (summary,) = index(project).list()
    assert summary.problem is not None
    assert summary.problem.code == "FILE_NOT_FOUND"


def test_a_folder_with_far_too_many_files_is_not_read_to_its_end(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listed, "MAX_FILES", 2)
    for number in range(3):
        write(project, f"/command-{number}")
        write(project, f"/other-{number}", file=f"v2/deep/other-{number}.json")
    assert len(index(project).list()) == 2


def test_a_command_whose_name_has_capitals_is_told_that_names_are_lower_case(project: Path) -> None:
    write(project, "/createPR")
    write(project, "/review-code")
    with pytest.raises(NotFound, match="use lower-case letters, digits and - only") as caught:
        index(project).resolve("/createPR")
    assert caught.value.hint == 'Write "name": "/createpr" in the file.'
    with pytest.raises(NotFound) as other:
        index(project).resolve("/nothing")
    assert "/createPR" not in str(other.value.hint)


def test_a_command_is_found_by_name_without_converting_the_others(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {name: write(project, name) for name in ("/one", "/two", "/three")}
    read: list[str] = []
    parse = commands_module._parse

    def note(data: bytes, path: Path, root: Path) -> commands_module.Parsed:
        read.append(path.name)
        return parse(data, path, root)

    monkeypatch.setattr(commands_module, "_parse", note)
    commands = index(project)
    assert commands.find("/two") == paths["/two"]
    assert commands.twins(paths["/two"]) == ()
    assert read == ["two.json"]
    commands.signature()
    assert read == ["two.json"]
    paths["/three"].write_text(json.dumps(definition("/two", "Another")), encoding="utf-8")
    assert commands.twins(paths["/two"]) == (paths["/three"],)
    assert read == ["two.json", "three.json"]


def test_a_command_is_found_by_name_as_in_the_list_of_all(project: Path, home: Path, tmp_path: Path) -> None:
    """Whatever makes the name of a file another one than its text says."""
    write(project, "/plain")
    write(project, "/plain", file="v2/other.json")
    write(project, "Older Name", file="v2/older.json")
    write(project, "/yaml", file="v2/a.yaml")
    write(home, "/plain")
    write(home, "/home-only", file="v2/plain.json")
    folder = project / ".claude" / "commands" / "v2"
    (folder / "broken.json").write_text('{"name": "/broken"', encoding="utf-8")
    (folder / "list.json").write_text("[]", encoding="utf-8")
    (folder / "nameless.json").write_text("{}", encoding="utf-8")
    (folder / "upper.JSON").write_text(json.dumps(definition("/upper-case")), encoding="utf-8")
    huge = {**definition("/too-large"), **{f"field-{number}": 1 for number in range(commands_module.MAX_FIELDS + 1)}}
    (folder / "huge.json").write_text(json.dumps(huge), encoding="utf-8")
    outside = write(tmp_path / "elsewhere", "/outside")
    (folder / "linked.json").symlink_to(outside)
    (folder / "near.json").symlink_to(folder / "plain.json")
    (folder / "gone.json").symlink_to(folder / "missing.json")
    listed_ = index(project, home)
    names = {summary.name for summary in listed_._all()} | {"/too-large", "/outside", "/broken", "/nothing", "/upper"}
    for name in names:
        found = [summary for summary in listed_._all() if summary.name == name]
        chosen = min(found, key=lambda one: (one.prompt, one._order), default=None)
        commands = index(project, home)
        for _ in range(2):  # the second time from memory
            if chosen is None or chosen.problem is not None:
                with pytest.raises(InputError) as error:
                    commands.find(name)
                assert chosen is None or error.value.code == chosen.problem.code  # type: ignore[union-attr]
            else:
                assert commands.find(name) == chosen.path


def test_a_folder_that_leads_out_of_the_project_is_not_read_for_names(project: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "/outside")
    folder = project / ".claude" / "commands" / "v2"
    folder.rmdir()
    folder.symlink_to(tmp_path / "elsewhere" / ".claude" / "commands" / "v2")
    with pytest.raises(InputError):
        index(project).find("/outside")
