"""What git says is wrong, in one line, and what helps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.executors.worktrees.git import Git, IsolationUnavailable, complaint


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        (b"fatal: not a git repository\n", "fatal: not a git repository"),
        (
            b"error: a filter failed\nfatal: a.txt: clean filter failed\nhint: look\n",
            "fatal: a.txt: clean filter failed",
        ),
        (b"error: one\nerror: the other\nwarning: later\n", "error: the other"),
        (
            b"The following paths are ignored:\n.claude/worktrees\nhint: Use -f to add them.\nhint: Or do not.\n",
            "The following paths are ignored: .claude/worktrees",
        ),
        (b"warning: CRLF\nhint: Use -f.\n", ""),
        (b"", ""),
    ],
)
def test_the_cause_is_told_and_no_hint(stderr: bytes, cause: str) -> None:
    assert complaint(stderr) == cause


@pytest.mark.parametrize(
    ("said", "hint"),
    [("No space left on device", "Free some disk space."), ("Bad object", "Try `git status` in {top}.")],
)
async def test_a_full_disk_has_a_hint_of_its_own(tmp_path: Path, said: str, hint: str) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho 'fatal: unable to write loose object file: {said}' >&2\nexit 128\n")
    program.chmod(0o755)
    git = Git(program=str(program), environment=dict(os.environ), tag="tag", top=tmp_path)
    with pytest.raises(IsolationUnavailable) as refused:
        await git.run("add")
    assert refused.value.hint == hint.format(top=tmp_path)
