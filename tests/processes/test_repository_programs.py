"""Git starts nothing that a repository brings: each test plants a spy there that would leave a mark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault
from engine.executors.port import Outcome
from engine.executors.process import ProcessExecutor
from engine.executors.worktrees.git import IsolationUnavailable
from engine.executors.worktrees.isolated import IsolatedExecutor, check_isolation
from engine.executors.worktrees.leftover import keep_abandoned
from engine.executors.worktrees.worktree import open_worktree
from engine.git_rules import Driver
from engine.ids import AttemptId
from engine.model.agent import AgentSource
from engine.run.events import RunStatus
from engine.statefolder.links import state_of
from engine.statefolder.tracked import is_tracked
from mcp_server.project.project import open_project
from registry.packaged.review_repo.answer import Refusal
from registry.packaged.review_repo.blame import ages_of
from registry.packaged.review_repo.git import changed_since, open_repository, tracked, untracked
from registry.packaged.review_repo.history import read_log
from registry.packaged.review_repo.programs import Deadline
from registry.trust.git_drivers import git_items
from tests.support.definitions import command, node, phase, plan
from tests.support.orders import Beats, order_for
from tests.support.real_agents import ended
from tests.support.repositories import branches, configure_user, editor, git, leftovers, make_repository, write_files
from tests.support.trust import trust_all

pytestmark = pytest.mark.processes

HOOKS = (
    *("post-checkout", "post-index-change", "reference-transaction", "pre-commit", "post-commit", "post-merge"),
    *("fsmonitor-watchman", "pre-auto-gc", "prepare-commit-msg", "sendemail-validate", "post-rewrite", "update"),
)
OCCASIONS = (
    *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy"),
    *("gpg.program", "gpg.ssh.program", "gpg.x509.program", "diff.external", "diff.spy.textconv", "diff.spy.command"),
    *("credential.helper", "credential.https://example.com.helper", "sequence.editor", "pager.log", "pager.add"),
    *("interactive.diffFilter", "core.alternateRefsCommand", "uploadpack.packObjectsHook", "hook.spy.command"),
    *("filter.unused.clean", "filter.unused.smudge", "filter.unused.process", "merge.unused.driver"),
    *("alias.add", "alias.log", "submodule.vendored.update", "remote.origin.uploadpack", "browser.web.cmd"),
)


class Spy:
    """A program that leaves a mark where it is started, and copies its input."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "started"
        self.program = folder / "spy"
        self.program.write_text(f'#!/bin/sh\necho "$0 $@" >> "{self.mark}"\ncat\n')
        self.program.chmod(0o755)

    @property
    def started(self) -> str:
        return self.mark.read_text() if self.mark.exists() else ""


@pytest.fixture
def spy(tmp_path: Path) -> Spy:
    return Spy(tmp_path)


def plant(project: Path, spy: Spy) -> None:
    """Let everything in the repository's configuration name the spy."""
    for hook in HOOKS:
        (project / ".git" / "hooks").mkdir(exist_ok=True)
        (project / ".git" / "hooks" / hook).symlink_to(spy.program)
    for name in OCCASIONS:
        git(project, "config", name, str(spy.program))
    for name, value in {
        "commit.gpgSign": "true",
        "protocol.ext.allow": "always",
        "hook.spy.event": "post-checkout",
        "log.showSignature": "true",
        "core.hooksPath": str(project / ".git" / "hooks"),
        "maintenance.auto": "true",
        "gc.auto": "1",
    }.items():
        git(project, "config", name, value)


async def work(project: Path, task: str, *, number: int = 1, yes: tuple[str, ...] = ()) -> Outcome:
    """What comes of one attempt of an isolated agent; the user has said *yes* to drivers by these names."""
    order = order_for(editor(project), project=project, outputs=(), task=task, number=number)
    executor = IsolatedExecutor(
        ProcessExecutor(), permit=lambda _agent: None, allows=lambda driver, _top: driver.title in yes
    )
    return await executor.execute(order, Beats())


async def test_nothing_that_the_configuration_names_is_started(tmp_path: Path, spy: Spy) -> None:
    files = {"a.txt": "a\n", ".gitattributes": "*.txt diff=spy\n", "library/.keep": ""}
    project = make_repository(tmp_path / "project", files)
    plant(project, spy)
    for number in (1, 2):
        outcome = await work(project, f"write('made.txt', '{number}')", number=number)
        assert outcome.failure is None, outcome.failure
    assert (await work(project, "write('half.txt', 'half'); sys.exit('it broke')", number=3)).failure is not None
    assert branches(project) == ["r-1/check/3"]
    assert spy.started == ""


PLACES = ("config", "include", "includeIf", "worktree")


def configure(project: Path, place: str, **settings: str) -> None:
    """Write *settings* where a repository can have them."""
    for name, value in settings.items():
        if place == "config":
            git(project, "config", name, value)
        elif place == "worktree":
            git(project, "config", "extensions.worktreeConfig", "true")
            git(project, "config", "--worktree", name, value)
        else:
            git(project, "config", "--file", ".git/more", name, value)
            git(project, "config", "include.path" if place == "include" else "includeIf.gitdir:**.path", "more")


ATTRIBUTES = (".gitattributes", "deep/.gitattributes", ".git/info/attributes", "a file of the configuration")


def ask_for(project: Path, place: str, driver: str) -> None:
    """Give the file `deep/x.odd`, which is new, the attribute *driver*."""
    if place == "a file of the configuration":
        git(project, "config", "core.attributesFile", str(project / "rules"))
        place = "rules"
    write_files(project, {place: f"*.odd {driver}\n", "deep/x.odd": "secret\n"})


async def refused(project: Path, title: str) -> None:
    """Before a run begins, and by an attempt; with nothing put into git's database."""
    before = git(project, "count-objects", "-v")
    with pytest.raises(IsolationUnavailable) as caught:
        await check_isolation(project, [editor(project)])
    assert caught.value.code == "NOT_TRUSTED"
    assert f'"{title.partition(".")[2]}"' in caught.value.message
    assert caught.value.hint is not None
    assert f"`orchestrate --project {project} trust`" in caught.value.hint
    failure = (await work(project, "write('b.txt', 'b')")).failure
    assert failure is not None
    assert failure.code == "NOT_TRUSTED"
    assert git(project, "count-objects", "-v") == before
    assert (leftovers(project), branches(project)) == ([], [])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["clean", "smudge", "process"])
async def test_a_filter_of_the_repository_waits_for_a_yes(key: str, place: str, tmp_path: Path, spy: Spy) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    configure(project, place, **{f"filter.odd.{key}": str(spy.program)})
    ask_for(project, ".gitattributes", "filter=odd")
    await refused(project, "filter.odd")
    assert spy.started == ""


@pytest.mark.parametrize("place", ATTRIBUTES)
@pytest.mark.parametrize("driver", ["filter=odd", "merge=odd"])
async def test_it_waits_wherever_a_file_asks_for_it(driver: str, place: str, tmp_path: Path, spy: Spy) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    configure(project, "config", **{"filter.odd.clean": str(spy.program), "merge.odd.driver": str(spy.program)})
    ask_for(project, place, driver)
    await refused(project, driver.replace("=", "."))
    assert spy.started == ""


async def test_a_merge_driver_for_all_files_waits_for_a_yes(tmp_path: Path, spy: Spy) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    configure(project, "config", **{"merge.odd name=1.driver": str(spy.program), "merge.default": "odd name=1"})
    await refused(project, "merge.odd name=1")
    git(project, "config", "merge.default", "union")
    assert (await work(project, "write('b.txt', 'b')")).failure is None
    assert spy.started == ""


async def test_after_a_yes_filter_and_merge_driver_of_the_repository_work(tmp_path: Path, spy: Spy) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    driver = f"echo merged > %A; {spy.program} < /dev/null"
    settings = {"filter.odd=1.clean": "tr a-z A-Z", "filter.odd=1.smudge": "tr A-Z a-z", "merge.ours.driver": driver}
    configure(project, "config", **settings)
    write_files(project, {".gitattributes": "*.odd filter=odd=1\n*.m merge=ours\n", "x.odd": "quiet\n", "y.m": "y\n"})
    yes = ("filter.odd=1", "merge.ours")
    task = "assert open('x.odd').read() == 'quiet\\n'; write('x.odd', 'new\\n'); write('y.m', 'by the agent\\n');"
    outcome = await work(project, f"{task} open(sys.argv[1] + '/y.m', 'w').write('by hand\\n')", yes=yes)
    assert outcome.failure is None, outcome.failure
    assert ((project / "x.odd").read_text(), (project / "y.m").read_text()) == ("new\n", "merged\n")
    assert spy.started != ""


async def test_the_users_own_filter_holds_though_the_repository_names_another(
    tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    configure_user(monkeypatch, tmp_path, **{"filter.lfs.clean": "tr a-z A-Z", "filter.lfs.smudge": "tr A-Z a-z"})
    configure(project, "config", **{"filter.lfs.clean": str(spy.program), "filter.lfs.smudge": str(spy.program)})
    configure(project, "config", **{"merge.lfs.driver": str(spy.program)})
    write_files(project, {".gitattributes": "*.low filter=lfs\n", "b.low": "quiet\n"})
    outcome = await work(project, "assert open('b.low').read() == 'quiet\\n'; write('b.low', 'new\\n'); sys.exit(1)")
    assert outcome.failure is not None
    assert git(project, "show", "orchestration/r-1/check/1:b.low") == "NEW"
    assert spy.started == ""


async def test_an_agent_that_configures_a_filter_does_not_have_it_started(tmp_path: Path, spy: Spy) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n", "m.txt": "m\n"})
    words = ["git", "config", "filter.odd.clean", str(spy.program)]
    task = f"subprocess.run({words}, check=True); write('.gitattributes', '*.odd filter=odd\\n'); write('x.odd', 'x')"
    failure = (await work(project, task)).failure
    assert failure is not None
    assert (failure.code, "odd" in failure.message) == ("MERGE_REFUSED", True)
    place = project / ".claude/worktrees/r-1-check-1"
    assert ((place / "x.odd").read_text(), str(place) in (failure.hint or "")) == ("x", True)
    assert (project / ".gitattributes").exists() is False
    assert spy.started == ""


async def test_an_agent_that_configures_a_merge_driver_does_not_have_it_started(tmp_path: Path, spy: Spy) -> None:
    project = make_repository(tmp_path / "project", {"m.txt": "m\n"})
    words = ["git", "config", "merge.odd.driver", str(spy.program)]
    write = "open(sys.argv[1] + '/m.txt', 'w').write('by hand\\n'); write('m.txt', 'by the agent\\n')"
    attributes = "open(sys.argv[1] + '/.gitattributes', 'w').write('*.txt merge=odd\\n')"
    failure = (await work(project, f"subprocess.run({words}, check=True); {attributes}; {write}")).failure
    assert failure is not None
    assert (failure.code, (project / "m.txt").read_text()) == ("MERGE_CONFLICT", "by hand\n")
    assert spy.started == ""


async def test_who_looks_after_a_killed_servers_worktree_starts_nothing(
    tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    tree = await open_worktree(project, AttemptId("r-1:check#1"), Beats())
    plant(project, spy)
    configure(project, "config", **{"filter.odd.clean": str(spy.program)})
    write_files(tree.place, {".gitattributes": "*.odd filter=odd\n", "x.odd": "x"})
    monkeypatch.setattr("engine.executors.worktrees.leftover.has_lost_its_server", lambda *_given: True)
    assert await keep_abandoned(project) == []
    assert (tree.place / "x.odd").read_text() == "x", "it stays until somebody may store it"
    assert spy.started == ""

    def yes(driver: Driver, _top: Path) -> bool:
        return driver.programs == (str(spy.program),)

    assert await keep_abandoned(project, allows=yes) == ["on the branch orchestration/r-1/check/1"]


async def test_what_a_submodule_configures_is_not_started(tmp_path: Path, spy: Spy) -> None:
    make_repository(tmp_path / "library", {"l.odd": "l\n", ".gitattributes": "*.odd filter=odd\n"})
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "library")
    git(project, "commit", "--quiet", "--message=With a library")
    git(project / "library", "config", "filter.odd.clean", str(spy.program))
    git(project / "library", "config", "core.fsmonitor", str(spy.program))
    write_files(project, {"library/l.odd": "edited\n"})
    outcome = await work(project, "write('a.txt', 'changed')")
    assert outcome.failure is None, outcome.failure
    assert spy.started == ""


async def test_a_review_starts_nothing_that_the_repository_brings(tmp_path: Path, spy: Spy) -> None:
    files = {"a.txt": "a\n", "deep/x.odd": "x\n", ".gitattributes": "*.txt diff=spy\n*.odd filter=odd merge=odd\n"}
    project = make_repository(tmp_path / "project", files)
    plant(project, spy)
    configure(project, "include", **{"filter.odd.clean": str(spy.program), "filter.odd.smudge": str(spy.program)})
    write_files(project, {"deep/x.odd": "changed\n", "new.odd": "n\n"})
    assert open_repository(project).commits == 1
    assert len(tracked(project, ".")) == 3
    assert untracked(project, ".") == [b"new.odd"]
    limits: list[str] = []
    assert [commit.paths for commit in read_log(project, ".", Deadline(20), limits)]
    assert changed_since(project, "HEAD")[1:] == ({}, False)
    assert ages_of(project, [("a.txt", 1)])
    assert limits == []
    assert spy.started == ""


@pytest.mark.parametrize("folder", ["", ".", "{project}", "{project}/bin"])
async def test_a_git_of_the_project_is_not_taken_for_git(
    folder: str, tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_repository(tmp_path / "project", {"a.txt": "a\n"})
    (project / "bin").mkdir()
    for path in (project / "git", project / "bin" / "git"):
        path.symlink_to(spy.program)
    monkeypatch.chdir(project)
    monkeypatch.setenv("PATH", os.pathsep.join([folder.format(project=project), os.environ["PATH"]]))
    await check_isolation(project, [editor(project)])
    assert open_repository(project).commits == 1
    assert not is_tracked(state_of(project))
    assert [*git_items(project)] == []
    assert spy.started == ""


async def test_a_folder_of_the_project_that_looks_like_a_repository_is_none(tmp_path: Path, spy: Spy) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "project")
    git(tmp_path / "project", "config", "core.fsmonitor", str(spy.program))
    with pytest.raises(IsolationUnavailable, match="cannot use bare repository"):
        await check_isolation(tmp_path / "project", [editor(tmp_path)])
    with pytest.raises(Refusal, match="cannot use bare repository"):
        open_repository(tmp_path / "project")
    assert spy.started == ""


async def test_a_yes_in_the_terminal_lets_a_run_have_the_filter_and_a_change_takes_it_back(tmp_path: Path) -> None:
    project, home = make_repository(tmp_path / "project", {"a.txt": "a\n", "up.sh": "tr a-z A-Z\n"}), tmp_path / "home"
    configure(project, "config", **{"filter.odd.clean": "sh up.sh", "filter.odd.smudge": "tr A-Z a-z"})
    write_files(project, {".gitattributes": "*.odd filter=odd\n", "x.odd": "quiet\n", ".gitignore": ".claude/\n"})
    ours = editor(project, source=AgentSource.PACKAGED)
    compiled = plan(command(phase("p", node("one", task="write('x.odd', 'new\\n')"))), agents=(ours,))
    async with open_project(project, home=home) as opened:
        engine = await opened.engine()
        with pytest.raises(EnvironmentFault, match='"odd"'):
            await engine.start(compiled)
        trust_all(project, home)
        assert (await ended(engine, await engine.start(compiled))).status is RunStatus.COMPLETED
        assert (project / "x.odd").read_text() == "new\n"
        write_files(project, {"up.sh": "cat\n"})
        with pytest.raises(EnvironmentFault, match='"odd"'):
            await engine.start(compiled)
