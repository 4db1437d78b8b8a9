"""What git ignores and an isolated agent needs is in its worktree, as in Claude Code's, and never comes back."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from engine.executors.port import Outcome
from engine.executors.process import ProcessExecutor
from engine.executors.worktrees.isolated import IsolatedExecutor
from engine.executors.worktrees.leftover import keep_abandoned
from engine.executors.worktrees.worktree import open_worktree
from engine.ids import AttemptId
from engine.run.events import RunStatus
from mcp_server.project.project import RunRequest, open_project
from tests.support.definitions import command, node, phase
from tests.support.orders import Beats, order_for
from tests.support.real_agents import ended, write_command
from tests.support.repositories import branches, editor, git, leftovers, make_repository, write_files
from tests.support.trust import trust_all

pytestmark = pytest.mark.processes

LOOKS = "import os; open('seen.txt', 'w').write(str(os.path.islink('lib'))); print('{\"outputs\": {}}')"
IGNORED = "*.env\ncache/\nsecrets/\nbuild/\nnode_modules/\n*.log\nlinked\n.claude/\n"
INCLUDE = """# what an agent needs
.env
*.env
!kept-out.env
secrets/
!secrets/no.txt
/anchored.log
build/out/*.bin
linked
plain.txt
tracked.txt

config/[ab].env\r
.claude/
"""


async def work(project: Path, task: str, *, whole: bool = True) -> Outcome:
    """What comes of an isolated agent; *whole*: the user has said yes to the project's settings."""
    executor = IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None, whole=lambda _run: whole)
    return await executor.execute(order_for(editor(project), project=project, outputs=(), task=task), Beats())


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()} - {
        ".git"
    }


async def in_worktree(project: Path, *links: str) -> set[str]:
    """What is in a new worktree beside the project's files."""
    tree = await open_worktree(project, AttemptId("r-1:look#1"), Beats(), links=links)
    found = files_of(tree.place) - set(git(project, "ls-tree", "-r", "--name-only", tree.record.base_tree).splitlines())
    await tree.remove()
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = make_repository(
        tmp_path / "project", {".gitignore": IGNORED, ".worktreeinclude": INCLUDE, "tracked.txt": "t"}
    )
    names = [".env", "kept-out.env", "deep/x.env", "secrets/yes.txt", "secrets/no.txt", "anchored.log", "plain.txt"]
    names += ["deep/anchored.log", "build/out/a.bin", "build/out/a.txt", "config/a.env", "config/c.env"]
    names += ["node_modules/m.js", "sp ace \u00e9.env"]
    write_files(project, dict.fromkeys(names, "x"))
    (project / "linked").symlink_to(".env")
    return project


async def test_files_that_git_ignores_and_the_list_names_are_there(project: Path) -> None:
    """The same files that Claude Code 2.1.332 copies, but that it leaves out names which git quotes."""
    copied = {".env", "deep/x.env", "secrets/yes.txt", "secrets/no.txt", "anchored.log", "build/out/a.bin"}
    assert await in_worktree(project) == copied | {"config/a.env", "config/c.env", "sp ace \u00e9.env"}


async def test_nothing_is_there_where_nothing_is_listed(project: Path) -> None:
    (project / ".worktreeinclude").unlink()
    assert await in_worktree(project) == set()
    (project / "list").write_text("*.env\n")
    (project / ".worktreeinclude").symlink_to("list")
    assert await in_worktree(project) == set()


async def test_a_copy_keeps_its_permissions(project: Path) -> None:
    (project / ".env").chmod(0o700)
    tree = await open_worktree(project, AttemptId("r-1:look#1"), Beats())
    assert stat.S_IMODE((tree.place / ".env").stat().st_mode) == 0o700
    await tree.remove()


async def test_folders_that_the_settings_name_are_links_to_the_projects(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "user"))

    def names(*given: object) -> str:
        return json.dumps({"worktree": {"symlinkDirectories": list(given)}})

    write_files(tmp_path, {"user/settings.json": names("node_modules", 7)})
    write_files(project, {".claude/settings.json": names("secrets/", "nowhere"), ".claude/settings.local.json": "{"})
    outcome = await work(
        project,
        "assert os.readlink('node_modules') == sys.argv[1] + '/node_modules';"
        "assert os.readlink('secrets') == sys.argv[1] + '/secrets';"
        "write('node_modules/new.js', 'by the agent'); write('a.txt', 'a')",
    )
    assert outcome.failure is None, outcome.failure
    assert (project / "node_modules" / "new.js").read_text() == "by the agent"
    assert git(project, "status", "--porcelain").splitlines() == ["?? a.txt", "?? plain.txt"]
    assert (leftovers(project), (project / "node_modules").is_symlink()) == ([], False)


async def test_links_that_a_projects_own_settings_name_wait_for_the_users_yes(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "user"))
    write_files(tmp_path, {"user/settings.json": '{"worktree": {"symlinkDirectories": ["build"]}}'})
    for name, folder in (("settings.json", "secrets"), ("settings.local.json", "node_modules")):
        write_files(project, {f".claude/{name}": json.dumps({"worktree": {"symlinkDirectories": [folder]}})})
    there = "write('seen.txt', ' '.join(name for name in ('build', 'secrets', 'node_modules') if os.path.islink(name)))"
    for whole, seen in ((False, "build"), (True, "build secrets node_modules")):
        outcome = await work(project, there, whole=whole)
        assert outcome.failure is None, outcome.failure
        assert (project / "seen.txt").read_text() == seen


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc", "", ".", ".git", "src", "into/cache", ".claude", ".claude/worktrees", "no/where", "a/\0"],
)
async def test_no_link_leads_elsewhere_and_none_takes_the_place_of_a_file(name: str, project: Path) -> None:
    write_files(project, {"src/a.txt": "a", "src/cache/c": "c", ".claude/worktrees/w": "w"})
    (project.parent / "outside").mkdir()
    (project / "into").symlink_to("src")
    copied = await in_worktree(project)
    assert await in_worktree(project, name, "src/cache", "./node_modules/") == copied | {"src/cache", "node_modules"}


@pytest.mark.parametrize("rule", ["nothing", "*.env\nnode_modules\n"])
async def test_what_was_brought_is_not_merged_though_the_agent_has_it_tracked(project: Path, rule: str) -> None:
    write_files(project, {".claude/settings.json": '{"worktree": {"symlinkDirectories": ["node_modules"]}}'})
    outcome = await work(
        project,
        f"write('.gitignore', {rule!r}); write('.env', 'changed'); os.remove('secrets/yes.txt');"
        "os.remove('node_modules'); write('node_modules/own.js', 'x'); write('made.env', 'made');"
        "subprocess.run(['git', 'add', '--all', '--force'], check=True)",
    )
    assert outcome.failure is None, outcome.failure
    assert (project / ".gitignore").read_text() == rule
    assert ((project / ".env").read_text(), (project / "secrets/yes.txt").read_text()) == ("x", "x")
    assert not (project / "node_modules" / "own.js").exists()
    assert (project / "made.env").exists() == (rule == "nothing")


async def test_what_was_brought_is_on_no_branch(project: Path) -> None:
    outcome = await work(project, "write('.gitignore', ''); write('a.txt', 'a'); sys.exit('it broke')")
    assert outcome.failure is not None
    assert branches(project) == ["r-1/check/1"]
    listed = git(project, "ls-tree", "-r", "--name-only", "orchestration/r-1/check/1").splitlines()
    assert sorted(listed) == [".gitignore", ".worktreeinclude", "a.txt", "plain.txt", "tracked.txt"]


async def test_a_project_below_the_top_gets_what_the_top_lists(tmp_path: Path) -> None:
    files = {
        ".gitignore": "*.env\n",
        ".worktreeinclude": "*.env\n",
        "part/a.txt": "a",
        "part/.worktreeinclude": "!*.env\n",
    }
    top = make_repository(tmp_path, files)
    write_files(top, {".env": "top", "part/.env": "part", "part/.claude/worktrees/x/.env": "other"})
    tree = await open_worktree(top / "part", AttemptId("r-1:look#1"), Beats())
    assert ((tree.place / ".env").read_text(), (tree.folder / ".env").read_text()) == ("top", "part")
    assert not (tree.folder / ".claude").exists()
    await tree.remove()


async def test_a_killed_servers_worktree_is_kept_without_what_was_brought(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = await open_worktree(project, AttemptId("r-1:look#1"), Beats())
    write_files(tree.place, {".gitignore": "", "a.txt": "a"})
    monkeypatch.setattr("engine.executors.worktrees.leftover.has_lost_its_server", lambda *_given: True)
    assert await keep_abandoned(project) == ["on the branch orchestration/r-1/look/1"]
    listed = git(project, "ls-tree", "-r", "--name-only", "orchestration/r-1/look/1").splitlines()
    assert sorted(listed) == [".gitignore", ".worktreeinclude", "a.txt", "plain.txt", "tracked.txt"]


async def test_a_run_links_nothing_that_the_project_configures_until_the_user_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "user"))
    root = make_repository(tmp_path / "project", {".gitignore": ".claude/\nhome/\nlib/\n", "log": ""})
    write_files(root, {"lib/code": "x", "looks.py": LOOKS})
    head = f"name: worker\ndescription: Looks\nexecutor: process\ncommand: [{sys.executable}, looks.py]"
    write_files(root, {".claude/agents/worker.md": f"---\n{head}\nisolation: worktree\n---\n"})
    write_command(root, command(phase("look", node("look", agent="worker")), name="/look"))
    trust_all(root, root / "home")
    write_files(root, {".claude/settings.json": '{"worktree": {"symlinkDirectories": ["lib"]}}'})
    for linked in ("False", "True"):
        async with open_project(root, home=root / "home") as project:
            run = await project.start(RunRequest(source="/look"))
            seen = await ended(await project.engine(), run)
            assert seen.status is RunStatus.COMPLETED
            assert (root / "seen.txt").read_text() == linked
            waits = [text for text in seen.plan.warnings if text.startswith("lib: worktree.symlinkDirectories")]
            assert len(waits) == (linked == "False")
        trust_all(root, root / "home")
