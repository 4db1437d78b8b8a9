"""Knows what was said in the SDK's place, compares it with what the SDK says, and learns from that.

Theory of operation. Every request that was answered from the store is passed on to the SDK under a number that no
client can have chosen; the SDK's answer to that number is compared with what was said, and dropped. An answer that
differs cannot be taken back. So the client is notified that the list has changed, and asks again; the next server says
what the SDK has said now.

- Learned are answers to requests that came before anything else, while `Conversation` still understood every line:
  later ones may depend on what was done in between. A list of the project is kept only if its files are now as they
  were before the SDK looked at any of them, and none of it is a run or a secret.
- A client of an older protocol is notified without having asked. One of the newer gets only what it has asked for on
  its own streams, once the SDK has acknowledged them: a later stream is notified of an earlier change.
- Numbers come from clients, and two open requests of one number could be confused. So a number that comes twice, and a
  line that is not understood, end the learning.

Effects: keeps answers in the store, and writes a warning to stderr. Lines come in on one thread and go out on another:
each dictionary is changed by single operations only.
"""

from __future__ import annotations

import json
import os
import sys

from mcp_server.door.conversation import (
    ACKNOWLEDGED,
    CHANGES,
    LISTEN,
    MODERN,
    OF_THE_PROJECT,
    SUBSCRIPTION,
    Question,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mcp_server.door.store import Store

RUN = '"orchestration://runs/'
"""The address of a single run: it is listed only by a server that has already worked."""
CLOSED = -32000
"""The code of the SDK's answer to requests that are open when the client leaves."""
_ANSWER = '{"jsonrpc":"2.0","id":'
_NOTIFICATION = '{"jsonrpc":"2.0","method":"'
_decode = json.JSONDecoder().raw_decode


class Awaited:
    """A question that the SDK has yet to answer."""

    __slots__ = ("question", "said")

    def __init__(self, question: Question, said: str | None) -> None:
        """*said* is the answer that the client has, if it has one."""
        self.question = question
        self.said = said


class Ledger:
    """The questions of one client."""

    def __init__(
        self, store: Store, around: Callable[[], str | None], *, may_answer: Callable[[], bool] = lambda: True
    ) -> None:
        """*around* computes the key of the project's files as they are at the call.

        *may_answer* is called before the first answer, and settles whether this server offers anything at all.
        """
        self._store = store
        self._may_answer = may_answer
        self._around = around
        self._before: str | None = None
        """The key before the SDK looked at anything."""
        self._mark = f"{os.urandom(16).hex()}-"
        self._count = 0
        self._awaited: dict[str | int, Awaited] = {}
        self._acknowledgements: dict[str | int, Awaited] = {}
        self._numbers: set[str | int] = set()
        """All numbers of questions that were, or are, to be learned from."""
        self._streams: dict[str | int, frozenset[str]] = {}
        self._changed: dict[str, str] = {}
        """Lists that have turned out to be others than said, with the version that they were asked in."""
        self.keeps = True
        """Whether answers are stored; otherwise they are forgotten."""
        self.is_secret: Callable[[str], bool] = lambda _: True
        """Whether a text holds something that must not be stored."""

    def answer(self, question: Question) -> tuple[str, str] | None:
        """The line for the client, and the one for the SDK in place of the question; None if no answer is known."""
        around = self._key(question)
        said = None if around is None else self._store.find(question.name, around)
        if said is None or question.number in self._acknowledgements:
            return None
        if not self.has_answered and not self._may_answer():
            return None
        self._count += 1
        if question.method == LISTEN:
            self._acknowledgements[question.number] = Awaited(question, said)
            return _acknowledgement(question.number, said), json.dumps(question.message) + "\n"
        number = f"{self._mark}{self._count}"
        self._awaited[number] = Awaited(question, said)
        line = f'{_ANSWER}{json.dumps(question.number)},"result":{said}}}\n'
        return line, question.renumbered(number)

    @property
    def has_answered(self) -> bool:
        """Whether anything was said in the SDK's place."""
        return self._count > 0

    def begin(self) -> None:
        """Note the state of the project's files; the SDK looks at them only after this."""
        self._before = self._around()

    def expect(self, question: Question) -> None:
        """Learn from the SDK's answer to *question*."""
        if question.number in self._numbers:
            self.learn_no_more()
        elif question.number not in self._acknowledgements:
            self._numbers.add(question.number)
            awaited = self._acknowledgements if question.method == LISTEN else self._awaited
            awaited[question.number] = Awaited(question, None)

    def learn_no_more(self) -> None:
        """Learn nothing from answers that are still to come: lines that are not understood may reuse their numbers."""
        for open_ones in (self._awaited, self._acknowledgements):
            for number, awaited in list(open_ones.items()):
                if awaited.said is None:
                    open_ones.pop(number, None)

    def passes(self, line: str) -> list[str]:
        """The lines that the client gets for the SDK's *line*, in order."""
        if self._awaited and line.startswith(_ANSWER):
            number, _ = _decode(line, len(_ANSWER))
            awaited = self._awaited.pop(number, None) if isinstance(number, str | int) else None
            if awaited is not None:
                message = json.loads(line)
                changed = self._compare(awaited, message.get("result"), (message.get("error") or {}).get("code"))
                return [*([line] if awaited.said is None else []), *changed]
        elif self._acknowledgements and line.startswith(f"{_NOTIFICATION}{ACKNOWLEDGED}"):
            return self._acknowledged(line)
        return [line]

    def _acknowledged(self, line: str) -> list[str]:
        params = json.loads(line)["params"]
        number = params["_meta"].pop(SUBSCRIPTION)
        awaited = self._acknowledgements.pop(number, None)
        if awaited is None:
            return [line]
        self._streams[number] = awaited.question.changes
        told = awaited.said is not None and json.loads(awaited.said) == params
        self._compare(awaited, params, None)
        known = [
            _notification(method, number) for method in self._changed if CHANGES[method] in awaited.question.changes
        ]
        return [*([] if told else [line]), *known]

    def _compare(self, awaited: Awaited, result: Any, code: int | None) -> list[str]:  # noqa: ANN401 - any JSON
        """Learn *result*, the SDK's own; returns the corrections for a client that has another answer."""
        question, said = awaited.question, awaited.said
        if not self.keeps:
            self._learn(question, None)
        if code == CLOSED or (said is not None and json.loads(said) == result):
            return []
        text = (
            None if result is None or not self.keeps else json.dumps(result, ensure_ascii=False, separators=(",", ":"))
        )
        self._learn(question, text)
        if said is None:
            return []
        sys.stderr.write(f"orchestration-mcp: {question.method} has changed since this server last answered it\n")
        if question.method not in CHANGES:
            return []
        self._changed[question.method] = question.version
        if question.version != MODERN:
            return [_notification(question.method)] if question.method in OF_THE_PROJECT else []
        wanted = CHANGES[question.method]
        return [_notification(question.method, number) for number, kinds in self._streams.items() if wanted in kinds]

    def _learn(self, question: Question, text: str | None) -> None:
        around = self._key(question)
        if around is None:
            return
        of_the_project = question.method in OF_THE_PROJECT
        if text is None or (of_the_project and (RUN in text or self.is_secret(text))):
            self._store.forget(question.name, around)
        elif not of_the_project or around == self._before:
            self._store.keep(text, question.name, around)

    def _key(self, question: Question) -> str | None:
        """The key of the files that the answer depends on."""
        return self._around() if question.method in OF_THE_PROJECT else ""


def _acknowledgement(number: str | int, said: str) -> str:
    params = json.loads(said)
    params["_meta"][SUBSCRIPTION] = number
    return _line({"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": params})


def _notification(method: str, stream: str | int | None = None) -> str:
    """The notification that the list *method* has changed, on *stream* if it is for one."""
    change: dict[str, Any] = {"jsonrpc": "2.0", "method": f"notifications/{method.removesuffix('list')}list_changed"}
    if stream is not None:
        change["params"] = {"_meta": {SUBSCRIPTION: stream}}
    return _line(change)


def _line(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n"
