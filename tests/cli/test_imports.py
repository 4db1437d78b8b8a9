"""What comes at once imports little: help of the command line, and the server before its first tool is called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interaction.projects import environment

HELP = """
import json, sys
sys.argv = ["orchestrate", "--help"]
from mcp_server.cli.app import main
try:
    main()
except SystemExit:
    pass
"""
SERVER = "import json, sys; import mcp_server.__main__ as server; server._load(); import mcp_server.project.logs"
DOOR = """
import json, sys
before = {*sys.modules}
import mcp_server.__main__, mcp_server.collector, mcp_server.door.opening
"""
HEAVY = {
    "engine.executors.claude.executor",
    "engine.graph",
    "engine.model.command",
    "engine.runtime.live_runs",
    "engine.service",
    "engine.storage.sqlite",
    "engine.validation",
    "mcp_server.project.project",
    "mcp_server.protocol.contents",
    "mcp_server.project.settings",
    "networkx",
    "registry.catalog",
    "sqlite3",
}
"""Each of them is needed only once something is done with a project, or brings a library that takes long."""


LINE = """
import json, sys
sys.argv = ["orchestrate", "--project", sys.argv[1], "status", "--line"]
before = set(sys.modules)
from mcp_server.entry import orchestrate
orchestrate()
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""
SLOW = {"asyncio", "dataclasses", "hashlib", "json", "pathlib", "re", "typing", "typer", "rich", "msgspec", "psutil"}
"""Each takes a tenth or more of what a Python takes to open the database."""


def test_a_status_line_imports_little_more_than_what_opens_the_database(project: Path) -> None:
    env = os.environ | environment(project)
    ran = [str(Path(sys.executable).parent / "orchestrate"), "run", "/hello", "--executor", "simulate"]
    subprocess.run(ran, cwd=project, env=env, check=True, capture_output=True, timeout=50)
    words = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{LINE}", str(project)]
    done = subprocess.run(words, cwd=project, env=env, check=True, capture_output=True, text=True, timeout=50)
    assert done.stdout.startswith("✅ /hello ")
    imported = set(json.loads(done.stderr))
    assert "sqlite3" in imported
    assert not imported & SLOW
    assert len([name for name in imported if name.partition(".")[0] in {"engine", "mcp_server"}]) <= 14


@pytest.mark.parametrize(
    ("program", "heavy", "most"),
    [
        pytest.param(HELP, HEAVY | {"asyncio", "mcp", "pydantic", "rich.console"}, 12, id="help"),
        pytest.param(SERVER, HEAVY | {"engine.text.redaction", "engine.text.shown", "rich", "typer"}, 32, id="server"),
    ],
)
def test_what_comes_at_once_imports_nothing_that_only_work_needs(program: str, heavy: set[str], most: int) -> None:
    told = f"{program}\nprint(json.dumps(list(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=50)
    imported = set(json.loads(done.stderr.splitlines()[-1]))
    assert not imported & heavy
    ours = [name for name in imported if name.partition(".")[0] in {"engine", "registry", "mcp_server"}]
    assert len(ours) <= most, sorted(ours)


def test_the_first_answers_of_the_server_need_little_of_the_standard_library_and_nothing_else() -> None:
    told = f"{DOOR}\nprint(json.dumps([name for name in sys.modules if name not in before]))"
    done = subprocess.run([sys.executable, "-S", "-c", told], capture_output=True, text=True, check=True, timeout=50)
    imported = set(json.loads(done.stdout))
    ours = {name for name in imported if name.partition(".")[0] in {"engine", "registry", "mcp_server"}}
    assert ours == {
        *("mcp_server", "mcp_server.__main__", "mcp_server.collector", "mcp_server.door", "mcp_server.twins"),
        *(f"mcp_server.door.{name}" for name in ("conversation", "handover", "keys", "ledger", "opening", "store")),
        *("registry", "registry.files", "registry.files.places"),
    }
    others = {name.partition(".")[0] for name in imported - ours}
    assert others <= sys.stdlib_module_names
    assert not others & {"asyncio", "dataclasses", "logging", "pathlib", "typing"}


RUNS = """
import json, sys
sys.argv = ["orchestrate", "--project", *sys.argv[1:]]
before = {*sys.modules}
from mcp_server.entry import orchestrate
try:
    orchestrate()
except SystemExit:
    pass
print(json.dumps([name for name in sys.modules if name not in before]), file=sys.stderr)
"""
OF_COMMANDS = {
    "engine.executors.claude.executor",
    "engine.model.command",
    "engine.validation",
    "mcp_server.project.project",
    "mcp_server.project.settings",
    "networkx",
    "registry.catalog",
    "yaml",
}


def loaded_by(project: Path, *words: str) -> set[str]:
    """The modules that a command line loads in *project*."""
    env = os.environ | environment(project)
    argv = [sys.executable, "-c", RUNS, str(project), *words]
    done = subprocess.run(argv, cwd=project, env=env, check=False, capture_output=True, text=True, timeout=50)
    return {*json.loads(done.stderr.splitlines()[-1])}


def test_a_question_about_runs_loads_nothing_that_reads_commands(project: Path) -> None:
    for word in ("runs", "logs"):
        assert not loaded_by(project, word) & OF_COMMANDS


def test_the_list_of_runs_and_a_status_load_neither_the_parser_nor_the_loop_nor_what_runs_need(project: Path) -> None:
    env = os.environ | environment(project)
    ran = [str(Path(sys.executable).parent / "orchestrate"), "run", "/hello", "--executor", "simulate"]
    subprocess.run(ran, cwd=project, env=env, check=True, capture_output=True, timeout=50)
    unwanted = HEAVY - {"sqlite3"} | {"asyncio", "typer", "pydantic", "psutil", "mcp_server.answers.wire", "registry"}
    runs, status = loaded_by(project, "runs"), loaded_by(project, "status")
    assert not (runs | status) & unwanted
    assert not runs & {"msgspec", "engine.run.state"}
    for found, most in ((runs, 20), (status, 78)):
        ours = [name for name in found if name.partition(".")[0] in {"engine", "registry", "mcp_server"}]
        assert len(ours) <= most, sorted(ours)


CALLED = """
import json, sys
import mcp_server.__main__ as server
server._load()
from mcp_server.protocol.session import _import_project
_import_project()
print(json.dumps(list(sys.modules)), file=sys.stderr)
"""
OF_FILES = {"registry.markdown.blocks", "registry.dialects", "mcp_server.protocol.contents"}
"""Needed for a markdown file, an older spelling, and a resource."""
OF_RUNS = {
    *("engine.executors.claude.executor", "engine.opening", "engine.service", "engine.simulation"),
    *("engine.storage.sqlite", "filelock", "mcp_server.project.preflight"),
}
"""Needed once a run is started, simulated or read."""


def test_the_first_call_of_a_tool_loads_nothing_that_only_certain_files_or_runs_need() -> None:
    done = subprocess.run([sys.executable, "-c", CALLED], capture_output=True, text=True, check=True, timeout=50)
    imported = {*json.loads(done.stderr.splitlines()[-1])}
    assert "mcp_server.answers.status" in imported
    assert not imported & (OF_FILES | OF_RUNS)


COLLECTED = """
import asyncio, gc, json, sys
import mcp_server.__main__ as server
found = []
load = server._load
server._load = lambda: (found.append(gc.isenabled()), load())
def serve(running):
    running.close()
    found.extend((gc.isenabled(), gc.get_threshold()[0] >= 10_000, gc.get_freeze_count() > 10_000))
asyncio.run = serve
sys.argv = ["orchestration-mcp"]
try:
    server.main(%s)
except SystemExit:
    pass
print(json.dumps(found), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        pytest.param("", [False, True, True, True], id="a program of ours"),
        pytest.param("[]", [True, False, False], id="a program of others"),
    ],
)
def test_the_collector_pauses_while_our_own_server_is_imported_and_collects_while_it_serves(
    argv: str, found: list[bool]
) -> None:
    words = [sys.executable, "-c", COLLECTED % argv]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=50
    )
    assert json.loads(done.stderr.splitlines()[-1]) == found


OF_OTHER_RUNS = {
    "engine.simulation",
    "engine.views.timeline",
    "jsonschema",
    "mcp",
    "networkx",
    "pydantic_settings",
}


def test_a_run_loads_nothing_that_only_other_runs_need(project: Path) -> None:
    assert {"engine.service", "registry.packaged.review_repo"} <= (loaded := loaded_by(project, "run", "/review-repo"))
    assert loaded & OF_OTHER_RUNS == set()


BUILT = """
import json, sys
import mcp_server.__main__ as server
server._load()
import gc
from pydantic import BaseModel, TypeAdapter
def kinds(base):
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)
models = [kind.__pydantic_complete__ for kind in {*kinds(BaseModel)}]
adapters = [one.pydantic_complete for one in gc.get_objects() if isinstance(one, TypeAdapter)]
class Later(BaseModel):
    number: int
own = [Later.__pydantic_complete__, TypeAdapter(list[Later]).pydantic_complete]
print(json.dumps([len(models), sum(models), len(adapters), sum(adapters), own]), file=sys.stderr)
"""


def test_types_of_the_protocol_are_built_when_they_are_used_and_types_that_are_defined_later_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", BUILT], capture_output=True, text=True, check=True, timeout=50)
    models, built, adapters, ready, own = json.loads(done.stderr.splitlines()[-1])
    assert models > 300
    assert built < models / 20
    assert adapters > 5
    assert not ready
    assert own == [True, True]


def test_a_server_loads_no_console_for_its_log() -> None:
    words = [sys.executable, "-X", "importtime", "-m", "mcp_server"]
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=50
    )
    assert "| mcp_server.protocol.stdin" in done.stderr.replace("  ", "")
    assert "rich" not in done.stderr


WAITING = """
import asyncio, gc, json, sys
found = []
def run(main, **options):
    main.close()
    found.append(gc.isenabled())
    raise SystemExit(0)
def follow(options):
    found.append(gc.isenabled())
    raise SystemExit(0)
asyncio.run = run
import mcp_server.cli.monitor
mcp_server.cli.monitor.run_monitor = follow
sys.argv = ["orchestrate", "--project", *sys.argv[1:]]
from mcp_server.entry import orchestrate
try:
    orchestrate()
except SystemExit:
    pass
print(json.dumps([*found, gc.isenabled()]))
"""


@pytest.mark.parametrize(
    ("words", "collects"),
    [
        *(
            (words, [True, True])
            for words in ("serve", "serve --http 0", "view", "monitor", "run /hello", "status r-x --watch")
        ),
        ("agents", [False]),
    ],
)
def test_a_command_that_waits_collects_garbage_again_and_a_short_one_never(
    project: Path, words: str, collects: list[bool]
) -> None:
    env = os.environ | environment(project)
    argv = [sys.executable, "-c", WAITING, str(project), *words.split()]
    done = subprocess.run(argv, cwd=project, env=env, check=True, capture_output=True, text=True, timeout=50)
    assert json.loads(done.stdout.splitlines()[-1]) == collects
