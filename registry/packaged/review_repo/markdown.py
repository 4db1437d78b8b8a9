"""Escapes foreign text for use in Markdown.

Pure. `report.py` writes the report.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    """*text* as a code span that it cannot close, on one line, safe in a table."""
    shown = one_line(text, 240).replace("|", "\\|") or " "
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{shown}{space}{fence}"


def plain(text: str) -> str:
    """*text* with Markdown and HTML characters escaped; balanced code spans of the tools' messages stay."""
    pieces = one_line(text, 600).split("`")
    if len(pieces) % 2 == 0:
        return _escaped("'".join(pieces))
    return "".join(code(piece) if place % 2 else _escaped(piece) for place, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]|#~])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; its cells are escaped already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def number(count: int, noun: str, plural: str = "") -> str:
    """*count* with *noun*, in the plural unless it is one."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
