"""Translates the conditions of older files to v2: `context.a === 'x'` becomes `a == 'x'`.

Pure. `engine/conditions` checks the result.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.conditions import ConditionSyntaxError, parse

if TYPE_CHECKING:
    from registry.dialects.notes import Notes

TYPES = {
    "context": "context",
    "expression": "context",
    "javascript": "context",
    "js": "context",
    "fileexists": "file_exists",
    "commandsuccess": "command_success",
    "custom": "custom",
}
SKIP_WORDS = ("skipIf", "skip_if", "skipWhen", "skip_when", "skipUnless")
RUN_WORDS = ("conditional", "condition", "when", "if", "runIf", "run_if", "runWhen", "onlyIf", "only_if", "executeIf")

_PARTS = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"|(?P<same>===|!==)|(?P<chain>\?\.)"
    r"|(?P<get>(?<![\w.])(?:context|ctx)\.get\(\s*(?P<quote>['\"])(?P<key>\w+)(?P=quote)\s*\))"
    r"|(?P<prefix>(?<![\w.])(?:context|ctx|\$)\.(?=[A-Za-z_]))"
    r"|(?P<word>(?<![\w.])(?:and|or|not|undefined|None|True|False|AND|OR|NOT)(?![\w]))"
)
_WORDS = {"and": "&&", "or": "||", "not": "!", "undefined": "null", "none": "null", "true": "true", "false": "false"}
_INCLUDES = re.compile(
    r"(?P<whole>[A-Za-z_][\w.]*)\.(?:includes|contains)\(\s*(?P<part>'[^']*'|\"[^\"]*\"|[\w.]+)\s*\)"
)
_WRAPPED = re.compile(r"^\s*(?:\$\{(?P<a>[^{}]*)\}|\{\{(?P<b>[^{}]*)\}\})\s*$")


def translate(text: str) -> str:
    """*text* with the operators and prefixes of v2; strings inside it stay as they are."""
    wrapped = _WRAPPED.match(text)
    if wrapped is not None:
        text = (wrapped["a"] or wrapped["b"] or "").strip()

    def replace(found: re.Match[str]) -> str:
        if found["same"]:
            return found["same"][:-1]
        if found["chain"]:
            return "."
        if found["get"]:
            return found["key"]
        if found["prefix"]:
            return ""
        if found["word"]:
            return _WORDS[found["word"].casefold()]
        return found["string"]

    return _INCLUDES.sub(r"(\g<part> in \g<whole>)", _PARTS.sub(replace, text))


def skip_condition(value: object, *, word: str, pointer: str, notes: Notes) -> dict[str, Any] | None:
    """The v2 skipCondition of field *word*; None, and a reported error, if it cannot be one.

    A text, or an object with `if`, `when` or `condition`, says when the node runs, so it is negated; an object with
    `expression` is a skipCondition under another name.
    """
    runs = word in RUN_WORDS or word == "skipUnless"
    message: object = None
    kind, rest = "context", {}
    if isinstance(value, bool):
        text: object = "true" if value else "false"
    elif isinstance(value, dict):
        rest = dict(value)
        inner = next(
            (name for name in ("expression", *SKIP_WORDS, *RUN_WORDS) if isinstance(rest.get(name), str | bool)), None
        )
        text = rest.pop(inner) if inner is not None else None
        text = str(text).lower() if isinstance(text, bool) else text
        runs = inner in RUN_WORDS if inner in {*RUN_WORDS, *SKIP_WORDS} else False
        message = next((rest.pop(name) for name in ("skipMessage", "message", "reason") if name in rest), None)
        kind = TYPES.get(re.sub(r"[_-]", "", str(rest.pop("type", "context"))).casefold(), "")
    else:
        text = value
    if not isinstance(text, str) or not kind or (runs and kind != "context"):
        notes.lost(
            pointer,
            f'"{word}" cannot be converted: it has no expression that v2 can evaluate',
            "Write a skipCondition.",
        )
        return None
    expression = _checked(text, negate=runs, pointer=pointer, notes=notes) if kind == "context" else text
    if expression is None:
        return None
    meaning = f": the node is skipped if {expression}"
    notes.spelled(pointer, word, "skipCondition", because=meaning)
    result: dict[str, Any] = {"type": kind, "expression": expression}
    if isinstance(message, str):
        result["skipMessage"] = message
    for name, more in rest.items():
        result[name if name.startswith(("x-", "$")) else f"x-{name}"] = more
        notes.kept(f"{pointer}/{name}", name, f"x-{name}")
    return result


def rewrite(condition: dict[str, Any], *, pointer: str, notes: Notes) -> dict[str, Any]:
    """A skipCondition with its expression in v2's language."""
    text = condition.get("expression")
    if condition.get("type") != "context" or not isinstance(text, str):
        return condition
    new = translate(text)
    if new == text or not parses(new):
        return condition
    if "===" in text or "!==" in text:
        notes.spelled(f"{pointer}/expression", text, new)
    else:
        notes.value(f"{pointer}/expression", f'"{text}" is "{new}" in v2', f"Write {new}.")
    return {**condition, "expression": new}


def _checked(text: str, *, negate: bool, pointer: str, notes: Notes) -> str | None:
    new = translate(text)
    if not parses(new):
        notes.lost(
            pointer,
            f'The condition "{text[:200]}" cannot be converted: v2 cannot evaluate it',
            "Write a skipCondition.",
        )
        return None
    return f"!({new})" if negate else new


def parses(text: str) -> bool:
    """Whether *text* is a context expression of v2."""
    try:
        parse(text)
    except ConditionSyntaxError:
        return False
    return True


def join_condition(node: dict[str, Any], found: dict[str, Any], *, pointer: str, notes: Notes) -> None:
    """Add the skip condition *found* to *node*, joined to its own one."""
    own = node.get("skipCondition")
    if own is None:
        node["skipCondition"] = dict(found)
    elif isinstance(own, dict) and own.get("type") == found.get("type") == "context":
        node["skipCondition"] = {**found, **own, "expression": f"({own.get('expression')}) || ({found['expression']})"}
    else:
        notes.lost(
            pointer, "A node has a single skipCondition in v2, and these two cannot be joined", "Keep one of them."
        )
