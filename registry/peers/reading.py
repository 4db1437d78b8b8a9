"""Reads a workflow of another program with the files beside it that it names.

Effects: reads files of the project, below `.archon`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from registry.files import json_file, yaml_file
from registry.files.paths import inside
from registry.peers.convert import Converted, convert
from registry.peers.kinds import peer_of
from registry.peers.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)
_MAX_WORKFLOWS = 200
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

    def workflow(name: str) -> Mapping[str, Any] | None:
        return _workflows(project).get(name)

    return Sources(command_text, workflow, script_file)


def _workflows(project: Path) -> dict[str, Mapping[str, Any]]:
    """The readable workflows of Archon in *project*, by the name that each has in itself."""
    root = project / ".archon" / "workflows"
    files = sorted(path for suffix in yaml_file.SUFFIXES for path in root.rglob(f"*{suffix}"))
    found: dict[str, Mapping[str, Any]] = {}
    for path in files[:_MAX_WORKFLOWS]:
        try:
            text = json_file.read_text(inside(project, path.relative_to(project)))
            raw = json_file.as_object(yaml_file.parse(text))
        except InputError:
            continue
        if isinstance(raw.get("name"), str) and peer_of(raw) == "archon":
            found.setdefault(raw["name"], raw)
    return found


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
