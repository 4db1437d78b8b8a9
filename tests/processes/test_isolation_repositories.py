"""Repositories of every kind: an isolated agent works there, or is refused with one clear error before it begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault, StateError
from engine.executors.inline import InlineExecutor
from engine.executors.port import Outcome, WorkOrder
from engine.executors.process import ProcessExecutor
from engine.executors.python import PythonExecutor
from engine.executors.worktrees.git import IsolationUnavailable
from engine.executors.worktrees.isolated import IsolatedExecutor, check_isolation
from engine.model.agent import Agent, AgentKind
from engine.model.policy import FailureKind, Usage
from engine.opening import open_engine
from engine.run.state import NodeStatus
from tests.support.definitions import command, node, phase, plan
from tests.support.orders import Beats, order_for
from tests.support.real_agents import until
from tests.support.repositories import (
    branches,
    configure_user,
    editor,
    git,
    leftovers,
    make_repository,
    on_branch,
    write_files,
)

pytestmark = pytest.mark.processes

LINES = "".join(f"line {number}\n" for number in range(1, 21))


async def work(project: Path, task: str, *, number: int = 1) -> Outcome:
    """What comes of one attempt of an isolated agent."""
    order = order_for(editor(project), project=project, outputs=(), task=task, number=number)
    executor = IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None)
    return await executor.execute(order, Beats())


async def done(project: Path, task: str) -> None:
    """An attempt that succeeds, and leaves nothing behind."""
    outcome = await work(project, task)
    assert outcome.failure is None, outcome.failure
    assert (branches(project), leftovers(project)) == ([], [])


async def done_again(project: Path, task: str) -> None:
    """A second attempt, that succeeds."""
    assert (await work(project, task, number=2)).failure is None


async def refused(project: Path, part: str) -> None:
    """Nobody can be isolated in *project*: told before a run starts, and by an attempt before its agent does."""
    with pytest.raises(IsolationUnavailable) as caught:
        await check_isolation(project, [editor(project)])
    assert part in caught.value.message
    assert caught.value.hint
    failure = (await work(project, "write('/nowhere/x', 'never')")).failure
    assert failure is not None
    assert (failure.code, failure.hint) == ("ISOLATION_UNAVAILABLE", caught.value.hint)
    assert part in failure.message


async def test_a_folder_without_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    await refused(tmp_path, "not a git repository")


async def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(tmp_path, {"a.txt": "a"})
    monkeypatch.setenv("PATH", str(tmp_path))
    await refused(tmp_path, "git was not found")


async def test_a_git_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(tmp_path / "project", {"a.txt": "a"})
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho git version 2.37.9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    await refused(tmp_path / "project", "git version 2.37.9 is too old")


async def test_a_git_that_is_replaced_by_one_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program is asked for its version once."""
    make_repository(tmp_path / "project", {"a.txt": "a"})
    program, asked = tmp_path / "bin" / "git", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$2" = version ] && echo "$2" >> {asked}\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    for _ in range(2):
        await check_isolation(tmp_path / "project", [editor(tmp_path / "project")])
    assert asked.read_text() == "version\n"
    other = program.with_name("other")
    other.write_text("#!/bin/sh\necho git version 2.37.9\n")
    other.chmod(0o755)
    other.replace(program)
    await refused(tmp_path / "project", "git version 2.37.9 is too old")


async def test_a_bare_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare")
    await refused(tmp_path, "cannot use bare repository")


async def test_a_folder_that_its_repository_ignores(tmp_path: Path) -> None:
    make_repository(tmp_path, {".gitignore": "project/\n"})
    (tmp_path / "project").mkdir()
    await refused(tmp_path / "project", "ignores")


async def test_a_place_that_leads_out_of_the_project(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a"})
    (tmp_path / "outside").mkdir()
    (project / ".claude").mkdir()
    (project / ".claude" / "worktrees").symlink_to(tmp_path / "outside")
    await refused(project, "is a symbolic link")
    assert not list((tmp_path / "outside").iterdir())


async def test_a_place_that_is_a_file(tmp_path: Path) -> None:
    await refused(make_repository(tmp_path, {".claude": "a file"}), "cannot make a worktree")


async def test_processes_that_should_outlive_their_worktree(tmp_path: Path) -> None:
    agent = editor(make_repository(tmp_path, {"a.txt": "a"}), keep_processes=True)
    with pytest.raises(IsolationUnavailable, match="outlive"):
        await check_isolation(tmp_path, [agent])


async def test_a_run_that_could_not_isolate_its_agent_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    project = tmp_path / "project"
    project.mkdir()
    compiled = plan(command(phase("work", node("one"))), agents=(editor(project),))
    async with open_engine(project) as engine:
        with pytest.raises(EnvironmentFault) as caught:
            await engine.start(compiled)
        assert await engine.storage.summaries() == []
    assert caught.value.code == "ISOLATION_UNAVAILABLE"


async def test_agents_that_others_run_need_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client isolates its own subagents, and a program that embeds the engine does as it likes."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    project = tmp_path / "project"
    project.mkdir()
    custom, model = editor(project), Agent(id="model", isolation="worktree")
    async with open_engine(project) as engine:
        engine.custom_executors["worker"] = InlineExecutor({"worker": lambda _order: {"outputs": {}}})
        compiled = plan(command(phase("p", node("one"), node("two", agent="model"))), agents=(custom, model))
        run = await engine.start(compiled, executor="host")
        await until(engine, run, lambda seen: seen.nodes[compiled.nodes[0].id].status is NodeStatus.COMPLETED)
        with pytest.raises(EnvironmentFault):
            await engine.start(compiled, executor="claude")


async def test_a_python_agent_works_in_its_worktree(tmp_path: Path) -> None:
    source = "def run(request):\n    open('made.txt', 'w').write(__file__)\n    return {'outputs': {}}\n"
    project = make_repository(tmp_path, {"edits.py": source, ".gitignore": "__pycache__/\n"})
    agent = Agent(id="worker", kind=AgentKind.PYTHON, callable="edits:run", isolation="worktree")
    executor = IsolatedExecutor(PythonExecutor(), permit=lambda _agent: None)
    outcome = await executor.execute(order_for(agent, project=project, outputs=()), Beats())
    assert outcome.failure is None
    assert (project / "made.txt").read_text() == str(project / ".claude/worktrees/r-1-check-1/edits.py")
    assert leftovers(project) == []


async def test_what_an_attempt_has_cost_is_told_though_it_is_not_merged(tmp_path: Path) -> None:
    usage = Usage(cost_usd=1.5)

    def clash(order: WorkOrder) -> Outcome:
        (order.folder / "a.txt").write_text("by the agent")
        (order.project / "a.txt").write_text("by hand")
        return Outcome(usage=usage)

    project = make_repository(tmp_path, {"a.txt": "a\n"})
    executor = IsolatedExecutor(InlineExecutor({"worker": clash}), permit=lambda _agent: None)
    outcome = await executor.execute(order_for(editor(project), project=project, outputs=()), Beats())
    assert outcome.failure is not None
    assert (outcome.failure.code, outcome.usage) == ("MERGE_CONFLICT", usage)


async def test_a_program_that_changed_while_its_attempt_waited_does_not_run(tmp_path: Path) -> None:
    def permit(_order: WorkOrder) -> None:
        raise StateError("it has changed", code="NOT_TRUSTED", hint="look at it")

    project = make_repository(tmp_path, {"a.txt": "a\n"})
    order = order_for(editor(project), project=project, outputs=(), task=f"open({str(tmp_path / 'ran')!r}, 'w')")
    failure = (await IsolatedExecutor(ProcessExecutor(), permit=permit).execute(order, Beats())).failure
    assert failure is not None
    assert (failure.kind, failure.code, failure.hint) == (FailureKind.VALIDATION, "NOT_TRUSTED", "look at it")
    assert not (tmp_path / "ran").exists()
    assert (branches(project), leftovers(project)) == ([], [])


SPELLINGS = (
    *(".claude", ".claude/", "/.claude", "/.claude/", ".claude/*", ".claude/**", "**/.claude/"),
    *(".claude/worktrees", ".claude/worktrees/", "/.claude/worktrees/*", "worktrees/", "**/worktrees/"),
)


@pytest.mark.parametrize("place", [".gitignore", ".git/info/exclude", "the user's own file"])
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_repository_that_ignores_our_folders(
    spelling: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    if place == "the user's own file":
        write_files(tmp_path, {"config": f"[core]\n\texcludesFile = {tmp_path}/excludes\n", "excludes": spelling})
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    else:
        write_files(project, {place: f"{spelling}\n"})
    await done(project, "write('a.txt', 'changed'); write('new/b.txt', 'b')")
    assert ((project / "a.txt").read_text(), (project / "new/b.txt").read_text()) == ("changed", "b")


@pytest.mark.parametrize("spelling", ["worktrees/", "parts/pro[[]1]/.claude", "parts/*/.claude/worktrees"])
async def test_a_larger_repository_that_ignores_our_folders(spelling: str, tmp_path: Path) -> None:
    files = {"parts/pro[1]/a.txt": "a\n", "parts/pro1/.claude/worktrees/x.txt": "x\n"}
    project = make_repository(tmp_path, files) / "parts/pro[1]"
    write_files(tmp_path, {".gitignore": f"{spelling}\n"})
    await done(project, "assert os.path.exists('../pro1/.claude/worktrees/x.txt'); write('a.txt', 'changed')")
    assert (project / "a.txt").read_text() == "changed"


async def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project")
    write_files(project, {"a.txt": "one\n"})
    await done(project, "assert open('a.txt').read() == 'one\\n'; write('a.txt', 'two\\n'); write('b.txt', 'b')")
    assert (project / "a.txt").read_text() == "two\n"
    assert (project / "b.txt").exists()
    git(project, "rev-parse", "--verify", "--quiet", "HEAD", accept=(1,))


async def test_an_empty_repository(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project")
    await done(project, "write('b.txt', 'b')")
    assert (project / "b.txt").exists()


async def test_a_project_with_a_line_break_in_its_path(tmp_path: Path) -> None:
    top = make_repository(tmp_path / "a\nb", {"part/a.txt": "a\n"})
    await done(top / "part", "write('a.txt', 'changed')")
    assert (top / "part" / "a.txt").read_text() == "changed"


async def test_a_project_below_the_top_of_its_repository(tmp_path: Path) -> None:
    top = make_repository(tmp_path, {"lib/l.txt": "l\n", "parts/pro ject/a.txt": "a\n"})
    project = top / "parts" / "pro ject"
    write_files(top, {"lib/l.txt": "edited\n", "lib/private.txt": "not looked at\n", "parts/pro ject/new.txt": "n"})
    await done(
        project,
        "assert os.getcwd().endswith('/parts/pro ject'); assert open('new.txt').read() == 'n';"
        "assert open('../../lib/l.txt').read() == 'edited\\n'; assert os.listdir('../../lib') == ['l.txt'];"
        "write('a.txt', 'changed')",
    )
    assert (project / "a.txt").read_text() == "changed"


async def test_files_outside_of_the_project_are_not_merged_back(tmp_path: Path) -> None:
    top = make_repository(tmp_path, {"lib/l.txt": "l\n", "project/a.txt": "a\n"})
    failure = (await work(top / "project", "write('a.txt', 'changed'); write('../lib/l.txt', 'changed')")).failure
    assert failure is not None
    assert failure.code == "MERGE_REFUSED"
    assert "lib/l.txt" in failure.message
    assert ((top / "lib/l.txt").read_text(), (top / "project/a.txt").read_text()) == ("l\n", "a\n")
    assert on_branch(top, "r-1/check/1", "lib/l.txt") == "changed"


async def test_the_engines_own_files_are_not_merged_back(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    failure = (await work(project, "write('.claude/orchestration/worktrees/x/merging.json', '[]')")).failure
    assert failure is not None
    assert failure.code == "MERGE_REFUSED"
    assert leftovers(project) == []


async def test_a_linked_worktree_of_the_users_own(tmp_path: Path) -> None:
    main = make_repository(tmp_path / "main", {"a.txt": "a\n"})
    git(main, "worktree", "add", "--quiet", "-b", "feature", "../feature")
    await done(tmp_path / "feature", "write('a.txt', 'changed')")
    assert (tmp_path / "feature" / "a.txt").read_text() == "changed"
    assert (main / "a.txt").read_text() == "a\n"


async def test_a_project_that_is_reached_through_a_link(tmp_path: Path) -> None:
    make_repository(tmp_path / "real", {"a.txt": "a\n"})
    (tmp_path / "link").symlink_to("real")
    await done(tmp_path / "link", "write('a.txt', 'changed')")
    assert (tmp_path / "real" / "a.txt").read_text() == "changed"


async def test_submodules_are_empty_folders_and_stay_as_they_are(tmp_path: Path) -> None:
    make_repository(tmp_path / "library", {"l.txt": "l\n"})
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "library")
    git(project, "commit", "--quiet", "--message=With a library")
    write_files(project, {"library/l.txt": "edited\n"})
    await done(project, "assert os.listdir('library') == []; write('a.txt', 'changed')")
    assert (project / "a.txt").read_text() == "changed"
    assert (project / "library/l.txt").read_text() == "edited\n"


@pytest.mark.parametrize("task", ["write('library/x.txt', 'x')", "os.rmdir('library'); write('library', 'a file')"])
async def test_work_on_a_submodule_is_refused_and_not_lost(task: str, tmp_path: Path) -> None:
    make_repository(tmp_path / "library", {"l.txt": "l\n"})
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "library")
    git(project, "commit", "--quiet", "--message=With a library")
    failure = (await work(project, f"write('a.txt', 'changed'); {task}")).failure
    assert failure is not None
    assert failure.code == "MERGE_REFUSED"
    assert "library" in failure.message
    assert (project / "a.txt").read_text() == "a\n"
    assert on_branch(project, "r-1/check/1", "a.txt") == "changed"
    if "x.txt" in task:
        place = project / ".claude" / "worktrees" / "r-1-check-1"
        assert (place / "library" / "x.txt").read_text() == "x"
        assert str(place) in (failure.hint or "")


async def test_a_repository_that_an_agent_makes_is_refused_and_stays_where_it_is(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    failure = (
        await work(project, "subprocess.run(['git', 'init', '-q', 'own'], check=True); write('own/x', 'x')")
    ).failure
    assert failure is not None
    assert (failure.code, "own" in failure.message) == ("MERGE_REFUSED", True)
    assert (project / ".claude/worktrees/r-1-check-1/own/x").read_text() == "x"
    assert (failure.hint or "").endswith(f"are kept in the folder {project}/.claude/worktrees/r-1-check-1.")
    assert branches(project) == []


@pytest.mark.parametrize("task", ["shutil.rmtree(os.getcwd())", "sys.exit(shutil.rmtree(os.getcwd()) or 'it broke')"])
async def test_an_agent_that_removes_its_worktree_removes_nothing_else(task: str, tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    failure = (await work(project, task)).failure
    assert failure is not None
    assert failure.code == ("EXIT_1" if "sys.exit" in task else "MERGE_REFUSED")
    assert (project / "a.txt").read_text() == "a\n"
    assert (branches(project), leftovers(project)) == ([], [])


async def test_a_repository_inside_of_the_project_is_left_alone(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    make_repository(project / "inner", {"i.txt": "i\n"})
    make_repository(project / "empty")
    await done(project, "assert sorted(os.listdir('.')) == ['.git', 'a.txt']; write('a.txt', 'changed')")
    assert (project / "a.txt").read_text() == "changed"
    assert git(project / "inner", "status", "--porcelain") == ""


async def test_a_sparse_checkout(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"in/a.txt": "a\n", "out/b.txt": "b\n"})
    git(project, "sparse-checkout", "set", "in")
    assert not (project / "out").exists()
    write_files(project, {"elsewhere/untracked.txt": "u\n"})
    await done(project, "assert not os.path.exists('out'); write('in/a.txt', 'changed'); write('in/new.txt', 'n')")
    assert ((project / "in/a.txt").read_text(), (project / "in/new.txt").exists()) == ("changed", True)
    assert not (project / "out").exists()
    assert git(project, "status", "--porcelain", "in", "out").splitlines() == [" M in/a.txt", "?? in/new.txt"]


async def test_line_ends_that_git_converts(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "one\ntwo\n", "b.txt": "b\n"})
    git(project, "config", "core.autocrlf", "true")
    git(project, "config", "core.safecrlf", "true")
    write_files(project, {"a.txt": "one\r\ntwo\r\n", "mixed.txt": "x\r\ny\n"})
    await done(project, "write('a.txt', open('a.txt', newline='').read() + 'three\\r\\n')")
    assert (project / "a.txt").read_bytes() == b"one\r\ntwo\r\nthree\r\n"
    assert (project / "b.txt").read_bytes() == b"b\n", "what nobody changed stays as it is"
    assert (project / "mixed.txt").read_bytes() == b"x\r\ny\n"


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
async def test_a_file_that_git_was_told_not_to_look_at_is_not_written_over(flag: str, tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n", "local.cfg": "shared\n"})
    git(project, "update-index", flag, "local.cfg")
    write_files(project, {"local.cfg": "by hand\n"})
    failure = (await work(project, "write('a.txt', 'A'); write('local.cfg', 'by the agent')")).failure
    assert failure is not None
    assert (failure.code, "local.cfg" in failure.message) == ("MERGE_CONFLICT", True)
    assert ((project / "local.cfg").read_text(), (project / "a.txt").read_text()) == ("by hand\n", "a\n")
    assert on_branch(project, "r-1/check/1", "local.cfg") == "by the agent"
    await done_again(project, "write('a.txt', 'A')")
    assert (project / "local.cfg").read_text() == "by hand\n"


async def test_a_repository_in_which_git_takes_checked_out_files_for_unchanged(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    git(project, "config", "core.ignoreStat", "true")
    await done(project, "write('a.txt', 'changed')")
    assert (project / "a.txt").read_text() == "changed"


async def test_names_that_differ_by_case_in_a_repository_from_a_system_that_takes_them_for_one(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"README.md": "read\n", "Src/x.py": "x\n", "Notes.txt": "by hand\n"})
    if (project / ".GIT").exists():
        pytest.skip("this file system does so too")
    git(project, "config", "core.ignoreCase", "true")
    (project / "Notes.txt").rename(project / "notes.txt")
    await done(
        project, "os.rename('README.md', 'readme.md'); os.rename('Src', 'src'); replace('notes.txt', 'by', 'By')"
    )
    found = {name: (project / name).read_text() for name in ("notes.txt", "readme.md", "src/x.py")}
    assert found == {"notes.txt": "By hand\n", "readme.md": "read\n", "src/x.py": "x\n"}
    assert not any((project / name).exists() for name in ("Notes.txt", "README.md", "Src"))


async def test_a_change_in_the_same_moment_as_git_add_is_seen(tmp_path: Path) -> None:
    """Git tells such a file by its age: it is as young as the index, so it is read."""
    project = make_repository(tmp_path, {"a.txt": "one\n"})
    git(project, "config", "core.trustCtime", "false")
    earlier = (project / "a.txt").stat().st_mtime - 60
    os.utime(project / "a.txt", (earlier, earlier))
    git(project, "add", "a.txt")
    (project / "a.txt").write_text("two\n")
    for path in (project / "a.txt", project / ".git" / "index"):
        os.utime(path, (earlier, earlier))
    await done(project, "assert open('a.txt').read() == 'two\\n'; write('b.txt', 'b')")


async def test_a_filter_of_the_user_decides_what_is_in_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "plain\n"})
    shout = {"clean": "tr a-z A-Z", "smudge": "tr A-Z a-z", "required": "true"}
    configure_user(monkeypatch, tmp_path, **{f"filter.shout.{key}": value for key, value in shout.items()})
    write_files(project, {".gitattributes": "*.low filter=shout\n", "b.low": "quiet\n"})
    await done(project, "assert open('b.low').read() == 'quiet\\n'; write('b.low', 'quieter\\n')")
    assert (project / "b.low").read_text() == "quieter\n"


async def test_a_filter_that_fails_leaves_the_work_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n", ".gitattributes": "*.bad filter=breaks\n"})
    configure_user(monkeypatch, tmp_path, **{"filter.breaks.clean": "false", "filter.breaks.required": "true"})
    failure = (await work(project, "write('x.bad', 'x')")).failure
    assert failure is not None
    assert failure.code == "MERGE_REFUSED"
    place = project / ".claude" / "worktrees" / "r-1-check-1"
    assert str(place) in (failure.hint or "")
    assert (place / "x.bad").read_text() == "x"


async def test_an_agent_finds_its_worktree_though_a_hook_has_started_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n"})
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project / ".git" / "other-index"))
    await done(
        project,
        "top = subprocess.run(['git', 'rev-parse', '--show-toplevel'], capture_output=True, text=True).stdout.strip();"
        "assert top == os.getcwd(), top; subprocess.run(['git', 'add', '-A'], check=True); write('b.txt', 'b')",
    )
    assert (project / "b.txt").exists()
    assert not (project / ".git" / "other-index").exists()


async def test_a_file_that_cannot_be_written_makes_all_stay_as_it_was(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"a.txt": "a\n", "b.txt": "b\n", "z.txt": "z\n", "gone.txt": "g\n"})
    write_files(project, {".gitignore": "dir/*.log\n", "dir/x.txt": "x\n", "dir/kept.log": "kept\n"})
    # A folder cannot make room for a file as long as something that git ignores is in it.
    task = (
        "write('a.txt', 'A'); os.remove('gone.txt'); shutil.rmtree('dir'); write('dir', 'a file'); write('z.txt', 'Z')"
    )
    failure = (await work(project, task)).failure
    assert failure is not None
    assert failure.code == "MERGE_REFUSED"
    names = ("a.txt", "b.txt", "z.txt", "gone.txt", "dir/x.txt", "dir/kept.log")
    assert [(project / name).read_text() for name in names] == ["a\n", "b\n", "z\n", "g\n", "x\n", "kept\n"]
    assert on_branch(project, "r-1/check/1", "dir") == "a file"
    assert leftovers(project) == []


async def test_a_file_that_git_cannot_read_is_told_before_the_agent_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n", ".gitattributes": "*.bad filter=breaks\n"})
    configure_user(monkeypatch, tmp_path, **{"filter.breaks.clean": "false", "filter.breaks.required": "true"})
    write_files(project, {"x.bad": "x\n"})
    outcome = await work(project, "write('b.txt', 'b')")
    failure = outcome.failure
    assert failure is not None
    assert (failure.code, outcome.begun) == ("ISOLATION_UNAVAILABLE", False)
    assert "git add failed" in failure.message
    assert "x.bad" in failure.message
    assert leftovers(project) == []
