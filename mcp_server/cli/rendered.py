"""Markdown for a terminal, with all of its text.

No effects. It is imported at the end of a run only: it is a quarter of the start-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from rich.markdown import Markdown, TableElement
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


class _WholeCells(TableElement):
    """A table whose cells get more lines where they are too wide: Rich would cut a path, as it cuts any long word."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for part in super().__rich_console__(console, options):
            if isinstance(part, Table):
                for column in part.columns:
                    column.overflow = "fold"
            yield part


class Rendered(Markdown):
    """Markdown of which nothing is left out: HTML is text, as Rich leaves out tags, such as that in `List<String>`."""

    elements = Markdown.elements | {"table_open": _WholeCells}

    def __init__(self, text: str) -> None:
        super().__init__("")
        rules = MarkdownIt().enable(["strikethrough", "table"]).disable(["html_block", "html_inline"])
        self.parsed = rules.parse(text)
