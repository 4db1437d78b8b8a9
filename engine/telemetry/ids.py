"""Ids of traces and spans, derived from names that the journal has, and the header that carries them (`traceparent`).

Pure. Since nothing is drawn at random, every process that continues a run continues its trace, and an agent's program
can be given the id of its span before that span is over. They do not depend on times, which move when the clock is set
back, but on how often the run was retried: only that runs a node or a phase once more. Ids are numbers, as
OpenTelemetry's Python packages have them.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.ids import NodeId, RunId
    from engine.model.plan import PhasePlan
    from engine.run.state import Run

VARIABLE = "TRACEPARENT"
"""The environment variable that carries the header to programs and from callers."""
_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED = 1


class Caller(NamedTuple):
    """The span in which a run was asked for, as its `traceparent` names it."""

    trace: int
    span: int
    sampled: bool
    """Whether the caller records its trace."""


def caller_of(header: str) -> Caller | None:
    """The caller that *header* names; None if it is empty or not a valid `traceparent`, which is then ignored."""
    found = _HEADER.fullmatch(header)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5] is not None):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    return Caller(trace, span, bool(int(found[4], 16) & _SAMPLED)) if trace and span else None


def header_of(trace: int, span: int, *, sampled: bool) -> str:
    """The `traceparent` for whatever is called by *span*."""
    return f"00-{trace:032x}-{span:016x}-{sampled:02x}"


def trace_of(run: Run) -> int:
    """The trace of *run*: its caller's, or one of its own."""
    return _trace(run.id, run.traceparent)


@functools.lru_cache(maxsize=256)  # asked for each span of a run
def _trace(run: RunId, traceparent: str) -> int:
    caller = caller_of(traceparent)
    return _number(16, run) if caller is None else caller.trace


def first_span(run: RunId) -> int:
    """The span of *run* until its first end."""
    return _number(8, run)


def run_span(run: Run) -> int:
    """The span of *run* since it was last retried, if it was."""
    return _number(8, run.id, "run", str(run.retried)) if run.retried else first_span(run.id)


def phase_span(run: Run, phase: PhasePlan) -> int:
    """The span of *phase* since the run was last retried."""
    return _number(8, run.id, "phase", str(phase.index), str(run.retried))


def node_span(run: Run, node: NodeId) -> int:
    """The span of *node* since the run was last retried."""
    return _number(8, run.id, "node", node, str(run.retried))


def attempt_span(run: RunId, node: NodeId, number: int) -> int:
    """The span of an attempt."""
    return _number(8, run, "attempt", node, str(number))


def _number(size: int, *parts: str) -> int:
    """A number of *size* bytes, never zero, which would not be an id."""
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=size).digest()
    return int.from_bytes(digest, "big") or 1
