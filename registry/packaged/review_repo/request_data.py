"""Follows data of a request through the lines above a place, in the web frameworks of several languages.

Pure, and no parser: names that are assigned from the request, and names assigned from those.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_Origin = TypeVar("_Origin", int, str)
WINDOW = 25
"""Lines above a place that are read."""
LINE = 400
"""Characters of a line that are read."""

_ANNOTATIONS = (
    "RequestParam|RequestBody|RequestPart|PathVariable|RequestHeader|CookieValue|ModelAttribute|MatrixVariable"
    "|QueryParam|PathParam|FormParam|HeaderParam|CookieParam"
)
_NAMES = (
    # Frameworks of JavaScript and Python, where a handler has `req` or `request`.
    r"req(uest)?\.(query|params|param\(|body|payload|cookies|headers?\b|url\b|nextUrl|originalUrl|args|form|values|files|json|data\b|parseBody)",
    r"req(uest)?\.(GET|POST|FILES|COOKIES|META\b|get_json|get_data|query_params|match_info|rel_url|input\(|all\(|get\(['\"])",
    r"self\.get_(body_)?argument\(",
    r"ctx\.(query|params|headers|cookies|request\.(body|query|headers)|Query|Param|PostForm)",
    r"event\.(body|queryStringParameters|pathParameters)",
    # Java and Kotlin.
    r"request\.get(InputStream|Reader|Part)\(",
    r"call\.(parameters\[|receive\w*\(|request\.queryParameters)",
    # Go.
    r"r\.(FormValue|FormFile|PostFormValue|URL\.Query|Form\b|PostForm|Body\b|Cookie|PathValue|Header\.Get)",
    r"c\.(Query|DefaultQuery|Params?|PostForm|FormValue|QueryParam|GetHeader)\(",
    # PHP.
    r"request(\(\))?->(get|post|query|input|all|only|cookies?|files?|headers?|params?|request|attributes)\b",
    r"request->get(QueryParams|ParsedBody|UploadedFiles|CookieParams|Var|Post|Get)\(",
    r"input->(get|post|cookie)\(",
    # Ruby; PHP has variables of this name.
    r"(?<!\$)params(\[:|\[['\"]|\.require|\.permit|\.fetch)",
    r"cookies\[",
    # C#.
    r"Request\.(Query|Form|Params|QueryString|Cookies|Headers|RouteValues|Body)",
)
"""Names at which a request is read, and how."""
_SIGNS = (
    r"\.(getParameter|getHeader|getQueryString|getCookies|getParameterValues|getParameterMap|getPathInfo)\(",
    rf"@(?:{_ANNOTATIONS})\b",
    r"mux\.Vars",
    r"chi\.URLParam",
    r"\$_(GET|POST|REQUEST|COOKIE|FILES)\b",
    r"\$_SERVER\[['\"](HTTP_|QUERY_STRING|REQUEST_URI|PATH_INFO)",
    r"php://input",
    r"\[From(Query|Body|Route|Form|Header)",
)
"""Other code that reads one."""
REQUEST = re.compile(rf"\b(?:{'|'.join(_NAMES)})|{'|'.join(_SIGNS)}")
SERVED = re.compile(
    rf"{REQUEST.pattern}|@(Query|Body|Param|Headers|UploadedFile)\(|@[\w.]+\.(route|get|post|put|delete|patch)\("
)
"""Code that reads a request, or whose parameters do."""
_PARAMETER = re.compile(
    rf"(?:@(?:{_ANNOTATIONS})(?:\([^)]*\))?|\[From(?:Query|Body|Route|Form|Header)[^\]]*\])"
    r"\s+(?:final\s+)?[\w.]+(?:<[\w<>\[\],.? ]*>)?(?:\[\])?\s+(\w+)"
)
"""A parameter that its annotation, in Java or C#, fills from the request."""
_DECORATED = re.compile(r"@(?:Query|Body|Param|Headers|UploadedFile)\([^)]*\)\s+(\w+)\s*[?:]")
"""The same in TypeScript."""
_ROUTE = re.compile(r"@[\w.]+\.(route|get|post|put|delete|patch)\(")
_ROUTE_NAME = re.compile(r"<(?:(?:string|path):)?(\w+)>|\{(\w+)(?::\w+)?\}")
_ROUTE_NUMBER = re.compile(r"<(?:int|float|uuid|date):(\w+)>")
_ROUTED = re.compile(r"^\s*(?:async\s+)?def\s")
_BROUGHT = re.compile(
    r"\b(?:Depends|Security)\(|:\s*\w*(?:Request|Response|Session|WebSocket|BackgroundTasks|Depends)\b"
)
"""A parameter of a route that the framework makes itself."""
_HARMLESS = re.compile(r":\s*(?:int|float|bool|UUID|date|datetime|Decimal)\b")
"""A parameter of a route that the framework converts."""
_DEFINITION = re.compile(
    r"^\s*(?:async\s+)?(?:def|func|function|fn|sub|fun)\b|^\s*(?:public|private|protected|internal)\b[^;=]*\([^;]*$"
    r"|^\s+(?:[A-Z]\w*[a-z]\w*|void|boolean|int|long)(?:<[\w<>\[\],.? ]*>)?(?:\[\])?\s+\w+\([^;=]*[{,(]\s*$"
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
_SIGN = re.compile(r"(?<![=!<>])=(?![=>])")
_CALLED = re.compile(r"\b(?![gG]et\w*\s*\(\s*[\"')])(\w+)\s*\(")
_KEEPS = re.compile(
    r"json|text|formData|parseBody|param|query|header|input|all|post|valueOf|(Default)?Query|Param|Params|PostForm|(Post)?FormValue"
    r"|Vars|URLParam|PathValue|Cookie|toString|String|str|[tT]rim\w*|r?strip|join|Join|resolve|normalize|decodeURI(Component)?|unquote|\w*[dD]ecode\w*|from|atob|URL|Path|body|read|format|Sprintf|concat|encode"
    r"|[rR]eplace\w*|split|slice|substring|lower|upper|to(Lower|Upper)Case"
)
"""Functions that give the data of a request, or the same data in another form."""
_BEFORE = re.compile(
    r"\s*(?:(?:await|new)\s+|[(\[]|(?:URL|String|str)\()*"
    r"(?:[fb]?[\"'`](?:[Ll]ocation:\s*)?(?:https?://)?(?:[\"'`]\s*[+.]\s*|\$?\{|(?=\$\w)))?"
)
_ITSELF = re.compile(r"REQUEST_URI|PATH_INFO|\b(original|next)Url\b|\breq(uest)?\.(url|path)\b")
"""The address of the request, which begins with this site."""
_ASKED = re.compile(r"[sS]earchParams|\bquery\b")
"""Names of the values that an address carries."""
_OWNERS = frozenset({"", "c.", "$", "this.", "self.", "flask.", "ctx.", "$this->"})
"""Code that may stand before a request."""
_FILLED = re.compile(r"\$\{[^{}]*\}|#\{[^{}]*\}|\{[^{}]*\}|\$[A-Za-z_]\w*")
_TYPES = frozenset(
    {
        "self",
        "str",
        "bytes",
        "dict",
        "list",
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


def source_of(lines: Sequence[str], line: int, text: str, *, carried: bool = False, whole: bool = False) -> str | None:
    """How data of the request reaches the code *text* on *line*, as a clause; None if nothing shows that it does.

    If it must be *carried*, what is looked up or made with it does not count; with *whole*, nothing stands before it.
    """
    if carried and not _carries(text, (), whole=False):
        return None
    if REQUEST.search(text) and (not whole or (_begins(text, ()) and not _is_own_address(text))):
        return "a value of the request is part of it"
    names: dict[str, int] = {}
    numbers: dict[str, int] = {}
    addresses: set[str] = set()
    route = False
    for number in range(window_above(lines, line), min(line, len(lines)) + 1):
        row = lines[number - 1][:LINE]
        if _ROUTE.search(row):
            route = True
            numbers |= dict.fromkeys(_ROUTE_NUMBER.findall(row), number)
            names |= {name: number for pair in _ROUTE_NAME.findall(row) for name in pair if name}
        elif route and _ROUTED.search(row):
            _take_parameters(lines, number, names, numbers)
        names |= dict.fromkeys([*_PARAMETER.findall(row), *_DECORATED.findall(row)], number)
        if number >= line:
            continue
        addresses = (addresses | set(_targets(row))) if _is_own_address(row) else addresses
        known = names if _ASKED.search(row) else names.keys() - addresses
        if carried and not _ROUTED.match(row) and not _carries(_value(row), known, whole=whole):
            for name in _targets(row):
                names.pop(name, None)
        else:
            _assign(row, number, names, numbers)
    if whole and not _begins(text, names if _ASKED.search(text) else names.keys() - addresses):
        return None
    used = sorted({word for word in code_words(text) if word in names}, key=lambda word: (names[word], word))
    if not used:
        return None
    origin = "the address of the route" if _ROUTE.search(lines[names[used[0]] - 1]) else "the request"
    return f"{used[0]} comes from {origin}, line {names[used[0]]}"


def _carries(value: str, names: Collection[str], *, whole: bool) -> bool:
    """Whether *value* is the data that stands in it, joined with text at most; calls of other functions change it."""
    return all(_KEEPS.fullmatch(name) for name in _CALLED.findall(value)) and (not whole or _begins(value, names))


def _begins(value: str, names: Collection[str]) -> bool:
    """Whether *value* begins with data of the request or one of *names*; `http://` may stand before it."""
    rest = value[_BEFORE.match(value).end() :]  # type: ignore[union-attr] # it matches everywhere
    word = _WORD.match(rest.removeprefix("$"))
    found = REQUEST.search(rest)
    return (word is not None and word[0] in names) or (
        found is not None and "".join(rest[: found.start()].split()) in _OWNERS
    )


def _is_own_address(code: str) -> bool:
    """Whether *code* is the address of the request, and nothing that it holds of others."""
    return _ITSELF.search(code) is not None and _ASKED.search(code) is None


def _value(row: str) -> str:
    """The right side of an assignment."""
    return _SIGN.split(row, maxsplit=1)[-1]


def _take_parameters(lines: Sequence[str], line: int, names: dict[str, int], numbers: dict[str, int]) -> None:
    """Add the parameters of the route on *line*, which a framework fills from the request."""
    for group in _groups(_head(lines, line, len(lines)))[:1]:
        for piece in group.split(","):
            name = _WORD.search(piece)
            if name is None or name[0] in _TYPES | {"request"} or _BROUGHT.search(piece):
                continue
            if _HARMLESS.search(piece):
                numbers[name[0]] = names.pop(name[0], line)
            elif name[0] not in numbers:
                names.setdefault(name[0], line)


def _head(lines: Sequence[str], start: int, last: int) -> str:
    """The lines from *start* on in which the head of a function may stand, at most up to *last*."""
    return "\n".join(row[:LINE] for row in lines[start - 1 : min(last, start + 12)])


def parameter_in(lines: Sequence[str], line: int, text: str) -> str | None:
    """A parameter of the function around *line* that the code *text* uses, or a value made of it without a call."""
    names = {name: name for name in _parameters(lines, line)}
    for row in lines[window_above(lines, line) : line - 1]:
        if "(" not in row:
            _follow(row[:LINE], names)
    plain = re.sub(r"\b\w+\s*=(?![=>])", "", text)  # neither what is assigned nor the name of an argument
    used = sorted(names[word] for word in code_words(plain) if word in names)
    return used[0] if used else None


def _parameters(lines: Sequence[str], line: int) -> set[str]:
    head = _head(lines, window_above(lines, line), line)
    definition = _DEFINITION.search(head)
    names = set[str]()
    for group in _groups(head[definition.start() :])[:2] if definition else ():  # the first may be a method's receiver
        for piece in group.split(","):
            words = _WORD.findall(re.sub(r"=.*|<[^>]*>", "", piece))
            names |= {words[0], words[-1]} if words else set()
    return names - _TYPES


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


def _assign(row: str, number: int, names: dict[str, int], numbers: Mapping[str, int]) -> None:
    """Add the names that *row* assigns from the request, from a name that is known, or from a call with a number."""
    if REQUEST.search(row):
        names |= dict.fromkeys(_targets(row), number)
    else:
        _follow(row, names, numbers)


def _follow(row: str, names: dict[str, _Origin], numbers: Mapping[str, _Origin] | None = None) -> None:
    """Add the names that *row* assigns from one of *names*, or by a call from one of *numbers*, with its origin."""
    targets = _targets(row)
    right = _value(row)
    known = {**numbers, **names} if numbers and "(" in right else names
    origins = [known[word] for word in _WORD.findall(right) if word in known]
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
