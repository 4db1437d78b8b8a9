"""Finds the plugins of Claude Code that are installed and enabled, and where their agents are.

Effects: reads files of the user's configuration of Claude Code and of the project's settings; it installs and runs
nothing. Only plugins that the user has installed count: the project's settings can disable a plugin, and enable only
those that the user has installed for this project.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

MAX_FILE_BYTES = 1_000_000
_OF_ONE_PROJECT = frozenset({"project", "local"})


class Plugin(msgspec.Struct, frozen=True):
    """One plugin; its agents are called `NAME:AGENT`."""

    name: str
    root: Path

    @property
    def agents(self) -> Path:
        """The folder of its agent files."""
        return self.root / "agents"


def configuration(home: Path) -> Path:
    """The folder where Claude Code keeps the configuration of the user with the home directory *home*."""
    configured = os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(configured) if configured else home / ".claude"


def plugins_of(project: Path, user: Path) -> list[Plugin]:
    """The plugins that a session of Claude Code in *project* has, by name; *user* is its `configuration`."""
    installed = _mapping(_json(user / "plugins" / "installed_plugins.json").get("plugins"))
    markets = _json(user / "plugins" / "known_marketplaces.json")
    users = _enabled(user / "settings.json")
    projects: dict[str, object] = {}
    for name in ("settings.json", "settings.local.json"):
        projects |= _enabled(project / ".claude" / name)
    found: dict[str, Plugin] = {}
    for full, entries in sorted(installed.items()):
        name, _, market = full.partition("@")
        entry = _entry(entries, project, users.get(full) is True, projects.get(full))
        if entry is not None and name and name not in found:
            root = _in_its_market(name, _mapping(markets.get(market))) or Path(str(entry["installPath"]))
            found[name] = Plugin(name, root)
    return list(found.values())


def _entry(entries: object, project: Path, of_user: object, of_project: object) -> Mapping[str, Any] | None:
    """The installation that is active in *project*; None if no one entitled has enabled it."""
    if of_project is False:
        return None
    for entry in map(_mapping, entries if isinstance(entries, list) else ()):
        if not isinstance(entry.get("installPath"), str):
            continue
        ours = entry.get("scope") in _OF_ONE_PROJECT and entry.get("projectPath") == str(project)
        if (entry.get("scope") == "user" and of_user) or (ours and (of_project is True or of_user)):
            return entry
    return None


def _in_its_market(name: str, market: Mapping[str, Any]) -> Path | None:
    """The folder of a plugin from a local marketplace: it is read there, not from its installed copy."""
    place = market.get("installLocation")
    if _mapping(market.get("source")).get("source") != "directory" or not isinstance(place, str):
        return None
    listed = _json(Path(place) / ".claude-plugin" / "marketplace.json").get("plugins")
    for one in map(_mapping, listed if isinstance(listed, list) else ()):
        if one.get("name") == name and isinstance(one.get("source"), str):
            return Path(os.path.normpath(Path(place) / one["source"]))
    return None


def _enabled(settings: Path) -> dict[str, object]:
    return dict(_mapping(_json(settings).get("enabledPlugins")))


def _json(path: Path) -> Mapping[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return {}
        return _mapping(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
