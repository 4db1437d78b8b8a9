"""Writes `tests/golden`: journals of today's engine, which every later engine must be able to fold.

Run it only to add a journal: `python -m tests.support.record_golden NAME`. One that is there is never written again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from engine.run import events as ev
from engine.run.reducer import fold
from engine.run.state import Run
from engine.storage.codec import encode_event
from tests.simulation.test_crashes import RETRY, STORIES, chain, drive
from tests.support.by_hand import ByHand, locks
from tests.support.definitions import implement_feature
from tests.support.runs import simulated

GOLDEN = Path(__file__).parents[1] / "golden"


def end_of(run: Run) -> dict[str, object]:
    """What a journal must fold to."""
    return {
        "status": run.status.value,
        "message": run.message,
        "events": run.events,
        "settled": run.settled,
        "context": {key: [part.ref.digest for part in parts] for key, parts in run.context.items() if parts},
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


def journals() -> dict[str, list[ev.Event]]:
    """The journals, by name."""
    found: dict[str, list[ev.Event]] = {"interrupted": interrupted(), "reopened": reopened()}
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
