"""Rewrites a bash script of Archon so that values reach it by variables.

Pure. Archon puts outputs of nodes into the script's text, each as a word in single quotes. `"${NAME}"` is the same
outside of quotes. Inside quotes Archon's own quotes become a part of the text, or end it: the same text is written
here, but its value is never read as shell code again. In here-documents and `${…}` a value is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.peers.archon.scope import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.peers.archon.scope import Reader

_HERE = re.compile(r"<<-?[ \t]*(?P<quoted>\\?['\"]?)(?P<word>[A-Za-z_]\w*)['\"]?")
_BY_VARIABLE = frozenset({"ARGUMENTS", "USER_MESSAGE", "CONTEXT", "EXTERNAL_CONTEXT", "ISSUE_CONTEXT"})
"""Variables that Archon itself passes in the environment of the script, never in its text."""
BY_VARIABLE_ALONE = _BY_VARIABLE | {"INPUTS", "LOOP_USER_INPUT", "LOOP_PREV_OUTPUT", "REJECTION_REASON"}
"""Words that Archon leaves alone in the text of a script in any language."""
_VARIABLES = re.compile(
    r"(?<!\w)(?:ARGUMENTS|USER_MESSAGE|ARTIFACTS_DIR|STATE_DIR|LOG_DIR|BASE_BRANCH|WORKFLOW_ID|CONTEXT|EXTERNAL_CONTEXT"
    r"|ISSUE_CONTEXT)(?!\w)"
)
EMPTY = ("LOOP_USER_INPUT", "LOOP_PREV_OUTPUT", "REJECTION_REASON")
"""Variables that Archon sets to an empty text where no loop or approval fills them."""
_CASE = re.compile(r"(?<![\w$-])case(?=\s)")
_OWN = re.compile(r"(?<!\w)NODE_\w+")
"""Variables of the script that have the form of ours."""
_INPUTS = re.compile(r"(?<!\w)INPUTS_[A-Z0-9_]+")
_FORBIDDEN = {
    "ansi": "inside $'…'",
    "here": "inside a here-document",
    "here-quoted": "inside a here-document",
    "brace": "inside ${…}",
    "backtick": "inside backticks",
    "escaped": "after a backslash",
    "unknown": "after a `case` inside brackets, or a `<<` without its end, where its quotes are not known",
}


def convert(script: str, reader: Reader, pointer: str) -> tuple[str, dict[str, str]]:
    """The script, and the paths of the values that its variables hold, by variable."""
    variables: dict[str, str] = {}
    own = frozenset(_OWN.findall(script))
    result: list[str] = []
    last = 0
    for found, context in _tokens(script):
        result.append(script[last : found.start()])
        last = found.end()
        if context == "comment":
            result.append(found[0])
            if found["node"] is not None:
                reader.report.differs(pointer, f'"{found[0]}" in a comment stays as it is', "Remove it.")
        else:
            result.append(_word(found, context, reader, pointer, variables=variables, own=own))
    result.append(script[last:])
    _environment(script, reader, pointer, variables)
    return "".join(result), variables


def variable_of(name: str) -> str:
    """The variable in which a script finds the input *name*."""
    return f"INPUTS_{name.replace('-', '_').upper()}"


def _environment(script: str, reader: Reader, pointer: str, variables: dict[str, str]) -> None:
    """Variables of the environment that the script may read in any way."""
    for name in dict.fromkeys(_VARIABLES.findall(script)):
        variables[name] = reader.variable(name, pointer)
    declared = {variable_of(name): name for name in reader.scope.arguments.declared}
    for name in dict.fromkeys(_INPUTS.findall(script)):
        found = TOKEN.fullmatch(f"$INPUTS.{declared[name]}") if name in declared else None
        path = reader.path(found, pointer) if found is not None else None
        if path:
            variables[name] = path


def environment(script: str, reader: Reader, pointer: str) -> dict[str, str]:
    """Paths of the values of the environment that a script in another language reads, by variable."""
    variables: dict[str, str] = {}
    _environment(script, reader, pointer, variables)
    return variables


def _word(
    found: re.Match[str], context: str, reader: Reader, pointer: str, *, variables: dict[str, str], own: frozenset[str]
) -> str:
    if found["word"] in _BY_VARIABLE or found["input"] is not None:
        return found[0]
    if found["word"] in EMPTY:
        return found[0]
    is_value = found["node"] is not None or found["previous"] is not None
    where = _FORBIDDEN.get(context)
    if not is_value and context in {"here", "brace"}:
        where = None  # Archon's plain text and a variable are the same there
    if is_value and context == "escaped double":
        where = _FORBIDDEN["escaped"]
    if not is_value and context == "single":
        where = "inside single quotes, where it is put into the text"
    if where is not None:
        reader.report.refuse(pointer, f'"{found[0]}" is {where}', f"Write it outside of quotes: name={found[0]}")
        return found[0]
    path = reader.path(found, pointer)
    if not path:
        return found[0] if path is None else "''"
    if not is_value:
        variables[found["word"]] = path
        before = "\\" if context == "escaped double" else ""  # with the one before it a backslash in the text
        return f"{before}${{{found['word']}}}"
    name = f"NODE_{path.replace('.', '_').upper()}"
    while variables.get(name, path) != path or name in own:
        name += "_"
    variables[name] = path
    return _quoted(f"${{{name}}}", found, context, reader, pointer)


def _quoted(variable: str, found: re.Match[str], context: str, reader: Reader, pointer: str) -> str:
    """The *variable* as the text that Archon would have written there."""
    if context == "plain":
        return f'"{variable}"'
    if context == "double" and _is_bare(found, reader):
        return variable
    message = f'"{found[0]}" is inside quotes: Archon adds its own, and the shell reads the value again as code'
    advice = f"The command adds the same quotes and takes the value as it is. Better: name={found[0]}, without quotes."
    reader.report.differs(pointer, message, advice)
    return f"'{variable}'" if context == "double" else f"'\"{variable}\"'"


def _is_bare(found: re.Match[str], reader: Reader) -> bool:
    """Whether Archon puts the value in without quotes: a number or truth value of a declared output."""
    step = reader.scope.find(found["node"]) if found["node"] is not None else None
    declared = step.declared(found["field"]) if step is not None and found["field"] is not None else None
    return declared is not None and declared.get("type") in {"number", "integer", "boolean"}


def _tokens(script: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each value that *script* names, with the context in which it stands."""
    stack = ["plain"]
    waiting: list[tuple[str, bool]] = []
    at = 0
    is_lost = False
    while at < len(script):
        mode, char, pair = stack[-1], script[at], script[at : at + 2]
        token = TOKEN.match(script, at) if char == "$" else None
        is_lost = is_lost or (mode == "plain" and len(stack) > 1 and _CASE.match(script, at) is not None)
        if token is not None:
            yield token, "unknown" if is_lost else mode
            at = token.end()
        elif char == "\n" and waiting and mode == "plain":
            at += 1
            for word, quoted in waiting:
                end = _end_of(script, at, word)
                if end is not None:
                    yield from _here_document(script, at, end, quoted=quoted)
                    at = end
            waiting.clear()
        elif char == "\\" and mode not in {"single", "comment"}:
            escaped = TOKEN.match(script, at + 1)
            if escaped is not None:
                yield escaped, "escaped" if mode != "double" or is_lost else "escaped double"
            at = at + 2 if escaped is None else escaped.end()
        elif mode == "plain" and pair == "<<" and script[at : at + 3] != "<<<" and (here := _HERE.match(script, at)):
            at = here.end()
            waiting.append((here["word"], bool(here["quoted"])))
            is_lost = is_lost or _end_of(script, at, here["word"]) is None  # perhaps it shifts bits
        else:
            at += _step(stack, script, at, char, pair)


_ENDS = {"comment": "\n", "single": "'", "ansi": "'", "double": '"', "backtick": "`", "brace": "}"}
"""The character that ends a context; that of "plain" is a closing bracket, if it is inside another one."""


def _step(stack: list[str], script: str, at: int, char: str, pair: str) -> int:
    """Enter or leave quotes and brackets; returns the number of characters read."""
    mode = stack[-1]
    if char == _ENDS.get(mode) or (mode == "plain" and char == ")" and len(stack) > 1):
        stack.pop()
        return 0 if mode == "comment" else 1
    if mode in {"comment", "single", "ansi"}:
        return 1
    if mode == "plain" and (opened := _opened(script, at, char, pair)) is not None:
        stack.append(opened)
        return 2 if opened == "ansi" else 1
    if pair in {"$(", "${"}:
        stack.append("plain" if pair == "$(" else "brace")
        return 2
    if char in {'"', "`"}:
        stack.append("double" if char == '"' else "backtick")
    return 1


def _opened(script: str, at: int, char: str, pair: str) -> str | None:
    """The context that begins here outside of all quotes, if it can begin only there."""
    if pair == "$'":
        return "ansi"
    if char == "#" and (at == 0 or script[at - 1] in " \t\n;(|&"):
        return "comment"
    return {"'": "single", "(": "plain"}.get(char)


def _end_of(script: str, at: int, word: str) -> int | None:
    """The end of the here-document after *at* that ends with *word*; None without such a line."""
    end = re.compile(rf"^\t*{re.escape(word)}$", re.MULTILINE).search(script, at)
    return None if end is None else end.end()


def _here_document(script: str, at: int, end: int, *, quoted: bool) -> Iterator[tuple[re.Match[str], str]]:
    """The values in the here-document between *at* and *end*."""
    for token in TOKEN.finditer(script, at, end):
        escaped = token.start() > at and script[token.start() - 1] == "\\"
        yield token, "escaped" if escaped else "here-quoted" if quoted else "here"
