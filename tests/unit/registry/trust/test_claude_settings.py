from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.model.trust import TrustItem
from registry.trust import claude_settings
from registry.trust.claude_settings import accepted_in_claude_code, claude_item, folders_inside

HOOK = {"Stop": [{"hooks": [{"type": "command", "command": "$CLAUDE_PROJECT_DIR/tools/check.sh -v"}]}]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    (folder / ".git").mkdir(parents=True)
    (folder / "tools").mkdir()
    for name in ("check.sh", "key.sh", "env.sh"):
        (folder / "tools" / name).write_text("true")
    return folder


def item(project: Path) -> TrustItem | None:
    return claude_item(project, folders_inside(project))


def lines(project: Path) -> tuple[str, ...]:
    found = item(project)
    return () if found is None else found.lines


def settings(project: Path, **fields: Any) -> None:  # noqa: ANN401 - JSON
    write(project, ".claude/settings.json", json.dumps(fields))


def write(project: Path, path: str, text: str) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text(text, encoding="utf-8")


def test_what_only_restricts_or_instructs_waits_for_nobody(project: Path) -> None:
    settings(project, permissions={"deny": ["Bash"], "ask": ["Edit"], "allow": []}, **{"$schema": "x"})
    write(project, "CLAUDE.md", "Be kind.")
    write(project, ".claude/rules/style.md", "Short lines.")
    write(project, ".claude/skills/plain/SKILL.md", "---\nname: plain\ndescription: x\n---\nRead the code.")
    write(project, ".claude/skills/plain/data.json", "{}")
    write(project, ".claude/commands/look.md", "Look at $ARGUMENTS")
    write(project, ".claude/agents/rev.md", "---\nname: rev\ndescription: x\ntools: Read\npriority: 1\n---\nRead.")
    assert item(project) is None


def test_settings_that_run_reach_out_or_allow_wait_and_are_shown_fact_by_fact(project: Path) -> None:
    settings(
        project,
        hooks=HOOK,
        apiKeyHelper="tools/key.sh",
        env={"BASH_ENV": "tools/env.sh"},
        permissions={"allow": ["Bash", "Edit"], "deny": ["Read"]},
    )
    write(project, ".claude/settings.local.json", json.dumps({"enabledPlugins": {"p@m": True}}))
    found = item(project)
    assert found is not None
    assert found.id == "claude-settings"
    assert found.summary == "hooks Stop, apiKeyHelper, env, permissions, enabledPlugins"
    hook = json.dumps(HOOK["Stop"][0])
    assert found.lines == (
        f"settings.json: hooks Stop: {hook}",
        "settings.json: apiKeyHelper: tools/key.sh",
        "settings.json: env BASH_ENV: tools/env.sh",
        "settings.json: permissions allow: Bash",
        "settings.json: permissions allow: Edit",
        'settings.local.json: enabledPlugins: {"p@m": true}',
    )
    assert {"tools/check.sh", "tools/key.sh", "tools/env.sh"} <= found.files.keys()


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        (".claude/skills/s/SKILL.md", "---\nname: s\n---\nNow: !`date`", "runs a shell when it is used"),
        (".claude/skills/s/SKILL.md", "---\nname: s\n---\n```!\ndate\n```", "runs a shell when it is used"),
        (".claude/skills/s/SKILL.md", "---\nname: s\nhooks: {Stop: []}\n---\n", "sets hooks"),
        (".claude/skills/s/SKILL.md", "---\nallowed-tools: Bash\n---\n", "sets allowed-tools"),
        (".claude/skills/s/SKILL.md", '---\n"\\x68ooks": {Stop: []}\n---\n', "sets hooks"),
        (".claude/skills/s/SKILL.md", "---\nname: &a x\ndescription: *a\n---\n", "its fields cannot be read"),
        (".claude/skills/s/.claude-plugin/plugin.json", "{}", "a plugin"),
        (".claude/skills/s/deep/SKILL.md", "---\nname: s\n---\n!`date`", "runs a shell when it is used"),
        (".claude/commands/c.md", "Now: !`date`", "runs a shell when it is used"),
        (".claude/commands/c.md", "x" * 1_000_000, "too large to check"),
        (".claude/agents/a.md", "---\nname: a\nhooks:\n  Stop: []\n---\n", "sets hooks"),
        (".claude/agents/a.md", "---\nname: a\nmcpServers: [{x: {command: y}}]\n---\n", "sets mcpServers"),
        (".claude/agents/a.md", "---\nname: a\npermissionMode: auto\n---\n", "sets permissionMode"),
        (".claude/workflows/w.js", "0", "a program of Claude Code's"),
        ("deep/down/.claude/skills/s/SKILL.md", "!`date`", "runs a shell when it is used"),
    ],
)
def test_a_skill_command_or_agent_that_runs_or_allows_something_waits(
    path: str, text: str, line: str, project: Path
) -> None:
    write(project, path, text)
    assert lines(project) == (f"{path}: {line}",)


def test_what_lies_above_the_project_in_the_same_repository_counts(project: Path) -> None:
    (project / "sub").mkdir()
    write(project, ".claude/commands/c.md", "!`date`")
    assert lines(project / "sub") == ("../.claude/commands/c.md: runs a shell when it is used",)
    write(project.parent, ".claude/commands/c.md", "!`date`")
    assert len(lines(project / "sub")) == 1


def test_what_waits_is_covered_by_content_and_by_place(project: Path) -> None:
    settings(project, hooks=HOOK)
    write(project, ".claude/commands/c.md", "!`date`")
    seen = [item(project)]
    write(project, "tools/check.sh", "false")
    seen.append(item(project))
    write(project, ".claude/commands/c.md", "!`date -u`")
    seen.append(item(project))
    settings(project, hooks=HOOK, env={"A": "1"})
    seen.append(item(project))
    assert len({(found.content, tuple(found.files.items())) for found in seen if found}) == 4
    before = item(project)
    settings(project, hooks=HOOK, env={"A": "1"}, permissions={"deny": ["Bash"]})
    assert item(project) == before, "a rule that restricts asks nobody"
    moved = project.rename(project.with_name("q"))
    after = item(moved)
    assert before is not None
    assert after is not None
    assert after.content == before.content
    assert after.place != before.place


def test_settings_that_cannot_be_read_are_not_asked_for_since_no_agent_runs_with_them(project: Path) -> None:
    write(project, ".claude/settings.json", "{broken")
    assert item(project) is None


def test_a_project_with_too_many_folders_to_look_through_counts_as_having_something(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claude_settings, "MAX_FOLDERS", 3)
    for name in "abcd":
        (project / name).mkdir()
    assert lines(project) == ("more than 3 folders, any of which may have skills",)


def test_links_that_lead_round_come_to_an_end(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".claude").mkdir()
    (project / ".claude" / "skills").symlink_to("..")
    (project / "round").symlink_to(".")
    assert item(project) is None
    monkeypatch.setattr(claude_settings, "MAX_ENTRIES", 10)
    assert lines(project) == ("more than 10 files of skills and the like",)


def test_a_skill_behind_a_link_is_looked_at(project: Path) -> None:
    write(project.parent, "shared/skills/s/SKILL.md", "!`date`")
    (project / ".claude").symlink_to(project.parent / "shared")
    assert lines(project) == (".claude/skills/s/SKILL.md: runs a shell when it is used",)


def test_what_is_no_file_is_left_alone(project: Path) -> None:
    (project / ".claude" / "commands").mkdir(parents=True)
    os.mkfifo(project / ".claude" / "commands" / "pipe.md")
    (project / ".claude" / "commands" / "gone.md").symlink_to("nowhere")
    assert item(project) is None


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / ".claude.json"


def test_a_folder_accepted_in_claude_code_is_accepted(project: Path, record: Path) -> None:
    def accept(folder: Path, *, said: object = True) -> None:
        record.write_text(json.dumps({"projects": {str(folder): {"hasTrustDialogAccepted": said}}}))

    (project / "sub").mkdir()
    assert not accepted_in_claude_code(project)
    accept(project)
    assert accepted_in_claude_code(project)
    assert accepted_in_claude_code(project / "sub")
    accept(project, said="yes")
    assert not accepted_in_claude_code(project)
    accept(project.parent)
    assert not accepted_in_claude_code(project), "a repository is a folder of its own"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"projects": []}', '{"projects": 1}', "[" * 100_000])
def test_a_record_of_claude_code_that_makes_no_sense_accepts_nothing(text: str, project: Path, record: Path) -> None:
    record.write_text(text)
    assert not accepted_in_claude_code(project)
    record.write_text(json.dumps({"projects": {str(project): 5}}))
    assert not accepted_in_claude_code(project)
