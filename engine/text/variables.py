"""References to environment variables in a text: `$NAME`, `${NAME}`, `${NAME:-default}`; `$$` is a dollar.

Pure. Agent files and settings hold references, so that no value is stored in a file, a plan or a journal; they are
replaced where an agent runs. The syntax is that of `.mcp.json`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}]*))?\}|(?P<wrong>\{))",
    re.ASCII,
)


def references(text: str) -> list[str]:
    """The variables that *text* names, in order, including those with a default."""
    return [name for found in _REFERENCE.finditer(text) if (name := found["bare"] or found["name"])]


def needed(text: str) -> list[str]:
    """The variables in *text* without a default."""
    found = _REFERENCE.finditer(text)
    return [name for one in found if (name := one["bare"] or one["name"]) and one["default"] is None]


def malformed(text: str) -> str | None:
    """The first malformed reference in *text* that starts with `${`, shortened; None if there is none."""
    found = next((one for one in _REFERENCE.finditer(text) if one["wrong"]), None)
    return None if found is None else text[found.start() : found.start() + 40]


def resolve(text: str, values: Mapping[str, str]) -> str:
    """*text* with each reference replaced by its value; an empty or unset one by its default."""

    def value(found: re.Match[str]) -> str:
        if name := found["bare"] or found["name"]:
            return values.get(name) or found["default"] or ""
        return "$" if found["dollar"] else found[0]

    return _REFERENCE.sub(value, text)
