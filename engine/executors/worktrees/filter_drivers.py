"""Refuses to isolate agents if files need a program that the repository itself configures.

Effects: starts git, which reads attributes. It is checked before anything is written to git's database: files that a
withheld filter would, for example, encrypt would otherwise be stored in plain text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.executors.worktrees.changes import names
from engine.executors.worktrees.git import Git, IsolationUnavailable
from engine.git_rules import Driver
from engine.model.policy import NOT_TRUSTED
from engine.text.redaction import one_line


async def refuse_withheld(git: Git) -> None:
    """Raise `IsolationUnavailable` if a file needs a filter or merge driver that is withheld."""
    if not git.missing:
        return
    by_title = {driver.title: driver for driver in git.missing}
    every = by_title.get(f"merge.{git.default_merge}")
    if every is not None:
        raise _refusal(git, every, "every file")
    listed = await git.run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    asked = await git.run("check-attr", "-z", "--stdin", "filter", "merge", stdin=listed.stdout)
    for path, title in _wanted(asked.stdout):
        if title in by_title:
            raise _refusal(git, by_title[title], names([path]))


def _wanted(answer: bytes) -> Iterator[tuple[bytes, str]]:
    fields = answer.split(b"\0")
    for path, attribute, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        yield path, f"{os.fsdecode(attribute)}.{os.fsdecode(value)}"


def _refusal(git: Git, driver: Driver, what: str) -> IsolationUnavailable:
    kind = "filter" if driver.attribute == "filter" else "merge driver"
    program = one_line(driver.programs[0], limit=200)
    return IsolationUnavailable(
        f'{what} needs the {kind} "{one_line(driver.name)}", which is configured in the repository itself ({program}), '
        "and the user has not approved its present form",
        code=NOT_TRUSTED,
        hint=f"Review it, then run `orchestrate --project {git.top / git.prefix} trust` in a terminal.",
    )
