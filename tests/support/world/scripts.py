"""What an agent does with an attempt: how long it takes, what it answers, and how it takes being told to end.

Pure: everything follows from the seed and the attempt's name, so that no order of events changes what an agent is like.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from engine.executors.answer import parse_text
from engine.executors.port import Outcome
from engine.model.policy import Failure, FailureKind, Usage

if TYPE_CHECKING:
    from engine.executors.port import WorkOrder

CODES = (
    "RATE_LIMIT",
    "OVERLOADED",
    "CONNECTION_RESET",
    "QUOTA_EXHAUSTED",
    "DEADLOCK",
    "AGENT_ERROR",
    "PERMISSION_DENIED",
)
GARBAGE = (b"", b"hello", b"[1, 2]", b'{"outputs": 3}', b'{"outputs"', b"\xff\xfe", b'{"outputs": {"a": NaN}}')
HUGE = 40_000
"""Characters of a large text."""


class AgentBroke(Exception):
    """What an executor raises that has a fault of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One attempt, as it will go if nobody ends it."""

    seconds: float | None
    """How long it takes; None: for ever."""
    effect_at: float
    """After how many seconds it has changed something in the world."""
    reply: Outcome | AgentBroke
    dies_after: float
    """Seconds between being told to end and having ended."""
    answers_all_the_same: bool
    """Told to end, it gives its answer instead."""
    beat: float | None
    """Seconds between signs of life; None: it gives none."""


def script_for(seed: int, order: WorkOrder, *, calm: bool) -> Script:
    """How the attempt of *order* goes; where all is *calm* it goes well."""
    dice = Random(f"{seed}:{order.attempt}")  # noqa: S311 - repeatable by intent
    seconds = order.estimate.total_seconds() * dice.choice((0.0, 0.3, 0.8, 1.0, 1.5))
    kind = "well" if calm else dice.choices(("well", "fails", "hangs", "garbage", "breaks"), (66, 20, 4, 7, 3))[0]
    usage = Usage(cost_usd=round(dice.uniform(0, 0.3), 4)) if dice.random() < 0.5 else None
    return Script(
        seconds=None if kind == "hangs" else seconds,
        effect_at=seconds * dice.random(),
        reply=_reply(dice, order, kind, usage),
        dies_after=dice.choice((0.0, 0.0, 0.0, 0.5, 3.0)),
        answers_all_the_same=dice.randrange(12) == 0,
        beat=None if not calm and dice.randrange(8) == 0 else 0.4,
    )


def seconds_in_queue(seed: int, order: WorkOrder, *, calm: bool) -> float:
    """How long the attempt of *order* waits for its turn; longer than it may take, sometimes."""
    dice = Random(f"{seed}:queue:{order.attempt}")  # noqa: S311 - repeatable by intent
    return dice.choice((0.0, 0.2, 1.0)) if calm else dice.choice((0.0, 0.5, 6.0, 20.0))


def _reply(dice: Random, order: WorkOrder, kind: str, usage: Usage | None) -> Outcome | AgentBroke:
    if kind == "fails":
        return Outcome(failure=_failure(dice), usage=usage)
    if kind == "breaks":
        return AgentBroke("it broke")
    outputs = {spec.key: value_for(dice, order, spec.schema) for spec in order.outputs}
    if kind == "garbage" and outputs:
        spoiled = dice.choice(sorted(outputs))
        match dice.choice(("missing", "type", "false", "no json", "huge", "text")):
            case "missing":
                del outputs[spoiled]
            case "type":
                outputs[spoiled] = [[]]
            case "false":
                outputs[spoiled] = False
            case "no json":
                outputs[spoiled] = dice.choice((float("nan"), "\ud800", {1: 2}, object()))
            case "huge":
                outputs[spoiled] = "x" * HUGE
            case _:
                return parse_text(dice.choice(GARBAGE), usage=usage)
    return Outcome(outputs=outputs, usage=usage)


def _failure(dice: Random) -> Failure:
    kind = dice.choices(tuple(FailureKind), (8, 1, 2, 1))[0]
    return Failure(kind, dice.choice(CODES), "it did not work")


def value_for(dice: Random, order: WorkOrder, schema: Any) -> Any:  # noqa: ANN401 - JSON
    """A value that fits *schema*, and that tells whose it is where it can."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    match kind:
        case "integer":
            return dice.randrange(1_000_000)
        case "boolean":
            return True
        case "array":
            return [order.attempt]
        case "object":
            return {"by": order.attempt, "n": dice.randrange(100)}
        case _:
            return order.attempt + "x" * (HUGE if dice.randrange(20) == 0 else 0)
