"""Reads a workflow of another program with the files beside it that it names.

Effects: reads files of the project, below `.archon`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from registry.files import json_file
from registry.files.paths import inside
from registry.peers.convert import Converted, convert
from registry.peers.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)
_SUFFIXES = {"bun": (".ts", ".js"), "uv": (".py",)}


def read(raw: Mapping[str, Any], peer: str, project: Path) -> Converted:
    """The workflow *raw* of the format *peer*, a file of *project*."""
    return convert(raw, peer, _sources(project))


def _sources(project: Path) -> Sources:
    def command_text(name: str) -> str | None:
        found = _find(project, "commands", name, (".md",))
        return None if found is None else found[1]

    def script_file(name: str, runtime: str) -> tuple[str, str] | None:
        return _find(project, "scripts", name, _SUFFIXES.get(runtime, ()))

    return Sources(command_text, script_file)


def _find(project: Path, folder: str, name: str, suffixes: tuple[str, ...]) -> tuple[str, str] | None:
    """Path and text of the only file *name* in a folder of Archon or in one right below it."""
    if _NAME.fullmatch(name) is None:
        return None
    root = project / ".archon" / folder
    for suffix in suffixes:
        found = [root / f"{name}{suffix}"] if (root / f"{name}{suffix}").is_file() else []
        found = found or sorted(root.glob(f"*/{name}{suffix}"))
        if len(found) == 1:
            relative = found[0].relative_to(project).as_posix()
            try:
                return relative, json_file.read_text(inside(project, relative))
            except InputError:
                return None
    return None
