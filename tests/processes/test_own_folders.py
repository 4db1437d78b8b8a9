"""A project may call its own folders `engine`, `registry` or `json`: none of our processes imports from there."""

from __future__ import annotations

import ast
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from engine.executors.subprocesses.wardens import python_flags
from tests.interaction.projects import call, ended
from tests.support.repositories import git, make_repository
from tests.support.trust import trust_all
from tests.support.wheel import build_wheel, install

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
SECONDS = 50
OURS = ("engine", "registry", "mcp_server")
OTHERS = ("json", "asyncio", "re", "traceback", "msgspec", "pydantic", "lizard", "ruff")
"""Names of Python's own modules, and of packages that we use."""
FUNCTIONS = """
async def greet(request):
    return {"outputs": {"greeting": "hello"}}

def fail(request):
    raise ValueError("no voice")

def own(request):
    from engine import VOICE
    return {"outputs": {"greeting": VOICE}}
"""
PROGRAM = """
import asyncio
from engine import OrchestrationEngine

async def main():
    print((await OrchestrationEngine().execute("/greet")).status)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs that are installed with the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    return install(build_wheel(folder), folder / "environment").parent


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """Where each of the project's own folders notes that it was imported."""
    return tmp_path / "imported"


@pytest.fixture
def project(tmp_path: Path, imported: Path) -> Path:
    root = tmp_path / "project"
    for name in OURS + OTHERS:
        (root / name).mkdir(parents=True)
        note = f"with open({str(imported)!r}, 'a') as notes:\n    notes.write({name!r} + '\\n')\nVOICE = 'loud'\n"
        (root / name / "__init__.py").write_text(note, encoding="utf-8")
    (root / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    (root / "program.py").write_text(PROGRAM, encoding="utf-8")
    for name, outputs in (("greet", ["greeting"]), ("fail", []), ("own", ["greeting"])):
        write_command(root, name, outputs)
    trust_all(root, tmp_path / "home")
    return root


def write_command(root: Path, name: str, outputs: list[str]) -> None:
    """The command /NAME, whose one agent is the function of that name."""
    agents, commands = root / ".claude" / "agents", root / ".claude" / "commands" / "v2"
    for folder in (agents, commands):
        folder.mkdir(parents=True, exist_ok=True)
    head = f"---\nname: {name}\ndescription: Works\nexecutor: python\ncallable: functions:{name}\n---\n"
    (agents / f"{name}.md").write_text(head, encoding="utf-8")
    context = {"outputs": [{"key": key} for key in outputs]}
    phase = {"id": "work", "name": "Work", "agents": [{"id": name, "agentId": name, "task": name, "context": context}]}
    definition = {"version": "2.0.0", "name": f"/{name}", "description": "Works", "phases": [phase]}
    (commands / f"{name}.json").write_text(json.dumps(definition), encoding="utf-8")


def environment(project: Path) -> dict[str, str]:
    home = project.parent / "home"
    return {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}


def imports(imported: Path) -> list[str]:
    return imported.read_text(encoding="utf-8").split() if imported.exists() else []


def run(project: Path, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    """*argv* in the root of *project*, as its user types it."""
    words = [str(word) for word in argv]
    options: dict[str, Any] = {"cwd": project, "env": environment(project), "timeout": SECONDS}
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options)


async def test_commands_functions_and_runs_in_the_background_import_what_is_ours(
    project: Path, programs: Path, imported: Path
) -> None:
    greeted = run(project, programs / "orchestrate", "run", "/greet")
    assert "hello" in greeted.stdout, greeted.stderr
    failed = run(project, programs / "orchestrate", "run", "/fail")
    assert "VALUE_ERROR: no voice" in failed.stdout, failed.stderr
    given = StdioServerParameters(
        command=str(programs / "orchestration-mcp"), args=[], env=environment(project), cwd=project
    )
    async with Client(stdio_client(given), read_timeout_seconds=SECONDS) as client:
        run_id = (await call(client, "run", command="/greet", detach=True))["runId"]
        done = await ended(client)
    assert (done["runId"], done["state"]) == (run_id, "completed")
    assert imports(imported) == []


def test_the_agents_that_come_along_import_what_is_ours(project: Path, programs: Path, imported: Path) -> None:
    make_repository(project)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=All")
    reviewed = run(project, programs / "orchestrate", "run", "/review-repo")
    assert "# Repository review" in reviewed.stdout, reviewed.stderr
    assert imports(imported) == []


def test_a_function_of_the_project_imports_what_is_the_projects(project: Path, programs: Path, imported: Path) -> None:
    assert "loud" in run(project, programs / "orchestrate", "run", "/own").stdout
    assert imports(imported) == ["engine"]


def test_a_program_beside_such_folders_is_run_with_safe_path(project: Path, programs: Path, imported: Path) -> None:
    shadowed = run(project, programs / "python", "program.py")
    assert "ImportError: cannot import name 'OrchestrationEngine' from 'engine'" in shadowed.stderr
    imported.unlink()
    assert run(project, programs / "python", "-P", "program.py").stdout == "completed\n"
    assert imports(imported) == []


def test_the_server_as_a_module_is_run_with_safe_path(project: Path, programs: Path, imported: Path) -> None:
    assert run(project, programs / "python", "-P", "-m", "mcp_server").returncode == 0
    assert imports(imported) == []


def starts_of_python(path: Path) -> list[ast.List]:
    """The argument lists in *path* that begin with the Python that runs us."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.List) and node.elts]
    return [found for found in lists if ast.unparse(found.elts[0]) == "sys.executable"]


def test_every_python_that_we_start_leaves_the_working_directory_out() -> None:
    found = {path: starts_of_python(path) for room in OURS for path in sorted((ROOT / room).rglob("*.py"))}
    starts = [(path.name, ast.unparse(start.elts[1])) for path, lists in found.items() for start in lists]
    assert {name for name, _ in starts} == {"background.py", "python.py", "wardens.py", "lizard.py"}
    assert [(name, option) for name, option in starts if option not in {"'-P'", "'-I'", "*python_flags(role)"}] == []


@pytest.mark.parametrize("role", ["adopts", "releases", "calls"])
def test_a_zygote_of_each_kind_leaves_the_working_directory_out(role: str) -> None:
    assert {"-P", "-I"} & set(python_flags(role))
