"""Converts the loops of Archon: a prompt, or a group of nodes, until a signal, a member of the output or a check.

Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.peers.report import Fields, Report

MAX_TURNS = 100


@dataclass(slots=True)
class Control:
    """When a loop ends."""

    turns: int
    signal: str | None = None
    member: str | None = None
    check: str | None = None


def control(loop: Fields, report: Report, *, group: bool, talks: bool) -> Control:
    """The control of *loop*; what the format cannot say is refused. *talks*: whether a model works in it."""
    for name, why in (
        ("interactive", "a loop that waits for a person between its turns"),
        ("signal_completes", "a loop that waits for a person between its turns"),
    ):
        if loop.flag(name):
            report.refuse(loop.at(name), f"{why} cannot be converted", "Write `approval` at a node after the loop.")
    loop.ignore("gate_message", "a loop does not wait between its turns")
    if loop.flag("fresh_context") is not True and talks:
        advice = "Write `fresh_context: true` if a turn needs only what its prompt names."
        report.refuse(
            loop.pointer, "each turn goes on in the conversation of the last one, and here it starts a new one", advice
        )
    turns = loop.whole("max_iterations", most=MAX_TURNS)
    found = Control(turns or 1, loop.text("until"), loop.text("until_field"), loop.text("until_bash"))
    if turns is None:
        report.refuse(loop.at("max_iterations"), "the loop has no max_iterations", "Write a number up to 100.")
    if group and found.signal is not None:
        advice = "Write `until_bash` with a check, or a node with an output_format and a check of it."
        report.refuse(loop.at("until"), "the signal of a group of nodes cannot be converted", advice)
    if found.signal is None and found.member is None and found.check is None:
        report.refuse(loop.pointer, "the loop has none of until, until_field and until_bash", "Write one of them.")
    return found


def signal_condition(key: str, signal: str, prompt: str, pointer: str, report: Report) -> str:
    """The condition for the tag with *signal* that the *prompt* asks for."""
    tags = dict.fromkeys(found[0] for found in re.finditer(rf"<([A-Za-z][\w-]*)>{re.escape(signal)}</\1>", prompt))
    if not tags:
        advice = f"Ask in the prompt for <promise>{signal}</promise>, or write an output_format and `until_field`."
        report.refuse(
            pointer, f'the signal "{signal}" is not in a tag of the prompt, so it cannot be recognized', advice
        )
    message = (
        f"the loop ends only if the answer has {' or '.join(tags)} exactly so, in this case and without spaces; "
        "the tag stays in the output, where Archon takes it out"
    )
    report.differs(pointer, message, "Better: an output_format with a boolean, and `until_field`.")
    return " || ".join(f"{json.dumps(tag, ensure_ascii=False)} in {key}" for tag in tags)
