"""A project's configuration of Claude Code that runs programs, uses the network or loosens a guard: it needs approval.

Effects: reads the project's `.claude` folders, those of folders above up to the repository's root, and Claude Code's
own record of accepted folders. A headless Claude Code does not ask before it uses any of this (seen with
2.1.330 and 2.1.197). Files that only instruct (CLAUDE.md, rules, plain skills) or restrict (rules that deny and ask)
are not part of it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentFault
from engine.executors.claude.settings import GUARDS, read_settings
from engine.model.trust import ItemKind, TrustItem, digest_of, trust_item
from registry.agents.fields import FIELDS
from registry.agents.programs import EVENTS, words_of
from registry.files.frontmatter import FrontmatterError, read_frontmatter
from registry.trust.agents import covered_files
from registry.trust.covered_files import Coverage
from registry.trust.digests import Digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_FOLDERS = 20_000
"""Folders of a project that are searched for skills; a project with more counts as having some."""
MAX_ENTRIES, MAX_DEPTH = 5_000, 6
MAX_FILE_BYTES = 1_000_000
PARTS = ("skills", "commands", "agents", "workflows")
"""Folders in a `.claude` folder whose files Claude Code may run, or take tools and hooks from."""

_PLAIN_SKILL = frozenset({
    "name", "description", "argument-hint", "arguments", "model", "disable-model-invocation", "user-invocable",
    "effort", "shell", "version", "when_to_use", "paths", "context", "agent", "created_by", "improved_by", "metadata",
    "displayName", "author", "homepage", "repository", "license", "keywords", "compatibility", "tags", "category",
    "color",
})  # fmt: skip
"""Fields of a skill or command that neither run anything nor allow a tool."""
_LOOSE_AGENT = frozenset({"hooks", "mcpServers", "permissionMode", "observer"}) | EVENTS
"""Fields of an agent that do; its other fields are approved when a command names the agent."""
_HELPERS = ("Helper", "Refresh", "Export")
"""Endings of the names of settings whose value is a command line."""
_SKIPPED = frozenset({".git", ".claude"})
_RUNS = ("!`", "```!")
"""Marks in a skill or command that insert the output of a shell."""


@dataclass(slots=True)
class _Found:
    """The configuration found so far that needs approval."""

    root: Path
    lines: list[str] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)
    covered: Coverage = field(init=False)
    kinds: list[str] = field(default_factory=list)
    seen: int = 0
    """Number of visited entries of `.claude` folders."""

    def __post_init__(self) -> None:
        self.covered = Coverage(self.root)

    def add(self, kind: str, name: str, lines: list[str], content: object) -> None:
        if name not in self.content:
            self.kinds.append(kind)
            self.lines += lines
            self.content[name] = content


def claude_item(root: Path, inside: Sequence[Path]) -> TrustItem | None:
    """Everything in the project *root*, a resolved path, that needs approval; None if there is nothing.

    *inside* is the result of `folders_inside`.
    """
    found = _Found(root)
    _settings(root, found)
    if not inside:
        found.add("folders", "folders", [f"more than {MAX_FOLDERS:,} folders, any of which may have skills"], None)
    for folder in (*reversed(_up(root)[1:]), *(inside or [root])):
        for part in PARTS:
            for path in _files(folder / ".claude" / part, 0, found):
                _file(part, path, found)
    if not found.content:
        return None
    return trust_item(
        ItemKind.CLAUDE,
        summary=", ".join(dict.fromkeys(found.kinds)),
        lines=tuple(found.lines),
        content=found.content,
        place={"project": os.fsencode(root).decode("utf-8", "backslashreplace")},
        files=covered_files(found.covered, Digests(root)),
    )


def folders_inside(root: Path) -> list[Path]:
    """The folders of the project in which Claude Code may find skills: its root, and all with a `.claude` folder.

    Empty if the project has more than `MAX_FOLDERS`.
    """
    found, waiting, seen = [root], [root], 0
    while waiting:
        folder = waiting.pop()
        seen += 1
        if seen > MAX_FOLDERS:
            return []
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        if folder != root and any(entry.name == ".claude" for entry in entries):
            found.append(folder)
        waiting += [folder / entry.name for entry in entries if entry.name not in _SKIPPED and _is_own_folder(entry)]
    return sorted(found)


def accepted_in_claude_code(root: Path) -> bool:
    """Whether the user has accepted the project *root*, a resolved path, in Claude Code.

    Its record of the folder, or of one above up to the repository's root, counts.
    """
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    try:
        data = json.loads(((Path(configured) if configured else Path.home()) / ".claude.json").read_bytes())
        projects = data["projects"]
        return any(projects.get(str(folder), {}).get("hasTrustDialogAccepted") is True for folder in _up(root))
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return False


def _settings(root: Path, found: _Found) -> None:
    try:
        settings = read_settings(root)
    except EnvironmentFault:  # no agent runs with such settings, approved or not
        return
    for name, given in settings.items():
        rest = {key: value for key, value in given.items() if key not in {"$schema", "permissions"}}
        permissions = {key: value for key, value in given.get("permissions", {}).items() if key not in GUARDS and value}
        rest |= {"permissions": permissions} if permissions else {}
        if rest:
            found.add(_kinds(rest), name, list(_setting_lines(name, rest)), rest)
            env = {key: value for key, value in _mapping(rest.get("env")).items() if isinstance(value, str)}
            found.covered.environment(env)
            for words in _commands(rest):
                found.covered.command(words, env)


def _commands(value: object) -> Iterator[list[str]]:
    """The command lines anywhere in settings: of hooks and the like, and of helpers, which are plain text."""
    for key, part in _mapping(value).items():
        if isinstance(part, str) and (key == "command" or key.endswith(_HELPERS)):
            args = _mapping(value).get("args")
            yield words_of(part) + [word for word in (args if isinstance(args, list) else []) if isinstance(word, str)]
        else:
            yield from _commands(part)
    for part in value if isinstance(value, list) else ():
        yield from _commands(part)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kinds(settings: Mapping[str, Any]) -> str:
    hooks = settings.get("hooks")
    named = [f"hooks {' '.join(hooks)}" if key == "hooks" and isinstance(hooks, dict) else key for key in settings]
    return ", ".join(named)


def _setting_lines(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """A line for each setting that a person decides on."""
    for key, value in settings.items():
        if key in {"hooks", "env", "permissions"} and isinstance(value, dict):
            for inner, part in value.items():
                for one in part if isinstance(part, list) else [part]:
                    yield f"{name}: {key} {inner}: {_json(one)}"
        else:
            yield f"{name}: {key}: {_json(value)}"


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _file(part: str, path: Path, found: _Found) -> None:
    """Add a file of a `.claude` folder, if it needs approval."""
    name = os.fsencode(os.path.relpath(path, found.root)).decode("utf-8", "backslashreplace")
    content = _read(path)
    text = content.decode("utf-8", "replace")
    why = "a program of Claude Code's" if part == "workflows" else _why(part, path, text)
    if why is not None:
        found.add(
            f"{part} {path.stem if part != 'skills' else path.parent.name}", name, [f"{name}: {why}"], digest_of(text)
        )


def _why(part: str, path: Path, text: str) -> str | None:
    """Why a skill, command or agent needs approval; None for one that only instructs."""
    if path.name == "plugin.json":
        return "a plugin"
    if path.suffix != ".md":
        return None
    if len(text) >= MAX_FILE_BYTES:
        return "too large to check"
    if part != "agents" and any(mark in text for mark in _RUNS):
        return "runs a shell when it is used"
    if not text.startswith("---"):
        return None
    try:
        front = read_frontmatter(text, known=FIELDS, free_text={"description"})
    except FrontmatterError:
        return "its fields cannot be read"
    loose = _LOOSE_AGENT & front.fields.keys() if part == "agents" else front.fields.keys() - _PLAIN_SKILL
    return f"sets {', '.join(sorted(loose))}" if loose else None


def _files(folder: Path, depth: int, found: _Found) -> Iterator[Path]:
    """The files of a `.claude` folder, following links, which may be circular, as Claude Code does."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    found.seen += len(entries)
    if found.seen > MAX_ENTRIES:
        found.add("files", "files", [f"more than {MAX_ENTRIES:,} files of skills and the like"], None)
        return
    for entry in entries:
        path = folder / entry.name
        if not _is_folder(entry):
            yield path
        elif depth < MAX_DEPTH:
            yield from _files(path, depth + 1, found)


def _up(root: Path) -> list[Path]:
    """*root*, and the folders above it that belong to the same repository."""
    for number, folder in enumerate((root, *root.parents)):
        if (folder / ".git").exists():
            return [root, *root.parents][: number + 1]
    return [root]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _read(path: Path) -> bytes:
    """The start of a regular file; empty for anything else."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return b""
