"""Positions of parts in the text of a command file, so that problems have a line and column.

Pure. `json_file` or `yaml_file` has accepted the text before.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from registry.files import yaml_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.files.yaml_file import Place, Way

_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode

_Tree = dict[str, Any]
"""Path steps to the wanted parts, each with the steps after it."""


def positions(text: str, pointers: Iterable[str], *, yaml: bool, exact: bool = False) -> dict[str, Place]:
    """Line and column of what each JSON Pointer of *pointers* names: a field at its key, an item at its start.

    A missing part has the place of the nearest part around it, or none with *exact*. The whole file has none.
    """
    ways = {pointer: _way(pointer) for pointer in pointers}
    found = yaml_file.places(text) if yaml else _json_places(text, ways.values())
    keyed = {tuple(map(str, way)): place for way, place in found.items()}
    found_places: dict[str, Place] = {}
    for pointer, way in ways.items():
        depths = [len(way)] if exact else range(len(way), 0, -1)
        place = next((keyed[way[:depth]] for depth in depths if way[:depth] in keyed), None)
        if place is not None and way:
            found_places[pointer] = place
    return found_places


def _way(pointer: str) -> tuple[str, ...]:
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def _json_places(text: str, ways: Iterable[tuple[str, ...]]) -> dict[Way, Place]:
    """Places in a JSON text. Only the paths to *ways* are walked; the standard decoder skips the rest."""
    wanted: _Tree = {}
    for way in ways:
        branch = wanted
        for step in way:
            branch = branch.setdefault(step, {})
    walk = _Walk(text.removeprefix("\ufeff"))
    walk.value(walk.space(0), wanted, ())
    return walk.places()


class _Walk:
    """One pass over a text of valid JSON."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.offsets: dict[Way, int] = {}

    def space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def value(self, at: int, wanted: _Tree, way: Way) -> int:
        """The end of the value that starts at *at*; notes the *wanted* parts inside it."""
        if not wanted or self.text[at] not in "{[":
            end: int = _decode(self.text, at)[1]
            return end
        is_object = self.text[at] == "{"
        at = self.space(at + 1)
        count = 0
        while self.text[at] not in "}]":
            start, step = at, str(count)
            if is_object:
                step, end = _decode(self.text, at)
                at = self.space(self.space(end) + 1)
            branch = wanted.get(step)
            if branch is not None:
                self.offsets[(*way, step)] = start
            at = self.space(self.value(at, branch or {}, (*way, step)))
            if self.text[at] == ",":
                at = self.space(at + 1)
            count += 1
        return at + 1

    def places(self) -> dict[Way, Place]:
        """Offsets as lines and columns."""
        lines = [0, *(match.end() for match in re.finditer("\n", self.text))]
        found_places: dict[Way, Place] = {}
        for way, offset in self.offsets.items():
            line = bisect_right(lines, offset)
            found_places[way] = (line, offset - lines[line - 1] + 1)
        return found_places
