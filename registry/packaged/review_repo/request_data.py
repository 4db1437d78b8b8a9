"""Follows data of a request through the lines above a place, in the web frameworks of several languages.

Pure, and no parser: names that are assigned from the request, and names assigned from those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 25
"""Lines above a place that are read."""
LINE = 400
"""Characters of a line that are read."""

REQUEST = re.compile(
    r"\breq(uest)?\.(query|params|param\(|body|cookies|headers|url\b|originalUrl|args|form|values|files|json|data\b|GET|POST|FILES|COOKIES|META\b"
    r"|get_json|query_params|match_info|rel_url|input\(|all\(|get\(['\"])"
    r"|\bctx\.(query|params|request\.(body|query)|Query|Param|PostForm)|\bevent\.(body|queryStringParameters|pathParameters)"
    r"|\.(getParameter|getHeader|getQueryString|getCookies|getParameterValues)\(|\brequest\.get(InputStream|Reader)\("
    r"|@(RequestParam|RequestBody|PathVariable|RequestHeader|CookieValue|QueryParam|PathParam|FormParam)\b"
    r"|\br\.(FormValue|PostFormValue|URL\.Query|Form\b|PostForm|Body\b|Cookie)|\bc\.(Query|Param|PostForm|FormValue|QueryParam)\("
    r"|\brequest->(get|post|query|input|all|only|cookies?|files?|headers?|params?|request|attributes)\b"
    r"|mux\.Vars|chi\.URLParam|\$_(GET|POST|REQUEST|COOKIE|FILES)\b|\bparams(\[:|\[['\"]|\.require|\.permit|\.fetch)"
    r"|\bcookies\[|\bRequest\.(Query|Form|Params|QueryString|Cookies|Headers)|\[From(Query|Body|Route|Form|Header)"
    r"|\bself\.get_(body_)?argument\("
)
_PARAMETER = re.compile(
    r"(?:@(?:RequestParam|RequestBody|PathVariable|RequestHeader|CookieValue|QueryParam|PathParam|FormParam)(?:\([^)]*\))?"
    r"|\[From(?:Query|Body|Route|Form|Header)[^\]]*\])\s+(?:final\s+)?[\w.]+(?:<[\w<>\[\],.? ]*>)?(?:\[\])?\s+(\w+)"
)
_ROUTE = re.compile(r"@[\w.]+\.(route|get|post|put|delete|patch)\(")
_ROUTE_NAME = re.compile(r"<(?:\w+:)?(\w+)>|\{(\w+)(?::\w+)?\}")
_DEFINITION = re.compile(
    r"^\s*(?:async\s+)?(?:def|func|function|fn|sub|fun)\b|^\s*(?:public|private|protected|internal)\b[^;=]*\([^;]*$"
    r"|^\s+(?:[A-Z]\w*[a-z]\w*|void|boolean|int|long)(?:<[\w<>\[\],.? ]*>)?(?:\[\])?\s+\w+\([^;=]*[{,(]\s*$"  # of a Java package
    r"|^\s*(?:export\s+)?(?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:\([^)]*\)|\w+)\s*=>|^\s*\w+\.(?:get|post|put|delete|use|all)\(",
    re.MULTILINE,
)
_ASSIGNED = re.compile(
    r"(?:^|[\s({,;])\$?([A-Za-z_]\w*)(?:\[[^\]]*\])?(?:\s*:\s*[\w<>\[\]., ]+)?\s*(?:\.=|\+=|:=|=(?![=>~]))"
)
_UNPACKED = re.compile(
    r"[{(\[]?((?:\s*[A-Za-z_]\w*(?:\s*:\s*\w+)?\s*,)+\s*[A-Za-z_]\w*(?:\s*:\s*\w+)?)\s*,?\s*[})\]]?\s*(?::=|=(?![=>]))"
)
_ONE_UNPACKED = re.compile(r"\{\s*([A-Za-z_]\w*)\s*\}\s*=(?!=)")
_WORD = re.compile(r"[A-Za-z_]\w*")
_FILLED = re.compile(r"\$\{[^{}]*\}|#\{[^{}]*\}|\{[^{}]*\}|\$[A-Za-z_]\w*")
_TYPES = frozenset(
    {
        "self",
        "this",
        "cls",
        "string",
        "String",
        "int",
        "long",
        "float",
        "bool",
        "boolean",
        "final",
        "const",
        "var",
        "let",
        "any",
    }
    | {"object", "Context", "context", "ctx", "error", "None"}
)


def window_above(lines: Sequence[str], line: int) -> int:
    """The first line, from 1, that belongs to the function around *line*, at most `WINDOW` lines above."""
    start = max(1, line - WINDOW)
    here = _indent(lines[line - 1]) if line <= len(lines) else 0
    for number in range(line - 1, start - 1, -1):
        text = lines[number - 1][:LINE]
        if _DEFINITION.match(text) and _indent(text) < max(here, 1):
            return _first_annotation(lines, number, start)
    return start


def _first_annotation(lines: Sequence[str], line: int, start: int) -> int:
    """The first of the decorators or annotations directly above *line*."""
    while line > start and lines[line - 2].lstrip().startswith(("@", "[")):
        line -= 1
    return line


def source_of(lines: Sequence[str], line: int, text: str) -> str | None:
    """How data of the request reaches the code *text* on *line*, as a clause; None if nothing shows that it does."""
    if REQUEST.search(text):
        return "a value of the request is part of it"
    names: dict[str, int] = {}
    route = False
    for number in range(window_above(lines, line), min(line, len(lines)) + 1):
        row = lines[number - 1][:LINE]
        if _ROUTE.search(row):
            route = True
            names |= {name: number for pair in _ROUTE_NAME.findall(row) for name in pair if name}
        names |= dict.fromkeys(_PARAMETER.findall(row), number)
        if number < line:
            _assign(row, number, names)
    used = sorted({word for word in code_words(text) if word in names}, key=lambda word: (names[word], word))
    if not used:
        return None
    origin = (
        "the address of the route" if route and REQUEST.search(lines[names[used[0]] - 1]) is None else "the request"
    )
    return f"{used[0]} comes from {origin}, line {names[used[0]]}"


def parameter_in(lines: Sequence[str], line: int, text: str) -> str | None:
    """A parameter of the function around *line* that the code *text* uses, None if there is none."""
    start = window_above(lines, line)
    head = "\n".join(row[:LINE] for row in lines[start - 1 : min(line, start + 12)])
    definition = _DEFINITION.search(head)
    if definition is None:
        return None
    names = set()
    for group in _groups(head[definition.start() :])[:2]:  # the first may be the receiver of a method
        for piece in group.split(","):
            words = _WORD.findall(re.sub(r"=.*|<[^>]*>", "", piece))
            names |= {words[0], words[-1]} if words else set()
    plain = re.sub(r"\b\w+\s*=(?![=>])", "", text)  # neither what is assigned nor the name of an argument
    used = sorted(code_words(plain) & (names - _TYPES))
    return used[0] if used else None


def code_words(text: str) -> set[str]:
    """The names that code uses: words outside of string literals, and those filled into them."""
    words, start, place = set[str](), 0, 0
    while place < len(text):
        sign = text[place]
        if sign not in "'\"`":
            place += 1
            continue
        words |= set(_WORD.findall(text[start:place]))
        end = place + 1
        while end < len(text) and text[end] != sign and (sign == "`" or text[end] != "\n"):
            end += 2 if text[end] == "\\" else 1
        for filled in _FILLED.findall(text[place + 1 : end]):
            words |= set(_WORD.findall(filled))
        start = place = end + 1
    return words | set(_WORD.findall(text[start:]))


def _groups(text: str) -> list[str]:
    """The texts in the outermost parentheses of the head of a function, in order; the last may be open."""
    groups: list[str] = []
    depth = start = 0
    for place, sign in enumerate(text):
        if sign == "(":
            start = place + 1 if depth == 0 else start
            depth += 1
        elif sign == "\n" and depth == 0 and groups:
            break
        elif sign == ")" and depth:
            depth -= 1
            if depth == 0:
                groups.append(text[start:place])
    return [*groups, *([text[start:]] if depth else [])]


def reads_request(lines: Sequence[str], line: int) -> int | None:
    """The nearest line above, in the same function, that reads the request."""
    for number in range(min(line, len(lines)), window_above(lines, line) - 1, -1):
        if REQUEST.search(lines[number - 1][:LINE]):
            return number
    return None


def _assign(row: str, number: int, names: dict[str, int]) -> None:
    """Add the names that *row* assigns from the request, or from a name that is known."""
    targets = _targets(row)
    if not targets:
        return
    if REQUEST.search(row):
        names |= dict.fromkeys(targets, number)
        return
    right = re.split(r"(?<![=!<>])=(?![=>])", row, maxsplit=1)[-1]
    origins = [names[word] for word in _WORD.findall(right) if word in names]
    if origins:
        names |= dict.fromkeys(targets, min(origins))


def _targets(row: str) -> list[str]:
    unpacked = _UNPACKED.search(row)
    found = [name for name in _ASSIGNED.findall(row) if name not in ("default", "value", "defaultValue", "required")]
    found += _ONE_UNPACKED.findall(row)
    if unpacked:
        found += [piece.split(":")[-1].strip() for piece in unpacked[1].split(",")]
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
