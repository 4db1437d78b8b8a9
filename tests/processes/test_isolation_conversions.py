"""Files that git stores otherwise than they are: what no agent changed stays, and what one changed comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.executors.port import Outcome
from engine.executors.process import ProcessExecutor
from engine.executors.worktrees.isolated import IsolatedExecutor
from engine.executors.worktrees.worktree import open_worktree
from engine.ids import AttemptId
from tests.support.orders import Beats, order_for
from tests.support.repositories import branches, configure_user, editor, git, leftovers, make_repository, write_files

pytestmark = pytest.mark.processes

LINES = "".join(f"line {number}\r\n" for number in range(30))
EARLY, LATE = ("line 3\r", "LINE 3\r"), ("line 20\r", "LINE 20\r")
AS_WRITTEN = "a.bat", "c.bat", "id.c"


async def done(project: Path, task: str) -> None:
    """An attempt that succeeds, and leaves nothing behind."""
    outcome = await _outcome(project, task)
    assert outcome.failure is None, outcome.failure
    assert (branches(project), leftovers(project)) == ([], [])


async def _outcome(project: Path, task: str) -> Outcome:
    order = order_for(editor(project), project=project, outputs=(), task=task)
    return await IsolatedExecutor(ProcessExecutor(), permit=lambda _agent: None).execute(order, Beats())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone, clean for git, of files that were committed before there were rules for them."""
    files = {"a.bat": LINES, "c.bat": "c\r\n", "id.c": "// $Id: of old $\n", "b.py": "b\n"}
    origin = make_repository(tmp_path / "origin", files)
    write_files(origin, {".gitattributes": "*.bat text eol=crlf\n*.c ident\n"})
    git(origin, "add", ".gitattributes")
    git(origin, "commit", "--quiet", "--message=Rules")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    # As after a checkout that takes longer: the index is younger than the files, which are not read again.
    later = (clone / ".git" / "index").stat().st_mtime + 60
    os.utime(clone / ".git" / "index", (later, later))
    assert git(clone, "status", "--porcelain") == ""
    return clone


async def test_files_that_nobody_touched_are_no_changes(project: Path) -> None:
    before = [(project / name).stat() for name in AS_WRITTEN]
    await done(project, "write('b.py', 'changed')")
    assert (project / "b.py").read_text() == "changed"
    assert [(project / name).stat() for name in AS_WRITTEN] == before


async def test_files_that_nobody_touched_are_on_no_branch(project: Path) -> None:
    failure = (await _outcome(project, "write('b.py', 'changed'); sys.exit('it broke')")).failure
    assert failure is not None
    (branch,) = branches(project)
    assert git(project, "diff", "--name-only", f"orchestration/{branch}~", f"orchestration/{branch}") == "b.py"


async def test_a_changed_file_comes_back(project: Path) -> None:
    await done(project, "text = open('a.bat', newline='').read(); write('a.bat', text + 'more\\r\\n')")
    assert (project / "a.bat").read_bytes() == f"{LINES}more\r\n".encode()


async def test_parts_of_a_file_that_two_agents_changed_come_back(project: Path) -> None:
    trees = [await open_worktree(project, AttemptId(f"r-1:check#{number}"), Beats()) for number in (1, 2)]
    for tree, (old, new) in zip(trees, (EARLY, LATE), strict=True):
        file = tree.folder / "a.bat"
        file.write_bytes(file.read_bytes().replace(old.encode(), new.encode()))
    for tree in trees:
        await tree.merge_back(Beats())
        await tree.remove()
    assert (project / "a.bat").read_bytes() == LINES.replace(*EARLY).replace(*LATE).encode()


async def test_what_a_person_changed_meanwhile_is_not_written_over(project: Path) -> None:
    tree = await open_worktree(project, AttemptId("r-1:check#1"), Beats())
    (tree.folder / "c.bat").write_bytes(b"by the agent\r\n")
    (project / "c.bat").write_bytes(b"by hand\r\n")
    with pytest.raises(Exception, match=r"MERGE_CONFLICT: they conflict with other changes in c\.bat"):
        await tree.merge_back(Beats())
    assert (project / "c.bat").read_bytes() == b"by hand\r\n"


async def test_a_filter_that_never_stores_the_same_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that encrypts with a salt."""
    salted = tmp_path / "salted"
    salted.write_text("#!/bin/sh\ncat /proc/sys/kernel/random/uuid -\n")
    salted.chmod(0o755)
    unsalted = {"clean": str(salted), "smudge": "tail -n +2", "required": "true"}
    configure_user(monkeypatch, tmp_path, **{f"filter.salted.{key}": value for key, value in unsalted.items()})
    project = make_repository(tmp_path / "project", {".gitattributes": "*.key filter=salted\n", "b.py": "b\n"})
    write_files(project, {"one.key": "one\n", "two.key": "two\n"})
    await done(project, "write('b.py', 'changed'); write('one.key', 'changed\\n')")
    found = [(project / name).read_text() for name in ("b.py", "one.key", "two.key")]
    assert found == ["changed", "changed\n", "two\n"]


ENCODED = "*.ps1 text working-tree-encoding=UTF-16LE eol=crlf\\n"
UTF_16 = "'one\\r\\ntwo\\r\\n'.encode('utf-16-le')"


@pytest.mark.parametrize("rules", [".gitattributes", "sub/.gitattributes"])
@pytest.mark.parametrize("before", ["", "*.x text\n"])
async def test_files_come_back_by_the_rules_that_their_agent_made(rules: str, before: str, tmp_path: Path) -> None:
    others = {".gitattributes": "*.bat eol=crlf\n", "sub/.gitattributes": "*.bat eol=crlf\n", "sub/x.txt": "x\n"}
    others = others | ({rules: before} if before else {})
    project = make_repository(tmp_path, {name: text for name, text in others.items() if before or name != rules})
    await done(project, f"write('{rules}', '{ENCODED}'); write('sub/s.ps1', {UTF_16}); write('sub/s.bat', 'a\\r\\n')")
    assert (project / "sub/s.ps1").read_bytes() == "one\r\ntwo\r\n".encode("utf-16-le")
    assert (project / "sub/s.bat").read_bytes() == b"a\r\n"


async def test_files_come_back_without_the_rules_that_their_agent_removed(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {".gitattributes": "*.ps1 text working-tree-encoding=UTF-16LE\n"})
    write_files(project, {"s.ps1": "one\n".encode("utf-16-le")})
    await done(project, "os.remove('.gitattributes'); write('s.ps1', 'one\\ntwo\\n')")
    assert (project / "s.ps1").read_bytes() == b"one\ntwo\n"


async def test_a_program_stays_one_where_git_does_not_look_at_modes(tmp_path: Path) -> None:
    project = make_repository(tmp_path, {"run.sh": "echo one\n"})
    git(project, "config", "core.fileMode", "false")
    (project / "run.sh").chmod(0o750)
    await done(project, "write('run.sh', 'echo two\\n')")
    assert (project / "run.sh").read_text() == "echo two\n"
    assert (project / "run.sh").stat().st_mode & 0o777 == 0o750
