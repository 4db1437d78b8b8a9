"""Each trap: something that changes a list of the project, and so must change its key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_server.door import keys
from mcp_server.door.keys import FILES_OF_A_PROJECT, FILES_OF_THE_USER, LIBRARY, MAX_FILES, program_key, project_key
from mcp_server.project import project as project_module
from mcp_server.project.grants import trust_file
from mcp_server.project.root import PROJECT_VARIABLE, SESSION_VARIABLE, find_root
from mcp_server.project.settings import SETTINGS_FILE
from tests.support.door.installation import small_project, write_command

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user in a project."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (*keys.VARIABLES, LIBRARY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(small_project(tmp_path / "work" / "project"))
    return home


def test_the_places_are_those_of_the_project(user: Path) -> None:
    assert (SETTINGS_FILE,) == FILES_OF_A_PROJECT
    assert [user / ".config" / name for name in FILES_OF_THE_USER] == [trust_file()]
    assert project_module.LIBRARY == LIBRARY
    assert {PROJECT_VARIABLE, SESSION_VARIABLE} <= keys.VARIABLES


COMMANDS = Path(".claude/commands")


def change_in_place() -> None:
    file = COMMANDS / "v2" / "hello.json"
    status = file.stat()
    file.write_text(file.read_text().replace("Says hello", "Says hallo"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def link_folder(home: Path) -> None:
    COMMANDS.rename(home / "commands")
    COMMANDS.symlink_to(home / "commands")


def answer(home: Path) -> None:
    trust_file(home).parent.mkdir(parents=True)
    trust_file(home).write_text("{}")


def link_command(_: Path) -> None:
    (COMMANDS / "v2" / "link.json").symlink_to("hello.json")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new command": lambda _: write_command(Path(), "second"),
    "a new command of an older format": lambda _: (COMMANDS / "old.md").write_text("# Old"),
    "a new command in a folder": lambda _: small_project(COMMANDS / "v2" / "deep"),
    "a changed command of the same size and time": lambda _: change_in_place(),
    "a removed command": lambda _: (COMMANDS / "v2" / "hello.json").unlink(),
    "a renamed command": lambda _: (COMMANDS / "v2" / "hello.json").rename(COMMANDS / "v2" / "hallo.json"),
    "a command that cannot be read any more": lambda _: (COMMANDS / "v2" / "hello.json").chmod(0),
    "a linked command": link_command,
    "settings": lambda _: Path(SETTINGS_FILE).write_text("unknown = 1\n"),
    "a project below": lambda _: Path(".claude").rename(".claude-before"),
    "no repository": lambda _: Path(".git").rmdir(),
    "a folder that is a link now": link_folder,
    "an answer about trust": answer,
    "a command of the user": lambda home: write_command(small_project(home), "mine"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_key_changes_with(change: str, user: Path) -> None:
    before = project_key(None)
    assert before is not None
    assert project_key(None) == before
    CHANGES[change](user)
    assert project_key(None) != before


@pytest.mark.parametrize(
    "variable",
    ["HOME", "CLAUDE_PROJECT_DIR", "CLAUDECODE", "XDG_CONFIG_HOME", "ORCHESTRATION_X", "orchestration_x", LIBRARY],
)
def test_the_key_changes_with_the_variable(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project_key(None)
    monkeypatch.setenv(variable, str(tmp_path))
    assert project_key(None) not in {before, None}


def test_the_key_does_not_change_with_other_variables_and_files(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = project_key(None)
    monkeypatch.setenv("CLAUDE_CODE_SESSION", "1")
    Path("README.md").write_text("x")
    (user / "notes").write_text("x")
    (user / ".config" / "orchestration-mcp").mkdir(parents=True)
    (user / ".config" / "orchestration-mcp" / "state.json").write_text("{}")
    assert project_key(None) == before


def test_the_files_of_every_root_that_may_be_found_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, named, session = (small_project(tmp_path / name) for name in ("library", "named", "session"))
    monkeypatch.setenv(LIBRARY, str(library))
    monkeypatch.setenv(PROJECT_VARIABLE, str(session))
    seen = {project_key(str(named))}
    for root in (library, named, session, Path()):
        write_command(root, "second")
        seen.add(project_key(str(named)))
    assert None not in seen
    assert len(seen) == 5


def test_a_linked_file_counts_as_its_target_does(user: Path) -> None:
    target, between = user / "target.json", user / "between.json"
    target.write_text("{}")
    between.symlink_to(target)
    (COMMANDS / "v2" / "link.json").symlink_to(between)
    seen = {project_key(None)}
    target.write_text("[]")
    seen.add(project_key(None))
    between.unlink()
    seen.add(project_key(None))
    between.symlink_to(COMMANDS.absolute() / "v2" / "hello.json")
    seen.add(project_key(None))
    assert len(seen) == 4


def test_files_behind_a_linked_folder_count(user: Path) -> None:
    target = small_project(user / "shared")
    (COMMANDS / "v2" / "hello.json").unlink()
    (COMMANDS / "v2").rmdir()
    (COMMANDS / "v2").symlink_to(target / ".claude" / "commands" / "v2")
    before = project_key(None)
    write_command(target, "second")
    assert project_key(None) != before


def test_a_folder_above_counts_until_one_is_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "work" / "project" / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    before = project_key(None)
    small_project(tmp_path / "elsewhere")
    assert project_key(None) == before
    (below.parent / ".claude").mkdir()
    assert find_root().root == below.parent
    assert project_key(None) != before


def test_there_is_no_key_where_a_look_does_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lone = tmp_path / "lone"
    (lone / ".claude" / "orchestration").mkdir(parents=True)
    monkeypatch.chdir(lone)
    assert project_key(None) is None, "only the user's own state makes it a project"
    (lone / ".claude" / "agents").mkdir()
    assert project_key(None) is not None
    monkeypatch.setenv(LIBRARY, "relative")
    assert project_key(None) is None
    monkeypatch.delenv(LIBRARY)
    folder = lone / ".claude" / "commands"
    folder.mkdir()
    for number in range(MAX_FILES + 1):
        (folder / f"{number}.md").touch()
    assert project_key(None) is None


def test_there_is_no_key_without_a_folder_to_be_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert project_key(None) is None
    assert project_key(str(tmp_path / "absent")) is None


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the same packages, with one file each."""
    base, packages = tmp_path / "base", tmp_path / "lib" / "site-packages"
    for package in keys.PACKAGES:
        (base / package / "__pycache__").mkdir(parents=True)
        (base / package / "module.py").write_text("")
    (packages / "mcp-2.3.0.dist-info").mkdir(parents=True)
    (base / "mcp_server" / "door").mkdir()
    monkeypatch.setattr(keys, "__file__", str(base / "mcp_server" / "door" / "keys.py"))
    monkeypatch.setattr(sys, "path", [str(packages)])
    return base


def test_the_key_of_the_program_changes_with_its_code_and_its_libraries(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = Path(sys.path[0])
    changes: list[Callable[[], object]] = [
        *(lambda package=package: (program / package / "module.py").write_text("1") for package in keys.PACKAGES),
        lambda: (program / "registry" / "data.json").write_text("{}"),
        lambda: (packages / "mcp-2.3.0.dist-info").rename(packages / "mcp-2.4.0.dist-info"),
        lambda: (packages / "more.pth").write_text("/elsewhere"),
        lambda: monkeypatch.setattr(sys, "version", "another"),
        lambda: monkeypatch.setattr(sys, "path", [*sys.path, "/elsewhere"]),
    ]
    seen = {program_key()}
    assert {program_key()} == seen
    for change in changes:
        change()
        seen.add(program_key())
    assert len(seen) == len(changes) + 1


def test_the_key_of_the_program_does_not_change_with_its_bytecode(program: Path) -> None:
    before = program_key()
    (program / "engine" / "__pycache__" / "module.pyc").write_text("x")
    assert program_key() == before


TRACE = """
import json, sys
touched = set()
def hook(event, arguments):
    if event in {"open", "os.scandir", "os.listdir"} and arguments and isinstance(arguments[0], str):
        touched.add(arguments[0])
from mcp_server.project import root
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from mcp_server.protocol.contents import runnable
sys.addaudithook(hook)
class Project:
    pass
found = root.find_root().root
project = Project()
project.catalog = open_catalog(found, load_settings(found))
names = [one.name for one in runnable(project)]
print(json.dumps([names, sorted(touched)]))
"""


def test_every_file_that_is_read_for_a_list_counts(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = small_project(tmp_path / "library", "booked")
    monkeypatch.setenv(LIBRARY, str(library))
    write_command(small_project(user), "mine")
    shared = small_project(tmp_path / "shared", "shared")
    (COMMANDS / "v2" / "hello.json").rename(shared / ".claude" / "commands" / "v2" / "hello.json")
    (COMMANDS / "v2").rmdir()
    (COMMANDS / "v2").symlink_to(shared / ".claude" / "commands" / "v2")
    (COMMANDS / "old.md").write_text("# Old\\n\\n1. Do it\\n")
    Path(SETTINGS_FILE).write_text("max_parallelism = 2\n")
    trust_file().parent.mkdir(parents=True)
    trust_file().write_text("{}")
    told = subprocess.run(
        [sys.executable, "-c", TRACE],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
        env={**os.environ, "PYTHONPATH": str(Path(keys.__file__).parents[2])},
    ).stdout
    names, touched = json.loads(told)
    assert {"/mine", "/booked"} <= {*names}
    inside = [Path(path) for path in touched if Path(path).absolute().is_relative_to(tmp_path)]
    assert len(inside) > 6
    for path in inside:
        before = project_key(None)
        if path.is_dir():
            (path / "another.md").write_text("x")
            (path / "another.json").write_text("x")
        else:
            path.write_bytes(path.read_bytes() + b" ")
        assert project_key(None) != before, path
