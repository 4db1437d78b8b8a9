"""What a user has not agreed to does not run, whenever it was changed and whoever asks."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from mcp import Client

from engine.errors import StateError
from engine.ids import NodeId
from engine.run.events import RunStatus
from engine.runtime.clock import SystemClock
from engine.views.status import questions
from mcp_server.project import rechecks
from mcp_server.project.grants import trust_file
from mcp_server.project.project import RunRequest, open_project
from mcp_server.project.rechecks import GRACE
from mcp_server.protocol.app import OrchestrationServer
from tests.interaction.projects import text_of
from tests.support.agents import write_program
from tests.support.definitions import command, node, phase
from tests.support.real_agents import (
    SECONDS,
    ended,
    let_go,
    logged,
    make_programs,
    ready,
    until,
    write_agents,
    write_command,
)
from tests.support.trust import trust_all
from tests.support.workers import kill_worker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

UNDO = {"type": "rollback", "task": "Undo it", "agentId": "undoer"}


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, a look counts as cheap, and none is put off."""
    monkeypatch.setattr(rechecks, "CHEAP", SECONDS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = make_programs(tmp_path / "project", "first-node")
    write_agents(project, worker="wait:first-node", undoer="")
    nodes = node("first-node", compensation=UNDO), node("second-node", "first-node")
    write_command(project, command(phase("work", *nodes), name="/two"))
    return project


def change(root: Path) -> None:
    """What an agent with a tool for writing could do."""
    program = root / "program.py"
    program.write_text(program.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")


async def test_what_agents_of_the_run_may_have_changed_is_told_and_does_not_stop_it(root: Path) -> None:
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source="/two"))
        await ready(root, "first-node")
        change(root)
        (root / "helper.py").write_text("# new, and importable\n")
        await let_go(root, "first-node")
        seen = await ended(engine, run)
        assert seen.status is RunStatus.COMPLETED
        assert logged(root) == ["first-node: Do first-node", "second-node: Do second-node"]
        (warning,) = (await engine.view(run)).warnings
        assert 'agent "worker"' in warning
        assert "helper.py, program.py" in warning
    async with open_project(root, home=root / "home") as project:  # a later process reads it in the journal
        assert (await project.view(run)).run.nodes[NodeId("second-node")].attempts[0].warnings == (warning,)
        with pytest.raises(StateError) as caught:
            await project.start(RunRequest(source="/two"))
    assert caught.value.code == "NOT_TRUSTED"


async def test_what_agents_may_have_changed_is_known_though_the_process_dies_in_the_next_attempt(root: Path) -> None:
    make_programs(root, "second-node")
    write_agents(root, worker="wait:first-node wait:second-node")
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        run = await project.start_in_background(RunRequest(source="/two"))
        await ready(root, "first-node")
        change(root)
        await let_go(root, "first-node")
        await ready(root, "second-node")
        await kill_worker(engine, run)
        seen = (await engine.view(run)).run
        assert seen.status is RunStatus.INTERRUPTED
        (warning,) = seen.nodes[NodeId("second-node")].attempts[0].warnings
        assert "program.py" in warning
        with pytest.raises(StateError) as caught:
            await engine.resume(run)
        assert caught.value.code == "NOT_TRUSTED"


async def test_what_changes_while_no_agent_of_the_run_is_at_work_is_not_started(root: Path) -> None:
    """Undoing is such a program too: the run is interrupted then, and goes on after a yes."""
    asked = node("second-node", "first-node", approval={"message": "Go on?"})
    write_command(root, command(phase("work", node("first-node", compensation=UNDO), asked), name="/asking"))
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        run = await project.start(RunRequest(source="/asking"))
        await ready(root, "first-node")
        await let_go(root, "first-node")
        await until(engine, run, lambda run: bool(questions(run)))
        at_work = SystemClock().now()  # agents count as at work until the end of their attempt is stored
        async with asyncio.timeout(SECONDS):
            while (root / "program.py").stat().st_ctime <= at_work.timestamp() + GRACE:
                change(root)
                await engine.wait(run, 0.1)
        await engine.decide(run, NodeId("second-node"), "yes")
        seen = await ended(engine, run)
        failures = {str(name): state.failure.code for name, state in seen.nodes.items() if state.failure}
        assert failures == {"second-node": "NOT_TRUSTED"}
        assert seen.status is RunStatus.INTERRUPTED, "what undoes is such a program too"
        assert 'undoing node "first-node" needs your trust' in seen.message
        assert logged(root) == ["first-node: Do first-node"]
        trust_all(root, root / "home")
        await engine.resume(run)
        seen = await ended(engine, run)
    assert seen.status is RunStatus.COMPENSATED
    assert logged(root)[1:] == ["first-node: Undo it"]


async def test_an_interrupted_run_goes_on_when_its_changed_program_is_trusted_again(root: Path) -> None:
    async with open_project(root, home=root / "home") as project:
        run = await project.start(RunRequest(source="/two"))
        await ready(root, "first-node")
    change(root)
    async with open_project(root, home=root / "home") as project:
        engine = await project.engine()
        for attempt in (engine.resume, engine.cancel):
            with pytest.raises(StateError) as caught:
                await attempt(run)
            assert caught.value.code == "NOT_TRUSTED"
            assert (await engine.view(run)).run.status is RunStatus.INTERRUPTED
        trust_all(root, root / "home")
        await engine.resume(run)
        await ready(root, "first-node")
        await let_go(root, "first-node")
        seen = await until(engine, run, lambda run: run.ended)
    assert seen.status is RunStatus.COMPLETED


async def test_no_tool_can_say_that_a_program_may_run(root: Path) -> None:
    trust_file(root / "home").unlink()
    async with Client(OrchestrationServer(root=root, home=root / "home")) as client:
        refused = await client.call_tool("run", {"command": "/two"})
        assert refused.is_error
        assert text_of(refused).startswith("NOT_TRUSTED")
        assert f"orchestrate --project {root} trust" in text_of(refused)
        tools = (await client.list_tools()).tools
        assert not any("trust" in str(tool.input_schema) for tool in tools)
    assert not (root / "log").exists()


STAND_IN = """#!/bin/sh
cat > /dev/null
echo ran >> started
echo '{"type": "result", "is_error": false, "structured_output": {"outputs": {}}}'
"""


@pytest.fixture
def naming(tmp_path: Path) -> Path:
    """A project whose settings name a Claude Code of its own."""
    root = tmp_path / "naming"
    (root / ".claude" / "agents").mkdir(parents=True)
    (root / ".claude" / "agents" / "worker.md").write_text("---\nname: worker\ndescription: Works\n---\nWork.")
    (root / ".claude" / "orchestration.toml").write_text('claude_program = "./claude"\n')
    write_program(root / "claude", STAND_IN)
    write_command(root, command(phase("work", node("first-node")), name="/one"))
    return root


async def test_a_claude_code_that_the_project_brings_needs_a_yes_as_its_other_programs_do(
    naming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(naming)
    async with open_project(naming, home=naming / "home") as project:
        with pytest.raises(StateError, match=rf'"claude_program" \({re.escape(str(naming))}/claude\)') as caught:
            await project.start(RunRequest(source="/one"))
        assert caught.value.code == "NOT_TRUSTED"
        trust_all(naming, naming / "home")
        engine = await project.engine()
        seen = await ended(engine, await project.start(RunRequest(source="/one")))
        assert seen.status is RunStatus.COMPLETED
        (naming / "claude").write_text(STAND_IN + "# changed\n")
        with pytest.raises(StateError):
            await project.start(RunRequest(source="/one"))
    assert (naming / "started").read_text() == "ran\n"


@pytest.mark.parametrize("named", ["./claude", "{project}/claude"])
async def test_a_yes_to_the_projects_claude_code_holds_wherever_it_was_said(
    naming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (naming / ".claude" / "orchestration.toml").write_text(f'claude_program = "{named.format(project=naming)}"\n')
    monkeypatch.chdir(tmp_path)
    trust_all(naming, naming / "home")
    for folder in (tmp_path, naming):
        monkeypatch.chdir(folder)
        async with open_project(naming, home=naming / "home") as project:
            seen = await ended(await project.engine(), await project.start(RunRequest(source="/one")))
            assert seen.status is RunStatus.COMPLETED
    assert (naming / "started").read_text() == "ran\nran\n"


async def test_a_claude_code_that_the_user_names_is_the_users(naming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(naming)
    monkeypatch.setenv("ORCHESTRATION_CLAUDE_PROGRAM", str(naming / "claude"))
    async with open_project(naming, home=naming / "home") as project:
        seen = await ended(await project.engine(), await project.start(RunRequest(source="/one")))
    assert seen.status is RunStatus.COMPLETED


async def test_settings_of_claude_code_wait_for_a_yes_and_the_run_says_so(
    naming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(naming)
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(naming / "home" / ".claude"))
    write_program(naming / "claude", STAND_IN.replace("echo ran", 'echo "$@"'))
    trust_all(naming, naming / "home")
    hook = {
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "$CLAUDE_PROJECT_DIR/.claude/hooks/guard.sh"}]}]}
    }
    (naming / ".claude" / "settings.json").write_text(json.dumps(hook))
    (naming / ".claude" / "hooks").mkdir()
    guard = write_program(naming / ".claude" / "hooks" / "guard.sh", "#!/bin/sh\n")

    async def withheld() -> tuple[bool, bool]:
        """Whether Claude Code was given the user's settings only, and whether the run said what waits."""
        (naming / "started").unlink(missing_ok=True)
        async with open_project(naming, home=naming / "home") as project:
            engine = await project.engine()
            seen = await ended(engine, await project.start(RunRequest(source="/one")))
        assert seen.status is RunStatus.COMPLETED
        told = any("waits for your yes (hooks Stop)" in warning for warning in seen.plan.warnings)
        return "--setting-sources=user" in (naming / "started").read_text(), told

    assert await withheld() == (True, True)
    trust_all(naming, naming / "home")
    assert await withheld() == (False, False)
    guard.write_text("#!/bin/sh\n# changed\n")
    assert await withheld() == (True, True)
    (naming / "home" / ".claude").mkdir(parents=True)
    record = {"projects": {str(naming): {"hasTrustDialogAccepted": True}}}
    (naming / "home" / ".claude" / ".claude.json").write_text(json.dumps(record))
    assert await withheld() == (False, False)


MARK = "open('marker', 'a').close()\n"
SHELL_MARK = "#!/bin/sh\ntouch marker\n"


@pytest.mark.parametrize(
    ("argv", "env", "path", "text"),
    [
        ((sys.executable, "tools/main.py"), {}, "tools/helper.py", MARK),
        ((sys.executable, "tools/main.py"), {}, "tools/colorsys.py", MARK),
        ((sys.executable, "-m", "tools.main"), {}, "tools/__init__.py", MARK),
        (("make", "--silent"), {}, "Makefile", "all:\n\ttouch marker\n"),
        (("tools/run",), {}, "tools/interpreter", SHELL_MARK),
        (("own-tool",), {"PATH": "bin:/usr/bin:/bin"}, "bin/own-tool", SHELL_MARK),
        (("cat",), {"PATH": "bin:/usr/bin:/bin"}, "bin/cat", SHELL_MARK),
        ((sys.executable, "tools/main.py"), {"PYTHONPATH": "library"}, "library/sitecustomize.py", MARK),
    ],
)
async def test_what_a_program_of_a_clone_would_run_does_not_run_before_a_yes_to_it(
    tmp_path: Path, argv: tuple[str, ...], env: dict[str, str], path: str, text: str
) -> None:
    """The program itself stays as it was; the marker is not there, until somebody says yes, and is there then."""
    root = tmp_path / "clone"
    files = {
        "tools/main.py": "import colorsys, helper\n",
        "tools/helper.py": "",
        "Makefile": "all:\n",
        "tools/run": "#!tools/interpreter\n",
        "tools/interpreter": "#!/bin/sh\n",
        "bin/own-tool": "#!/bin/sh\n",
    }
    if "-m" in argv:
        files["tools/main.py"] = ""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_program(root / name, content)
    variables = "".join(f"\n  {name}: {value}" for name, value in env.items())
    head = f"---\nname: worker\ndescription: Works\nexecutor: process\ncommand: {json.dumps(argv)}\n"
    (root / ".claude" / "agents").mkdir(parents=True)
    (root / ".claude" / "agents" / "worker.md").write_text(f"{head}env:{variables}\n---\n" if env else f"{head}---\n")
    write_command(root, command(phase("work", node("first-node")), name="/one"))
    trust_all(root, root / "home")
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    write_program(root / path, text)
    async with open_project(root, home=root / "home") as project:
        with pytest.raises(StateError) as caught:
            await project.start(RunRequest(source="/one"))
        assert caught.value.code == "NOT_TRUSTED"
        assert not (root / "marker").exists()
        trust_all(root, root / "home")
        await ended(await project.engine(), await project.start(RunRequest(source="/one")))
    assert (root / "marker").exists(), "or the test shows nothing"
