"""The server of a lab, the folder of a worker, and settings that must not reach further than the user's yes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from engine.errors import EnvironmentFault, InputError, StateError
from engine.executors.fleet.sealing import KEY_VARIABLE
from mcp_server.cli.app import app
from mcp_server.fleet import lab
from mcp_server.fleet.folders import state_folder
from mcp_server.fleet.supervisor import supervise
from mcp_server.fleet.worker import Options
from mcp_server.project.loopback import loopback
from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from mcp_server.project.trusted import open_trust
from tests.support.installed import ORCHESTRATE

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there
FLEET = '[fleet]\nconnect = "10.0.0.7:7233"\nblobs = "file:///shared"\n'


def test_the_server_listens_here_unless_both_sides_say_otherwise_and_have_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    lab.check_listen("127.0.0.1", insecure=False)
    for listen, insecure, key in (
        (EVERYWHERE, False, "0a" * 32),
        (EVERYWHERE, True, None),
        (EVERYWHERE, True, "short"),
        ("10.0.0.7", True, "0a" * 32),
    ):
        if key is not None:
            monkeypatch.setenv(KEY_VARIABLE, key)
        with pytest.raises(InputError):
            lab.check_listen(listen, insecure=insecure)
        monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv(KEY_VARIABLE, "0a" * 32)
    lab.check_listen(EVERYWHERE, insecure=True)


def test_the_server_has_the_settings_that_a_fleet_needs(tmp_path: Path) -> None:
    command = lab.server_command(port=7, file=tmp_path / "state")
    assert Path(command[0]).name == "temporal"
    words = " ".join(command[1:])
    for part in ("--ip 127.0.0.1 --port 7", "journal_mode=wal", "matching.enableFairness=true", "--headless"):
        assert part in words


@pytest.mark.parametrize(("given", "used"), [({}, "400"), ({"GOGC": "50"}, "50")])
def test_the_server_collects_garbage_less_often_unless_the_user_has_said_how_often(
    given: dict[str, str], used: str
) -> None:
    program = "from mcp_server.fleet import lab; lab.run_server(['/bin/sh', '-c', 'echo $GOGC'])"
    others = {name: value for name, value in os.environ.items() if name != "GOGC"}
    done = subprocess.run([sys.executable, "-c", program], env=others | given, capture_output=True, check=True)
    assert done.stdout.split() == [used.encode()]


def test_a_server_program_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EnvironmentFault) as refused:
        lab.server_program()
    assert refused.value.code == "FLEET_NOT_INSTALLED"
    assert 'the extra "fleet-server": `uv tool install ' in str(refused.value.hint)


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process would become the server."""
    monkeypatch.setattr(lab, "run_server", lambda _command: sys.exit(0))


def free_port() -> int:
    with loopback() as (_taken, port):
        return port


@pytest.mark.usefixtures("no_server")
def test_a_port_that_is_taken_is_said_before_the_server_is_started(tmp_path: Path) -> None:
    with loopback() as (_taken, port):
        words = ("fleet", "up", "--port", str(port), "--state", str(tmp_path / "state"))
        refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert f"PORT_UNUSABLE: port {port} cannot be used" in refused.stderr
    assert f"orchestrate fleet status --connect 127.0.0.1:{port}" in refused.stderr
    assert "listens on" not in refused.stderr


@pytest.mark.usefixtures("no_server")
def test_a_state_that_a_server_has_open_is_said_before_a_second_one_is_started(tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite3"
    words = ("fleet", "up", "--port", str(free_port()), "--state", str(file))
    with closing(sqlite3.connect(file, isolation_level=None)) as first:
        for pragma in lab.PRAGMAS:
            first.execute(f"PRAGMA {pragma}")
        first.execute("CREATE TABLE queues (name)")
        refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert f"FLEET_STATE_IN_USE: another server keeps its state in {file}" in refused.stderr
    assert "listens on" not in refused.stderr
    assert CliRunner().invoke(app, words).exit_code == 0


@pytest.mark.usefixtures("no_server")
def test_a_state_that_is_not_there_is_left_to_the_server_to_make(tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite3"
    assert CliRunner().invoke(app, ("fleet", "up", "--port", str(free_port()), "--state", str(file))).exit_code == 0
    assert not file.exists()


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("what", ["a folder", "a text"])
def test_a_state_that_no_server_could_use_is_said_before_it_is_started(tmp_path: Path, what: str) -> None:
    file = tmp_path / "state"
    file.mkdir() if what == "a folder" else file.write_text("a text, and not a database" * 100)
    refused = CliRunner().invoke(app, ("fleet", "up", "--port", str(free_port()), "--state", str(file)))
    assert refused.exit_code == 2
    assert f"FILE_UNWRITABLE: the file {file} cannot be used: " in refused.stderr
    assert "listens on" not in refused.stderr


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize(
    "words",
    [
        ("up", "--connect", "127.0.0.1:7"),
        ("up", "--json"),
        ("status", "--port", "7"),
        ("status", "--listen", EVERYWHERE),
        ("status", "--insecure"),
        ("status", "--state", "file"),
    ],
)
def test_an_option_of_the_other_action_is_refused(words: tuple[str, ...]) -> None:
    refused = CliRunner().invoke(app, ["fleet", *words])
    assert (refused.exit_code, "Invalid value" in refused.stderr) == (2, True)


async def test_two_workers_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    options = Options(address={"connect": "127.0.0.1:1"}, folder=str(tmp_path), notes="", name="w")
    with FileLock(state_folder(tmp_path) / "lock"), pytest.raises(StateError) as refused:
        await supervise(options, lambda _text: None)
    assert refused.value.code == "WORKER_FOLDER_IN_USE"


async def test_a_worker_that_cannot_keep_notes_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").write_text("a file")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    options = Options(address={"connect": "127.0.0.1:1"}, folder=str(tmp_path), notes="", name="w")
    with pytest.raises(EnvironmentFault) as refused:
        await supervise(options, lambda _text: None)
    assert (refused.value.code, str(tmp_path / "state") in refused.value.message) == ("FILE_UNWRITABLE", True)


def test_a_server_that_cannot_keep_its_state_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["fleet", "up", "--state", str(tmp_path / "file" / "state.sqlite3")]
    ran = subprocess.run([ORCHESTRATE, *words], capture_output=True, text=True, check=False, timeout=50)
    assert (ran.returncode, ran.stderr.startswith("error FILE_UNWRITABLE: the folder ")) == (2, True), ran.stderr


def test_the_fleet_of_a_project_has_no_effect_before_a_yes_that_shows_its_addresses(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "orchestration.toml").write_text(FLEET)

    def looked_at() -> tuple[str | None, str | None, list[str]]:
        settings = load_settings(tmp_path)
        trust = open_trust(open_catalog(tmp_path, settings, home=tmp_path), settings, home=tmp_path)
        lines = [line for item in trust.items() if item.id == "setting:fleet" for line in item.lines]
        return settings.fleet.connect, settings.fleet.blobs, lines

    connect, blobs, lines = looked_at()
    assert (connect, blobs) == (None, None)
    assert lines[:2] == ["fleet.connect = 10.0.0.7:7233", "fleet.blobs = file:///shared"]
    settings = load_settings(tmp_path)
    trust = open_trust(open_catalog(tmp_path, settings, home=tmp_path), settings, home=tmp_path)
    trust.remember(trust.items())
    assert looked_at()[:2] == ("10.0.0.7:7233", "file:///shared")


@pytest.mark.parametrize("text", ['connect = "no port"', 'blobs = "http://x"', "grace = 1", 'kinds = ["x"]'])
def test_settings_that_cannot_be_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "orchestration.toml").write_text(f"[fleet]\n{text}\n")
    with pytest.raises(InputError) as refused:
        load_settings(tmp_path)
    assert refused.value.code == "INVALID_SETTINGS"


def test_without_a_fleet_nothing_of_it_is_imported(tmp_path: Path) -> None:
    program = f"""
import asyncio, json, sys
from pathlib import Path
from mcp_server.project.project import open_project
async def main():
    async with open_project(Path({str(tmp_path)!r}), home=Path({str(tmp_path)!r})) as project:
        await project.engine()
asyncio.run(main())
names = ("temporalio", "obstore", "cryptography", "google.protobuf", "engine.executors.fleet", "mcp_server.fleet")
print([name for name in sys.modules if name.startswith(names)])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ}, timeout=50
    )
    assert ran.stdout.strip() == "[]"
