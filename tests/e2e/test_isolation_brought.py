"""What our worktrees hold of what git ignores is what those of the real Claude Code hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.executors.worktrees.ignored_files import links_of
from engine.executors.worktrees.worktree import open_worktree
from engine.ids import AttemptId
from tests.support.claude_code import run_claude
from tests.support.orders import Beats
from tests.support.repositories import make_repository, write_files

INCLUDE = ".env\n*.env\n!out.env\nsecrets/\n!secrets/no.txt\n/top.log\nbuild/out/*.bin\nlinked\n**/deep.log\n"
TRACKED = {
    ".gitignore": "*.env\ncache/\nsecrets/\nbuild/\nnode_modules/\n*.log\nlinked\n.claude/\n",
    ".worktreeinclude": INCLUDE,
    "src/a.txt": "a",
    "part/a.txt": "a",
    "part/.worktreeinclude": "!*.env\n",
}
IGNORED = (
    *(
        ".env",
        "out.env",
        "src/x.env",
        "secrets/no.txt",
        "secrets/in/yes.txt",
        "top.log",
        "src/top.log",
        "build/out/a.bin",
    ),
    *(
        "build/out/a.txt",
        "node_modules/m.js",
        "src/cache/c",
        "sp ace.env",
        "part/p.env",
        "a/b/deep.log",
        "part/cache/c",
    ),
)


def found(folder: Path) -> dict[str, str]:
    """Files by their path, with what is in them or where they lead."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or path.is_file()]
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in paths
        if path.name != ".git"
    }


@pytest.mark.parametrize("below", ["", "part"])
async def test_the_same_files_and_links_are_brought(below: str, environ: dict[str, str], project: Path) -> None:
    make_repository(project, TRACKED)
    write_files(project, dict.fromkeys(IGNORED, "x"))
    (project / "linked").symlink_to(".env")
    links = ["node_modules", "src/cache", "nowhere", "../outside", ".git", "src", "build/out", "./part/cache", "/etc"]
    settings = {f"{below}/.claude/settings.json".lstrip("/"): json.dumps({"worktree": {"symlinkDirectories": links}})}
    write_files(project, settings)
    run = run_claude(
        '<<fake [{"text": "Done."}]>>', project=project / below, environ=environ, arguments=("--worktree", "theirs")
    )
    assert run.exit_code == 0, run.stderr
    tree = await open_worktree(
        project / below, AttemptId("r-1:ours#1"), Beats(), links=links_of(project / below, whole=True)
    )
    theirs = found(project / ".claude/worktrees/theirs")
    assert found(tree.place) == theirs
    assert {"secrets/in/yes.txt", "secrets/no.txt", "src/cache", "node_modules"} <= theirs.keys()
    await tree.remove()
