"""Finds what a value inside SQL text stands for: a value, a value in quotes, a number, or a name such as a table.

Pure. Only values change what a statement means when foreign data reaches them; tables and columns are mostly fixed.
"""

from __future__ import annotations

import re
from enum import IntEnum


class Place(IntEnum):
    """The part of a statement that a placeholder stands for, the most dangerous last."""

    UNKNOWN = 0
    NUMBER = 1
    NAME = 2
    VALUE = 3
    QUOTED = 4


_PLACEHOLDER = re.compile(
    r"(?P<number>%[0-9.]*[dif]\b|%\(\w+\)[dif])"
    r"|(?P<format>%[sqv]|%\(\w+\)s|\{\d*\})"
    r"|(?P<braces>\$\{[^{}]*\}|#\{[^{}]*\}|\{\$?[^{}'\"]*\})"
    r"|(?P<close>\\?['\"`])\s*(?:\+|\.(?!\w+\()|\|\|)\s*(?P<joined>[\w.$\[\]()>'\"-]+)"
    r"|(?P<dollar>\$[A-Za-z_]\w*(?:\[[^\]]*\]|->\w+)*)"
)
_VALUE = re.compile(
    r"(?:=|<|>|\blike\b|\bvalues\s*\(|\bin\s*\(|,|\blimit\b|\boffset\b|\bwhen\b|\bthen\b)\s*\(?\s*$", re.IGNORECASE
)
_QUOTED = re.compile(
    r"(?:=|<|>|\blike\b|\bvalues\s*\(|\bin\s*\(|,|\()\s*(?:N|E)?\\?['\"]%?\s*$|\bselect\s+(?:N|E)?\\?'%?\s*$",
    re.IGNORECASE,
)
_NAME = re.compile(
    r"table|column|field|placeholder|marks|schema|columns|order|sort|clause|where|qs\b|params\b|prefix", re.IGNORECASE
)
_CONSTANT = re.compile(r"^[A-Z][A-Z0-9_.]*$")
_CAST = re.compile(r"\(\s*(int|integer|float|double|bool|boolean)\s*\)|intval\(|\w+\.to_i\b", re.IGNORECASE)
_START = re.compile(r"\b(select|insert\s+into|update|delete\s+from|replace\s+into)\b", re.IGNORECASE)
_CLOSING = re.compile(r"^\s*\\?['\"]")


def placeholder_of(text: str) -> tuple[Place, str]:
    """The most dangerous place of a value in the SQL of *text*, and the code of those values, as far as it is there.

    Behind a value in quotes, other values are as dangerous.
    """
    start = _START.search(text)
    if start is None:
        return Place.UNKNOWN, ""
    sql = _statement(text, start.start())
    found = [(_place(sql, match), match) for match in _PLACEHOLDER.finditer(sql)]
    most = max((place for place, _ in found), default=Place.UNKNOWN)
    values = [match for place, match in found if place >= min(most, Place.VALUE)]
    if any(match["format"] for match in values):
        return most, text  # the values follow the text, by place
    return most, " ".join(match["braces"] or match["joined"] or match["dollar"] or "" for match in values)


def _statement(text: str, start: int) -> str:
    """The SQL from *start* on, without the arguments behind the text that holds it."""
    sql, before = text[start:], text[:start].rstrip()
    sign = before[-1:]
    if sign not in ("'", '"', "`"):
        return sql
    end = re.search(rf"(?<!\\){re.escape(sign)}\s*,\s", sql)
    return sql[: end.start() + 1] if end else sql


def _place(sql: str, found: re.Match[str]) -> Place:
    before = sql[: found.start()]
    # The pieces of a joined text: the quotes and signs between them are not SQL.
    before = re.sub(r"""['"`]\s*[+.]\s*\n?\s*['"`]|['"]\s*\n\s*f?['"]""", "", before)[-80:]
    name = _name(found)
    if found["number"] or _CAST.match(name):
        return Place.NUMBER
    after = sql[found.end() :]
    if _QUOTED.search(before) and (
        not name or _CLOSING.match(after) or found["close"] or found["format"] or "%" in after[:3]
    ):
        return Place.QUOTED if not _CONSTANT.match(name) else Place.NAME
    if found["close"] and re.search(r"(?:=|like|,|\()\s*\\?['\"]%?$", before, re.IGNORECASE):
        return Place.QUOTED
    if _VALUE.search(before):
        return Place.NAME if _CONSTANT.match(name) or _NAME.search(name) else Place.VALUE
    return Place.NAME


def _name(found: re.Match[str]) -> str:
    if found["joined"]:
        return found["joined"]
    if found["braces"]:
        return found["braces"].strip("${}#").split(":")[0].split(".")[-1].strip()
    return (found["dollar"] or "").lstrip("$")
