"""Promises of the door: a client cannot tell that it was answered before the SDK was imported, but by the time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server import twins
from tests.support.door.conversations import (
    ALL_CHANGES,
    LEARNED,
    READY,
    TALKS,
    Talk,
    ask,
    hello,
    listen,
    lists,
    modern,
    modern_lists,
    validate,
)
from tests.support.door.installation import Installation, Server, make_installation, small_project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
CLOSED = '{"error": {"code": -32000, '
"""The SDK's answer to requests that are open when the client leaves, if it has got to them."""
NOTED = "has changed since"
GROUPS = 4
NAMES = list(TALKS)


def play(folder: Path, project: Path, jobs: Mapping[str, tuple[Talk, Path | None, int]]) -> dict[str, dict[str, Any]]:
    """What servers with these stores said to these clients; their import ends after so many answers."""
    described = [
        {
            "lines": talk.lines,
            "expected": talk.expected,
            "waits": talk.waits,
            "root": str(project),
            "store": None if store is None else str(store),
            "imported_after": imported_after,
        }
        for talk, store, imported_after in jobs.values()
    ]
    (folder / "jobs.json").write_text(json.dumps(described), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "tests.support.door.driver", folder / "jobs.json", folder / "results.json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(project.parent)},
        check=True,
        timeout=120,
    )
    return dict(zip(jobs, json.loads((folder / "results.json").read_text("utf-8")), strict=True))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project, and a store with all that can be known."""
    folder = tmp_path_factory.mktemp("learned")
    project = small_project(folder / "project")
    said = play(folder, project, {name: (talk, folder / "store", 0) for name, talk in LEARNED.items()})
    assert [NOTED in one["stderr"] for one in said.values()] == [False] * len(LEARNED)
    return project, folder / "store"


def contents(store: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in store.iterdir()}


@pytest.mark.parametrize("group", range(GROUPS))
def test_a_client_hears_the_same_with_and_without_the_door(
    group: int, learned: tuple[Path, Path], tmp_path: Path
) -> None:
    project, store = learned
    before = contents(store)
    names = NAMES[group::GROUPS]
    jobs: dict[str, tuple[Talk, Path | None, int]] = {}
    for name in names:
        talk = TALKS[name]
        jobs[f"{name}: no door"] = (talk, None, 0)
        jobs[f"{name}: a door that knows nothing"] = (talk, tmp_path / f"store-{NAMES.index(name)}", 0)
        jobs[f"{name}: a door"] = (talk, store, talk.alone)
        if talk.alone > 1 and talk.is_regular:
            paced = Talk(messages=talk.messages, alone=talk.alone, waits=True)
            jobs[f"{name}: a door that closes half-way"] = (paced, store, talk.alone // 2)
    said = play(tmp_path, project, jobs)
    for name in names:
        plain = said[f"{name}: no door"]
        for job, other in said.items():
            if job.startswith(f"{name}: "):
                assert (job, without_closed(other)) == (job, without_closed(plain))
                assert (job, other["code"]) == (job, plain["code"])
                assert NOTED not in other["stderr"]
    assert contents(store) == before


def without_closed(said: dict[str, Any]) -> list[str]:
    return [line for line in said["answers"] if not line.startswith(CLOSED)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A copy of the program, which has served one client of each era in each of its projects."""
    return make_installation(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def installation(installed: Installation, tmp_path: Path) -> Installation:
    """The same with a project and a store of its own."""
    return installed.fresh(tmp_path)


HANDSHAKES = {
    "legacy": [hello(), READY, *lists()],
    "modern": [modern(0, "server/discover"), listen("s", **ALL_CHANGES), *modern_lists()],
}


@pytest.fixture(params=HANDSHAKES)
def handshake(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return HANDSHAKES[request.param]


def heard(server: Server, messages: list[dict[str, Any]]) -> dict[object, dict[str, Any]]:
    """The answers to *messages* by their number, and acknowledgements by that of their stream."""
    server.send(*messages)
    return {number_of(one): one for one in (server.read() for message in messages if "id" in message)}


def number_of(message: dict[str, Any]) -> object:
    return message["id"] if "id" in message else message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]


def names_of(answers: Mapping[object, dict[str, Any]]) -> set[str]:
    [found] = [one["result"]["prompts"] for one in answers.values() if "prompts" in one.get("result", {})]
    return {prompt["name"] for prompt in found}


@pytest.fixture
def taught(installation: Installation, handshake: list[dict[str, Any]]) -> Installation:
    """One that has answered this handshake once."""
    with installation.server() as server:
        heard(server, handshake)
    return installation


def test_the_second_start_answers_before_the_sdk_is_imported(
    taught: Installation, handshake: list[dict[str, Any]]
) -> None:
    with taught.server() as server:
        expected = heard(server, handshake)
    with taught.server(gated=True) as server:
        assert heard(server, handshake) == expected
        server.open_gate()
        envelope = handshake[0]["params"].get("_meta")
        server.send(validate(99, **({"_meta": envelope} if envelope else {})))
        assert server.read()["result"]["structuredContent"]["valid"]
        assert server.leave() == (0, [])
        assert NOTED not in server.stderr


def test_the_answers_for_a_client_that_lost_its_patience_are_learned(installation: Installation) -> None:
    discover, *others = HANDSHAKES["modern"]
    with installation.server(gated=True) as server:
        server.send(discover)
        server.wait_for_import()
        server.send(hello(number="late"))
        server.open_gate()
        expected = {number_of(one): one for one in (server.read(), server.read())}
        assert expected.pop("late")["error"]["code"] == -32022
        expected |= heard(server, others)
    with installation.server(gated=True) as server:
        assert heard(server, [discover, *others]) == expected


def test_a_client_that_leaves_at_once_does_not_wait_for_the_import(
    taught: Installation, handshake: list[dict[str, Any]]
) -> None:
    with taught.server(gated=True) as server:
        heard(server, handshake)
        assert server.leave() == (0, [])
    with taught.server(gated=True) as server:
        assert server.leave() == (0, [])


def test_a_client_that_leaves_after_another_request_is_left_to_the_sdk(installation: Installation) -> None:
    with installation.server() as server:
        heard(server, HANDSHAKES["legacy"])
    with installation.server(gated=True) as server:
        heard(server, HANDSHAKES["legacy"])
        server.send(ask(7, "tools/list"), ask(8, "nope"))
        server.close_stdin()
        assert server.read()["id"] == 7
        server.wait_for_import()
        assert server.process.poll() is None
        server.open_gate()
        assert server.leave()[0] == 0


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def _ordinary_signals() -> Iterator[None]:
    """Signals have their ordinary effect in what is started, although nohup, for one, lets the tests ignore some."""
    ignored = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.usefixtures("_ordinary_signals")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_import_ends_the_server_as_ever(installation: Installation, number: signal.Signals) -> None:
    for stored in (False, True):
        with installation.server(gated=True) as server:
            if stored:
                heard(server, HANDSHAKES["legacy"])
            server.wait_for_import()
            server.process.send_signal(number)
            assert server.process.wait(20) == -number
        assert "Traceback" not in server.stderr
        with installation.server() as server:
            heard(server, HANDSHAKES["legacy"])


def test_stdout_and_stdin_are_the_protocols_while_modules_are_imported(installation: Installation) -> None:
    for _ in range(2):
        with installation.server(noisy=True) as server:
            heard(server, HANDSHAKES["legacy"])
            server.send(ask(9, "nope"))
            assert server.read()["id"] == 9
            assert server.leave() == (0, [])
        for said in ("printed", "written", "by a child: the end"):
            assert said in server.stderr


def test_an_import_that_fails_ends_the_server_with_its_error(installation: Installation) -> None:
    with installation.server() as server:
        heard(server, HANDSHAKES["legacy"])
    with installation.server(gated=True) as server:
        heard(server, HANDSHAKES["legacy"])
        server.open_gate("fail")
        assert server.process.wait(20) == 1
    assert "ImportError: the gate was closed" in server.stderr


def test_a_client_that_asks_much_before_it_reads_gets_all(installation: Installation) -> None:
    with installation.server() as server:
        heard(server, HANDSHAKES["legacy"])
    asked = [ask(number, "tools/list") for number in range(100)]
    with installation.server(gated=True) as server:
        server.send(hello(number="h"), READY, *asked)
        server.wait_for_import()
        server.open_gate()
        answers = [server.read() for _ in range(101)]
        assert server.leave() == (0, [])
    assert [one["id"] for one in answers] == ["h", *range(100)]
    assert all(one["result"] == answers[1]["result"] for one in answers[2:])


def test_a_line_without_end_is_left_to_the_sdk(installation: Installation) -> None:
    with installation.server() as server:
        heard(server, HANDSHAKES["legacy"])
    with installation.server(gated=True) as server:
        heard(server, HANDSHAKES["legacy"])
        line = json.dumps(ask(9, "ping", _meta={"x": "y" * 1_000_000}))
        writer = threading.Thread(target=server.write, args=(line + "\n",))
        writer.start()
        server.wait_for_import()
        server.open_gate()
        assert server.read() == {"jsonrpc": "2.0", "id": 9, "result": {}}
        writer.join()


def test_the_next_start_knows_what_has_changed(taught: Installation, handshake: list[dict[str, Any]]) -> None:
    taught.add_command("second")
    with taught.server() as server:
        assert names_of(heard(server, handshake)) >= {"hello", "second"}
    with taught.server(gated=True) as server:
        assert names_of(heard(server, handshake)) >= {"hello", "second"}
        taught.add_command("third")
        server.open_gate()
        changed = {server.read()["method"] for _ in range(2)}
        assert changed == {"notifications/prompts/list_changed", "notifications/resources/list_changed"}
    with taught.server() as server:
        assert names_of(heard(server, handshake)) >= {"hello", "second", "third"}


def test_only_streams_that_asked_for_it_are_notified(installation: Installation) -> None:
    messages = [modern(0, "server/discover"), listen("t", toolsListChanged=True), listen("p", promptsListChanged=True)]
    messages += modern_lists()
    with installation.server() as server:
        heard(server, messages)
    with installation.server(gated=True) as server:
        heard(server, messages)
        installation.add_command("second")
        server.open_gate()
        change = server.read()
        _, more = server.leave()
    assert (change["method"], number_of(change)) == ("notifications/prompts/list_changed", "p")
    assert [one for one in more if "error" not in one] == []


def test_damaged_answers_are_not_used_and_are_replaced(installation: Installation) -> None:
    with installation.server() as server:
        expected = heard(server, HANDSHAKES["legacy"])
    whole = installation.answers()
    for file in installation.store.iterdir():
        file.write_bytes(file.read_bytes()[:-10])
    with installation.server() as server:
        assert heard(server, HANDSHAKES["legacy"]) == expected
    assert NOTED not in server.stderr
    assert installation.answers() == whole


def test_an_answer_that_is_not_the_servers_is_corrected(taught: Installation, handshake: list[dict[str, Any]]) -> None:
    with taught.server() as server:
        expected = heard(server, handshake)
    taught.falsify("/hello", "/hallo")
    with taught.server(gated=True) as server:
        heard(server, handshake)
        server.open_gate()
        changed = {server.read()["method"] for _ in range(2)}
    assert changed == {"notifications/prompts/list_changed", "notifications/resources/list_changed"}
    assert NOTED in server.stderr
    with taught.server(gated=True) as server:
        assert heard(server, handshake) == expected


def test_without_bytecode_nothing_is_stored(installation: Installation) -> None:
    for _ in range(2):
        with installation.server(variables={"PYTHONDONTWRITEBYTECODE": "1"}) as server:
            assert len(heard(server, HANDSHAKES["legacy"])) == 4
    assert not installation.store.exists()


def test_where_nothing_can_be_stored_the_server_starts_as_ever(installation: Installation) -> None:
    installation.store.write_text("in the way", encoding="utf-8")
    for _ in range(2):
        with installation.server() as server:
            assert len(heard(server, HANDSHAKES["legacy"])) == 4
            assert server.leave() == (0, [])
        assert server.stderr == ""


def test_two_servers_that_start_at_once_store_whole_answers(installation: Installation) -> None:
    with installation.server() as one, installation.server() as other:
        for server in (one, other):
            server.send(*HANDSHAKES["legacy"])
        answers = [
            {number_of(answer): answer for answer in (server.read() for _ in range(4))} for server in (one, other)
        ]
    assert answers[0] == answers[1]
    assert all(file.suffix == ".json" for file in installation.store.iterdir())
    with installation.server(gated=True) as server:
        assert heard(server, HANDSHAKES["legacy"]) == answers[0]


def test_another_project_and_another_user_have_lists_of_their_own(installation: Installation, tmp_path: Path) -> None:
    other = small_project(tmp_path / "other", "another")
    with installation.server() as server:
        assert "hello" in names_of(heard(server, HANDSHAKES["legacy"]))
    for variables in ({"CLAUDE_PROJECT_DIR": str(other)}, {"HOME": str(other)}, {"ORCHESTRATION_LIBRARY": str(other)}):
        with installation.server(variables=variables) as server:
            assert "another" in names_of(heard(server, HANDSHAKES["legacy"]))
    with installation.server("--project", str(other)) as server:
        assert "hello" not in names_of(heard(server, HANDSHAKES["legacy"]))


def test_other_arguments_start_the_server_in_the_ordinary_way(installation: Installation) -> None:
    with installation.server(f"--project={installation.project}") as server:
        assert len(heard(server, HANDSHAKES["legacy"])) == 4
        assert server.leave() == (0, [])
    assert not installation.store.exists()


def test_runs_are_not_stored(installation: Installation) -> None:
    with installation.server() as server:
        heard(server, HANDSHAKES["legacy"][:2])
        server.send(ask(5, "tools/call", name="run", arguments={"command": "/hello", "executor": "simulate"}))
        assert "result" in server.read()
        heard(server, HANDSHAKES["legacy"][2:])
    assert not any(b'"prompts":[' in data or b'"resources":[' in data for data in installation.answers().values())


def test_secrets_are_not_stored(installation: Installation) -> None:
    secret = "sk-ant-" + "a" * 40
    installation.add_command("secret", description=f"Uses {secret}")
    with installation.server() as server:
        answers = heard(server, HANDSHAKES["legacy"])
    assert secret in json.dumps(answers)
    assert installation.answers()
    assert not any(secret.encode() in data for data in installation.answers().values())


@pytest.fixture
def session(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A session of Claude Code whose server comes from a configuration."""
    (tmp_path / "runtime").mkdir()
    yield {twins.SESSION: "session", "XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    forget()


def test_a_door_does_not_speak_in_place_of_the_server_of_the_plugin(
    installation: Installation, session: dict[str, str]
) -> None:
    with installation.server(variables=session) as server:
        expected = heard(server, HANDSHAKES["legacy"])
    assert installation.answers()
    twins.announce({**session, twins.PLUGIN: "/plugin"})
    with installation.server(variables=session) as server:
        answer = heard(server, HANDSHAKES["legacy"][:1])[0]
        assert answer["result"]["instructions"] != expected[0]["result"]["instructions"]
    forget()
    with installation.server(gated=True, variables=session) as server:
        server.send(*HANDSHAKES["legacy"])
        server.wait_for_import()
        twins.announce({**session, twins.PLUGIN: "/plugin"})
        server.open_gate()
        answer = server.read()
    assert answer["result"]["instructions"] != expected[0]["result"]["instructions"], "the first answer was forgotten"


def test_a_server_that_has_said_what_it_offers_keeps_its_word(
    installation: Installation, session: dict[str, str]
) -> None:
    with installation.server(variables=session) as server:
        expected = heard(server, HANDSHAKES["legacy"])
    plugin = {**session, twins.PLUGIN: "/plugin"}
    with installation.server(gated=True, variables=session) as server:
        assert heard(server, HANDSHAKES["legacy"]) == expected
        twins.announce(plugin)
        assert not twins.serves(plugin)
        server.open_gate()
        server.send(ask(9, "resources/templates/list"), ask(10, "prompts/list"))
        answers = {one["id"]: one for one in (server.read(), server.read())}
        assert answers[9]["result"]["resourceTemplates"]
        assert answers[10]["result"] == expected[2]["result"]
        assert server.leave() == (0, [])
    assert NOTED not in server.stderr
    assert installation.answers() == {}, "another server was there, which the next one is to look for"


def test_the_servers_of_the_plugin_and_of_a_configuration_know_different_answers(
    installation: Installation, session: dict[str, str]
) -> None:
    seen = []
    for variables in ({}, session, {**session, twins.PLUGIN: "/plugin"}):
        with installation.server(variables=variables) as server:
            heard(server, HANDSHAKES["legacy"])
        seen.append(len(installation.answers()))
    assert seen == [4, 8, 12]


def forget() -> None:
    """Release what this process holds of the session."""
    while twins._held:
        os.close(twins._held.pop())
