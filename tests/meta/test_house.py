"""The rules of the house which no linter knows."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import engine
import registry

ROOT = Path(__file__).parents[2]
ROOMS = ("engine", "registry", "mcp_server")
MODULES = sorted(path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PUBLIC_INDEX = {"a4aa2ac280bb8d1a", "c899567ee9068517"}
"""The hosts of Python's public index, by their digests: only lock files name them."""
MAX_MODULE_LENGTH = 450
MAX_FUNCTION_LENGTH = 60
EFFECTS = re.compile(r"^(Pure\b|Effects:|No effects\b)", re.MULTILINE)

# Names of places where somebody once worked, put together here so that this file does not contain them.
WORKPLACE = re.compile(
    "|".join(
        (
            r"(?<![\w.~*])/" + r"work/",
            r"(?<![\w.])/" + r"root/",
            r"\.\./" + r"shared\b",
            r"\b(HOUSE|INTERFACE|LIBRARIES|CLAUDE-CODE|STYLES)" + r"\.md\b",
            r"\bbrief" + r"\.md\b",
            r"/opt/" + r"(pypi|wheels)",
        )
    )
)


def tracked_files() -> list[Path]:
    """What is committed or would be: new files count, ignored ones do not."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True, timeout=30)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_the_top_level_holds_only_what_is_named_here() -> None:
    """So that what a program left there by mistake is seen before it is committed."""
    files = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"}
    settings = {
        ".gitignore",
        ".mcp.json",
        "manifest.json",
        "package.json",
        "package-lock.json",
        "pyproject.toml",
        "uv.lock",
    }
    folders = {
        ".ci",
        ".claude",
        ".claude-plugin",
        ".github",
        "benchmarks",
        "docs",
        "findings",
        "plugin",
        "tests",
        *ROOMS,
    }
    assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} == files | settings | folders


def test_the_rooms_are_found() -> None:
    assert {module.split("/")[0] for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_and_its_functions_fit_on_a_few_pages(module: str) -> None:
    text = (ROOT / module).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_MODULE_LENGTH
    lengths = {
        function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions(ast.parse(text))
    }
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LENGTH} == {}


@pytest.mark.parametrize("module", [module for module in MODULES if "/templates/" not in module])
def test_a_record_that_never_changes_is_a_struct_unless_users_make_it_or_it_hides_fields(module: str) -> None:
    frozen = {
        record.name
        for record in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8")))
        if isinstance(record, ast.ClassDef)
        and any("dataclass(frozen=True" in ast.unparse(decorator) for decorator in record.decorator_list)
        and not any("compare=False" in ast.unparse(part) for part in record.body)
    }
    assert frozen <= {*engine.__all__, *registry.__all__}


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("/__init__.py")])
def test_a_module_says_in_a_sentence_what_it_is_and_whether_it_is_pure(module: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / module).read_text(encoding="utf-8"))) or ""
    first, _, rest = docstring.partition("\n\n")
    assert first.endswith("."), "the first paragraph is one sentence"
    assert "\n\n" not in first
    assert EFFECTS.search(rest), "then it says `Pure.` or `Effects: …`"


def test_a_room_of_the_engine_is_pure_unless_it_is_named_here() -> None:
    rooms = ("api", "executors", "opening", "runtime", "service", "simulation", "statefolder", "storage")
    effects = {f"engine.{room}" for room in rooms}
    found = {
        "engine." + path.stem for path in (ROOT / "engine").iterdir() if path.suffix == ".py" or list(path.glob("*.py"))
    }
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    pure = next(contract for contract in contracts if contract["name"].startswith("Pure rooms"))
    assert set(pure["source_modules"]) == found - effects - {"engine.__init__"}


def test_no_statement_numbers_its_placeholders() -> None:
    """Python 3.14 refuses them beside values in a row."""
    texts = [(ROOT / module).read_text(encoding="utf-8") for module in MODULES if module.startswith("engine/storage/")]
    assert not [found for text in texts for found in re.findall(r"=\s*\?\d|OFFSET \?\d|LIMIT \?\d|\(\?\d", text)]


def test_no_file_names_a_place_where_somebody_worked() -> None:
    hits = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        hits += [f"{path.relative_to(ROOT)}: {match.group()}" for match in WORKPLACE.finditer(text)]
    assert hits == []


def test_the_locks_name_no_host_but_the_public_index() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert {hashlib.sha256(host.encode()).hexdigest()[:16] for host in hosts} <= PUBLIC_INDEX
    packages = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if name and "integrity" not in entry] == []
