"""Reads the fields between the `---` lines at the top of a Markdown file.

Pure. It is independent of agents: the caller knows which fields exist, and their values.

Theory of operation. The text is read as YAML first, by its events and not by a constructor: values stay text, lists and
mappings, so there is no object to build, no alias to expand and no number to misread. Files that people write are often
not YAML (`description: Use when: the user asks`). Claude Code then puts the offending one-line values in quotes and
parses again (seen with 2.1.330). If that fails as well, we go one step further: the text is split at the known field
names and every field is read on its own, so that an unindented `<example>` in a description does not swallow other
fields.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Value: TypeAlias = "str | bool | int | float | list[Value] | dict[str, Value] | None"
"""The value of a field. Scalars stay text as written, except numbers and booleans in *typed* fields.

None is an empty value or a plain `null`.
"""

MAX_BYTES = 64 * 1024
"""Characters between the `---` lines; longest seen in public use: about 9,000."""
MAX_DEPTH = 8
"""Nesting of lists and mappings."""

_FENCE = re.compile(r"---[ \t]*")
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)[ \t]*:(?:[ \t]+(.*))?")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
_TRUTHS = {"true": True, "false": False}
_BLOCK_MARKS = frozenset({"|", ">", "|-", ">-", "|+", ">+"})


class FrontmatterError(InputError):
    """The fields cannot be read; `line` counts from 1 in the file, and is 0 if no single line is at fault."""

    def __init__(self, message: str, *, code: str, hint: str, line: int = 0) -> None:
        super().__init__(message, code=code, hint=hint)
        self.line = line


class Frontmatter(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a file and the text below them."""

    fields: Mapping[str, Value]
    body: str
    repaired: bool
    """Whether the fields are not valid YAML and were read one by one."""
    read_by_claude_code: bool
    """Whether Claude Code itself can read the fields: they are YAML, or only one-line values need quotes."""


class _NotYaml(Exception):
    """The text is not YAML, or not of the plain kind that fields need."""


def read_frontmatter(
    text: str, *, known: Collection[str], free_text: Collection[str], typed: Collection[str] = ()
) -> Frontmatter:
    """The fields and body of *text*.

    *known* are the names that start a field even if the text is not YAML; *free_text* those of them whose value may
    contain lines that look like fields; *typed* those that hold data for another program, which distinguishes 30 from
    "30". Raises `FrontmatterError`.
    """
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    front, body = _split(plain)
    try:
        fields = _mapping(_from_yaml(front, first_line=2, known=known, typed=typed))
    except _NotYaml:
        fields, one_line = _field_by_field(front, known=known, free_text=free_text, typed=typed)
        # With CRLF line ends Claude Code's own repair fails.
        return Frontmatter(fields=fields, body=body, repaired=True, read_by_claude_code=one_line and "\r" not in text)
    return Frontmatter(fields=fields, body=body, repaired=False, read_by_claude_code=True)


def _split(text: str) -> tuple[str, str]:
    lines = text.split("\n")
    if not _FENCE.fullmatch(lines[0]):
        message = "the file does not start with a line `---`, so it has no fields"
        raise FrontmatterError(message, code="NO_FRONTMATTER", hint="Start the file with ---, name: and description:.")
    for number, line in enumerate(lines[1:], start=1):
        if _FENCE.fullmatch(line):
            front = "".join(f"{line}\n" for line in lines[1:number])
            if len(front) > MAX_BYTES:
                message = f"the fields take {len(front):,} characters; the limit is {MAX_BYTES:,}"
                hint = "Keep the description short and move the rest below the second --- line."
                raise FrontmatterError(message, code="FRONTMATTER_TOO_LARGE", hint=hint)
            return front, "\n".join(lines[number + 1 :]).strip("\n")
    message = "the line `---` that ends the fields is missing"
    raise FrontmatterError(message, code="FRONTMATTER_NOT_CLOSED", hint="Write --- on a line of its own below them.")


def _mapping(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise _NotYaml
    return value


def _from_yaml(text: str, *, first_line: int, known: Collection[str], typed: Collection[str]) -> Value:
    """The single document in *text*. A duplicate field is an error if the field is known, otherwise a sign of prose."""
    import yaml  # noqa: PLC0415 - costs 10 ms, and a server without agent files never needs it

    tree = _Tree(first_line=first_line, known=known, typed=typed)
    try:
        # An installation without libyaml has no C loader; the events are the same.
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            tree.take(event)
    except yaml.YAMLError as error:
        raise _NotYaml from error
    return tree.root


class _Tree:
    """Builds values from YAML events, and refuses features that plain fields never need."""

    def __init__(self, *, first_line: int, known: Collection[str], typed: Collection[str]) -> None:
        self.root: Value = None
        self._first_line = first_line
        self._known = known
        self._typed = typed
        self._documents = 0
        self._anchors: set[str] = set()
        self._open: list[list[Value] | dict[str, Value]] = []
        self._keys: list[str | None] = []
        """For each open container: the key that waits for its value."""
        self._field = ""
        """The current field."""

    def take(self, event: Any) -> None:  # noqa: ANN401 - yaml's events share no typed base with these fields
        """Adds one event of `yaml.parse`."""
        kind = type(event).__name__
        line = event.start_mark.line + self._first_line if event.start_mark else 0
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise _NotYaml
        elif kind == "AliasEvent":
            self._refuse_alias(event.anchor, line)
        elif kind in {"ScalarEvent", "SequenceStartEvent", "MappingStartEvent"}:
            if event.tag not in {None, "!"}:
                raise _NotYaml
            if event.anchor:
                self._anchors.add(event.anchor)
            self._start(event, kind, line)
        elif kind in {"SequenceEndEvent", "MappingEndEvent"}:
            self._open.pop()
            self._keys.pop()

    def _refuse_alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            raise _NotYaml  # prose such as `*important*`
        message = f"line {line} repeats a value by the YAML alias *{anchor}"
        hint = f"Write the value itself instead of *{anchor}."
        raise FrontmatterError(message, code="FRONTMATTER_ALIAS", hint=hint, line=line)

    def _start(self, event: Any, kind: str, line: int) -> None:  # noqa: ANN401
        if kind == "ScalarEvent":
            self._add(self._scalar(event.value, plain=event.implicit[0]), line)
            return
        container: list[Value] | dict[str, Value] = [] if kind == "SequenceStartEvent" else {}
        self._add(container, line)
        if len(self._open) == MAX_DEPTH:
            message = f"line {line} has lists or mappings more than {MAX_DEPTH} deep"
            raise FrontmatterError(message, code="FRONTMATTER_TOO_DEEP", hint="Write fields flat.", line=line)
        self._open.append(container)
        self._keys.append(None)

    def _scalar(self, text: str, *, plain: bool) -> Value:
        if plain and text in _NULLS:
            return None
        is_key = bool(self._open) and isinstance(self._open[-1], dict) and self._keys[-1] is None
        if is_key or not plain or self._field not in self._typed:
            return text
        if match := _NUMBER.fullmatch(text):
            number = float(text) if match[2] else int(text)
            return number if str(number) == text else text  # 1.10 may be a version
        return _TRUTHS.get(text, text)

    def _add(self, value: Value, line: int) -> None:
        if not self._open:
            self.root = value
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif (key := self._keys[-1]) is not None:
            container[key] = value
            self._keys[-1] = None
        elif not isinstance(value, str):
            raise _NotYaml  # `{a: b}: c` and `: c`
        elif value in container:
            if len(self._open) == 1 and value not in self._known:
                raise _NotYaml
            raise _twice(value, line)
        else:
            self._keys[-1] = value
            self._field = value if len(self._open) == 1 else self._field


def _twice(key: str, line: int) -> FrontmatterError:
    message = f"the field `{key}` occurs twice, again on line {line}"
    return FrontmatterError(message, code="DUPLICATE_FIELD", hint="Keep one of them.", line=line)


def _field_by_field(
    front: str, *, known: Collection[str], free_text: Collection[str], typed: Collection[str]
) -> tuple[dict[str, Value], bool]:
    """The fields, each read on its own, and whether only one-line values had to be taken as plain text."""
    fields: dict[str, Value] = {}
    one_line = True
    for key, line, lines in _chunks(front, known=known, free_text=free_text):
        if key in fields:
            raise _twice(key, line)
        try:
            part = "".join(f"{text}\n" for text in lines)
            alone = _mapping(_from_yaml(part, first_line=line, known=known, typed=typed))
            if list(alone) != [key]:
                raise _NotYaml  # noqa: TRY301 - the same exit as for text that is not YAML
            fields[key] = alone[key]
        except (_NotYaml, FrontmatterError) as error:
            several = any(part.strip() for part in lines[1:])
            if key not in free_text and (several or isinstance(error, FrontmatterError)):
                raise _unreadable(key, line, error) from error
            _refuse_hidden_fields(key, line, lines, known=known)
            one_line = one_line and not several
            fields[key] = _plain_text(lines)
    return fields, one_line


def _refuse_hidden_fields(key: str, first: int, lines: list[str], *, known: Collection[str]) -> None:
    """Refuse fields indented by mistake: `tools: Read` as a line of the description would give the agent all tools."""
    for number, line in enumerate(lines[1:], start=first + 1):
        match = _FIELD.fullmatch(line.strip())
        if match and match[1] in known:
            message = f"line {number} looks like the field `{match[1]}`, but by its indentation it belongs to `{key}`"
            hint = f"Write `{match[1]}:` at the start of its line, or indent all of `{key}` below `{key}: |`."
            raise FrontmatterError(message, code="FRONTMATTER_INVALID", hint=hint, line=number)


def _unreadable(key: str, line: int, error: Exception) -> FrontmatterError:
    if isinstance(error, FrontmatterError):
        return error
    message = f"the value of `{key}` on line {line} cannot be read"
    hint = "Put the value in double quotes, or write a list with one `- item` per line."
    return FrontmatterError(message, code="FRONTMATTER_INVALID", hint=hint, line=line)


def _chunks(front: str, *, known: Collection[str], free_text: Collection[str]) -> Iterator[tuple[str, int, list[str]]]:
    """Field name, line number and lines of each field.

    An unknown name starts a field too, but not inside free text: `user: "…"` in a description is part of an example.
    """
    key, start, lines = "", 0, list[str]()
    for number, line in enumerate(front.split("\n"), start=2):
        match = _FIELD.fullmatch(line)
        if match and (match[1] in known or key not in free_text):
            if key:
                yield key, start, lines
            key, start, lines = match[1], number, [line]
        elif key:
            lines.append(line)
        elif line.strip() and not line.startswith("#"):
            message = f"line {number} is not a field"
            hint = "Write each field as `name: value`."
            raise FrontmatterError(message, code="FRONTMATTER_INVALID", hint=hint, line=number)
    if not key:
        hint = "Write at least `name:` and `description:`."
        raise FrontmatterError("there are no fields", code="FRONTMATTER_INVALID", hint=hint, line=1)
    yield key, start, lines


def _plain_text(lines: list[str]) -> str | None:
    """The literal value: without its key, outer quotes and indentation; a written backslash-n is a line break."""
    first = lines[0].partition(":")[2].strip()
    rest = textwrap.dedent("\n".join(lines[1:]))
    text = (rest if first in _BLOCK_MARKS else f"{first}\n{rest}").strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].replace('\\"', '"')
    return text.replace("\\n", "\n").strip() or None
