"""What a headless Claude Code has said so far, message by message, and which answer of it counts.

Pure. Measured with Claude Code 2.1.330 and 2.1.197. A session has several turns of the model's main conversation: the
end of a shell in the background begins another one after the answer was given, and that turn may end in an error. Each
turn begins with a message `init` and ends with a result; results are held back while a subagent works in the
background. Beside the turn that crosses the budget no tool is run any more, so the answer in it is in no result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.executors.answer import parse_answer
from engine.executors.port import OutputSpec
from engine.json.schemas import violation

ANSWER_TOOL = "StructuredOutput"
"""The tool that gives the value for --json-schema. An agent with a tool list has it only if the list names it."""
_OVER_BUDGET = "error_max_budget_usd"


class Session:
    """Keeps what the judge needs, so that memory does not grow with the session."""

    def __init__(self, outputs: Sequence[OutputSpec] = (), messages: Iterable[Mapping[str, Any]] = ()) -> None:
        """*outputs* are those that were asked for; *messages* have been said already."""
        self.results: list[Mapping[str, Any]] = []
        self.said: str | None = None
        """The agent's last words."""
        self._outputs = outputs
        self._in_turn = True
        self._open: dict[str, tuple[object, object]] = {}
        """By id, the name and input of each tool of the main conversation that has no result yet."""
        self._answered_by = 0
        for message in messages:
            self.take(message)

    @property
    def is_over(self) -> bool:
        """Whether there is an answer in the form that was asked for, and no turn is under way."""
        return not self._in_turn and self.has_answer

    @property
    def has_answer(self) -> bool:
        """Whether a result has an answer in the form that was asked for."""
        return self._answered_by > 0

    def answer(self) -> tuple[Any, Sequence[Mapping[str, Any]]]:
        """The answer that counts, None where none was given, and the results up to it: what came later is not its.

        The newest that has the form; failing that, where the last turn failed only of its cost, what it had just
        answered; failing that, the newest of any form, if nothing failed after it.
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
        """What was just answered; None beside another tool that was not run: the answer may speak of its effect."""
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
    """What the agent said in *message*, a message of stream-json."""
    texts = [str(block.get("text", "")) for block in blocks(message) if block.get("type") == "text"]
    return "\n".join(texts).strip() or None
