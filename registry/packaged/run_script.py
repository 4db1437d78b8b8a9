"""Runs a program that is not an agent as one: its output becomes a value, its exit code a failure.

Effects: starts the program after `--` and waits for it. Values of the run reach it by variables, arguments or stdin,
never through a shell. Converted workflows of other programs use it in their agent files:

    command: ["{python}", "-P", "-m", "registry.packaged.run_script", "--text", "tests", "--", "make", "test"]

Options, before `--`:

--text KEY       stdout, without its last line break, is the output KEY
--members KEY    the members of stdout, as texts, are the output KEY; there are none if stdout is not a JSON object
--list KEY       stdout, read as a JSON array if it is one, is the output KEY
--passed KEY     the output KEY says whether the program exited with 0; another exit code is not a failure
--result KEY     the output KEY is an object of stdout, stderr, exit_code and, if stdout is a JSON object, its members
--strict         with --result: stdout must be a JSON object
--env NAME=PATH  the variable NAME is the value at PATH (`key` or `key.member`) of the inputs, as a text
--set NAME=TEXT  the variable NAME is TEXT
--optional PATH  a value that is not there, or null, counts as an empty text
--python         values in texts are written as Python does (True), otherwise as JSON does (true)
--stdin TEXT     stdin of the program
--fill           values are filled into the program's arguments too
--fail TEXT      run nothing: fail with TEXT

`{{key.member}}` in --stdin, in --fail and, with --fill, in an argument stands for a value of the inputs, and
`{{key|json}}` and `{{key|tojson}}` for its JSON, indented and on one line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

_VALUE = re.compile(r"\{\{([A-Za-z_]\w*(?:\.\w+)*)(\|json|\|tojson)?\}\}")
_FENCED = re.compile(r"^.*?```(?:json)?\s*\n(.*?)\n\s*```.*$", re.DOTALL)
_ESCAPED = re.compile("[<>&']")
"""Characters that Jinja's filter `tojson` escapes."""
_JUST_DIGITS = 1e21
"""From here on JavaScript writes a whole number with an exponent."""


class MissingValueError(Exception):
    """A value that the program needs is not among the inputs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer the request on stdin; returns the exit code."""
    options = _options(sys.argv[1:] if arguments is None else arguments)
    request = json.load(sys.stdin)
    try:
        answer = _answer(options, request.get("inputs", {}))
    except MissingValueError as error:
        answer = _failure("MISSING_VALUE", f"the value {error} is not there")
    except OSError as error:
        answer = _failure("PROGRAM_NOT_FOUND", f"{options.program[0]} cannot be started: {error.strerror}")
    if isinstance(answer, int):
        return answer
    sys.stdout.write(json.dumps(answer, ensure_ascii=False))
    return 0


def _options(arguments: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="run_script", allow_abbrev=False)
    for name in ("text", "members", "list", "passed", "result", "stdin", "fail"):
        parser.add_argument(f"--{name}")
    for name in ("env", "set", "optional"):
        parser.add_argument(f"--{name}", action="append", default=[])
    for name in ("strict", "python", "fill"):
        parser.add_argument(f"--{name}", action="store_true")
    split = [*arguments, "--"].index("--")
    found = parser.parse_args(list(arguments[:split]))
    found.program = list(arguments[split + 1 :])
    return found


def _answer(options: Namespace, inputs: Mapping[str, Any]) -> dict[str, Any] | int:
    values = _Values(inputs, optional=frozenset(options.optional), python=options.python)
    if options.fail is not None:
        return _failure("STOPPED", values.fill(options.fail))
    variables = dict(os.environ)
    for pair in options.set:
        name, _, text = pair.partition("=")
        variables[name] = text
    for pair in options.env:
        name, _, path = pair.partition("=")
        variables[name] = values.text(path)
    program = [values.fill(word) for word in options.program] if options.fill else options.program
    stdin = None if options.stdin is None else values.fill(options.stdin).encode()
    ended = subprocess.run(  # noqa: S603 - the program of the agent's file, to which the user has agreed
        program,
        env=variables,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if options.result else None,
        check=False,
    )
    return _outputs(options, ended)


def _outputs(options: Namespace, ended: subprocess.CompletedProcess[bytes]) -> dict[str, Any] | int:
    stdout = ended.stdout.decode(errors="replace")
    code = ended.returncode
    if options.passed is not None:
        sys.stderr.write(stdout)
        return {"outputs": {options.passed: code == 0}}
    members = _members(stdout)
    if options.result is not None:
        stderr = ended.stderr.decode(errors="replace")
        sys.stderr.write(stderr)
        if options.strict and members is None:
            return _failure("NO_JSON_OBJECT", "the program did not print exactly one JSON object")
        result = {"stdout": stdout, "stderr": stderr, "exit_code": code, **(members or {})}
        return {"outputs": {options.result: result}}
    if code:
        sys.stderr.write(stdout)
        return code if code > 0 else 128 - code
    outputs: dict[str, Any] = {}
    if options.text is not None:
        outputs[options.text] = stdout.removesuffix("\n")
    if options.members is not None:
        found = members if members is not None else _members(_FENCED.sub(r"\1", stdout))
        outputs[options.members] = {key: as_text(value) for key, value in (found or {}).items()}
    if options.list is not None:
        items = _json(stdout)
        outputs[options.list] = items if isinstance(items, list) else stdout
    return {"outputs": outputs}


class _Values:
    """The inputs of the run, as texts."""

    def __init__(self, inputs: Mapping[str, Any], *, optional: frozenset[str], python: bool) -> None:
        self._inputs = inputs
        self._optional = optional
        self._python = python

    def text(self, path: str, form: str | None = None) -> str:
        value: Any = self._inputs
        for step in path.split("."):
            if not isinstance(value, dict) or step not in value:
                value = None
                if path not in self._optional:
                    raise MissingValueError(path)
                break
            value = value[step]
        if value is None and path in self._optional:
            return ""
        if form == "|json":
            return json.dumps(value, indent=2)
        if form == "|tojson":
            return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, sort_keys=True))
        return str(value) if self._python else as_text(value)

    def fill(self, template: str) -> str:
        return _VALUE.sub(lambda found: self.text(found[1], found[2]), template)


def as_text(value: object) -> str:
    """*value* as JavaScript writes it into a text: texts as they are, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(_whole(value), ensure_ascii=False, separators=(",", ":"))


def _whole(value: object) -> object:
    """*value* with its whole numbers as such: JavaScript has one kind of number, and writes 1.0 as 1."""
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _JUST_DIGITS
    return int(value) if is_whole and isinstance(value, float) else value


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _members(text: str) -> dict[str, Any] | None:
    value = _json(text)
    return value if isinstance(value, dict) else None


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"failure": {"kind": "error", "code": code, "message": message}}


if __name__ == "__main__":
    sys.exit(main())
