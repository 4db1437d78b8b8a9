"""Judges a hit by the code around it: whether it stands, how severe it is, how sure, and why.

Pure: takes the lines of the file. `ranking.py` weighs what stands.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from registry.packaged.review_repo import clues
from registry.packaged.review_repo.findings import EVIDENCE, MESSAGE, Finding, Hit, fingerprint, one_line
from registry.packaged.review_repo.meanings import MEANINGS
from registry.packaged.review_repo.request_data import code_words, parameter_in, reads_request, source_of, window_above
from registry.packaged.review_repo.sql_text import Place, placeholder_of
from registry.packaged.review_repo.suppression import is_suppressed
from registry.packaged.review_repo.undefined_names import defining, folder_of, undefined_everywhere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SUPPRESSED = "accepted by a comment"
GUARDS_NOTHING = "a hash or random value that guards no secret"
BY_CHOICE = "a check that an option or a local address switches off"
CONVERTED = "a number or an escaped value"
NO_FRAMEWORK = "a rule of a framework that the project does not use"
EVERYWHERE = "a name that something else defines, since many files use it or one lists it among many"

BESIDE = "in the tests at the end of a module"
UNREACHED = "a value that no data of a request is shown to reach"
UNSHOWN = "nothing shows that foreign data reaches it"

_SHORT = 60
"""A first line of this length says little about code that spans several."""
_SPAN = 12
"""Lines of a hit that are read."""
_BLOCK = 40
"""Lines above a place in which the blocks around it open."""
_WHOLE = frozenset({"ssrf", "redirect"})
"""An address is chosen by its beginning."""
_FRAMEWORKS = {"nosql": "mongodb", "hooks": "react", "react-key": "react"}


class _Case(msgspec.Struct, frozen=True):
    """A hit and the code around it."""

    hit: Hit
    lines: Sequence[str]
    """Of the whole file."""
    text: str
    """The lines of the hit."""
    frameworks: frozenset[str]

    @property
    def function(self) -> str:
        """The lines above in the same function."""
        start = window_above(self.lines, self.hit.line) - 1
        return "\n".join(line[:300] for line in self.lines[start : self.hit.line - 1])

    def around(self, count: int) -> str:
        """The lines at most *count* above and below."""
        return "\n".join(self.lines[max(0, self.hit.line - count - 1) : self.hit.line + count])

    def judged(self, confidence: str, *reasons: str, severity: str = "") -> _Judged:
        """A judgement with the hit's own severity, or another."""
        return _Judged(severity or self.hit.severity, confidence, reasons)


class _Judged(msgspec.Struct, frozen=True):
    severity: str
    confidence: str
    reasons: tuple[str, ...] = ()


def judge(hit: Hit, lines: Sequence[str], frameworks: frozenset[str] = frozenset()) -> Finding | str:
    """The finding that *hit* is, or why it is none; *frameworks* are those that the project uses."""
    lines = lines or ("",)
    hit = structs.replace(hit, line=min(hit.line, len(lines)))  # the file may have become shorter
    if is_suppressed(hit, lines):
        return SUPPRESSED
    if hit.value and not source_of(lines, hit.line, hit.value, carried=True, whole=hit.meaning in _WHOLE):
        return UNREACHED
    needs = _FRAMEWORKS.get(hit.meaning)
    if needs is not None and needs not in frameworks:
        return NO_FRAMEWORK
    kind = MEANINGS[hit.meaning].kind
    if hit.file.endswith(".rs") and kind != "secret" and clues.TEST_MODULE.search("\n".join(lines[: hit.line])):
        return BESIDE
    check = _CHECKS.get(hit.meaning, _by_request if kind == "injection" else _as_reported)
    judged = check(_Case(hit, lines, _text(hit, lines), frameworks))
    return judged if isinstance(judged, str) else _finding(hit, lines, judged)


def judge_all(
    hits: Sequence[Hit], texts: Mapping[str, Sequence[str]], frameworks: frozenset[str] = frozenset()
) -> tuple[list[Finding], dict[str, int]]:
    """The findings among *hits*, and how many were dropped for each reason; *texts* holds the lines of each file."""
    found: list[Finding] = []
    dropped: dict[str, int] = {}
    seen: dict[str, int] = {}
    everywhere = undefined_everywhere(hits)
    served = defining(hits, everywhere)
    for hit in hits:
        judged = EVERYWHERE if hit.message in everywhere else judge(hit, texts.get(hit.file, ()), frameworks)
        if hit.meaning == "undefined" and {hit.file, folder_of(hit)} & served and isinstance(judged, Finding):
            judged = structs.replace(judged, confidence="low", reasons=("something else defines names here",))
        if isinstance(judged, str):
            dropped[judged] = dropped.get(judged, 0) + 1
            continue
        # The same line again in one file is another finding.
        count = seen[judged.fingerprint] = seen.get(judged.fingerprint, -1) + 1
        found.append(
            structs.replace(judged, fingerprint=fingerprint(judged.fingerprint, str(count))) if count else judged
        )
    return found, dropped


def _finding(hit: Hit, lines: Sequence[str], judged: _Judged) -> Finding:
    line = lines[hit.line - 1] if 0 < hit.line <= len(lines) else ""
    return Finding(
        tool=hit.tool,
        rule=hit.rule,
        meaning=hit.meaning,
        severity=judged.severity,
        confidence=judged.confidence,
        file=hit.file,
        line=max(1, hit.line),
        message=one_line(hit.message, MESSAGE),
        evidence="" if hit.redacted else _shown(hit, lines, line),
        reasons=judged.reasons,
        fingerprint=fingerprint(hit.meaning, hit.rule if hit.redacted else "", hit.file, "" if hit.redacted else line),
    )


def _shown(hit: Hit, lines: Sequence[str], line: str) -> str:
    """The line, or those that the code spans if the first says little."""
    code = line.strip()
    if len(code) < _SHORT and hit.end > hit.line and MEANINGS[hit.meaning].kind == "injection":
        code = " ".join(part.strip() for part in lines[hit.line - 1 : min(hit.end, hit.line + _SPAN)])
    return one_line(code, EVIDENCE)


def _text(hit: Hit, lines: Sequence[str]) -> str:
    last = max(hit.line, min(hit.end or hit.line, hit.line + _SPAN))
    if hit.end <= hit.line:
        last = _end_of_call(lines, hit.line)
    return "\n".join(line[:2000] for line in lines[max(0, hit.line - 1) : last])


def _end_of_call(lines: Sequence[str], line: int) -> int:
    """The line on which a call ends that opens at the end of *line*; some tools name only where it begins."""
    text = lines[line - 1].rstrip() if 0 < line <= len(lines) else ""
    if not text.endswith("("):
        return line
    depth = 0
    for number in range(line, min(len(lines), line + _SPAN) + 1):
        row = lines[number - 1][:2000]
        depth += row.count("(") - row.count(")")
        if depth <= 0:
            return number
    return line + _SPAN


def _as_reported(case: _Case) -> _Judged:
    return case.judged(case.hit.confidence)


def _serves(case: _Case) -> bool:
    """Whether what looks like a request is one: in Ruby, `params` are also the options of a program."""
    if not case.hit.file.endswith((".rb", ".rake")) or clues.SERVES.search(case.hit.file):
        return True
    return any(clues.SERVER.search(line[:300]) for line in case.lines)


def _by_request(case: _Case) -> _Judged:
    """Sure if data of a request reaches it, less if the value was converted or nothing shows a source."""
    if not _serves(case):
        return case.judged("low", UNSHOWN)
    if clues.CONVERTED.search(case.text):
        return case.judged("low", "the value is converted or escaped on the line")
    source = source_of(case.lines, case.hit.line, case.text)
    if source is not None:
        return _unless_checked(case, case.judged("high", source))
    near = reads_request(case.lines, case.hit.line)
    if near is not None:
        confidence = "medium" if case.hit.confidence == "low" else case.hit.confidence
        return case.judged(confidence, f"the function reads the request, line {near}")
    return case.judged(case.hit.confidence)


def _unless_checked(case: _Case, judged: _Judged) -> _Judged:
    """Less sure if the lines above seem to check the value."""
    if clues.CHECKED.search(case.function):
        return structs.replace(
            judged, confidence="medium", reasons=(*judged.reasons, "the lines above seem to check it")
        )
    return judged


def _only_with_request(case: _Case) -> _Judged:
    """Ordinary code unless a request is near: a script runs or loads what its own author wrote.

    In a project that serves requests, a parameter of a function may come from one.
    """
    judged = _by_request(case)
    if judged.reasons:
        return judged
    if case.hit.meaning == "shell" and _serves(case) and "web" in case.frameworks:
        parameter = parameter_in(case.lines, case.hit.line, case.text)
        inside = clues.OF_BUILDERS.search(case.hit.file) or clues.MIGRATION.search(case.hit.file)
        if parameter and clues.ASKED.fullmatch(parameter) and not inside:
            reason = f"{parameter} is a parameter of the function, in a project that serves requests"
            return case.judged("medium", reason, severity="medium")
    return case.judged("low", UNSHOWN)


def _sql(case: _Case) -> _Judged | str:
    place, values = placeholder_of(case.text)
    if place is Place.NUMBER:
        return CONVERTED
    condition = re.search(r"\(\s*(\"(?:[^\"\\]|\\.)*\")\s*,", case.text) if place is Place.UNKNOWN else None
    text = condition[1] if condition else case.text  # what follows a condition is bound to it
    if place >= Place.VALUE:
        text = values  # a name that the request chose is another matter
    source = source_of(case.lines, case.hit.line, text) if _serves(case) else None
    if place is Place.NAME or (place is Place.UNKNOWN and source is None):
        return case.judged("low", "the value stands for a name in the statement, or none was seen")
    if clues.CONVERTED.search(case.text):
        return case.judged("low", "the value is converted or escaped on the line")
    quoted = place is Place.QUOTED
    if source is not None:
        judged = case.judged("high", source, severity="high")
        return judged if quoted else _unless_checked(case, judged)  # hardly a check makes a quoted value safe
    where = "a value stands in quotes inside the statement" if quoted else "a value stands inside the statement"
    if quoted and reads_request(case.lines, case.hit.line) is not None:
        return case.judged("high", where, "the function reads the request", severity="high")
    parameter = parameter_in(case.lines, case.hit.line, values)
    if parameter is not None and not clues.MIGRATION.search(case.hit.file):
        reason = f"{parameter} is a parameter of the function"
        sure = quoted or not _is_number(case, parameter)
        return case.judged("medium" if sure else "low", where, reason, severity="high" if quoted else "medium")
    return case.judged("low", where, UNSHOWN, severity="medium")


def _is_number(case: _Case, parameter: str) -> bool:
    """Whether *parameter* is a number by its name or its declared type."""
    typed = (
        rf"\b(int|integer|long|float|double|u?int\d+)\s+\$?{parameter}\b|\b{parameter}\s*:?\s+(int|float|u?int\d+)\b"
    )
    return clues.NUMBER_NAME.fullmatch(parameter) is not None or re.search(typed, case.function) is not None


def _html(case: _Case) -> _Judged:
    """Dangerous if it comes from a request, or in a browser from the address; pages are made of values everywhere."""
    judged = _by_request(case)
    if judged.reasons:
        return judged
    read = [line for line in case.function.split("\n") if clues.FROM_ADDRESS.search(line)]
    names = {name for line in read for name in re.findall(r"(\w+)\s*=(?!=)", line)}
    if clues.FROM_ADDRESS.search(case.text) or names & code_words(case.text):
        return case.judged("medium", "the address or another page's message reaches it")
    return case.judged("low", UNSHOWN)


def _only_from_request(case: _Case) -> _Judged:
    """Ordinary code unless data of a request reaches it: programs mostly read what they wrote."""
    judged = _by_request(case)
    return judged if judged.confidence == "high" else case.judged("low", UNSHOWN)


def _reflection(case: _Case) -> _Judged:
    """Less sure if the name can only become a class of the project, or the lines below check what it is."""
    below = "\n".join(line[:300] for line in case.lines[case.hit.line : case.hit.line + _SPAN])
    if ".classify" in case.text or clues.CHECKED_BELOW.search(below):
        return case.judged("low", "the lines below seem to check it")
    return _by_request(case)


def _redirect(case: _Case) -> _Judged:
    if clues.SIGN_ON.search(case.hit.file):
        return case.judged("low", "a sign-on checks its addresses elsewhere")
    if clues.ALLOWS.search(case.function):
        return case.judged("low", "the lines above seem to check it")
    if re.search(r"[\])]\s*\?\s", case.text):
        return case.judged("low", "the request only decides between two addresses")
    return _only_with_request(case)


def _path(case: _Case) -> _Judged:
    if clues.ROOTED.search(case.text):
        return case.judged("low", "the path is kept below a folder")
    return _only_with_request(case)


def _guards_secret(case: _Case) -> _Judged | str:
    """A weak hash or generator matters only for a secret: its words on the line, or in the name of the function."""
    if clues.NO_SECRET.search(case.text) or (case.hit.meaning == "random" and clues.BROWSER.search(case.hit.file)):
        return GUARDS_NOTHING
    if clues.PRESCRIBED.search(f"{case.hit.file}\n{case.around(6)}"):
        return GUARDS_NOTHING
    named = clues.PASSWORD if case.hit.meaning == "hash" else clues.SECRET
    if case.hit.meaning == "hash" and clues.OF_A_KEY.search(case.around(2)):
        return GUARDS_NOTHING
    if named.search(case.text):
        return case.judged("high", "a secret is named on the line")
    above = "\n".join(case.lines[max(0, case.hit.line - 3) : max(0, case.hit.line - 1)])
    if clues.MAKES_SECRET.search(above):
        return case.judged("medium", "the function makes a secret, by its name", severity="medium")
    return GUARDS_NOTHING


def _unverified(case: _Case) -> _Judged:
    """A function that asks whose a token is reads it before someone else verifies it."""
    head = "\n".join([*case.function.split("\n")[:8], case.text])
    if clues.PEEKS.search(head):
        return case.judged("low", "the function asks whose the token is, by its name")
    return _as_reported(case)


def _tls(case: _Case) -> _Judged | str:
    line = case.hit.line
    beside = (text[:300] for text in case.lines[max(0, line - 6) : line + 1])
    near = "\n".join([case.hit.file, *_enclosing(case.lines, line), *beside])
    if clues.OWN_CHECK.search(case.around(8)):
        return BY_CHOICE
    return BY_CHOICE if clues.OPTION.search(near) else case.judged(case.hit.confidence, "no option switches it off")


def _debug(case: _Case) -> _Judged | str:
    """A debugger that an option switches on is one; the name of the main program is none."""
    guards = (row for row in _enclosing(case.lines, case.hit.line) if "__name__" not in row)
    return BY_CHOICE if clues.OPTION.search("\n".join(guards)) else _as_reported(case)


def _unreachable(case: _Case) -> _Judged:
    """A `break` behind a `return` does no harm."""
    if re.fullmatch(r"\s*(break|continue)\s*;?\s*", case.text):
        return case.judged("low", "the line does nothing but leave")
    return _as_reported(case)


def _enclosing(lines: Sequence[str], line: int) -> list[str]:
    """The lines that open the blocks around *line*, by their indentation."""
    found = []
    depth = _indent(lines[line - 1]) if line <= len(lines) else 0
    for number in range(line - 1, max(0, line - _BLOCK), -1):
        text = lines[number - 1]
        if text.strip() and _indent(text) < depth:
            depth = _indent(text)
            found.append(text[:300])
    return found


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _undefined(case: _Case) -> _Judged:
    """An annotation of a local name is never evaluated, and a line with nothing but a name is a list of names."""
    name = re.search(r"`(\w+)`", case.hit.message)
    first = case.text.split("\n", 1)[0]
    settings = name is not None and name[1] == "c" and case.hit.file.endswith("_config.py")
    if name and (settings or name[1] in clues.OTHER_PYTHONS or "NameError" in case.around(6)):
        return case.judged("low", "another Python or a host defines the name")
    if re.fullmatch(r"\s*[\w.]+\s*(#.*)?", first):
        return case.judged("low", "the line only lists the name")
    if name and re.search(
        rf"^\s+[\w.]+\s*:\s*[^=]*\b{name[1]}\b[^=]*(=|$)|[\"'][^\"']*\b{name[1]}\b[^\"']*[\"']", first
    ):
        return case.judged("low", "the name stands in an annotation only")
    return case.judged(case.hit.confidence)


def _comparison(case: _Case) -> _Judged:
    """Idioms that only look like comparisons that are always the same."""
    if "self-compare" in case.hit.rule and "!=" in case.text:
        return case.judged("low", "that is how code asks for NaN")
    if re.search(r"\b([\w.]+) (?:&&|\|\|) \1\b", case.text):
        return case.judged("low", "the same value twice does no harm")
    if re.search(r"['\"]__[A-Z_]{4,}__['\"]", case.text):
        return case.judged("low", "the text is replaced when the code is built")
    return case.judged(case.hit.confidence)


def _mistake(case: _Case) -> _Judged:
    """Only a condition around a hook is surely wrong.

    A getter that returns something somewhere may well return nothing elsewhere.
    """
    react = any(re.search(r"['\"](p?react|preact/hooks)['\"]", line[:300]) for line in case.lines[:60])
    outside = case.hit.meaning == "hooks" and ("conditionally" not in case.hit.message or not react)
    returns = "getter-return" in case.hit.rule and re.search(r"\breturn\b\s*[^;\s]", _body(case.lines, case.hit.line))
    return case.judged("low" if outside or returns else case.hit.confidence)


def _body(lines: Sequence[str], line: int) -> str:
    """The block that opens on *line*, by its indentation."""
    depth = _indent(lines[line - 1]) if 0 < line <= len(lines) else 0
    found = []
    for row in lines[line : line + _BLOCK]:
        if row.strip() and _indent(row) <= depth:
            break
        found.append(row[:300])
    return "\n".join(found)


_CHECKS: dict[str, Callable[[_Case], _Judged | str]] = {
    "sql": _sql,
    "shell": _only_with_request,
    "program": _only_with_request,
    "eval": _only_with_request,
    "deserialize": _only_with_request,
    "archive": _only_with_request,
    "ssrf": _only_with_request,
    "redirect": _redirect,
    "reflection": _reflection,
    "xxe": _only_from_request,
    "jwt": _unverified,
    "template": _only_with_request,
    "path": _path,
    "xss": _html,
    "hash": _guards_secret,
    "random": _guards_secret,
    "tls": _tls,
    "debug": _debug,
    "unreachable": _unreachable,
    "undefined": _undefined,
    "comparison": _comparison,
    "bug": _mistake,
    "hooks": _mistake,
}
"""How each meaning is judged; other injections by the request, everything else as it was reported."""
