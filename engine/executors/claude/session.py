"""The messages of a headless Claude Code so far, and which of its answers counts.

Pure. Measured with Claude Code 2.1.330 and 2.1.197. A session can have several turns of the main conversation: the
end of a background shell starts another one after the answer was given, and that turn may end in an error. Each turn
starts with a message `init` and ends with a result; results are held back while a subagent works in the background.
In the turn that exceeds the budget, no tool is run, so an answer given in it is not in any result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.executors.answer import parse_answer
from engine.executors.port import OutputSpec
from engine.json.schemas import violation

ANSWER_TOOL = "StructuredOutput"
"""The tool that returns the value for --json-schema. An agent with a tool list has it only if the list names it."""
_OVER_BUDGET = "error_max_budget_usd"


class Session:
    """Keeps only what judging needs, so that memory does not grow with the session."""

    def __init__(self, outputs: Sequence[OutputSpec] = (), messages: Iterable[Mapping[str, Any]] = ()) -> None:
        """*outputs* are the requested ones; *messages* are those received so far."""
        self.results: list[Mapping[str, Any]] = []
        self.said: str | None = None
        """The agent's last words."""
        self._outputs = outputs
        self._in_turn = True
        self._open: dict[str, tuple[object, object]] = {}
        """By id: name and input of each tool call of the main conversation without a result yet."""
        self._answered_by = 0
        for message in messages:
            self.take(message)

    @property
    def is_over(self) -> bool:
        """Whether there is an answer in the requested form, and no turn is under way."""
        return not self._in_turn and self.has_answer

    @property
    def has_answer(self) -> bool:
        """Whether a result has an answer in the requested form."""
        return self._answered_by > 0

    def answer(self) -> tuple[Any, Sequence[Mapping[str, Any]]]:
        """The answer that counts, or None, and the results up to it; later ones do not belong to it.

        The newest one in the requested form. Failing that, if the last turn failed only because of its cost, the answer
        it had just given. Failing that, the newest in any form, if nothing failed after it.
        """
        if self._answered_by:
            told = self.results[: self._answered_by]
            return told[-1]["structured_output"], told
        last = self.results[-1] if self.results else {}
        if last.get("is_error") is not False:
            offer = self._offer() if last.get("subtype") == _OVER_BUDGET else None
            return (offer if self._satisfies(offer) else None), self.results
        given = [result.get("structured_output") for result in self.results]
        return next((value for value in reversed(given) if value is not None), None), self.results

    def take(self, message: Mapping[str, Any]) -> None:
        """Note one message of stream-json."""
        kind = message.get("type")
        if kind == "result":
            self._in_turn = False
            self.results.append(message)
            if self._satisfies(message.get("structured_output")):
                self._answered_by = len(self.results)
        elif kind == "assistant":
            self.said = text_of(message) or self.said
            self._note_tools(message)
        elif kind == "user":
            self._note_tools(message)
        elif message.get("subtype") == "init":
            self._in_turn = True

    def _note_tools(self, message: Mapping[str, Any]) -> None:
        if message.get("parent_tool_use_id") is not None:  # a subagent's
            return
        self._in_turn = True
        for block in blocks(message):
            if block.get("type") == "tool_use":
                self._open[str(block.get("id"))] = (block.get("name"), block.get("input"))
            elif block.get("type") == "tool_result":
                self._open.pop(str(block.get("tool_use_id")), None)

    def _offer(self) -> Any:  # noqa: ANN401 -- JSON of a model
        """The answer just given; None beside another tool that was not run, since the answer may rely on its effect."""
        name, value = next(iter(self._open.values())) if len(self._open) == 1 else (None, None)
        return value if name == ANSWER_TOOL else None

    def _satisfies(self, answer: object) -> bool:
        if answer is None:
            return False
        outcome = parse_answer(answer)
        if outcome.failure is not None:
            return outcome.failure.code != "INVALID_ANSWER"
        given = outcome.outputs
        absent = any(spec.required and spec.key not in given for spec in self._outputs)
        return not absent and all(
            violation(spec.schema, given[spec.key]) is None
            for spec in self._outputs
            if spec.schema is not None and spec.key in given
        )


def blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of a message of the model, or of one to it."""
    inner = message.get("message")
    content = inner.get("content") if isinstance(inner, Mapping) else None
    return [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []


def text_of(message: Mapping[str, Any]) -> str | None:
    """The agent's text in *message*, a message of stream-json."""
    texts = [str(block.get("text", "")) for block in blocks(message) if block.get("type") == "text"]
    return "\n".join(texts).strip() or None
