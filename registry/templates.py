"""Commands to begin with: patterns of the engine, and the gallery; each with the agents and programs that it needs.

Effects: reads files of this package. A template is a folder of `packaged/templates/KIND`, by its place: there is no
list to keep. Its command has the folder's name, so that a template is itself a valid command.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from engine.errors import NotFound
from registry.files import json_file, yaml_file
from registry.files.places import AGENTS, BASE, COMMANDS
from registry.naming import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATES = Path(__file__).parent / "packaged" / "templates"
PATTERNS = "patterns"
GALLERY = "gallery"
PROGRAMS = f"{BASE}/programs"
_SUFFIXES = (".yaml", ".json")
_CALL = re.compile(r"^(#   orchestrate .*?\S) {3,}(\S.*)$", re.MULTILINE)
"""A comment with a call of the command line, and what it does."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One command to begin with."""

    name: str
    """`patterns/saga`, `gallery/triage`."""
    folder: Path
    command: Path
    """Its command file."""

    @property
    def description(self) -> str:
        """The description of its command."""
        text = self.command.read_text(encoding="utf-8")
        parse = json_file.parse if self.command.suffix == ".json" else yaml_file.parse
        return str(json_file.as_object(parse(text, name=self.name), name=self.name).get("description", ""))

    def files(self, name: str) -> dict[PurePosixPath, str]:
        """Its files under the command's new *name*, by their path in a project; the command's own is the first."""
        text = _renamed(self.command.read_text(encoding="utf-8"), f"/{self.folder.name}", name)
        path = PurePosixPath(COMMANDS, "v2", f"{name.removeprefix('/')}{self.command.suffix}")
        found = {path: text}
        for part, place in (("agents", AGENTS), ("programs", PROGRAMS)):
            for file in sorted((self.folder / part).rglob("*")):
                if file.is_file() and file.suffix != ".pyc":
                    below = file.relative_to(self.folder / part).as_posix()
                    found[PurePosixPath(place, below)] = file.read_text(encoding="utf-8")
        return found


def _renamed(text: str, old: str, new: str) -> str:
    """*text* with the command *new* instead of *old*; what comments say about its calls is in one column again."""
    text = re.sub(rf"(?<![\w./-]){re.escape(old)}(?![\w/-])", new, text)
    width = max((len(found[1]) for found in _CALL.finditer(text)), default=0)
    return _CALL.sub(lambda found: f"{found[1]:<{width}}   {found[2]}", text)


def templates() -> tuple[Template, ...]:
    """All templates, the patterns first, then by name."""
    return tuple(_found(PATTERNS)) + tuple(_found(GALLERY))


def find(name: str) -> Template:
    """The template of this name, `saga` for a pattern; NotFound with the closest name."""
    known = {one.name: one for one in templates()}
    found = known.get(name) or known.get(f"{PATTERNS}/{name}")
    if found is None:
        own = {PurePosixPath(one).name: one for one in known}
        near = closest(re.sub(rf"^({PATTERNS}|{GALLERY})/", "", name), own)
        hint = f'Did you mean "{own[near]}"? ' if near else ""
        raise NotFound(
            f'there is no template "{name[:200]}"',
            code="TEMPLATE_NOT_FOUND",
            hint=f"{hint}`orchestrate new --list` shows all.",
        )
    return found


def _found(kind: str) -> Iterator[Template]:
    for folder in sorted((TEMPLATES / kind).glob("*")):
        for suffix in _SUFFIXES:
            if (command := folder / f"command{suffix}").is_file():
                yield Template(name=f"{kind}/{folder.name}", folder=folder, command=command)
                break
