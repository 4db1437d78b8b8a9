"""The protocol of this package's agents: one request object in, one answer object out.

Pure. The agents do the work; this module only transports it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Work = Callable[[Mapping[str, Any]], dict[str, Any]]
    """Takes the declared inputs, returns the outputs; raises `Refusal`."""
    Agent = Callable[[Mapping[str, Any]], dict[str, Any]]
    """Takes a request object, returns an answer object."""


class Refusal(Exception):
    """An agent cannot do its work, for a known reason."""

    def __init__(self, code: str, message: str, *, hint: str | None = None, kind: str = "error") -> None:
        """*code* is stable and in upper case, *hint* says what the user can do."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.kind = kind

    def answer(self) -> dict[str, Any]:
        """The answer object; the hint is part of the message, which every client shows."""
        message = f"{self.message}\nhint: {self.hint}" if self.hint else self.message
        return {"failure": {"kind": self.kind, "code": self.code, "message": message}}


def answering(work: Work) -> Agent:
    """Make *work* an agent: it gets the inputs of the request, and the answer has its outputs or refusal.

    The input `costUsd` is the cost of the run so far, if it is known.
    """

    @functools.wraps(work)
    def agent(request: Mapping[str, Any]) -> dict[str, Any]:
        inputs = request.get("inputs")
        given = inputs if isinstance(inputs, dict) else {}
        if "costUsd" in request:
            given = {**given, "costUsd": request["costUsd"]}
        try:
            return {"outputs": work(given)}
        except Refusal as refusal:
            return refusal.answer()

    return agent


def section(inputs: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The input *key* as an object; empty if its reviewer was skipped or failed."""
    value = inputs.get(key)
    return value if isinstance(value, dict) else {}
