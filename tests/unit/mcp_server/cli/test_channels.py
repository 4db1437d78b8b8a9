"""Additions to the settings of Claude Code: merged key by key, asked for, and never in the place of anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import EnvironmentFault, InputError, StateError
from mcp_server.cli import channels
from mcp_server.cli.channels import LOCAL, set_up
from mcp_server.cli.claude_settings import ALLOWED, Unusable, parsed, rendered, with_permissions
from mcp_server.cli.written import write_text
from mcp_server.project.root import SESSION_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

USERS = "the user's own"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    monkeypatch.setattr(channels, "program", lambda: "/opt/our programs/orchestrate")
    folder = tmp_path / "project"
    (folder / ".claude").mkdir(parents=True)
    return folder


def done(root: Path, *wanted: str, yes: bool = True) -> list[str]:
    chosen = {name: name in wanted for name in ("line", "monitor", "permissions")}
    return list(set_up(root, root.parent / "user", yes=yes, **chosen))


def settings(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / LOCAL).read_text(encoding="utf-8"))
    return found


def test_both_are_added_beside_what_is_there_and_twice_is_as_once(root: Path) -> None:
    before = {"env": {"A": "ß"}, "permissions": {"deny": ["Read(x)"], "allow": ["Bash(ls)", ALLOWED[0]]}, "model": "x"}
    (root / LOCAL).write_text(json.dumps(before, indent=4), encoding="utf-8")
    (root / LOCAL).chmod(0o600)
    assert done(root, "line", "permissions") == [f"written {LOCAL}"] * 2
    after = settings(root)
    line = after.pop("statusLine")
    assert line == {
        "type": "command",
        "command": f"'/opt/our programs/orchestrate' --project {root} status --line",
        "refreshInterval": 5,
    }
    assert after["permissions"].pop("allow") == ["Bash(ls)", *ALLOWED]
    assert before["permissions"].pop("allow")  # type: ignore[attr-defined]
    assert after == before
    text = (root / LOCAL).read_text(encoding="utf-8")
    assert '\n    "env": {' in text
    assert "ß" in text
    assert (root / LOCAL).stat().st_mode & 0o777 == 0o600
    assert done(root, "line", "permissions") == [f"unchanged {LOCAL}"] * 2
    assert (root / LOCAL).read_text(encoding="utf-8") == text
    assert [path.name for path in (root / ".claude").iterdir()] == [LOCAL.name]


def test_the_tools_allowed_in_advance_change_nothing() -> None:
    assert {name.rpartition("__")[2] for name in ALLOWED} == {"load_command", "validate", "status"}


@pytest.mark.parametrize("place", [str(LOCAL), str(channels.SHARED), USERS])
def test_a_status_line_that_is_there_is_never_replaced(root: Path, place: str) -> None:
    path = root.parent / "user" / "settings.json" if place == USERS else root / place
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"statusLine": {"type": "command", "command": "mine"}}', encoding="utf-8")
    before = path.read_bytes()
    [line] = done(root, "line")
    assert line.startswith(f"left alone {path}: it has a status line, which is never replaced. To add it yourself:\n")
    assert "status --line" in json.loads(line.partition("\n")[2])["statusLine"]["command"]
    assert path.read_bytes() == before
    assert place == str(LOCAL) or not (root / LOCAL).exists()


@pytest.mark.parametrize("there", ["{}", None])
def test_a_link_to_another_place_of_the_project_is_left_alone(root: Path, there: str | None) -> None:
    shared = root / "common.json"
    if there is not None:
        shared.write_text(there, encoding="utf-8")
    (root / LOCAL).symlink_to("../common.json")
    [line] = done(root, "permissions")
    assert line.startswith(f"left alone {root / LOCAL}: it is a link. To add it yourself:\n")
    assert (root / LOCAL).is_symlink()
    assert (shared.read_text(encoding="utf-8") if shared.exists() else None) == there


@pytest.mark.parametrize("place", [str(channels.SHARED), USERS])
def test_a_file_that_may_have_a_status_line_keeps_it(root: Path, place: str) -> None:
    path = root.parent / "user" / "settings.json" if place == USERS else root / place
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"a": 1, "a": 2, "statusLine": {"type": "command", "command": "mine"}}', encoding="utf-8")
    [line] = done(root, "line")
    assert line.startswith(f"left alone {path}: it is not plain JSON: a key is there twice. To add it yourself:\n")
    assert not (root / LOCAL).exists()


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"a": 1, "a": 2}',
        b"// mine\n{}",
        b"[]",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"a": 1}',
        b'{"permissions": {"allow": "all"}}',
        b'{"permissions": []}',
        b'{"a": 1e999}',
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b" " * (channels.MAX_FILE_BYTES + 1),
    ],
)
def test_what_cannot_be_merged_is_left_alone_with_the_text_to_paste(root: Path, text: bytes) -> None:
    (root / LOCAL).write_bytes(text)
    [line] = done(root, "permissions")
    assert line.startswith(f"left alone {root / LOCAL}: it ")
    assert json.loads(line.partition("\n")[2]) == {"permissions": {"allow": list(ALLOWED)}}
    assert (root / LOCAL).read_bytes() == text


def test_an_empty_file_and_none_are_empty_settings(root: Path) -> None:
    (root / LOCAL).write_text("\n", encoding="utf-8")
    done(root, "permissions")
    assert settings(root) == {"permissions": {"allow": list(ALLOWED)}}


def test_settings_come_back_whole() -> None:
    text = '{\n\t"a": [1, 2.5, null, true, "\\u00e9"],\n\t"b": {}\n}\n'
    assert parsed(rendered(parsed(text), text)) == parsed(text)
    assert rendered(parsed(text), text).startswith('{\n\t"a"')
    with pytest.raises(Unusable):
        with_permissions({"permissions": None})


def test_a_file_that_could_not_be_written_leaves_nothing_beside_it(root: Path) -> None:
    (root / LOCAL).mkdir()
    with pytest.raises(EnvironmentFault) as caught:
        write_text(root / LOCAL, "{}")
    assert caught.value.code == "FILE_UNWRITABLE"
    assert list((root / ".claude").iterdir()) == [root / LOCAL]


def test_settings_behind_a_link_out_of_the_project_are_refused(root: Path, tmp_path: Path) -> None:
    (root / ".claude").rmdir()
    (tmp_path / "shared").mkdir()
    (root / ".claude").symlink_to(tmp_path / "shared")
    with pytest.raises(InputError) as caught:
        done(root, "permissions")
    assert caught.value.code == "PATH_OUTSIDE_PROJECT"
    assert list((tmp_path / "shared").iterdir()) == []


def test_without_a_yes_and_a_terminal_nothing_is_written(root: Path) -> None:
    lines = done(root, "line", "permissions", "monitor", yes=False)
    assert [line.rpartition(": ")[2] for line in lines] == ["you did not agree"] * 3
    assert list((root / ".claude").iterdir()) == []
    assert not (root.parent / "user").exists()


def test_a_model_cannot_allow_itself_anything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SESSION_VARIABLE, "1")
    with pytest.raises(StateError) as caught:
        done(root, "permissions")
    assert caught.value.code == "NOT_TRUSTED"
    assert f"orchestrate --project {root} sync --permissions" in (caught.value.hint or "")
    assert not (root / LOCAL).exists()


def test_the_monitor_is_a_plugin_of_the_user_and_one_of_others_is_left_alone(root: Path) -> None:
    folder = root.parent / "user" / "skills" / "orchestration-monitor"
    assert len(done(root, "monitor")) == 2
    [monitor] = json.loads((folder / "monitors" / "monitors.json").read_text(encoding="utf-8"))
    assert monitor["command"] == "exec '/opt/our programs/orchestrate' monitor"
    assert done(root, "monitor") == [f"unchanged {folder}"]
    manifest = folder / ".claude-plugin" / "plugin.json"
    manifest.write_text('{"name": "orchestration-monitor", "description": "Mine"}', encoding="utf-8")
    assert done(root, "monitor") == [f"left alone {folder}: not written by sync"]
