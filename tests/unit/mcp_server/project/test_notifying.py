"""Targets of notifications: programs and web hooks, and what each says of its failure."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from mcp_server.project import notifying
from mcp_server.project.notifying import Program, Webhook
from mcp_server.project.settings import parse_settings
from mcp_server.project.user_settings import load_user_settings
from tests.support.hook import hooked
from tests.support.workers import wait_for_death

if TYPE_CHECKING:
    from pathlib import Path

BODY = json.dumps({"text": "all is well"}).encode()
KEEP = "import sys; open('got', 'w').write(sys.stdin.read()); open('word', 'w').write(sys.argv[1])"


def variables() -> dict[str, str]:
    return dict(os.environ)


async def test_a_program_gets_the_notification_on_stdin_and_its_words_as_they_are(tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", KEEP, "$HOME; touch marker"], tmp_path, variables)
    assert await program.send(BODY) == ""
    assert json.loads((tmp_path / "got").read_text(encoding="utf-8")) == {"text": "all is well"}
    assert (tmp_path / "word").read_text(encoding="utf-8") == "$HOME; touch marker"
    assert not (tmp_path / "marker").exists()


async def test_a_program_that_fails_or_is_not_there_says_so(tmp_path: Path) -> None:
    assert await Program([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, variables).send(BODY) == (
        "it exited with code 3"
    )
    assert await Program(["no-such-program"], tmp_path, variables).send(BODY) == "it was not found"
    assert "cannot be started" in await Program(["./no-such-file"], tmp_path, variables).send(BODY)


async def test_a_program_of_the_project_is_not_found_by_its_bare_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notify").write_text("#!/bin/sh\ntouch marker\n", encoding="utf-8")
    (tmp_path / "notify").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert await Program(["notify"], tmp_path, variables).send(BODY) == "it was not found"
    assert await Program(["./notify"], tmp_path, variables).send(BODY) == ""
    assert (tmp_path / "marker").exists()


async def test_a_program_that_takes_too_long_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "LIMIT_SECONDS", 2.0)
    sleeps = (
        "import subprocess, sys; c = [sys.executable, '-c', 'import time; time.sleep(99)']; p = subprocess.Popen(c); "
    )
    sleeps += "open('pid', 'w').write(str(p.pid)); p.wait()"
    assert await Program([sys.executable, "-c", sleeps], tmp_path, variables).send(BODY) == "it took longer than 2 s"
    wait_for_death(int((tmp_path / "pid").read_text(encoding="utf-8")))


async def test_a_web_hook_gets_the_notification_as_json() -> None:
    with hooked() as hook:
        assert await Webhook(hook.address).send(BODY) == ""
        assert hook.bodies == [{"text": "all is well"}]
        assert hook.headers[0]["Content-Type"] == "application/json"


async def test_a_web_hook_that_refuses_or_redirects_says_so_and_is_not_followed() -> None:
    with hooked() as hook, hooked() as other:
        hook.status = 500
        assert await Webhook(hook.address).send(BODY) == "it answered 500"
        hook.status, hook.location = 302, other.address
        assert await Webhook(hook.address).send(BODY) == "it answered 302"
        assert other.bodies == []


async def test_a_web_hook_that_is_away_or_slow_says_so_without_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "LIMIT_SECONDS", 0.3)
    with hooked() as hook:
        hook.answers.clear()
        slow = Webhook(hook.address)
        assert "secret-path" not in slow.name
        assert await slow.send(BODY) in {"it took longer than 0.3 s", "it cannot be reached: timed out"}
    assert (await Webhook("http://127.0.0.1:1/x").send(BODY)).startswith("it cannot be reached: ")


@pytest.mark.parametrize(
    "address", ["https://hooks.example/abc", "http://127.0.0.1:9/x", "http://[::1]:9", "http://localhost/x"]
)
def test_an_address_is_https_or_this_machine(address: str) -> None:
    assert parse_settings({"notify": {"webhook": address}}).notify.webhook == address


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example/abc",
        "http://127.0.0.1.example/abc",
        "http://10.0.0.1/",
        "ftp://hooks.example/",
        "file:///etc/hosts",
        "https://",
        "hooks.example",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "https://hooks.example:abc/",
        "https://hooks.example:-1/",
        "https://hooks.example/a b",
        "https://hooks.example/\u00e4",
        "https://hooks.example/\r\nX: y",
        "http://local\thost/",
        " https://hooks.example/",
    ],
)
def test_another_address_is_refused_when_the_file_is_read(address: str) -> None:
    with pytest.raises(InputError, match=r"notify\.webhook") as caught:
        parse_settings({"notify": {"webhook": address}})
    assert caught.value.code == "INVALID_SETTINGS"


def test_a_password_in_an_address_is_refused_in_the_users_own_file_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".config" / "orchestration-mcp"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    folder.mkdir(parents=True)
    (folder / "settings.toml").write_text('[notify]\nwebhook = "https://me:word@hooks.example/"\n', encoding="utf-8")
    with pytest.raises(InputError, match="user name or password"):
        load_user_settings(tmp_path)
    (folder / "settings.toml").write_text("[notify]\nringing = true\n", encoding="utf-8")
    with pytest.raises(InputError, match=r'unknown key "notify\.ringing"'):
        load_user_settings(tmp_path)


def test_targets_of_a_projects_file_are_guarded() -> None:
    settings = parse_settings({"notify": {"webhook": "https://hooks.example/", "command": ["./tell"]}})
    assert settings.guarded == {"notify": {"notify.command": ["./tell"], "notify.webhook": "https://hooks.example/"}}
