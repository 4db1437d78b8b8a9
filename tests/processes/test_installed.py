"""What is installed from a clone, a git address or a wheel works alone: without the files of the clone."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from mcp import Client, StdioServerParameters

from registry.templates import TEMPLATES
from tests.support.definitions import command, node, phase
from tests.support.uv import uv_folder
from tests.support.wheel import build_wheel
from tests.support.wheelhouse import make_wheelhouse

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CLONE = "$HOME/orchestration-mcp"
ADDRESS = "git+https://git.example.com/you/orchestration-mcp"
"""How the README writes the folder of a clone, and the address of one."""
PACKAGED = ("pyproject.toml", "README.md", "LICENSE", "engine", "registry", "mcp_server")
ABSENT = {"ast-grep-cli", "lizard", "oxlint", "ruff", "zizmor"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheelhouse(tmp_path_factory.mktemp("packages") / "house")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, house: Path, wheel: Path) -> Path:
    """The folder of the programs in an environment that has the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    environment = folder / "environment"
    started(folder, house, "uv", "venv", "--python", sys.executable, str(environment))
    started(folder, house, "uv", "pip", "install", "--python", str(environment), str(wheel))
    return environment / "bin"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    folder = root / ".claude" / "commands" / "v2"
    folder.mkdir(parents=True)
    steps = phase("make", node("draft", agent="general-assistant"), node("check", "draft", agent="senior-reviewer"))
    (folder / "made.json").write_text(json.dumps(command(steps, name="/made")), encoding="utf-8")
    return root


def test_the_wheel_has_the_live_page_and_not_its_sources(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("mcp_server/live/")]
    assert "mcp_server/live/page.html" in names
    assert [name for name in names if "/web/" in name or name.endswith((".ts", ".tsx", ".mjs"))] == []


def test_the_wheel_has_every_template(wheel: Path) -> None:
    files = [path.relative_to(ROOT).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()]
    with ZipFile(wheel) as archive:
        assert {name for name in files if not name.endswith(".pyc")} <= set(archive.namelist())


def installing(folder: Path, house: Path) -> dict[str, str]:
    """The environment of an installer: packages come from *house*, and all that it writes goes below *folder*."""
    return {
        **outside(folder),
        "PATH": os.pathsep.join([str(uv_folder()), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "UV_CACHE_DIR": str(house.parent / "cache"),
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(house),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON": sys.executable,
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PIPX_DEFAULT_BACKEND": "uv",
        "PIPX_DEFAULT_PYTHON": sys.executable,
    }


def outside(folder: Path) -> dict[str, str]:
    """An environment that leads to no file of ours."""
    home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "XDG_STATE_HOME": str(folder / "state")}
    return {"PATH": os.environ["PATH"], **home}


def started(folder: Path, house: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """An installer that has done its work."""
    return ended(argv, cwd=folder, environment=installing(folder, house))


def ended(
    argv: tuple[str, ...], *, cwd: Path, environment: Mapping[str, str], code: int = 0
) -> subprocess.CompletedProcess[str]:
    """A program that has ended with *code*."""
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def orchestrate(programs: Path, project: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return ended((str(programs / "orchestrate"), *words), cwd=project, environment=outside(project.parent), code=code)


def lines_of_readme(*begin: str) -> list[str]:
    """The shell lines of the README that begin so."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(begin)]


@pytest.mark.parametrize("program", ["orchestrate", "orchestration-mcp"])
def test_the_version_is_one_line_and_loads_neither_command_line_nor_protocol(
    programs: Path, project: Path, program: str
) -> None:
    argv = (str(programs / "python"), "-X", "importtime", str(programs / program), "--version")
    done = ended(argv, cwd=project, environment=outside(project.parent))
    assert done.stdout == f"{program} {VERSION}\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {name for name in imported if name.partition(".")[0] in {"engine", "registry", "mcp", "typer"}} == set()
    ours = {name for name in imported if name.startswith("mcp_server")}
    assert ours == {"mcp_server", "mcp_server.entry", "mcp_server.version"}


def test_the_wheel_brings_its_commands_and_agents_and_no_tests(wheel: Path, programs: Path, project: Path) -> None:
    listed = ended(
        (sys.executable, "-m", "zipfile", "-l", str(wheel)), cwd=project, environment=outside(project)
    ).stdout
    assert "registry/packaged/commands/review-repo.json" in listed
    assert not [line for line in listed.splitlines() if line.startswith("tests/")]
    names = {agent["id"] for agent in json.loads(orchestrate(programs, project, "agents", "--json").stdout)["agents"]}
    assert {"general-assistant", "repo-code"} <= names


def test_a_command_file_is_checked_and_simulated_by_the_wheel_alone(programs: Path, project: Path) -> None:
    assert "/made is valid: 0 errors" in orchestrate(programs, project, "validate", "/made").stdout
    words = ("run", "/made", "--executor", "simulate", "--json")
    status = json.loads(orchestrate(programs, project, *words).stdout)
    assert (status["state"], [each["id"] for each in status["nodes"]]) == ("completed", ["draft", "check"])
    assert "/made" in orchestrate(programs, project, "runs").stdout


async def test_the_server_of_the_wheel_is_initialized_and_lists_its_tools(programs: Path, project: Path) -> None:
    server = StdioServerParameters(
        command=str(programs / "orchestration-mcp"), args=[], env=outside(project.parent), cwd=project
    )
    async with Client(server, mode="legacy", read_timeout_seconds=40) as client:
        assert client.server_info is not None
        assert client.server_info.version == VERSION
        assert {"run", "status", "validate"} <= {tool.name for tool in (await client.list_tools()).tools}


def test_a_review_without_its_scanners_starts_nothing_and_its_hint_installs_them(
    programs: Path, project: Path, house: Path, tmp_path: Path
) -> None:
    checked = json.loads(orchestrate(programs, project, "validate", "/review-repo", "--json", code=2).stdout)
    [problem] = checked["errors"]
    assert problem["code"] == "TOOL_MISSING"
    assert all(name in problem["message"] for name in ABSENT)
    refused = orchestrate(programs, project, "run", "/review-repo", code=2)
    assert "TOOL_MISSING" in refused.stderr
    assert json.loads(orchestrate(programs, project, "runs", "--json").stdout) == []
    [line] = re.findall(r"`(uv tool install [^`]+)`", problem["suggestion"])
    started(tmp_path, house, *shlex.split(line))
    assert "/review-repo is valid" in orchestrate(tmp_path / "bin", project, "validate", "/review-repo").stdout


@pytest.mark.parametrize("line", lines_of_readme("uv tool install", "pipx install"))
def test_a_line_of_the_readme_installs_the_programs_from_a_clone(
    line: str, house: Path, project: Path, tmp_path: Path
) -> None:
    started(tmp_path, house, *shlex.split(line.replace(CLONE, str(ROOT))))
    assert orchestrate(tmp_path / "bin", project, "--version").stdout == f"orchestrate {VERSION}\n"
    assert "/review-repo is valid" in orchestrate(tmp_path / "bin", project, "validate", "/review-repo").stdout


def repository(folder: Path) -> Path:
    """A git repository of what a wheel is built from, as it is now."""
    root = folder / "repository"
    root.mkdir()
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard", "--", *PACKAGED],
        cwd=ROOT, capture_output=True, check=True, text=True, timeout=30,
    ).stdout  # fmt: skip
    for name in (name for name in listed.split("\0") if name and (ROOT / name).is_file()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, timeout=30)
    return root


@pytest.mark.parametrize("line", lines_of_readme("uvx --from"))
def test_a_line_of_the_readme_runs_the_program_without_installing_it(
    line: str, house: Path, project: Path, tmp_path: Path
) -> None:
    source = repository(tmp_path) if ADDRESS in line else ROOT
    words = shlex.split(line.replace(CLONE, str(source)).replace(ADDRESS, f"git+file://{source}"))
    validate = [*words[: words.index("orchestrate") + 1], "validate", "/review-repo"]
    done = ended(tuple(validate), cwd=project, environment=installing(tmp_path, house))
    assert "/review-repo is valid" in done.stdout


@pytest.mark.parametrize("line", [line for line in lines_of_readme("claude mcp add") if "/.ci/" not in line])
async def test_a_line_of_the_readme_registers_an_installed_server(
    line: str, programs: Path, house: Path, project: Path, tmp_path: Path
) -> None:
    words = shlex.split(line.partition(" -- ")[2].replace(CLONE, str(ROOT)))
    environment = installing(tmp_path, house)
    environment["PATH"] = os.pathsep.join([str(programs), environment["PATH"]])
    server = StdioServerParameters(command=words[0], args=words[1:], env=environment, cwd=project)
    async with Client(server, mode="legacy", read_timeout_seconds=50) as client:
        assert "run" in {tool.name for tool in (await client.list_tools()).tools}
