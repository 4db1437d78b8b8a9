"""The part of the project's Claude Code settings that a headless Claude Code gets.

Effects: reads `.claude/settings.json` and `.claude/settings.local.json` of the project. Measured with Claude Code
2.1.330 and 2.1.197: `-p` asks no one and uses the project's settings, hooks and credential helpers; with
`--setting-sources=user` it uses none of them, nor skills, commands, agents, rules and CLAUDE.md. Rules passed with
`--settings` apply in both cases; a path `/x` in them is then no longer relative to the project, so it is written out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import EnvironmentFault
from engine.statefolder.regular_files import read_regular

LOCAL = "settings.local.json"
"""The user's own settings of a project: git ignores them, so they are not in a worktree."""
FILES = ("settings.json", LOCAL)
MAX_FILE_BYTES = 1_000_000
GUARDS = ("deny", "ask")
"""Rules that only restrict: they apply without anyone's consent."""

_OF_FILES = frozenset({"Read", "Edit", "Write", "MultiEdit", "NotebookEdit", "NotebookRead", "Glob", "Grep", "LS"})
"""Tools whose rules name files."""
_RULE = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_SPECIAL = re.compile(r"[*?\[\]{}()\\!#,]")


def read_settings(project: Path) -> dict[str, dict[str, Any]]:
    """The project's settings of Claude Code by file name, as far as they exist.

    Raises `EnvironmentFault` (CLAUDE_SETTINGS_INVALID) for one that cannot be read: Claude Code silently
    ignores such a file, and what it denies would be allowed.
    """
    found = {name: read_file(project / ".claude" / name) for name in FILES}
    return {name: settings for name, settings in found.items() if settings is not None}


def read_file(path: Path) -> dict[str, Any] | None:
    """The settings of Claude Code in one file; None if there is none. Raises as `read_settings`."""
    try:
        content = _content(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid(path, error.strerror or "it cannot be read") from error
    return _parsed(path, content)


def given_settings(project: Path, folders: Sequence[Path], *, whole: bool, isolated: bool) -> dict[str, Any] | None:
    """The project's settings to pass to Claude Code, beside those it reads itself; None if there are none.

    Always the rules that deny and ask, wherever the agent works: *folders* are its own and the project's. If the
    *whole* of the settings is accepted, also the rules that allow, which Claude Code ignores in a folder that was not
    accepted itself, and for an *isolated* agent the user's own settings of the project. Raises as `read_settings`.
    """
    settings = read_settings(project)
    given = dict(settings.get(LOCAL, {})) if whole and isolated else {}
    rules = {
        kind: list(dict.fromkeys(placed for rule in _rules(settings, kind) for placed in _placed(rule, folders)))
        for kind in (*GUARDS, *(["allow"] if whole else []))
    }
    if any(rules.values()):
        given["permissions"] = _mapping(given.get("permissions")) | {kind: rules[kind] for kind in rules if rules[kind]}
    return given or None


def _rules(settings: Mapping[str, Mapping[str, Any]], kind: str) -> Iterator[str]:
    for each in settings.values():
        rules = _mapping(each.get("permissions")).get(kind) or ()
        yield from (rule for rule in rules if isinstance(rule, str))


def _placed(rule: str, folders: Sequence[Path]) -> Iterator[str]:
    """*rule* of a project's settings, rewritten for use elsewhere, for each of *folders*.

    A path is relative to the settings' folder (`/x`), or to the working folder (`x`, `./x`, at any depth without a
    slash). `~/x` and paths outside the project stay as they are.
    """
    match = _RULE.fullmatch(rule.strip())
    if match is None or match[1] not in _OF_FILES or not match[2]:
        yield rule
        return
    tool, path = match[1], match[2]
    if path.startswith("~"):
        yield rule
        return
    inside = _below(path, folders)
    if path.startswith("//") and inside is None:
        yield rule
        return
    if inside is None:
        bare = path.removeprefix("./").lstrip("/")
        anywhere = not path.startswith(("/", "./")) and "/" not in bare.rstrip("/")
        inside = f"**/{bare}" if anywhere else bare
        if not path.startswith("/"):
            yield rule
    for folder in folders:
        yield f"{tool}(/{_SPECIAL.sub('?', str(folder))}/{inside})"


def _below(path: str, folders: Sequence[Path]) -> str | None:
    """An absolute *path* of a rule, relative to the one of *folders* it is below; None if there is none."""
    for folder in folders:
        if path.startswith(f"/{folder}/"):
            return path.removeprefix(f"/{folder}/")
    return None


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    text = content.decode("utf-8-sig", "replace")
    try:
        settings = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _invalid(path, f"it is not JSON ({error})") from error
    if not isinstance(settings, dict):
        raise _invalid(path, "it is not a JSON object")
    permissions = settings.get("permissions", {})
    if not isinstance(permissions, dict):
        raise _invalid(path, "`permissions` is not an object")
    for kind in (*GUARDS, "allow"):
        rules = permissions.get(kind, [])
        if not isinstance(rules, list):
            raise _invalid(path, f"`permissions.{kind}` is not a list")
    return settings


def _content(path: Path) -> bytes:
    content = read_regular(path, MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise _invalid(path, f"it is larger than {MAX_FILE_BYTES:,} bytes")
    return content


def _invalid(path: Path, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"the settings of Claude Code in {path} cannot be used: {why}; ignoring them would allow what they deny",
        code="CLAUDE_SETTINGS_INVALID",
        hint="Correct the file, or remove it.",
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
