"""Typed names of things, and how they compose.

Pure. Ids are strings everywhere; the types only keep them apart. `runtime/clock.py` makes random run ids.
"""

from __future__ import annotations

import hashlib
from typing import NewType

RunId = NewType("RunId", str)
"""A run, `r-` and twelve lower-case letters or digits."""
NodeId = NewType("NodeId", str)
"""A node of a plan; nodes of a sub-command carry its node's id as prefix: `deploy/build`."""
AttemptId = NewType("AttemptId", str)
"""One try of a node: `run:node#n`; the fence against late reports."""
OwnerId = NewType("OwnerId", str)
"""A process that may own runs."""


ANY = "*"
"""In an id of a template, in place of the number of an instance."""


def count_id(node: str) -> NodeId:
    """The name under which the number of instances of *node* is learned."""
    return NodeId(f"{node}/#")


def in_template(name: NodeId) -> NodeId:
    """The id of *name* in its template, `cover/*/write`, if its numbers are those of instances."""
    return NodeId("/".join(ANY if part.isdigit() and place else part for place, part in enumerate(name.split("/"))))


def attempt_id(run: RunId, node: NodeId, number: int) -> AttemptId:
    """The id of attempt *number* (from 1, including compensations) of *node*."""
    return AttemptId(f"{run}:{node}#{number}")


def session_id(attempt: AttemptId) -> str:
    """The session in which Claude Code makes *attempt*: a UUID (version 5) derived from the attempt alone."""
    digits = hashlib.sha256(attempt.encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def parse_attempt_id(text: str) -> tuple[RunId, NodeId, int] | None:
    """Run, node and number of an attempt id, or None if *text* is not one."""
    run, colon, rest = text.partition(":")
    node, hash_, number = rest.rpartition("#")
    if not (run and colon and node and hash_ and number.isascii() and number.isdigit()):
        return None
    return RunId(run), NodeId(node), int(number)
