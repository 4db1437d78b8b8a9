"""The documented Python passes the type checkers that users have, against the package as installed from its wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import engine
import registry
from tests.docs.pages import PAGES, ROOT, Block, blocks
from tests.support.node_tools import node_tool
from tests.support.wheel import build_wheel, install, site_packages

MARK = "only_in_the_wheel"
"""A module of the installed package that the clone does not have."""
WRONG = f"""
from engine import AgentExecutor, CircuitBreaker, CommandDefinition, Node, OrchestrationEngine, Phase
from engine.{MARK} import HERE

two: int = HERE
engine = OrchestrationEngine(project=2)  # wrong
engine = OrchestrationEngine(on_node_start=lambda node: None)  # wrong
engine = OrchestrationEngine(on_node_complete=print, hook_timeout="5")  # wrong
engine.set_agent_executor(AgentExecutor)  # wrong
engine.set_agent_executor(None)  # wrong
engine.set_circuit_breaker("api", 5)  # wrong
engine.set_circuit_breaker("api", CircuitBreaker(failures=5))  # wrong
engine.register_condition("never", "false")  # wrong
definition = CommandDefinition(version="2.0.0", name="/a", description="A")  # wrong
definition = CommandDefinition(version="2.0.0", name="/a", description="A", phases=["one"])  # wrong
definition = CommandDefinition(version="1.0.0", name="/a", description="A", phases=[])  # wrong
phase = Phase(id="one", name="One", agents=[Node(id="a", agent="worker", task="Work")])  # wrong
definition.phases[0].agents[0].tsak  # wrong
from engine import Fase  # wrong
from registry import Loader  # wrong
"""
"""Beside the examples: lines that each checker has to refuse, so that silence means something."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel."""
    environment = tmp_path_factory.mktemp("types") / "environment"
    found = install(wheel, environment)
    (site_packages(environment) / "engine" / f"{MARK}.py").write_text("HERE = 2\n", encoding="utf-8")
    return found


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples: titled ones as files, the others of a page as one program that has their lines."""
    folder = tmp_path_factory.mktemp("examples")
    for page in [ROOT / "README.md", *PAGES]:
        found = [block for block in blocks(page) if block.language == "python"]
        loose = [block for block in found if not block.title]
        if loose:
            folder.joinpath(f"{module_name(page)}.py").write_text(as_program(loose), encoding="utf-8")
        for block in found:
            if block.title:
                name = f"{module_name(page)}_{block.title.replace('/', '_')}"
                folder.joinpath(name).write_text("\n" * block.line + block.text, encoding="utf-8")
    folder.joinpath("wrong.py").write_text(WRONG, encoding="utf-8")
    return folder


def module_name(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_").replace("-", "_")


def as_program(found: list[Block]) -> str:
    """*found*, which may await, as a function; each line where it stands on the page."""
    lines = ["async def page() -> None:"]
    for block in found:
        lines += [""] * (block.line - len(lines))
        lines += textwrap.indent(block.text, "    ").splitlines()
    return "\n".join(lines) + "\n"


def wrong_lines() -> set[tuple[str, int]]:
    return {("wrong.py", number) for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")}


def test_the_wheel_says_that_its_packages_are_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
    packages = {name.partition("/")[0] for name in names if name.endswith(".py")}
    assert packages == {"engine", "registry", "mcp_server"}
    assert {f"{package}/py.typed" for package in packages} <= names


def test_the_examples_that_users_copy_are_all_checked(examples: Path) -> None:
    names = {path.name for path in examples.iterdir()}
    assert {"docs_python_api.py", "docs_guides_saga_tools_deploy.py"} <= names
    program = (examples / "docs_python_api.py").read_text(encoding="utf-8").splitlines()
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8").splitlines()
    number = page.index("async with OrchestrationEngine() as engine:")
    assert program[number] == f"    {page[number]}"


def test_mypy_strict_finds_nothing_wrong_with_the_examples(examples: Path, python: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(python)]
    argv += ["--show-error-codes", "--no-error-summary", "--cache-dir", str(tmp_path), "."]
    done = subprocess.run(argv, cwd=examples, capture_output=True, text=True, check=False, timeout=55)
    found = [re.match(r"([^:]+):(\d+): error: ", line) for line in done.stdout.splitlines()]
    assert {(match[1], int(match[2])) for match in found if match} == wrong_lines(), done.stdout + done.stderr


@pytest.mark.e2e
def test_pyright_finds_nothing_wrong_with_the_examples(examples: Path, python: Path) -> None:
    settings = {"include": ["."], "typeCheckingMode": "strict"}
    (examples / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    argv = [*node_tool("pyright"), "--outputjson", "--pythonpath", str(python)]
    done = subprocess.run(argv, cwd=examples, capture_output=True, text=True, check=False, timeout=55)
    said = json.loads(done.stdout)
    found = [each for each in said["generalDiagnostics"] if each["severity"] == "error"]
    places = {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in found}
    assert places == wrong_lines(), "\n".join(f"{each['file']}: {each['message']} {each['range']}" for each in found)
    assert said["summary"]["filesAnalyzed"] == len(list(examples.glob("*.py")))


@pytest.mark.e2e
@pytest.mark.nightly
@pytest.mark.parametrize("package", [engine, registry], ids=["engine", "registry"])
def test_all_that_a_program_can_reach_from_an_exported_name_has_a_type(package: ModuleType, python: Path) -> None:
    argv = [*node_tool("pyright"), "--outputjson", "--verifytypes", package.__name__, "--ignoreexternal"]
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}  # which says what is installed, here
    done = subprocess.run(argv, cwd=python.parent, env=environment, capture_output=True, text=True, check=False)
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    homes = {f"{package._HOMES[name]}.{name}" for name in package.__all__}
    exported = [symbol for symbol in symbols if any(f"{symbol['name']}.".startswith(f"{home}.") for home in homes)]
    assert len(exported) > len(homes)
    unknown = [each for each in exported if each["isTypeAmbiguous"] or not each["isTypeKnown"]]
    assert unknown == []
