"""Converts the Jinja templates of Conductor: prompts, and the words of programs.

Pure. In a prompt a value is a mark `{{key.member}}`, whose value the agent finds among its inputs. Conditions and loops
(`{% if … %}`) stay in the prompt and the agent reads them, which is reported. In the words of a program only values can
stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.peers.conductor.units import Names, Unit, Value

_TAG = re.compile(r"\{\{-?(?P<value>[^{}]*?)-?\}\}|\{%-?(?P<block>[^{}]*?)-?%\}|\{#[^{}]*?#\}")
_OPEN = re.compile(r"\{\{|\{%|\{#")
"""The beginning of a tag."""
_PATH = re.compile(r"(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?P<filter>\s*\|\s*(?:json|tojson)(?:\([^()]*\))?)?")
_WORD = re.compile(
    r"(?P<string>'[^']*'|\"[^\"]*\")|(?P<filter>\|\s*\w+)|(?P<test>\bis\s+(?:not\s+)?\w+)"
    r"|(?<![\w.])(?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?P<call>\s*\()?"
)
_BLOCK_WORDS = ("if", "elif", "else", "endif", "for", "in", "endfor", "recursive", "loop")
_KEYWORDS = frozenset({*_BLOCK_WORDS, "not", "and", "or", "is", "true", "false", "none", "True", "False", "None"})
_OPENS, _CLOSES = frozenset({"if", "for"}), frozenset({"endif", "endfor"})
_PASSES = frozenset({"elif", "else"})
_FOR = re.compile(r"for\s+(?P<names>\w+(?:\s*,\s*\w+)*)\s+in\b")
_HINT = "Write the value alone as {{ step.output.member }}."


@dataclass(slots=True)
class Read:
    """The values that a text reads."""

    inputs: dict[str, bool] = field(default_factory=dict)
    """Required or not, by context key."""
    units: list[Unit] = field(default_factory=list)
    unsure: dict[str, None] = field(default_factory=dict)
    """Paths of the members that have to be there and may not be."""

    def add(self, value: Value, *, required: bool) -> None:
        """Note a *value*; *required*: it has to be there."""
        key, *members = value.path.split(".")
        self.inputs[key] = self.inputs.get(key, False) or required
        if value.unit is not None and value.unit not in self.units:
            self.units.append(value.unit)
        if required and members and not value.sure:
            self.unsure[value.path] = None


def prompt(text: str, names: Names, read: Read, pointer: str) -> str:
    """The task of an agent."""
    return _Prompt(names, read, pointer).convert(text)


class _Prompt:
    def __init__(self, names: Names, read: Read, pointer: str) -> None:
        self._names = names
        self._read = read
        self._pointer = pointer
        self._marks: dict[str, None] = {}
        self._depth = 0
        self._jinja = False
        self._bound: set[str] = set()

    def convert(self, text: str) -> str:
        result, last = [], 0
        for found in _TAG.finditer(text):
            result.append(text[last : found.start()])
            result.append(self._tag(found))
            last = found.end()
        result.append(text[last:])
        _refuse_open(text, self._names, self._pointer)
        joined = "".join(result).strip()
        if "$ARGUMENTS" in text:
            self._names.report.refuse(
                self._pointer, '"$ARGUMENTS" in a task stands for a value here', "Spell it otherwise."
            )
        if any(unit.failures in self._read.inputs for unit in self._names.units.values() if unit.failures):
            message = "the errors of a group for each item are a list here, and a mapping by index in Conductor"
            self._names.report.differs(self._pointer, message, "Look at the prompt.")
        if not self._marks and not self._jinja:
            return joined
        return f"{joined}\n\n{self._closing()}"

    def _closing(self) -> str:
        marks = ", ".join(self._marks)
        said = []
        if marks:
            stands = "stands for this value" if len(self._marks) == 1 else "stand for these values"
            said.append(f"In this text {marks} {stands} of your inputs.")
        said += [
            f"{key} is a list of {{number, key, item, code, message}}, with numbers from 1."
            for key in self._read.inputs
            if any(key == unit.failures for unit in self._names.units.values())
        ]
        if self._jinja:
            said.append(
                "The text is a Jinja2 template: read it as it is once it is rendered with your inputs as its "
                "variables; an input that is not there is undefined."
            )
        return " ".join(said)

    def _tag(self, found: re.Match[str]) -> str:
        if found["block"] is not None:
            return self._block(found["block"].strip(), found[0])
        if found["value"] is None:
            return ""
        inner = found["value"].strip()
        if inner == "_index + 1" and self._names.local:
            return self._mark("number")
        plain = _PATH.fullmatch(inner)
        if plain is None or plain["path"].split(".", maxsplit=1)[0] in self._bound | {"loop"}:
            return found[0].replace(found["value"], self._rewritten(found["value"]))
        value = self._names.find(plain["path"].split("."), self._pointer)
        if value is None:
            return found[0]
        if not value.path:
            return value.text
        self._read.add(value, required=self._depth == 0)
        return self._mark(value.path)

    def _mark(self, path: str) -> str:
        mark = f"{{{{{path}}}}}"
        self._marks[mark] = None
        return mark

    def _block(self, inner: str, whole: str) -> str:
        word = inner.split(maxsplit=1)[0] if inner else ""
        if word not in _OPENS | _CLOSES | _PASSES:
            self._names.report.refuse(self._pointer, f'the tag "{whole[:60]}" cannot be converted', _HINT)
            return whole
        if word in _OPENS:
            self._depth += 1
        loop = _FOR.match(inner)
        rewritten = whole.replace(inner, self._rewritten(inner, bind=loop))
        if word in _CLOSES:
            self._depth -= 1
        return rewritten

    def _rewritten(self, inner: str, *, bind: re.Match[str] | None = None) -> str:
        """An expression or block in Jinja with our paths for its values."""
        if not self._jinja:
            self._jinja = True
            message = "the agent itself reads the Jinja tags of its task, which Conductor renders before"
            self._names.report.differs(
                self._pointer, message, "Write nodes with a skipCondition for what must be sure."
            )
        own = {name.strip() for name in bind["names"].split(",")} if bind is not None else set()
        self._bound |= own

        def replace(found: re.Match[str]) -> str:
            path = found["path"]
            if path is None:
                return found[0]
            parts = path.split(".")
            if parts[0] in _KEYWORDS or parts[0] in self._bound or (found["call"] and len(parts) == 1):
                return found[0]
            method = f".{parts.pop()}" if found["call"] else ""
            value = self._names.find(parts, self._pointer)
            if value is None:
                return found[0]
            if not value.path:
                return f'"{value.text}"'
            self._read.add(value, required=False)
            return f"{value.path}{method}{found['call'] or ''}"

        return _WORD.sub(replace, inner)


def word(text: str, names: Names, read: Read, pointer: str) -> str:
    """A word of a program, with marks that the program's starter fills in."""

    def replace(found: re.Match[str]) -> str:
        if found["value"] is None and found["block"] is None:
            return ""
        plain = _PATH.fullmatch((found["value"] or "").strip())
        if plain is None:
            names.report.refuse(pointer, f'"{found[0][:80]}" cannot be converted', _HINT)
            return found[0]
        value = names.find(plain["path"].split("."), pointer)
        if value is None or not value.path:
            return found[0] if value is None else value.text
        read.add(value, required=True)
        form = (plain["filter"] or "").replace(" ", "")
        if form not in {"", "|json", "|tojson"}:
            names.report.refuse(pointer, f'"{found[0][:80]}" cannot be converted', _HINT)
        return f"{{{{{value.path}{form}}}}}"

    _refuse_open(text, names, pointer)
    return _TAG.sub(replace, text)


def _refuse_open(text: str, names: Names, pointer: str) -> None:
    """Refuse a tag that is not closed, or has braces inside."""
    if _OPEN.search(_TAG.sub("", text)) is not None:
        names.report.refuse(pointer, "a tag is not closed, or has braces inside", _HINT)
