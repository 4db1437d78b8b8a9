from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import EnvironmentFault
from engine.executors.claude.settings import MAX_FILE_BYTES, given_settings, read_settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    (folder / ".claude").mkdir(parents=True)
    return folder


def write(project: Path, settings: object, *, local: bool = False) -> None:
    name = "settings.local.json" if local else "settings.json"
    (project / ".claude" / name).write_text(json.dumps(settings), encoding="utf-8")


def given(project: Path, *, whole: bool = False, worktree: Path | None = None) -> dict[str, Any] | None:
    folders = [project] if worktree is None else [worktree, project]
    return given_settings(project, folders, whole=whole, isolated=worktree is not None)


def test_a_project_without_settings_gives_none(project: Path) -> None:
    assert given(project) is None
    write(project, {"hooks": {}, "permissions": {}})
    assert given(project) is None


def test_what_denies_and_asks_is_given_and_nothing_else(project: Path) -> None:
    write(project, {"hooks": {"Stop": []}, "env": {"A": "1"}, "permissions": {"allow": ["Bash"], "deny": ["WebFetch"]}})
    write(project, {"permissions": {"deny": ["WebFetch", "Bash(rm *)", 5], "ask": ["Bash(git push:*)"]}}, local=True)
    assert given(project) == {"permissions": {"deny": ["WebFetch", "Bash(rm *)"], "ask": ["Bash(git push:*)"]}}


def test_what_is_accepted_may_also_allow(project: Path) -> None:
    write(project, {"hooks": {"Stop": []}, "permissions": {"allow": ["Bash(make)"], "deny": ["WebFetch"]}})
    assert given(project, whole=True) == {"permissions": {"allow": ["Bash(make)"], "deny": ["WebFetch"]}}


def test_an_isolated_agent_has_the_users_own_settings_where_they_are_accepted(project: Path, tmp_path: Path) -> None:
    write(project, {"permissions": {"ask": ["Bash"], "defaultMode": "plan"}, "env": {"A": "1"}}, local=True)
    worktree = tmp_path / "w"
    assert given(project, worktree=worktree) == {"permissions": {"ask": ["Bash"]}}
    whole = given(project, worktree=worktree, whole=True)
    assert whole == {"permissions": {"ask": ["Bash"], "defaultMode": "plan"}, "env": {"A": "1"}}


@pytest.mark.parametrize(
    ("rule", "placed"),
    [
        ("Read(/secret.txt)", ["Read(//W/secret.txt)", "Read(//P/secret.txt)"]),
        ("Edit(src/**)", ["Edit(src/**)", "Edit(//W/src/**)", "Edit(//P/src/**)"]),
        ("Read(./.env)", ["Read(./.env)", "Read(//W/.env)", "Read(//P/.env)"]),
        ("Read(.env)", ["Read(.env)", "Read(//W/**/.env)", "Read(//P/**/.env)"]),
        ("Write(build/)", ["Write(build/)", "Write(//W/**/build/)", "Write(//P/**/build/)"]),
        ("Read(//P/d/x)", ["Read(//W/d/x)", "Read(//P/d/x)"]),
        ("Read(//etc/**)", ["Read(//etc/**)"]),
        ("Read(~/.ssh/**)", ["Read(~/.ssh/**)"]),
        ("Read", ["Read"]),
        ("Read()", ["Read()"]),
        ("Bash(cat /secret.txt)", ["Bash(cat /secret.txt)"]),
        ("mcp__db__query", ["mcp__db__query"]),
    ],
)
def test_a_rule_about_files_holds_in_the_worktree_and_in_the_project(
    rule: str, placed: list[str], project: Path, tmp_path: Path
) -> None:
    worktree = tmp_path / "w"

    def named(text: str) -> str:
        return text.replace("//W", f"/{worktree}").replace("//P", f"/{project}")

    write(project, {"permissions": {"deny": [named(rule)]}})
    assert given(project, worktree=worktree) == {"permissions": {"deny": [named(each) for each in placed]}}


def test_a_folder_with_a_name_that_means_something_in_a_rule_is_still_denied(tmp_path: Path) -> None:
    project = tmp_path / "a (b) [c]"
    (project / ".claude").mkdir(parents=True)
    write(project, {"permissions": {"deny": ["Read(/x)"]}})
    assert given(project) == {"permissions": {"deny": [f"Read(/{tmp_path}/a ?b? ?c?/x)"]}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{broken", "it is not JSON"),
        (b'{"permissions": {"deny": ["Bash"]}} // late', "it is not JSON"),
        (b"[1]", "it is not a JSON object"),
        (b'{"permissions": []}', "`permissions` is not an object"),
        (b'{"permissions": {"deny": "Bash"}}', "`permissions.deny` is not a list"),
        (b" " * (MAX_FILE_BYTES + 1), "it is larger than 1,000,000 bytes"),
        (b"[" * 100_000, "it is not JSON"),
    ],
)
def test_settings_whose_rules_could_not_hold_are_an_error(content: bytes, why: str, project: Path) -> None:
    path = project / ".claude" / "settings.json"
    path.write_bytes(content)
    with pytest.raises(EnvironmentFault) as caught:
        read_settings(project)
    assert caught.value.code == "CLAUDE_SETTINGS_INVALID"
    assert str(path) in caught.value.message
    assert why in caught.value.message


def test_settings_that_are_no_file_are_an_error(project: Path) -> None:
    path = project / ".claude" / "settings.json"
    os.mkfifo(path)
    with pytest.raises(EnvironmentFault, match="it is not a regular file"):
        read_settings(project)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(EnvironmentFault, match="symbolic links"):
        read_settings(project)


def test_odd_bytes_and_an_empty_file_are_read_as_claude_code_does(project: Path) -> None:
    (project / ".claude" / "settings.json").write_bytes(b'\xef\xbb\xbf{"permissions": {"deny": ["Bash"]}, "x": "\xe9"}')
    (project / ".claude" / "settings.local.json").write_bytes(b"\n")
    assert given(project) == {"permissions": {"deny": ["Bash"]}}
