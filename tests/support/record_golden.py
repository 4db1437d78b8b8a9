"""Writes `tests/golden`: journals of today's engine, which every later engine must be able to fold.

Run it only to add a journal: `python -m tests.support.record_golden NAME`. One that is there is never written again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from engine.ids import NodeId
from engine.run import events as ev
from engine.run import signals as sig
from engine.run.made import Ref
from engine.run.reducer import fold
from engine.run.state import Run
from engine.storage.codec import encode_event
from tests.simulation.test_crashes import RETRY, STORIES, chain, drive
from tests.support.by_hand import ByHand, all_queue, locks, rollback
from tests.support.definitions import command, implement_feature, in_place, node, phase
from tests.support.runs import simulated

GOLDEN = Path(__file__).parents[1] / "golden"


def _digest(ref: Ref) -> str:
    return ref.digest if isinstance(ref, ev.ValueRef) else str(ref)


def end_of(run: Run) -> dict[str, object]:
    """What a journal must fold to."""
    return {
        "status": run.status.value,
        "message": run.message,
        "events": run.events,
        "settled": run.settled,
        "context": {key: [_digest(part.ref) for part in parts] for key, parts in run.context.items() if parts},
        "nodes": {
            name: {"status": node.status.value, "attempts": len(node.attempts), "retries": node.retries}
            for name, node in run.nodes.items()
        },
    }


def interrupted() -> list[ev.Event]:
    """A run whose owner died, and that was resumed with its locks, a retry and an approval."""
    story = ByHand(chain(locks("all")))
    story.grant()
    story.grant("a")
    story.succeed("a")
    story.crash()
    story.resume()
    drive(story, {"b": 2})
    return story.events


def reopened() -> list[ev.Event]:
    """A degraded run that was taken up at its failed nodes."""
    raw, faults, _cancel, _end = STORIES["a sub-command failed alone"]
    story = ByHand(*raw)
    drive(story, faults)
    story.resume(failed=True)
    drive(story, {})
    return story.events


def unfolded() -> list[ev.Event]:
    """A list whose items are repeated until they pass; one fails, and the retried run looks the list up again."""
    find = node("find", "prepare", context={"outputs": [{"key": "files"}]})
    check = node("check", context={"inputs": [{"key": "file"}], "outputs": [{"key": "passed"}]})
    check |= {"repeat": {"until": "passed", "maxIterations": 2, "interval": 1000}}
    cover = in_place("cover", phase("in", check), needs=("find",))
    cover |= {
        "forEach": {"items": "files", "as": "file", "key": "$", "continueOnError": True, "failures": "failed"},
        "context": {"inputs": [{"key": "files"}], "outputs": [{"key": "passed"}]},
    }
    story = ByHand(command(phase("p", node("prepare"), find, cover, continueOnError=True)))
    story.fail("prepare")
    story.succeed("find", files=["a", "b"])
    for name in ("cover/1/check/1", "cover/2/check/1"):
        story.succeed(name, passed=False)
    story.wait(seconds=1)
    story.crash()
    story.resume()
    story.succeed("cover/1/check/2", passed=True)
    story.succeed("cover/2/check/2", passed=False)
    story.resume(failed=True)
    story.succeed("prepare")
    story.succeed("find", files=["c"])
    story.succeed("cover/1/check/1", passed=True)
    return story.events


def waits() -> list[ev.Event]:
    """A run by the client, in which nodes wait for all that can be waited for, work is renewed, and one is skipped."""
    skip = {"type": "context", "expression": "1 < 2"}
    story = ByHand(
        command(
            phase(
                "p",
                node("locked", resources=locks("db")),
                node("refused", resources=locks("disk")),
                node("calls", circuitBreaker="api", retryPolicy=RETRY),
                node("skipped", skipCondition=skip),
                continueOnError=True,
            )
        ),
        executor="host",
    )
    story.wait(seconds=1)
    story.grant("locked")
    story.send(sig.RenewAttempt(NodeId("locked"), 1))
    story.refuse("refused")
    story.send(sig.AnswerBreaker(NodeId("calls"), admitted=False, until=story.now + timedelta(seconds=30)))
    story.wait(seconds=30)
    story.send(sig.AnswerBreaker(NodeId("calls"), admitted=True))
    story.fail("calls", code="RATE_LIMIT")
    story.wait(seconds=2)
    story.send(sig.AnswerBreaker(NodeId("calls"), admitted=True))
    story.crash()
    story.resume()
    story.grant("locked")
    for name in ("calls", "locked"):
        story.send(sig.AnswerBreaker(NodeId(name), admitted=True))
    for name in story.live():
        story.succeed(name)
    return story.events


def started() -> list[ev.Event]:
    """A run whose attempts wait for their turn: one is retried, one lost before it began, one undone."""
    raw = command(phase("p", node("a", compensation=rollback(), retryPolicy=RETRY), node("b", "a"), node("c", "b")))
    story = ByHand(raw, queues=all_queue)
    story.wait(minutes=10)
    story.began("a")
    story.fail("a")
    story.wait(seconds=2)
    story.began("a", "w-2")
    story.succeed("a")
    story.crash()
    story.resume()
    story.began("b")
    story.succeed("b")
    story.fail("c")
    story.began("a")
    story.succeed("a")
    return story.events


def jumped() -> list[ev.Event]:
    """A run with every kind of limit and wait, in which the clock jumps ahead and back, alive and without an owner."""
    raw = command(
        phase(
            "p",
            node("works"),
            node("locked", resources=locks("db")),
            node("again", retryPolicy=RETRY),
            node("asked", approval={"message": "?"}),
            timeout=3_600_000,
        )
    )
    story = ByHand(raw, limits=ev.Limits(max_duration_seconds=7200))
    story.queue("locked")
    story.wait(minutes=1)
    story.leap(hours=5)
    story.fail("again")
    story.leap(hours=-3)
    story.wait(seconds=2)
    story.crash()
    story.now -= timedelta(hours=4)
    story.resume()
    story.grant("locked")
    story.answer("asked", "yes")
    for name in story.live():
        story.succeed(name)
    return story.events


def journals() -> dict[str, list[ev.Event]]:
    """The journals, by name."""
    found: dict[str, list[ev.Event]] = {
        "interrupted": interrupted(),
        "reopened": reopened(),
        "unfolded": unfolded(),
        "waits": waits(),
        "started": started(),
        "jumped": jumped(),
    }
    for name in ("compensated", "compensation failed", "cancelled", "degraded", "a sub-command failed alone"):
        raw, faults, cancel_after, _end = STORIES[name]
        story = ByHand(*raw)
        drive(story, faults, cancel_after=cancel_after)
        found[name.replace(" ", "-")] = story.events
    feature = implement_feature()
    feature["phases"][0]["agents"][0]["context"] = {"outputs": [{"key": "design", "persist": True, "ttl": 60}]}
    feature["phases"][0]["agents"][0]["retryPolicy"] = RETRY
    found["completed"] = simulated(feature, fail=("architect:1=error/RATE_LIMIT",), arguments="cart").events
    return found


def write(name: str, events: Iterable[ev.Event]) -> None:
    """Write one journal and what it folds to."""
    rows = [encode_event(event) for event in events]
    lines = [json.dumps({"kind": kind, "data": json.loads(data)}, ensure_ascii=False) for kind, data in rows]
    run = fold(list(events))
    with (GOLDEN / f"{name}.jsonl").open("x", encoding="utf-8") as file:
        file.write("\n".join([*lines, json.dumps({"end": end_of(run)}, ensure_ascii=False)]) + "\n")


if __name__ == "__main__":
    made = journals()
    for wanted in sys.argv[1:] or made:
        write(wanted, made[wanted])
