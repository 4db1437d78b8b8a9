"""The request to an agent and its answer, the same for all executors (SPEC 3).

Pure. It checks the form of an answer only; `engine/values/context.py` checks that the outputs are the declared ones.
"""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs

from engine.executors.port import Outcome, WorkOrder
from engine.model.policy import Failure, FailureKind, Usage
from engine.text.cut import cut
from engine.text.redaction import excerpt, one_line, redact

_MAX_MESSAGE_LENGTH = 2000
_MAX_CODE_LENGTH = 64
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_FORM = 'An answer is one JSON object: {"outputs": {...}} or {"failure": {"kind", "code", "message"}}.'


def request_of(order: WorkOrder) -> dict[str, Any]:
    """The request to process and python agents, as JSON.

    Outputs with a schema have it in `outputSchemas`; compensations also get `role` and `produced`. `costUsd` is the
    cost of the run so far, if agents have reported any.
    """
    request: dict[str, Any] = {
        "runId": order.run,
        "node": order.node,
        "attempt": order.attempt,
        "task": order.task,
        "inputs": dict(order.inputs),
        "outputs": [output.key for output in order.outputs if output.required],
    }
    schemas = {output.key: output.schema for output in order.outputs if output.schema is not None}
    if schemas:
        request["outputSchemas"] = schemas
    if order.cost_usd > 0:
        request["costUsd"] = order.cost_usd
    if order.role != "forward":
        request |= {"role": order.role, "produced": dict(order.produced)}
    return request


def failed(
    kind: FailureKind,
    code: str,
    message: str,
    *,
    hint: str | None = None,
    partial: str | None = None,
    usage: Usage | None = None,
    begun: bool = True,
) -> Outcome:
    """An outcome that is a failure; *message* and *partial* are redacted and cut here.

    Not *begun*: what the agent needs was missing, so it has done nothing that could be undone.
    """
    text = cut(_writable(redact(message.strip())), _MAX_MESSAGE_LENGTH)
    kept = excerpt(_writable(partial)) if partial else None
    failure = Failure(kind, code, text, hint=_writable(hint) if hint else None, partial=kept)
    return Outcome(failure=failure, usage=usage, begun=begun)


def invalid(message: str, *, partial: str | None = None, usage: Usage | None = None) -> Outcome:
    """The outcome of an attempt whose answer does not have the form of one."""
    return failed(FailureKind.VALIDATION, "INVALID_ANSWER", message, hint=_FORM, partial=partial, usage=usage)


def parse_text(raw: bytes, *, usage: Usage | None = None) -> Outcome:
    """The outcome that *raw* (UTF-8) holds as one JSON object."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return invalid(f"the answer is not UTF-8: {error}", partial=raw.decode("utf-8", "replace"), usage=usage)
    if not text.strip():
        return invalid("the agent ended without an answer", usage=usage)
    try:
        answer = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        start = one_line(text, limit=120)
        return invalid(f"the answer is not JSON ({error}); it starts with: {start}", partial=text, usage=usage)
    if "\\ud" in text.lower() and not_writable(answer):
        return invalid("a text in the answer is half a surrogate pair, which no file can hold", usage=usage)
    return parse_answer(answer, usage=usage)


def parse_answer(answer: object, *, usage: Usage | None = None) -> Outcome:
    """The outcome in *answer*, parsed JSON from an agent.

    A failure takes precedence over outputs. Unknown fields are ignored.
    """
    if not isinstance(answer, Mapping):
        return invalid(f"the answer is {_kind_of(answer)}, not an object", partial=_shown(answer), usage=usage)
    failure = answer.get("failure")
    if failure is not None:
        return Outcome(failure=parse_failure(failure, partial=_shown(answer.get("outputs"))), usage=usage)
    outputs = answer.get("outputs")
    if outputs is None:
        return invalid('the answer has neither "outputs" nor "failure"', partial=_shown(answer), usage=usage)
    if not isinstance(outputs, Mapping):
        return invalid(f'"outputs" is {_kind_of(outputs)}, not an object', partial=_shown(outputs), usage=usage)
    return Outcome(outputs=dict(outputs), usage=usage)


def parse_failure(failure: object, *, partial: str | None = None) -> Failure:
    """A failure as reported by an agent; missing and invalid fields are filled in: it stays a failure."""
    given: Mapping[str, object] = failure if isinstance(failure, Mapping) else {"message": failure}
    kind, code, message = given.get("kind"), given.get("code"), given.get("message")
    own = given.get("partial")
    text = message if isinstance(message, str) and message.strip() else "the agent reported a failure without a message"
    if not isinstance(failure, Mapping | str):
        text = f"the agent reported a failure: {_shown(failure)}"
    hint = given.get("hint")
    outcome = failed(
        FailureKind(kind) if isinstance(kind, str) and kind in set(FailureKind) else FailureKind.ERROR,
        upper_snake(code) if isinstance(code, str) and upper_snake(code) else "AGENT_ERROR",
        text,
        hint=_writable(redact(hint))[:_MAX_MESSAGE_LENGTH] if isinstance(hint, str) and hint.strip() else None,
        partial=own if isinstance(own, str) else partial,
    )
    assert outcome.failure is not None  # noqa: S101 -- `failed` makes nothing else
    return outcome.failure


def ended_badly(returncode: int, *, stdout: bytes, stderr: bytes, what: str) -> Outcome:
    """The outcome of a program that exited with *returncode*, not 0: the failure it reported, or else its exit code.

    A negative code is the signal that killed it.
    """
    errors = stderr.decode("utf-8", "replace").strip()
    printed = stdout.decode("utf-8", "replace")
    last = errors.rsplit("\n", 1)[-1].strip()
    reported = _object_in(last)
    if reported is not None and ("code" in reported or "message" in reported):
        return with_stderr(Outcome(failure=parse_failure(reported, partial=printed)), errors.removesuffix(last))
    answer = _object_in(printed)
    if answer is not None and answer.get("failure") is not None:
        return with_stderr(parse_answer(answer), errors)
    if returncode < 0:
        name = signal_name(-returncode)
        code, ending = f"SIGNAL_{name}", f"was killed by {name}"
    else:
        code, ending = f"EXIT_{returncode}", f"exited with code {returncode}"
    said = excerpt(errors, limit=1500)
    message = f"{what} {ending}: {said}" if said else f"{what} {ending} (nothing on stderr)"
    return failed(FailureKind.ERROR, code, message, partial=printed)


def with_stderr(outcome: Outcome, stderr: str) -> Outcome:
    """*outcome* of a program; a failure without last output of its own gets what was written to stderr."""
    failure = outcome.failure
    if failure is None or failure.partial is not None:
        return outcome
    return structs.replace(outcome, failure=replace(failure, partial=excerpt(_writable(stderr))))


def not_writable(value: object) -> str | None:
    """Why *value* cannot be stored as JSON in UTF-8; None if it can."""
    try:
        _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return str(error)
    return None


def signal_name(number: int) -> str:
    """The name of a signal, such as SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def upper_snake(name: str) -> str:
    """*name* as an error code: `HTTPStatusError` and "http status-error" are HTTP_STATUS_ERROR."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name[: _MAX_CODE_LENGTH * 2])
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper()[:_MAX_CODE_LENGTH]


def _object_in(text: str) -> Mapping[str, Any] | None:
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, Mapping) else None


def _refuse_constant(name: str) -> float:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        msg = f"the key {json.dumps(twice[:60], ensure_ascii=False)} occurs twice in one object"
        raise ValueError(msg)
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _kind_of(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null", dict: "an object"}
    return names.get(type(value), "a number")


def _shown(value: object) -> str | None:
    if value is None:
        return None
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return str(type(value))
