"""What is sent over the wire comes back as it was, and nothing else is taken for it."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.executors.fleet import wire
from engine.executors.fleet.connection import Address, Link, check_guard, connect
from engine.executors.fleet.sealing import KEY_VARIABLE, Sealer, parse_key
from engine.executors.fleet.store import Store, is_loopback
from engine.executors.port import Outcome, OutputSpec, WorkOrder
from engine.ids import AttemptId, NodeId, RunId
from engine.model.agent import Agent, AgentKind
from engine.model.policy import Failure, FailureKind, Usage

KEY = bytes(range(32))
ORDER = WorkOrder(
    run=RunId("r-1"),
    node=NodeId("a"),
    attempt=AttemptId("r-1:a#1"),
    role="forward",
    agent=Agent(
        id="x", kind=AgentKind.PROCESS, command=("{python}", "x.py"), timeout=timedelta(seconds=5), env={"A": "$A"}
    ),
    task="Do it",
    inputs={"list": [1, None, {"deep": 0.5}]},
    outputs=(OutputSpec(key="k", schema={"type": "string"}), OutputSpec(key="any", schema=True, required=False)),
    produced={"before": "x"},
    project=Path("/coordinator"),
    timeout=timedelta(minutes=2),
    max_cost_usd=0.5,
    cost_usd=0.25,
)


def test_an_order_comes_back_as_it_was_in_the_workers_folder() -> None:
    sent = wire.order_of(ORDER, project="p", package="1", trust={"content": "c", "files": {"x.py": "d"}})
    back = wire.decode_order(wire.encode(sent))
    assert back == sent
    placed = back.placed(Path("/worker"))
    assert placed.folder == Path("/worker")
    same = [name for name in ORDER.__struct_fields__ if name != "project"]
    assert {name: getattr(placed, name) for name in same} == {name: getattr(ORDER, name) for name in same}


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(
            outputs={"k": "v"}, usage=Usage(cost_usd=0.1), left=("a process",), warnings=("careful",), in_time=True
        ),
        Outcome(failure=Failure(FailureKind.ERROR, "AGENT_ERROR", "it broke", "Mend it.", "the last words")),
    ],
)
def test_an_answer_comes_back_as_the_outcome_that_it_was(outcome: Outcome) -> None:
    assert wire.decode_answer(wire.encode(wire.answer_of(outcome, worker="w"))).outcome() == outcome


def test_a_refused_order_is_one_that_no_agent_has_begun() -> None:
    assert not wire.decode_answer(wire.encode(wire.refusal("w", "NOT_TRUSTED", "no", "ask"))).outcome().begun


def test_an_answer_of_an_attempt_that_began_has_no_field_that_earlier_versions_do_not_know() -> None:
    assert b"begun" not in wire.encode(wire.answer_of(Outcome(), worker="w"))


def test_a_worker_cannot_say_that_it_was_lost() -> None:
    assert wire.answer_of(Outcome(lost_worker="w"), worker="w").outcome().lost_worker is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"worker": 3}', b"\xff"])
def test_what_is_no_message_is_an_error_of_one_kind(data: bytes) -> None:
    for decode in (wire.decode_order, wire.decode_answer, wire.decode_progress):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
            decode(data)


def test_a_field_of_another_version_is_refused_and_not_left_out() -> None:
    """A worker that left it out would do something else than the coordinator has asked for."""
    order, answer = (
        wire.encode(wire.order_of(ORDER, project="p", package="1", trust=None)),
        wire.encode(wire.answer_of(Outcome(), worker="w")),
    )
    for decode, data in ((wire.decode_order, order), (wire.decode_answer, answer)):
        decode(data)
        with pytest.raises(ValueError, match="unknown field `sandbox`"):
            decode(data[:-1] + b',"sandbox":"strict"}')


def test_progress_comes_back() -> None:
    assert wire.decode_progress(wire.encode(wire.Progress(3, None, "said"))) == wire.Progress(3, None, "said")


def test_a_worker_serves_the_queue_of_each_set_of_its_labels() -> None:
    assert wire.queues_of([AgentKind.CLAUDE], ["linux", "gpu", "gpu"]) == [
        "orch1/claude",
        "orch1/claude/gpu",
        "orch1/claude/linux",
        "orch1/claude/gpu+linux",
    ]
    assert wire.queue_of(AgentKind.CLAUDE, ["linux", "gpu"]) == "orch1/claude/gpu+linux"


def test_priorities_of_nodes_become_the_servers_five_levels() -> None:
    written = [1_000_000, 10, 9, 1, 0, -1, -9, -10, -1_000_000]
    assert [wire.priority_of(one) for one in written] == [1, 1, 2, 2, 3, 4, 4, 5, 5]


def test_a_sealed_message_opens_with_its_key_and_for_its_purpose_only() -> None:
    sealed = Sealer(KEY).seal(b"secret", "order 1")
    assert b"secret" not in sealed
    assert Sealer(KEY).open(sealed, "order 1") == b"secret"
    for sealer, data, about in (
        (Sealer(KEY), sealed, "order 2"),
        (Sealer(bytes(32)), sealed, "order 1"),
        (Sealer(None), sealed, "order 1"),
        (Sealer(KEY), Sealer(None).seal(b"secret", "order 1"), "order 1"),
        (Sealer(KEY), sealed[:-1], "order 1"),
        (Sealer(KEY), sealed[:5], "order 1"),
        (Sealer(KEY), b"", "order 1"),
        (Sealer(None), b"", "order 1"),
    ):
        with pytest.raises(ValueError, match="it "):
            sealer.open(data, about)


def test_a_message_is_not_hidden_without_a_key() -> None:
    assert Sealer(None).open(Sealer(None).seal(b"plain", "x"), "y") == b"plain"


def test_a_key_is_64_hexadecimal_digits() -> None:
    assert parse_key("0a" * 32) == b"\n" * 32
    for text in ("0a" * 31, "zz" * 32, "0a" * 32 + "\n"):
        with pytest.raises(InputError) as refused:
            parse_key(text)
        assert refused.value.code == "INVALID_FLEET"
        assert text not in refused.value.message


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ({"connect": "127.0.0.1:7233"}, True),
        ({"connect": "localhost:7233"}, True),
        ({"connect": "[::1]:7233"}, True),
        ({"connect": "10.0.0.7:7233"}, False),
        ({"connect": "localhost.example:7233"}, False),
        ({"connect": "10.0.0.7:7233", "insecure": True}, False),
        ({"connect": "10.0.0.7:7233", "insecure": True, "keyed": True}, True),
        ({"connect": "10.0.0.7:7233", "keyed": True}, False),
        ({"connect": "10.0.0.7:7233", "api_key": True}, True),
        ({"connect": "10.0.0.7:7233", "tls_ca": "ca.pem"}, True),
    ],
)
def test_off_this_machine_a_fleet_needs_tls_or_an_api_key(given: dict[str, Any], *, passes: bool) -> None:
    keyed, api_key = given.pop("keyed", False), given.pop("api_key", False)
    with nullcontext() if passes else pytest.raises(InputError, match="neither TLS nor an API key"):
        check_guard(Address(**given), keyed=keyed, api_key=api_key)


def test_a_name_that_only_looks_like_this_machine_is_another() -> None:
    assert not is_loopback("127.0.0.1.example:1")


async def test_a_large_message_is_kept_in_the_store_sealed(tmp_path: Path) -> None:
    link = Link(None, Sealer(KEY), Store(f"file://{tmp_path}"))  # type: ignore[arg-type]
    small, large = b"x", b"secret" * 100_000
    for data in (small, large):
        assert await link.unpack(await link.pack(data, "order 1"), "order 1") == data
    kept = [path.read_bytes() for path in (tmp_path / "messages").iterdir()]
    assert len(kept) == 1
    assert b"secret" not in kept[0]
    with pytest.raises(ValueError, match="was not encrypted"):
        await link.unpack(await link.pack(large, "order 1"), "order 2")


async def test_a_large_message_without_a_store_is_refused_with_its_size() -> None:
    link = Link(None, Sealer(None), None)  # type: ignore[arg-type]
    assert await link.unpack(await link.pack(b"x" * 1_000_000, "a"), "a") == b"x" * 1_000_000
    with pytest.raises(ValueError, match="2,000,001 bytes"):
        await link.pack(b"x" * 2_000_000, "a")
    with pytest.raises(ValueError, match="no `blobs` are configured"):
        await link.unpack(b"@messages/1", "a")


async def test_what_the_store_does_not_have_is_said(tmp_path: Path) -> None:
    link = Link(None, Sealer(None), Store(f"file://{tmp_path}"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no messages/1"):
        await link.unpack(b"@messages/1", "a")


def test_a_store_that_cannot_be_used_is_said() -> None:
    with pytest.raises(InputError) as refused:
        Store("file:///nowhere/at/all")
    assert refused.value.code == "INVALID_FLEET"


async def test_secrets_and_certificates_are_checked_before_anything_is_sent() -> None:
    with pytest.raises(InputError, match="is not a key"):
        await connect(Address(connect="127.0.0.1:1"), {KEY_VARIABLE: "short"})
    with pytest.raises(InputError, match="cannot be read"):
        await connect(Address(connect="127.0.0.1:1", tls_ca="/nowhere.pem"), {})
