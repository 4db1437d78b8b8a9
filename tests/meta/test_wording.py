"""Text that people read is plain English: the phrases that it does without."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ROOMS = ("engine", "registry", "mcp_server")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
MAX_GLOSSARY_LENGTH = 60
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BANNED = {
    r"(?<![Tt]here )\bis no\b(?! (longer|more than|one\b))": '"is not a …" or "unknown …"',
    r"\banew\b": '"again", or a verb with re-',
    r"\b[Nn]obody\b": '"no one", or say what is missing',
    r"\bt(old|ells?)\b": '"reported", "says", "shows"',
    r"\b(gives|given back)\b": '"returns"',
    r"\bwhere (absent|nothing is said)\b": '"(default: …)"',
    r"\bleads? out of\b": '"is outside"',
    r"\b(any more|can not)\b": '"anymore" or "no longer"; "cannot"',
    r"(^|[.;:] )(Who|Whoever|Whatever|What) (?![^.?]*\?)": "a noun as the subject",
}


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts of a module with their lines: messages, help, docstrings; not single words and word lists."""
    lists = {id(words) for node in ast.walk(tree) if isinstance(node, ast.Call) for words in word_lists(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in lists:
            continue
        if isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def word_lists(call: ast.Call) -> list[ast.expr]:
    """The words in a call of `_words` or `re.findall`: data about the language of commands."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return call.args if name in {"_words", "findall", "split"} else []


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def prose(page: str) -> Iterator[tuple[int, str]]:
    """The lines of a page outside of code."""
    fenced = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"`[^`]*`", "…", line)


def faults(texts: Iterator[tuple[int, str]]) -> list[str]:
    return [
        f"line {line}: {match[0]!r}: write {better}"
        for line, text in texts
        for banned, better in BANNED.items()
        for match in re.finditer(banned, text)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_speaks_plain_english(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert [*faults(strings(ast.parse(source))), *faults(comments(source))] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_speaks_plain_english(path: Path) -> None:
    assert faults(prose(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text", ["it is no format", "writes it anew", "nobody waits", "it was told", "gives the run", "Who asks waits."]
)
def test_a_banned_phrase_is_found(text: str) -> None:
    assert faults(iter([(1, text)]))


def test_the_glossary_has_each_word_once_on_one_page() -> None:
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    words = [word for line in lines for cell in re.findall(r"^\| \*\*(.+?)\*\* \|", line) for word in cell.split(", ")]
    assert len(lines) <= MAX_GLOSSARY_LENGTH
    assert len(words) > len(lines) // 2
    assert sorted(set(words)) == sorted(words)
