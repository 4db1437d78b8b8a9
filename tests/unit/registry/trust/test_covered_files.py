"""Which files of a project a command line can run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from engine.model.agent import Agent, AgentKind, AgentSource
from registry.trust.agents import agent_item
from registry.trust.covered_files import RUNNERS, Coverage
from registry.trust.digests import Digests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name in ("tools/check.py", "tools/lib/deep/mod.py", "tools/data.csv", "other/elsewhere.py", "bin/tool"):
        write(project / name, "x = 1\n")
    return project


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def covered(root: Path, *argv: str, env: dict[str, str] | None = None) -> set[str]:
    """Names of the covered files, and of the folders whose modules are covered."""
    found = Coverage(root)
    found.command(argv, env or {})
    digests = Digests(root)
    names = {digests.label(path) for path in found.files}
    return names | {digests.label(path, kind) for path, kind in found.modules}


def files(root: Path, *argv: str, env: dict[str, str] | None = None) -> Mapping[str, str]:
    agent = Agent(id="a", kind=AgentKind.PROCESS, command=argv, env=env or {})
    return agent_item(agent, root, Digests(root)).files


def asks_again(root: Path, path: str, *argv: str, env: dict[str, str] | None = None) -> bool:
    """Whether *path*, changed or new, is among what a yes to *argv* covers."""
    before = files(root, *argv, env=env)
    old = (root / path).read_text() if (root / path).exists() else ""
    write(root / path, f"{old}changed = True\n")
    return any(before.get(name) != digest for name, digest in files(root, *argv, env=env).items())


@pytest.mark.parametrize(
    "path",
    [
        "tools/check.py",
        "tools/lib/deep/mod.py",
        "tools/json.py",
        "tools/lib/new/package.py",
        "tools/extension.so",
        "tools/old.pyc",
        "tools/paths.pth",
    ],
)
def test_all_that_a_python_program_can_import_from_its_folder_is_covered(root: Path, path: str) -> None:
    assert asks_again(root, path, "python3", "tools/check.py")


@pytest.mark.parametrize(
    "path",
    [
        "tools/data.csv",
        "tools/notes.txt",
        "tools/__pycache__/check.cpython-311.pyc",
        "tools/not-a-package/mod.py",
        "tools/.hidden/mod.py",
        "other/elsewhere.py",
        "README.md",
    ],
)
def test_data_caches_and_what_cannot_be_imported_are_not_covered(root: Path, path: str) -> None:
    assert not asks_again(root, path, "python3", "tools/check.py")


def test_a_module_that_goes_asks_again(root: Path) -> None:
    before = files(root, "python3", "tools/check.py")
    (root / "tools/lib/deep/mod.py").unlink()
    assert files(root, "python3", "tools/check.py") != before


@pytest.mark.parametrize(
    "argv",
    [
        ("python3", "-m", "other.elsewhere"),
        ("{python}", "-m", "other"),
        ("python3.12", "-c", "import other"),
        ("python3", "-Ic", "import other"),
        ("sh", "-c", "cd . && python3 -m other.elsewhere"),
        ("uv", "run", "-m", "other"),
        ("pytest", "-q"),
        ("python3", "-m", "pytest"),
    ],
)
def test_python_that_looks_in_the_working_folder_covers_its_modules(root: Path, argv: tuple[str, ...]) -> None:
    assert asks_again(root, "other/elsewhere.py", *argv)


@pytest.mark.parametrize(("runner", "names"), RUNNERS.items())
def test_a_runner_covers_the_files_in_which_it_looks_for_what_to_run(
    root: Path, runner: str, names: tuple[str, ...]
) -> None:
    for name in names:
        assert asks_again(root, name, runner, "check")
        assert asks_again(root, name, "env", "A=1", f"/usr/bin/{runner}")
        assert asks_again(root, name, "sh", "-c", f"true && {runner} check")
    assert asks_again(root, f"web/{names[0]}", runner, "check") is names[0].endswith(".py"), "a module of the root"
    assert asks_again(root, f"tools/{names[0]}", runner, "-C", "tools")


def test_a_bare_name_is_covered_where_the_search_path_leads_into_the_project(root: Path) -> None:
    path = f"bin{os.pathsep}/usr/bin"
    assert not asks_again(root, "bin/tool", "tool")
    assert asks_again(root, "bin/tool", "tool", env={"PATH": path})
    assert asks_again(root, "bin/later", "later", env={"PATH": path})
    assert asks_again(root, "bin/tool", "env", "tool", env={"PATH": f"{root}/bin"})


def test_the_search_path_of_whoever_asks_counts_as_well(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert asks_again(root, "bin/tool", "tool")
    assert asks_again(root, "bin/tool", "tool", env={"PATH": "/opt:$PATH"})
    assert not asks_again(root, "bin/tool", "tool", env={"PATH": "/usr/bin"})


def test_an_interpreter_of_the_project_is_covered(root: Path) -> None:
    write(root / "run", "#!tools/interpreter -x\n")
    write(root / "tools/interpreter", "#!/usr/bin/env tool\n")
    assert {"run", "tools/interpreter"} <= covered(root, "./run")
    assert "bin/tool" in covered(root, "tool", env={"PATH": "bin"})
    write(root / "bin/tool", "#!/usr/bin/env python3\n")
    assert "bin/ (Python modules)" in covered(root, "bin/tool")


def test_the_search_path_of_a_first_line_is_that_of_the_agent(root: Path) -> None:
    write(root / "run", "#!/usr/bin/env tool\n")
    assert asks_again(root, "bin/tool", "./run", env={"PATH": "bin"})


def test_an_interpreter_that_runs_itself_comes_to_an_end(root: Path) -> None:
    write(root / "a", f"#!{root}/b\n")
    write(root / "b", f"#!{root}/a\n")
    assert {"a", "b"} <= covered(root, "./a")


def test_a_virtual_environment_in_the_project_is_covered_with_its_modules(root: Path) -> None:
    environment = root / ".venv"
    write(environment / "pyvenv.cfg", "home = /usr/bin\n")
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(sys.executable)
    script = write(environment / "bin" / "tool", f"#!{environment}/bin/python\n")
    packages = ".venv/lib/python3.11/site-packages"
    write(root / packages / "package-x" / "mod.py", "")
    for argv in ((".venv/bin/python", "-V"), (os.fspath(script),)):
        for path in (f"{packages}/new.py", f"{packages}/start.pth", f"{packages}/package-x/mod.py", ".venv/pyvenv.cfg"):
            (root / path).write_text("old")
            assert asks_again(root, path, *argv), path


@pytest.mark.parametrize(
    ("env", "path"),
    [
        ({"PYTHONPATH": "other"}, "other/elsewhere.py"),
        ({"PYTHONPATH": "/opt:$CLAUDE_PROJECT_DIR/other"}, "other/elsewhere.py"),
        ({"NODE_OPTIONS": "--require ./hook.js"}, "hook.js"),
        ({"NODE_OPTIONS": '--require="./hook.js"'}, "hook.js"),
        ({"BASH_ENV": "tools/start.sh"}, "tools/start.sh"),
        ({"LD_LIBRARY_PATH": "native"}, "native/libc.so"),
        ({"PYTHONHOME": "home"}, "home/lib/python3.11/os.py"),
        ({"PYTHONUSERBASE": "base"}, "base/lib/python3.11/site-packages/start.pth"),
        ({"CLASSPATH": "classes"}, "classes/own-part/Main.class"),
        ({"MAKEFILES": "rules/first.mk"}, "rules/first.mk"),
        ({"RUBYOPT": "-Iother -rhook"}, "other/hook.rb"),
        ({"PERL5OPT": "-I other"}, "other/Hook.pm"),
    ],
)
def test_code_that_a_variable_has_loaded_is_covered(root: Path, env: dict[str, str], path: str) -> None:
    write(root / path, "old")
    assert asks_again(root, path, "/usr/bin/true", env=env)


@pytest.mark.parametrize(
    ("argv", "path"),
    [
        (("node", "web/run.js"), "web/lib/helper.mjs"),
        (("node", "web/run.js"), "web/my-lib/index.js"),
        (("node", "web/run.js"), "web/node_modules/left-pad/index.js"),
        (("sh", "web/run.sh"), "web/conf.d/local.sh"),
        (("sh", "web/run.sh"), "web/common.sh"),
        (("ruby", "web/run.rb"), "web/lib.rb"),
        (("perl", "web/run.pl"), "web/Lib.pm"),
        (("sh", "-c", "exec web/run.sh --now"), "web/common.sh"),
        (("sh", "-c", '"$CLAUDE_PROJECT_DIR"/web/run.sh'), "web/run.sh"),
        (("${CLAUDE_PROJECT_DIR}/web/run.sh",), "web/run.sh"),
        (("tool", "--script=web/run.sh"), "web/run.sh"),
        (("tool", "--config", "web/any.toml"), "web/any.toml"),
    ],
)
def test_what_lies_beside_a_program_in_its_language_is_covered(root: Path, argv: tuple[str, ...], path: str) -> None:
    for name in ("run.js", "run.sh", "run.rb", "run.pl"):
        write(root / "web" / name, "1")
    assert asks_again(root, path, *argv)


@pytest.mark.parametrize(
    ("argv", "path"),
    [
        (("sh", "-c", "make -f rules/all.mk"), "rules/all.mk"),
        (("make", "-frules/all.mk"), "rules/all.mk"),
        (("sh", "-c", "make -C rules"), "rules/Makefile"),
        (("sh", "-c", "cd rules && make"), "rules/Makefile"),
        (("sh", "-c", "cd rules; ./start"), "rules/start"),
        (("env", "-C", "rules", "./start"), "rules/start"),
        (("sh", "-c", "bash rules/start"), "rules/start"),
        (("sh", "-c", "java -jar rules/app.jar"), "rules/app.jar"),
        (("node", "-r./rules/hook.js", "-e", "1"), "rules/hook.js"),
        (("ruby", "-Irules", "-rhook", "-e", "1"), "rules/hook.rb"),
        (("perl", "-I", "rules", "-MHook", "-e", "1"), "rules/Hook.pm"),
        (("env", "PYTHONPATH=rules", "python3", "tools/check.py"), "rules/mod.py"),
        (("sh", "-c", "PYTHONPATH='rules' python3 tools/check.py"), "rules/mod.py"),
        (("env", "PATH=rules:/usr/bin", "start"), "rules/start"),
        (("sh", "-c", "PATH=rules:$PATH start"), "rules/start"),
    ],
)
def test_what_runs_is_covered_however_the_command_line_says_it(root: Path, argv: tuple[str, ...], path: str) -> None:
    write(root / "rules" / "start", "").chmod(0o755)
    write(root / path, "old").chmod(0o755)
    assert asks_again(root, path, *argv)


def test_a_bare_name_in_a_shells_text_is_looked_for_as_any_other(root: Path) -> None:
    assert asks_again(root, "bin/tool", "sh", "-c", "tool --fast", env={"PATH": "bin:/usr/bin"})


def test_a_binary_that_a_variable_names_is_covered_whatever_it_is_called(root: Path) -> None:
    (root / "hook.bin").write_bytes(b"\x7fELF\0")
    before = files(root, "/usr/bin/true", env={"LD_PRELOAD": "./hook.bin"})
    (root / "hook.bin").write_bytes(b"\x7fELF\1")
    assert files(root, "/usr/bin/true", env={"LD_PRELOAD": "./hook.bin"}) != before


def test_what_is_built_into_a_hidden_folder_is_not_covered(root: Path) -> None:
    write(root / "web/run.js", "1")
    assert not asks_again(root, "web/.next/page.js", "node", "web/run.js")


def test_a_command_line_of_too_many_folders_and_files_is_refused(root: Path) -> None:
    for number in range(120):
        (root / f"d{number}").mkdir()
    words = [*(f"d{number}" for number in range(120)), *(f"w{number}" for number in range(1000))]
    with pytest.raises(InputError, match='agent "a": an approval would cover too many files') as caught:
        files(root, *words)
    assert caught.value.code == "TRUST_TOO_LARGE"


@pytest.mark.parametrize(
    "argv",
    [
        ("tool", "-o", "out.md"),
        ("tool", "--output", "out.md"),
        ("tool", "--output=out.md"),
        ("t", "x/out.log"),
        ("sh", "-c", "tool > out.md 2> x/out.log"),
    ],
)
def test_what_a_program_writes_is_not_covered(root: Path, argv: tuple[str, ...]) -> None:
    write(root / "out.md", "old")
    write(root / "x/out.log", "old")
    assert not asks_again(root, "out.md", *argv)
    assert not asks_again(root, "x/out.log", *argv)


def test_a_link_to_a_program_covers_the_folder_that_the_program_is_in(root: Path) -> None:
    (root / "link.py").symlink_to("tools/check.py")
    assert "tools/ (Python modules)" in covered(root, "python3", "link.py")


@pytest.mark.parametrize("word", ["", "\0", "x" * 10_000, "-", "..", "/", ".", "../..", "$", "${", "\udcff"])
def test_odd_words_cover_something_or_nothing_and_raise_nothing(root: Path, word: str) -> None:
    covered(root, word, word, env={"PATH": word, "PYTHONPATH": word, "X": word})


def test_a_function_of_the_project_covers_its_root_and_one_of_the_users_nothing(root: Path) -> None:
    def names(source: AgentSource) -> Mapping[str, str]:
        agent = Agent(id="a", kind=AgentKind.PYTHON, callable="other.elsewhere:f", source=source)
        return agent_item(agent, root, Digests(root)).files

    assert [*names(AgentSource.PROJECT)] == ["./ (Python modules)"]
    assert names(AgentSource.USER) == {}
