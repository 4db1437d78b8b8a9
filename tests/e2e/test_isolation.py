"""Two real agents with `isolation: worktree` edit one project at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.model.agent import Agent
from engine.opening import open_engine
from engine.run.events import RunStatus
from engine.run.state import Run
from tests.support.claude_code import program
from tests.support.definitions import command, node, phase, plan
from tests.support.fake_messages_api import FakeMessagesApi, Route, Step
from tests.support.real_agents import ended
from tests.support.repositories import branches, git, leftovers, make_repository, on_branch

LINES = "".join(f"line {number}\n" for number in range(1, 21))
TASKS = ("Change the beginning", "Change the end")
ANSWER: Step = {"structured": {"outputs": dict.fromkeys(("first", "second"), "Edited.")}}


@dataclass(frozen=True, kw_only=True)
class Script(Route):
    """What an agent does in the folder that it was told to work in, once both have begun."""

    api: FakeMessagesApi
    does: Callable[[str, str], Sequence[Step]]
    """Its steps, by its folder and its prompt."""

    def steps_of(self, attempt: int) -> Sequence[Step]:  # noqa: ARG002 -- each agent works once
        self.api.wait_until(lambda: all(self.api.turns_with(task) for task in TASKS))
        prompt = self.api.turns_with(self.match)[0].prompt
        return [*self.does(prompt.partition("You work in ")[2].partition(",")[0], prompt), ANSWER]


def edit(path: str, old: str, new: str) -> list[Step]:
    given = {"file_path": path, "old_string": old, "new_string": new}
    return [{"tool": "Read", "input": {"file_path": path}}, {"tool": "Edit", "input": given}]


def compute(code: str) -> Step:
    return {"tool": "Bash", "input": {"command": f'python3 -c "{code}"', "description": "x"}}


async def run_both(project: Path, environ: dict[str, str]) -> Run:
    agent = Agent(id="worker", prompt="You edit.", isolation="worktree", permission_mode="acceptEdits", env=environ)
    inputs = {"inputs": [{"key": "big"}]}
    steps = [node(name, task=task, context=inputs) for name, task in zip(("first", "second"), TASKS, strict=True)]
    raw = command(phase("work", *steps), globalContext={"initial": {"big": "bean " * 8000}})
    async with open_engine(project, claude_program=str(program())) as engine:
        engine.permits.whole = lambda _run: True  # the user has accepted what the project allows
        return await ended(engine, await engine.start(plan(raw, agents=(agent,)), executor="claude"))


@pytest.mark.parametrize("below", ["", "part"])
async def test_two_agents_edit_at_once_and_both_come_back(
    below: str, *, api: FakeMessagesApi, environ: dict[str, str], project: Path
) -> None:
    """Without a question: they edit in their worktrees, read a large input, and run what the user's settings allow."""
    make_repository(project, {f"{below}/lines.txt".lstrip("/"): LINES, ".gitignore": "settings.local.json\n"})
    root = project / below
    settings = root / ".claude" / "settings.local.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"permissions": {"allow": ["Bash(python3 *)"]}}))

    def first(folder: str, prompt: str) -> list[Step]:
        large = prompt.partition("JSON file ")[2].split()[0]
        write: Step = {"tool": "Write", "input": {"file_path": f"{folder}/src/first.txt", "content": "by first"}}
        return [{"tool": "Read", "input": {"file_path": large}}, *edit(f"{folder}/lines.txt", "line 2\n", "2\n"), write]

    def second(folder: str, _prompt: str) -> list[Step]:
        return [
            *edit(f"{folder}/lines.txt", "line 19\n", "19\n"),
            compute("open('second.txt', 'w').write('by second')"),
        ]

    api.routes = [Script(match=task, api=api, does=does) for task, does in zip(TASKS, (first, second), strict=True)]
    seen = await run_both(root, environ)
    assert seen.status is RunStatus.COMPLETED, [state.failure for state in seen.nodes.values()]
    assert (root / "lines.txt").read_text() == LINES.replace("line 2\n", "2\n").replace("line 19\n", "19\n")
    assert ((root / "src/first.txt").read_text(), (root / "second.txt").read_text()) == ("by first", "by second")
    assert (branches(project), leftovers(root)) == ([], [])
    changed = git(root, "ls-files", "--modified", "--others", "--exclude-standard").splitlines()
    assert sorted(changed) == ["lines.txt", "second.txt", "src/first.txt"], "nothing else shows up"


async def test_of_two_agents_that_conflict_one_is_told_where_its_work_is(
    api: FakeMessagesApi, environ: dict[str, str], project: Path
) -> None:
    make_repository(project, {"lines.txt": LINES})

    def change(to: str) -> Callable[[str, str], list[Step]]:
        return lambda folder, _prompt: edit(f"{folder}/lines.txt", "line 7\n", to)

    api.routes = [Script(match=task, api=api, does=change(f"{task}\n")) for task in TASKS]
    seen = await run_both(project, environ)
    [lost] = [state for state in seen.nodes.values() if state.failure is not None]
    assert lost.failure is not None
    branch = f"{seen.id}/{lost.plan.id}/1"
    assert (lost.failure.code, "lines.txt" in lost.failure.message) == ("MERGE_CONFLICT", True)
    assert f"orchestration/{branch}" in (lost.failure.hint or "")
    texts = [LINES.replace("line 7\n", f"{task}\n") for task in TASKS]
    assert sorted([(project / "lines.txt").read_text(), on_branch(project, branch, "lines.txt") + "\n"]) == sorted(
        texts
    )
    assert leftovers(project) == []
