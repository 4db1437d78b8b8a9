"""What git says is wrong, in one line."""

from __future__ import annotations

import pytest

from engine.executors.worktrees.git import complaint


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
