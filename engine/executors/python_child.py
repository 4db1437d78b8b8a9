"""Runs one Python function as an agent, in a process that ends with it.

Effects: reads the request from stdin, imports and calls the function, writes the answer to the original stdout. The
function's own prints go to stderr. It imports only the standard library, and late: its start is part of every attempt.
Its own imports never come from the project, whatever the project calls its modules.

    python -P python_child.py MODULE:FUNCTION [PROJECT_ROOT]
"""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

_KINDS = frozenset({"error", "timeout", "validation", "cancel"})
_MAX_TRACE_LENGTH = 4000


def main(arguments: list[str]) -> int:
    """Answer one request; the exit code is 0 whenever there is an answer, even a failure."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # from here on, every print of this process or a child goes to stderr
    sys.stdout = sys.stderr
    target, *roots = arguments
    request = json.loads(sys.stdin.buffer.read())
    own_path = [*sys.path]
    sys.path[:0] = roots
    try:
        answer = _as_json(_call(target, request, own_path), target)
    except Exception as error:  # noqa: BLE001 -- whatever an agent raises is its failure, not ours
        sys.path[:] = own_path
        answer = json.dumps({"failure": _failure(error)})
    answers.write(answer.encode("utf-8", "replace"))
    answers.close()
    sys.stderr.flush()
    return 0


def _call(target: str, request: object, own_path: list[str]) -> object:
    result = _find(target)(request)
    if hasattr(result, "__await__"):
        run = _own(own_path, "asyncio").run
        return run(_awaited(result))
    return result


def _own(own_path: list[str], name: str) -> ModuleType:
    """A module of the standard library, imported late because it costs more than the rest of the start."""
    functions_path, sys.path = sys.path, own_path
    try:
        return import_module(name)
    finally:
        sys.path = functions_path


async def _awaited(result: Awaitable[object]) -> object:
    return await result


def _find(target: str) -> Callable[[object], object]:
    module_name, _, path = target.partition(":")
    try:
        found = import_module(module_name)
        for name in path.split("."):
            found = getattr(found, name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise  # the module exists, but something that it imports does not
        raise CallableNotFound(f"the module {module_name} does not exist") from error
    except AttributeError as error:
        if error.name not in path.split("."):
            raise
        raise CallableNotFound(f"the module {module_name} has no {path}") from error
    if not callable(found):
        raise CallableNotFound(f"{target} is not callable")
    return found


class CallableNotFound(Exception):
    """The agent's `callable` does not name a callable object."""

    code = "CALLABLE_NOT_FOUND"


def _as_json(answer: object, target: str) -> str:
    try:
        return json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{target} returned a value that JSON cannot hold: {error}"
        return json.dumps({"failure": {"kind": "validation", "code": "INVALID_ANSWER", "message": message}})


def _failure(error: Exception) -> dict[str, str]:
    import traceback  # noqa: PLC0415 -- needed by failures only

    code, kind = getattr(error, "code", None), getattr(error, "kind", None)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(error).__name__).upper()
    place = error.__traceback__
    while place is not None and place.tb_next is not None and place.tb_frame.f_code.co_filename == __file__:
        place = place.tb_next  # the agent's part of the trace, not ours
    trace = "".join(traceback.format_exception(type(error), error, place))
    return {
        "kind": kind if isinstance(kind, str) and kind in _KINDS else "error",
        "code": code if isinstance(code, str) and code else name,
        "message": str(error) or type(error).__name__,
        "partial": trace[-_MAX_TRACE_LENGTH:],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
