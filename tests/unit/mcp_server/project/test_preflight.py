from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.model.agent import Agent, AgentKind
from engine.model.trust import ItemKind, TrustItem, trust_item
from mcp_server.project.preflight import MAX_NOTES, preflight


@pytest.fixture(autouse=True)
def _without_settings_of_this_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)


def found(project: Path, *agents: Agent, waiting: TrustItem | None = None, executor: str = "claude") -> tuple[str, ...]:
    return preflight(agents, project, lambda: waiting, executor=executor, home=project / "home")


def waiting(summary: str) -> TrustItem:
    return trust_item(ItemKind.CLAUDE, summary=summary, lines=(), content={}, place={})


def settings(path: Path, **permissions: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"permissions": permissions}), encoding="utf-8")


def test_agents_without_tools_are_told_together_and_programs_not_at_all(tmp_path: Path) -> None:
    program = Agent(id="c", kind=AgentKind.PROCESS)
    [line] = found(tmp_path, Agent(id="a"), Agent(id="b"), program)
    tools = "Bash, Edit, NotebookEdit, WebFetch, WebSearch, Write"
    assert line == f"a, b: no tools in the agent's file, so {tools} will be denied, since no one can be asked"


def test_what_the_settings_of_user_and_project_allow_and_deny_counts(tmp_path: Path) -> None:
    settings(tmp_path / "home/.claude/settings.json", allow=["WebFetch", "WebSearch", 3])
    settings(tmp_path / ".claude/settings.json", allow=["Edit", "Write", "NotebookEdit"], deny=["Read"])
    settings(tmp_path / ".claude/settings.local.json", allow=["Bash(make)"])
    assert found(tmp_path, Agent(id="a")) == ()
    [line] = found(tmp_path, Agent(id="a", tools=("Read",)))
    assert "settings deny" in line


def test_what_waits_for_a_yes_is_named_and_allows_nothing_but_still_denies(tmp_path: Path) -> None:
    settings(tmp_path / ".claude/settings.json", allow=["Bash", "Edit"], deny=["Read"])
    item = waiting("hooks Stop, env")
    waits, denied, closed = found(tmp_path, Agent(id="a"), Agent(id="b", tools=("Read",)), waiting=item)
    assert waits.startswith("the project's configuration of Claude Code waits for your yes (hooks Stop, env): until")
    assert "settings deny" in denied
    assert "Bash, Edit," in closed
    assert found(tmp_path, Agent(id="c", kind=AgentKind.PROCESS), waiting=item) == ()
    judge = Agent(id="d", tools=("Glob",), ignores_project=True)
    assert found(tmp_path, judge, waiting=item) == (), "it would not use what waits"


@pytest.mark.parametrize("text", ["[]", "{broken", '{"permissions": 3}', '{"permissions": {"allow": "Bash"}}'])
def test_settings_that_make_no_sense_allow_nothing_and_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text(text, encoding="utf-8")
    told, line = found(tmp_path, Agent(id="a"))
    assert told.startswith("no model agent will start: the settings of Claude Code in ")
    assert "Bash" in line


def test_of_many_lacks_the_first_are_told(tmp_path: Path) -> None:
    lines = found(tmp_path, Agent(id="a", tools=tuple(f"Tool{number}" for number in range(30))))
    assert len(lines) == MAX_NOTES + 1
    assert lines[-1] == "and 20 more"


def test_links_for_worktrees_that_wait_for_a_yes_are_named_where_an_agent_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "user"))
    for folder, name in (("user", "mine"), (".claude", "node_modules")):
        (tmp_path / folder).mkdir()
        links = {"worktree": {"symlinkDirectories": ["mine", name]}}
        (tmp_path / folder / "settings.json").write_text(json.dumps(links), encoding="utf-8")
    item = waiting("worktree")
    isolated = Agent(id="a", kind=AgentKind.PROCESS, isolation="worktree")
    for executor in ("native", "host"):
        [line] = found(tmp_path, isolated, waiting=item, executor=executor)
        assert line.startswith("node_modules: worktree.symlinkDirectories in the project's settings waits for your yes")
    assert found(tmp_path, isolated) == ()
    assert found(tmp_path, Agent(id="a", kind=AgentKind.PROCESS), waiting=item) == ()
    assert found(tmp_path, Agent(id="a", isolation="worktree"), waiting=item, executor="host") == ()


def test_what_does_not_hold_where_the_client_does_the_work_is_named(tmp_path: Path) -> None:
    strange = Agent(
        id="a",
        known_to_claude_code=False,
        tools=("Read",),
        hooks={"Stop": []},
        max_budget_usd=1.0,
        ignores_project=True,
    )
    nothing = Agent(id="b", known_to_claude_code=False, tools=())
    plain, known = Agent(id="c", known_to_claude_code=False), Agent(id="d", tools=("Read",), env={"A": "b"})
    lines = found(tmp_path, strange, nothing, plain, known, waiting=waiting("env"), executor="host")
    alone = "the client does not know this agent and uses its prompt alone"
    assert [line.partition(" of its file")[0] for line in lines] == [
        f"a: {alone}, so tools, hooks, maxBudgetUsd, ignoreProject",
        f"b: {alone}, so tools",
        "d: the client does the agent's work, so env",
    ]
