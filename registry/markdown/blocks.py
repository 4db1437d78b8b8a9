"""Parses a markdown file: fields at its top, headings, lists with their items, and the prose between them.

Pure. markdown-it parses CommonMark; `lists.py` interprets lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import InputError
from registry.files.frontmatter import read_frontmatter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FRONTMATTER = re.compile(r"\A---[ \t]*\n(?P<body>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^(?P<name>[A-Za-z][\w-]*)[ \t]*:[ \t]*(?P<value>.*?)[ \t]*$")
_BOLD_LINE = re.compile(r"^(?:\*\*|__)(?P<text>[^*_\n]{1,200}?):?(?:\*\*|__):?$")
_BOLD_START = re.compile(r"^(?:\*\*|__)(?P<text>[^*_\n]{1,200}?)(?:\*\*|__):?\s+(?P<rest>\S.*)$")
_STEP_START = re.compile(r"^(?:step|phase|stage)\s+\d{1,3}\s*[:.\u2013\u2014-]\s*\S", re.IGNORECASE)
_MARKS = re.compile(
    r"\*\*|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|(?<!\w)_(?=[^\W_])|(?<=[^\W_])_(?!\w)"
)
"""Marks of emphasis; an underscore inside a word is part of it."""
_NUMBERED = re.compile(
    r"^(?:(?P<word>phase|stage|part|step)\s+(?P<count>\d{1,3}(?:\.\d{1,2}|[a-z])?|[ivx]{1,5}|[a-z])\b\s*[:.)\uff1a\u2013\u2014-]*"
    r"|(?P<number>\d{1,3})(?:[.):]|\ufe0f?\u20e3)(?!\d))\s*(?P<text>.*)$",
    re.IGNORECASE,
)
_OUTER_FENCE = re.compile(r"```(?:markdown|md|text|txt)?")
_BOX = re.compile(r"^\[[ xX]\]\s+")
_CALL = re.compile(r"@?[A-Z]\w*\(")
"""The start of a tool call, which ends at its closing bracket."""
_FENCE_LINE = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)
_ANY_FENCE = re.compile(r"```(?P<info>[\w.+-]*)")
BOLD_LEVEL = 7
"""The level of numbered bold lines, which count as headings below all others; a step is below a phase."""
_LARGE = frozenset({"phase", "stage", "part"})


class Item(msgspec.Struct, frozen=True):
    """One item of a list."""

    number: int
    """As written; 0 in a list without numbers."""
    line: int
    text: str
    """Its first paragraph on one line, including marks of emphasis and code."""
    details: tuple[str, ...]
    """The lines below, without their indentation."""


class Block(msgspec.Struct, frozen=True):
    """A list, or anything else between headings."""

    line: int
    raw: str
    items: tuple[Item, ...] = ()
    """The items, if it is a list."""
    numbered: bool = False
    paragraph: bool = False


@dataclass(slots=True)
class Section:
    """A heading and the text under it, up to the next heading."""

    heading: str = ""
    """Without its number."""
    level: int = 0
    """1 to 6; `BOLD_LEVEL` for a bold line; 0 above the first heading."""
    line: int = 1
    number: str = ""
    """Its number, as written; empty if it has none."""
    word: str = ""
    """`phase`, `stage`, `part` or `step`, if it starts with that word."""
    blocks: list[Block] = field(default_factory=list)


class Document(msgspec.Struct, frozen=True):
    """A whole file."""

    title: str
    fields: dict[str, tuple[str, int]]
    """The fields at its top, on one line each, with their lines."""
    sections: tuple[Section, ...]
    text: str
    """Without the fields, but with the same line numbers."""

    def paragraph(self) -> str:
        """The first paragraph, on one line; empty if the file starts with anything else."""
        for section in self.sections[:2]:
            for block in section.blocks:
                return plain(block.raw) if block.paragraph else ""
        return ""


def read_document(text: str) -> Document:
    """*text*, parsed. Comments are skipped; an unclosed one hides nothing."""
    text = _without_comments(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    fields: dict[str, tuple[str, int]] = {}
    front = _FRONTMATTER.match(text)
    if front is not None:
        for number, line in enumerate(front["body"].split("\n"), start=2):
            found = _FIELD.match(line)
            if found is not None:
                fields.setdefault(found["name"], (found["value"].strip("\"'"), number))
        if "description" in fields:
            fields["description"] = (_described(text, fields), fields["description"][1])
        text = "\n" * front.group().count("\n") + text[front.end() :]
    title, sections = "", [Section()]
    lines = text.split("\n")
    for part in _parts(text, lines):
        if isinstance(part, Section) and part.level == 1 and not title:
            title = part.heading
            sections.append(Section(line=part.line))
        elif isinstance(part, Section):
            sections.append(part)
        else:
            sections[-1].blocks.append(part)
    return Document(title=title, fields=fields, sections=tuple(sections), text=text)


def _described(text: str, fields: dict[str, tuple[str, int]]) -> str:
    """The description on one line: it may be quoted or take several lines, and *fields* has its first line only."""
    try:
        value = read_frontmatter(text, known=fields, free_text={"description"}).fields["description"]
    except InputError:
        return fields["description"][0]
    return " ".join(value.split()) if isinstance(value, str) else ""


def plain(text: str) -> str:
    """*text* on one line, without emphasis, code marks and quote marks."""
    return re.sub(r"\s+", " ", unmarked(re.sub(r"^>\s*", "", text))).strip()


def unmarked(text: str) -> str:
    """*text* without the marks of emphasis and code; text marked as code stays unchanged."""
    parts = text.split("`")
    return "".join(
        part if place % 2 and place < len(parts) - 1 else _MARKS.sub("", part) for place, part in enumerate(parts)
    )


def numbered_heading(text: str) -> re.Match[str] | None:
    """The numbering of a heading: `word` and `count`, or `number`; and the `text` after it."""
    return _NUMBERED.match(text)


@cache
def _parser() -> Any:  # noqa: ANN401 - imported late
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 30 ms that only projects with such files pay
    from markdown_it.rules_block import fence, list_block  # noqa: PLC0415

    def list_rule(state: Any, first: int, last: int, silent: bool) -> bool:  # noqa: ANN401, FBT001 - its signature
        """A list; one that continues (3. 4.) may follow right after its lead-in, unlike in CommonMark."""
        if silent and state.parentType == "paragraph" and first and _announces(_line(state, first - 1)):
            state.parentType = "root"
            try:
                return list_block(state, first, last, silent)
            finally:
                state.parentType = "paragraph"
        return list_block(state, first, last, silent)

    def fence_rule(state: Any, first: int, last: int, silent: bool) -> bool:  # noqa: ANN401, FBT001 - its signature
        """A fenced block; one around others ends where its author meant it to, not with the first inner one."""
        end = None if silent else _end_of_fence(state, first, last)
        if end is None:
            return fence(state, first, last, silent)
        state.push("fence", "code", 0).map = [first, end + 1]
        state.line = end + 1
        return True

    def call_rule(state: Any, first: int, last: int, silent: bool) -> bool:  # noqa: ANN401, FBT001 - its signature
        """A tool call in the text counts as code even without a fence."""
        end = _end_of_call(state, first, last)
        if end is None:
            return False
        if not silent:
            state.push("fence", "code", 0).map = [first, end + 1]
            state.line = end + 1
        return True

    parser = MarkdownIt("commonmark").enable("table")
    parser.block.ruler.at("fence", fence_rule, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.block.ruler.before("fence", "call", call_rule, {"alt": ["paragraph"]})
    parser.block.ruler.at("list", list_rule, {"alt": ["paragraph", "reference", "blockquote"]})
    parser.core.ruler.disable(["inline", "text_join"])  # texts are needed as written
    return parser


def _end_of_fence(state: Any, first: int, last: int) -> int | None:  # noqa: ANN401 - imported late
    """The line that closes the plain fence of line *first* around others with a language; None if there are none."""
    if _OUTER_FENCE.fullmatch(_line(state, first)) is None or state.env.get("unbalanced"):
        return None
    depth = 1
    for number in range(first + 1, last):
        mark = _ANY_FENCE.fullmatch(_line(state, number))
        if mark is None:
            continue
        depth += 1 if mark["info"] else -1
        if depth == 0:
            return number
    state.env["unbalanced"] = True  # such files are read as plain CommonMark, in linear time
    return None


def _end_of_call(state: Any, first: int, last: int) -> int | None:  # noqa: ANN401 - imported late
    """The line that closes the call that starts in line *first*; None if there is none."""
    if _CALL.match(_line(state, first)) is None or state.env.get("open"):
        return None
    depth = 0
    for number in range(first, last):
        line = _line(state, number)
        depth += line.count("(") - line.count(")")
        if depth <= 0:
            return number if line.endswith(")") else None
    state.env["open"] = True  # no further search
    return None


def _line(state: Any, number: int) -> str:  # noqa: ANN401 - imported late
    text: str = state.src[state.bMarks[number] : state.eMarks[number]]
    return text.strip()


def _announces(line: str) -> bool:
    return line.rstrip("*_").endswith(":") or is_bold_line(line)


def is_bold_line(line: str) -> bool:
    """Whether *line* is entirely bold: a heading without heading marks."""
    return _BOLD_LINE.match(line.strip()) is not None


def _parts(text: str, lines: Sequence[str]) -> Iterator[Section | Block]:
    """Headings and blocks at the top level, in order."""
    tokens = _parser().parse(text)
    place = 0
    while place < len(tokens):
        token = tokens[place]
        end = _end(tokens, place)
        first, last = token.map or (0, 0)
        raw = "\n".join(lines[first:last]).strip("\n")
        if token.type == "heading_open":
            yield _section(tokens[place + 1].content, int(token.tag[1]), first + 1)
        elif token.type in {"ordered_list_open", "bullet_list_open"}:
            items = tuple(_items(tokens[place : end + 1], lines))
            yield Block(first + 1, raw, items=items, numbered=bool(items) and token.type == "ordered_list_open")
        elif token.type == "paragraph_open":
            yield from _paragraph(raw, first + 1)
        else:
            yield Block(first + 1, raw)
        place = end + 1


def _end(tokens: Sequence[Any], place: int) -> int:
    """The index of the token that closes the one at *place*."""
    level = 0
    for end in range(place, len(tokens)):
        level += tokens[end].nesting
        if level <= 0:
            return end
    return len(tokens) - 1


def _section(text: str, level: int, line: int) -> Section:
    heading = plain(text)
    found = numbered_heading(heading)
    if found is None:
        return Section(heading=heading, level=level, line=line)
    rest = found["text"].strip(" :,-\u2013\u2014")
    return Section(
        heading=rest or heading,
        level=level,
        line=line,
        number=found["count"] or found["number"],
        word=(found["word"] or "").casefold(),
    )


def _paragraph(raw: str, line: int) -> Iterator[Section | Block]:
    """A paragraph; a line that starts with a bold number, or with "Step 1:", is a heading."""
    kept: list[str] = []
    start = line
    for number, text in enumerate(raw.split("\n"), start=line):
        heading, rest = _heading_line(text.strip())
        if heading is None:
            kept.append(text)
            continue
        if any(map(str.strip, kept)):
            yield Block(start, "\n".join(kept), paragraph=True)
        section = _section(heading, BOLD_LEVEL, number)
        section.level += section.word not in _LARGE
        yield section
        kept, start = [rest] if rest else [], number if rest else number + 1
    if any(map(str.strip, kept)):
        yield Block(start, "\n".join(kept), paragraph=True)


def _heading_line(text: str) -> tuple[str | None, str]:
    """The numbered heading at the start of the line *text* of a paragraph, and the rest of the line."""
    whole = _BOLD_LINE.match(text)
    if whole is not None:
        return (whole["text"] if numbered_heading(whole["text"]) else None), ""
    if _STEP_START.match(text):
        return text, ""
    begun = _BOLD_START.match(text)
    found = begun and numbered_heading(begun["text"])
    if begun is None or found is None:
        return None, ""
    if found["text"].strip(" :"):
        return begun["text"], begun["rest"]
    return f"{begun['text'].rstrip(' :')}: {begun['rest']}", ""


def _items(tokens: Sequence[Any], lines: Sequence[str]) -> Iterator[Item]:
    """The items of the list *tokens*."""
    for place, token in enumerate(tokens):
        if token.type != "list_item_open" or token.level != tokens[0].level + 1:
            continue
        first, last = token.map
        inside = tokens[place + 1]
        text, below = "", first
        if inside.type == "paragraph_open":
            text, below = _first_paragraph(tokens[place + 2].content, inside.map)
        details = "\n".join(lines[below:last]).rstrip("\n").split("\n") if below < last else []
        kept = _dedented([line.expandtabs(4) for line in details])
        if not text and not inside.map:
            continue
        yield Item(int(token.info or 0), first + 1, text, tuple(kept))


def _first_paragraph(content: str, lines: Sequence[int]) -> tuple[str, int]:
    """The first paragraph of an item on one line, and the line after it; only the title if it starts with a bold one.

    The box of a checklist is left out.
    """
    content = _BOX.sub("", content)
    first, _, rest = content.partition("\n")
    if rest and is_bold_line(first):
        return first, lines[0] + 1
    return " ".join(content.split()), lines[1]


def _dedented(lines: list[str]) -> list[str]:
    """*lines* without the indentation that all of them share, and without blank ones at the ends."""
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    cut = min(indents, default=0)
    kept = [line[cut:].rstrip() for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    while kept and not kept[0]:
        del kept[0]
    return kept


def _without_comments(text: str) -> str:
    """*text* without HTML comments, but with their line breaks; an unclosed one, or one in code, hides nothing."""
    kept: list[str] = []
    place = seen = fences = ticks = 0
    while (start := text.find("<!--", seen)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        fences += len(_FENCE_LINE.findall(text[seen:start]))
        line = text.rfind("\n", seen, start) + 1
        ticks = text.count("`", line or seen, start) + (0 if line else ticks)
        if fences % 2 or ticks % 2:
            seen = start + 4
            continue
        kept += [text[place:start], "\n" * text.count("\n", start, end)]
        place = seen = end + 3
    return "".join([*kept, text[place:]])
