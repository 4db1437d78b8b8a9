"""Completion of command lines: proposals in real shells, at once, and nothing that a shell would run."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mcp_server.cli import completing
from mcp_server.cli.app import app
from mcp_server.cli.completing import SHELLS, Line, answer, proposals, split
from mcp_server.project.project import open_catalog
from mcp_server.project.root import SESSION_VARIABLE
from mcp_server.project.settings import load_settings
from registry.templates import templates
from tests.interaction.projects import environment
from tests.support.definitions import command, node, phase
from tests.support.processor_time import processor_seconds
from tests.support.state import contents
from tests.support.terminal import has_tmux, terminal

if TYPE_CHECKING:
    from typer.testing import Result

PROGRAMS = Path(sys.executable).parent
EMPTY_PROGRAM = """
import typer
app = typer.Typer()
@app.command()
def one() -> None: ...
@app.command()
def two() -> None: ...
app(["one"])
"""
IMPORTED = """
import json, sys
before = {*sys.modules}
from mcp_server.entry import orchestrate
sys.argv = ["orchestrate", "--complete", *sys.argv[1:]]
orchestrate()
print(json.dumps(sorted({*sys.modules} - before)), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def _home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project)


def orchestrate(project: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words])


@pytest.fixture
def run(project: Path) -> str:
    found: str = json.loads(orchestrate(project, "run", "/hello", "--json").stdout)["runId"]
    return found


def proposed(text: str) -> list[str]:
    """The words proposed for *text*, which begins with the program's name; the cursor is at its end."""
    words = split(text)
    line = Line(words[1:-1], words[-1])
    return [word for word, _ in proposals(line) if word.startswith(line.current)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("orchestrate sta", ["status"]),
        ("orchestrate --", ["--project", "--version", "--help"]),
        ("orchestrate run /he", ["/hello"]),
        ("orchestrate validate /hello --s", ["--strict"]),
        ("orchestrate run --executor s", ["simulate"]),
        ("orchestrate run --executor=s", ["--executor=simulate"]),
        ("orchestrate run /hello --executor simulate --fail f", ["first-greeting=error"]),
        ("orchestrate runs --command /wa", ["/wait"]),
        ("orchestrate runs --state deg", ["degraded"]),
        ("orchestrate trust agent:work", ["agent:worker"]),
        ("orchestrate trust agent:worker agent:gat", ["agent:gated"]),
        ("orchestrate trust --revoke agent:senior", ["agent:senior-reviewer"]),
        ("orchestrate completion f", ["fish"]),
        ("orchestrate new mine --pattern sa", ["saga"]),
        ("orchestrate new mine --from patterns/f", ["patterns/fan-out", "patterns/for-each"]),
        ("orchestrate new mi", []),
        ("orchestrate nothing ", []),
        ("orchestrate cancel r-1 r-", []),
        ("orchestrate runs --since ", []),
        ('orchestrate run "/he', []),
    ],
)
def test_the_words_that_fit_are_proposed(text: str, words: list[str]) -> None:
    assert proposed(text) == words


def test_every_command_and_option_is_proposed() -> None:
    names = proposed("orchestrate ")
    assert {"run", "new", "commands", "completion", "serve"} <= {*names}
    assert "--detach" in proposed("orchestrate run --")


@pytest.mark.parametrize("before", ["--project {0}", "--project={0}"])
def test_the_named_project_counts(project: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.chdir("/")
    monkeypatch.delenv("CLAUDE_PROJECT_DIR")
    assert proposed("orchestrate run /hell") == []
    assert proposed(f"orchestrate {before.format(project)} run /hell") == ["/hello"]


def test_a_folder_below_a_project_without_git_is_in_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_PROJECT_DIR")
    (project / "src" / "deep").mkdir(parents=True)
    monkeypatch.chdir(project / "src" / "deep")
    assert proposed("orchestrate run /hell") == ["/hello"]


def test_runs_and_their_nodes_are_proposed(project: Path, run: str) -> None:
    for text in ("status", "cancel", "logs", "show", "output", "locks --release"):
        assert proposed(f"orchestrate {text} r-") == [run]
    assert proposed(f"orchestrate show {run} ") == ["first-greeting"]
    assert proposed(f"orchestrate logs {run} fir") == ["first-greeting"]
    assert proposed("orchestrate show r-nothing ") == []
    assert completing.runs(str(project)) == [(run, "/hello completed")]


def test_runs_of_someone_else_are_not_read(project: Path, run: str) -> None:
    assert proposed("orchestrate status r-") == [run]
    (project / "home/.config/orchestration-mcp/state.json").unlink()
    assert proposed("orchestrate status r-") == []


@pytest.mark.parametrize("one", [one for one in templates() if one.command.suffix == ".yaml"], ids=lambda one: one.name)
def test_nodes_of_a_yaml_file_are_those_of_the_program(project: Path, one: object) -> None:
    assert hasattr(one, "name")
    assert orchestrate(project, "new", "mine", "--from", one.name).exit_code == 0
    definition = open_catalog(project, load_settings(project)).load("/mine").definition
    assert definition is not None
    wanted = [f"{node.id}=error" for phase in definition.phases for node in phase.agents]
    assert proposed("orchestrate run /mine --executor simulate --fail ") == wanted


def test_nodes_in_nodes_are_named_as_a_simulation_names_them(project: Path) -> None:
    inner = phase("inner", node("deep-node"))
    looped = {"id": "again", "task": "Do", "phases": [inner], "repeat": {"until": "x == 1", "maxIterations": 2}}
    placed = {"id": "placed", "task": "Do", "phases": [inner]}
    outer = command({"id": "one", "name": "One", "agents": [looped, placed]}, name="/nested")
    (project / ".claude/commands/v2/nested.json").write_text(json.dumps(outer), encoding="utf-8")
    words = [word.removesuffix("=error") for word in proposed("orchestrate run /nested --fail ")]
    assert words == ["again", "again/*/deep-node", "placed", "placed/deep-node"]


def test_names_that_mean_something_to_a_shell_are_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agents = project / ".claude/agents"
    for number, name in enumerate(["$(touch marker)", "a b", "a;b", "`x`", "x\x1b[2J", "ok-one"]):
        (agents / f"hostile-{number}.md").write_text(f"---\nname: {name}\ndescription: x\n---\n", encoding="utf-8")
    answer(["bash", "orchestrate trust agent:"])
    printed = capsys.readouterr().out.splitlines()
    assert "ok-one" in printed
    assert all(completing._SAFE.fullmatch(word) for word in printed)
    assert not {"a b", "a;b"} & {*printed}


def test_descriptions_control_no_terminal(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = json.dumps(command(phase("one", node("first-node")), name="/forged", description="x\x1b[2J y\u202e\tz"))
    (project / ".claude/commands/v2/forged.json").write_text(text.replace("\\u001b", "\x1b").replace("\\t", "\t"))
    answer(["fish", "orchestrate", "run", "/forged"])
    assert capsys.readouterr().out.count("\t") == 1
    answer(["zsh", "orchestrate", "run", "/forged"])
    assert "\x1b" not in capsys.readouterr().out


def test_a_shell_gets_its_own_form(capsys: pytest.CaptureFixture[str]) -> None:
    answer(["bash", "orchestrate trust agent:work"])
    assert capsys.readouterr().out == "worker\n", "bash replaces what follows the colon"
    answer(["zsh", "orchestrate", "trust", "agent:work"])
    assert capsys.readouterr().out == "agent\\:worker:Does worker work\n"
    answer(["fish", "orchestrate", "trust", "agent:work"])
    assert capsys.readouterr().out == "agent:worker\tDoes worker work\n"


@pytest.mark.parametrize("words", [[], ["bash"], ["tcsh", "orchestrate", "run", ""], ["fish"], ["zsh", "orchestrate"]])
def test_a_call_that_makes_no_sense_is_silent(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer(words)
    assert capsys.readouterr().err == ""


def test_broken_files_and_a_broken_journal_are_silent(project: Path, run: str) -> None:
    (project / ".claude/commands/v2/broken.json").write_bytes(b'\xff{"name": "/half')
    (project / ".claude/commands/v2/wide.json").symlink_to("/dev/zero")
    os.mkfifo(project / ".claude/agents/pipe.md")
    assert proposed("orchestrate run /hell") == ["/hello"]
    with closing(sqlite3.connect(project / ".claude/orchestration/journal.sqlite3", isolation_level=None)) as db:
        db.execute("DROP TABLE events")
    done = subprocess.run(
        [PROGRAMS / "orchestrate", "--complete", "bash", f"orchestrate show {run} "], capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("space", ["\n", " ", "\t", "\r\n"])
@pytest.mark.parametrize(
    "before", ["", "name:", "description:", '"name"', '"name": "/a"', "---", "---\nname:", "---\nname: a"]
)
def test_a_file_that_is_almost_all_space_keeps_no_one_waiting(project: Path, before: str, space: str) -> None:
    text = f"{before}{space * (900_000 // len(space))}'x"
    (project / ".claude/commands/v2/wide.yaml").write_text(text, encoding="utf-8", newline="")
    (project / ".claude/agents/wide.md").write_text(f"{text}\n---\n", encoding="utf-8", newline="")
    assert proposed("orchestrate run /hell") == ["/hello"]
    assert proposed("orchestrate trust agent:work") == ["agent:worker"]


@pytest.mark.parametrize("given", ["tidy", "tidy  ", "tidy\r", '"tidy"', "  'tidy' \r"])
def test_an_agent_is_proposed_by_its_name_without_quotes_and_spaces(project: Path, given: str) -> None:
    text = f"---\nname: {given}\ndescription: x\n---\n"
    (project / ".claude/agents/other.md").write_text(text, encoding="utf-8", newline="")
    assert proposed("orchestrate trust agent:tid") == ["agent:tidy"]


def test_a_shared_configuration_behind_a_link_is_not_read(project: Path) -> None:
    shared = project.parent / "shared"
    (project / ".claude/commands").rename(shared)
    (project / ".claude/commands").symlink_to(shared)
    assert proposed("orchestrate run /hell") == []


def test_it_writes_nothing(project: Path, run: str) -> None:
    before = contents(project)
    proposed("orchestrate status r-")
    proposed(f"orchestrate show {run} ")
    assert contents(project) == before


def test_every_template_is_proposed() -> None:
    assert {one.name for one in templates()} <= {*proposed("orchestrate new mine --from ")}


def test_an_unknown_shell_is_refused(project: Path) -> None:
    assert orchestrate(project, "completion", "tcsh").exit_code == 2


def test_it_imports_neither_the_engine_nor_the_parser(project: Path, run: str) -> None:
    for text in (f"orchestrate show {run} ", "orchestrate run /", "orchestrate trust agent:"):
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{IMPORTED}", "bash", text],
            capture_output=True,
            text=True,
            check=True,
            cwd=project,
        )
        assert done.stdout
        imported = {*json.loads(done.stderr)}
        assert not imported & {"typer", "click", "rich", "asyncio", "pathlib", "msgspec", "pydantic", "yaml", "typing"}
        ours = {name for name in imported if name.partition(".")[0] == "engine"}
        assert ours <= {
            *("engine", "engine.statefolder", "engine.statefolder.quick_look", "engine.statefolder.run_notes"),
            *("engine.views", "engine.views.durations", "engine.views.marks", "engine.views.money"),
        }


@pytest.mark.processes
def test_a_completion_takes_at_most_1_3_times_the_processor_time_of_an_empty_program(project: Path, run: str) -> None:
    (project / "empty.py").write_text(EMPTY_PROGRAM, encoding="utf-8")
    empty = processor_seconds([sys.executable, "empty.py"], cwd=project, env=os.environ)
    for text in (f"orchestrate show {run} ", "orchestrate run /", "orchestrate trust agent:"):
        words = [str(PROGRAMS / "orchestrate"), "--complete", "bash", text]
        assert processor_seconds(words, cwd=project, env=os.environ) <= 1.3 * empty


STARTS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
LOADS = {
    "bash": "source <(orchestrate completion bash)",
    "zsh": "autoload -Uz compinit; compinit -D; source <(orchestrate completion zsh)",
    "fish": "orchestrate completion fish | source",
}


def is_cleared(text: str, screen: str) -> bool:
    return text not in screen.strip().splitlines()[-1]


@pytest.mark.processes
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes_commands_names_runs_nodes_and_agents(project: Path, run: str, shell: str) -> None:
    if shutil.which(shell) is None or not has_tmux():
        pytest.skip(f"{shell} or tmux is not installed")
    environ = {**environment(project), "PATH": f"{PROGRAMS}:/usr/bin:/bin", "LANG": "C.UTF-8", "PS1": "> "}
    with terminal(STARTS[shell], folder=project, environ=environ) as screen:
        screen.type(f"{LOADS[shell]}; echo loa''ded")
        screen.press("Enter")
        screen.wait_for("loaded")
        for typed, whole in (
            ("orchestrate vali", "orchestrate validate"),
            ("orchestrate run /hell", "orchestrate run /hello"),
            ("orchestrate status r-", f"orchestrate status {run}"),
            (f"orchestrate show {run} fir", f"orchestrate show {run} first-greeting"),
            ("orchestrate trust agent:work", "orchestrate trust agent:worker"),
        ):
            screen.type(typed)
            screen.wait_for(typed)
            screen.press_until("Tab", whole)
            screen.press("C-u")
            screen.wait_for(partial(is_cleared, whole))
