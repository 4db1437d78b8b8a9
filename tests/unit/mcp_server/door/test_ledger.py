from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mcp_server.door.conversation import Conversation, Question
from mcp_server.door.ledger import RUN, Ledger
from mcp_server.door.store import Store
from mcp_server.protocol.uris import RUNS
from tests.support.door.conversations import ask, hello, listen, modern

if TYPE_CHECKING:
    from pathlib import Path

LIST: dict[str, Any] = {"prompts": [{"name": "hello"}]}
OTHER: dict[str, Any] = {"prompts": []}


class Server:
    """A ledger whose store has an answer to each question that *knows* has asked before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: str | None = "as they are"
        self.start()

    def start(self) -> None:
        """Start another server with the same store."""
        self.store = Store(str(self.folder), "this build")
        self.ledger = Ledger(self.store, lambda: self.files)
        self.ledger.is_secret = lambda text: "secret" in text
        self.ledger.begin()
        self.conversation = Conversation()

    def hear(self, message: dict[str, Any]) -> Question:
        question = self.conversation.hear(json.dumps(message).encode())
        assert question is not None
        return question

    def ask(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """What is said at once; otherwise the SDK is awaited."""
        question = self.hear(message)
        answered = self.ledger.answer(question)
        if answered is None:
            self.ledger.expect(question)
            self.passed: dict[str, Any] = message
            return None
        self.passed = json.loads(answered[1])
        said: dict[str, Any] = json.loads(answered[0])
        return said

    def sdk(self, number: object = None, **answer: object) -> list[Any]:
        """What the client gets when the SDK says this."""
        number = self.passed["id"] if number is None else number
        line = json.dumps({"jsonrpc": "2.0", "id": number, **answer}, separators=(",", ":")) + "\n"
        return [json.loads(one) for one in self.ledger.passes(line)]

    def acknowledge(self, number: object, changes: dict[str, bool]) -> list[Any]:
        """The same of an acknowledgement."""
        meta = {"io.modelcontextprotocol/subscriptionId": number}
        params = {"_meta": meta, "notifications": changes}
        message = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}
        return [json.loads(one) for one in self.ledger.passes(json.dumps(message, separators=(",", ":")) + "\n")]

    def taught(self, *questions: dict[str, Any], result: object = LIST) -> None:
        """Learn *result* for *questions*, and start again."""
        for question in questions:
            assert self.ask(question) is None
            assert len(self.sdk(result=result)) == 1
        self.start()


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "answers")


def test_the_prefix_of_a_run_is_that_of_its_resource() -> None:
    assert f'"{RUNS}/' == RUN


def test_what_the_sdk_has_said_is_said_again_and_its_answer_dropped(server: Server) -> None:
    server.taught(hello(), ask(1, "prompts/list"))
    assert server.ask(hello(number="x")) == {"jsonrpc": "2.0", "id": "x", "result": LIST}
    assert server.passed["id"] != "x"
    assert server.sdk(result=LIST) == []
    assert server.ask(ask("\u2028", "prompts/list")) == {"jsonrpc": "2.0", "id": "\u2028", "result": LIST}
    assert server.sdk(result=LIST) == []


def test_each_version_has_answers_of_its_own(server: Server) -> None:
    server.taught(hello("2025-11-25"), ask(1, "tools/list"))
    assert server.ask(hello("2025-06-18")) is None
    assert server.ask(ask(1, "tools/list")) is None


def test_other_lines_of_the_sdk_pass_as_they_are(server: Server) -> None:
    server.taught(hello())
    server.ask(hello())
    for line in (
        '{"jsonrpc":"2.0","id":7,"result":{}}\n',
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}\n',
        '{"jsonrpc":"2.0","method":"notifications/message","params":{}}\n',
    ):
        assert server.ledger.passes(line) == [line]


def test_a_list_is_not_said_when_its_files_have_changed(server: Server) -> None:
    server.taught(hello(), ask(1, "prompts/list"), ask(2, "tools/list"))
    server.files = "changed"
    assert server.ask(hello()) is not None
    assert server.ask(ask(1, "prompts/list")) is None
    assert server.ask(ask(2, "tools/list")) is not None


def test_a_list_is_not_learned_when_its_files_change_meanwhile(server: Server) -> None:
    server.ask(hello())
    server.ask(ask(1, "prompts/list"))
    server.files = "changed"
    server.sdk(result=LIST)
    for files in ("as they are", "changed"):
        server.files = files
        server.start()
        server.ask(hello())
        assert server.ask(ask(1, "prompts/list")) is None


@pytest.mark.parametrize("files", [None])
def test_a_list_is_neither_said_nor_learned_where_its_files_are_unclear(server: Server, files: None) -> None:
    server.taught(hello(), ask(1, "prompts/list"))
    server.files = files
    server.ask(hello())
    assert server.ask(ask(1, "prompts/list")) is None
    assert len(server.sdk(result=LIST)) == 1


@pytest.mark.parametrize("result", [{"resources": [{"uri": f"{RUNS}/r1"}]}, {"resources": [{"name": "secret"}]}])
def test_runs_and_secrets_are_not_learned(server: Server, result: dict[str, Any]) -> None:
    server.taught(hello())
    server.taught(ask_after(server, ask(1, "resources/list")), result=result)
    server.ask(hello())
    assert server.ask(ask(1, "resources/list")) is None


def ask_after(server: Server, message: dict[str, Any]) -> dict[str, Any]:
    """*message* in a connection that has shaken hands."""
    server.ask(hello())
    server.sdk(result=LIST)
    return message


def test_errors_are_not_learned_and_end_what_was_known(server: Server) -> None:
    server.taught(hello(), ask(1, "prompts/list"))
    server.ask(hello())
    assert server.ask(ask(1, "prompts/list")) is not None
    change = {"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"}
    assert server.sdk(error={"code": -32602, "message": "x"}) == [change]
    server.start()
    server.ask(hello())
    assert server.ask(ask(1, "prompts/list")) is None


def test_a_client_that_has_gone_changes_nothing(server: Server) -> None:
    server.taught(hello(), ask(1, "prompts/list"))
    server.ask(hello())
    assert server.sdk(error={"code": -32000, "message": "Connection closed"}) == []
    assert server.ask(ask(1, "prompts/list")) is not None
    assert server.sdk(error={"code": -32000, "message": "Connection closed"}) == []
    server.start()
    assert server.ask(hello()) is not None
    assert server.ask(ask(1, "prompts/list")) is not None


def test_another_answer_is_corrected_and_learned(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.taught(
        hello(), *(ask(place, f"{name}/list") for place, name in enumerate(("tools", "prompts", "resources"), 1))
    )
    server.ask(hello())
    assert server.sdk(result=OTHER) == []
    for name, sent in (("tools", 0), ("prompts", 1), ("resources", 1)):
        server.ask(ask(1, f"{name}/list"))
        change = {"jsonrpc": "2.0", "method": f"notifications/{name}/list_changed"}
        assert server.sdk(result=OTHER) == [change] * sent
    assert capsys.readouterr().err.splitlines() == [
        f"orchestration-mcp: {name} has changed since this server last answered it"
        for name in ("initialize", "tools/list", "prompts/list", "resources/list")
    ]
    server.start()
    for message in (hello(), ask(1, "tools/list"), ask(1, "prompts/list")):
        said = server.ask(message)
        assert said is not None
        assert said["result"] == OTHER


def test_streams_are_acknowledged_once_and_each_corrected_as_it_wished(server: Server) -> None:
    prompts, tools = {"promptsListChanged": True}, {"toolsListChanged": True}
    for place, changes in enumerate((prompts, tools)):
        assert server.ask(listen(place, **changes)) is None
        assert len(server.acknowledge(place, changes)) == 1
    server.taught(modern(5, "prompts/list"), modern(6, "tools/list"))
    for number, changes in (("p", prompts), ("t", tools), ("late", prompts)):
        said = server.ask(listen(number, **changes))
        assert said is not None
        assert said["params"]["notifications"] == changes
        assert said["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": number}
        assert server.passed == listen(number, **changes)
        if number != "late":
            assert server.acknowledge(number, changes) == []
    server.ask(modern(5, "prompts/list"))
    [change] = server.sdk(result=OTHER)
    assert change["method"] == "notifications/prompts/list_changed"
    assert change["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "p"}
    [change] = server.acknowledge("late", prompts)
    assert change["params"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "late"}
    server.ask(modern(6, "tools/list"))
    [change] = server.sdk(result=OTHER)
    assert change["method"] == "notifications/tools/list_changed"


def test_an_acknowledgement_that_differs_is_passed_on(server: Server) -> None:
    server.ask(listen(1, promptsListChanged=True))
    server.acknowledge(1, {"promptsListChanged": True})
    server.start()
    assert server.ask(listen(2, promptsListChanged=True)) is not None
    assert len(server.acknowledge(2, {})) == 1
    assert len(server.acknowledge(3, {})) == 1


def test_nothing_is_learned_from_a_number_that_comes_twice(server: Server) -> None:
    server.ask(modern(1, "tools/list"))
    server.ask(modern(1, "prompts/list"))
    server.sdk(1, result=LIST)
    server.sdk(1, result=OTHER)
    server.ask(listen(1))
    server.start()
    for method in ("tools/list", "prompts/list"):
        assert server.ask(modern(1, method)) is None


def test_nothing_is_learned_after_the_end_of_the_learning_but_all_is_compared(server: Server) -> None:
    server.taught(modern(1, "tools/list"))
    assert server.ask(modern(1, "tools/list")) is not None
    told = server.passed
    assert server.ask(modern(2, "prompts/list")) is None
    server.ledger.learn_no_more()
    assert len(server.sdk(2, result=LIST)) == 1
    assert server.sdk(told["id"], result=LIST) == []
    server.start()
    assert server.ask(modern(2, "prompts/list")) is None


def test_a_number_of_an_open_stream_is_left_to_the_sdk(server: Server) -> None:
    server.ask(listen(1))
    server.acknowledge(1, {})
    server.taught(modern(2, "tools/list"))
    assert server.ask(listen(1)) is not None
    assert server.ask(modern(1, "tools/list")) is None
