"""Finds the plugins of Claude Code that are installed and enabled, and where their agents are.

Effects: reads files of the user's configuration of Claude Code and of the project's settings; it installs and runs
nothing. Only plugins that the user has installed count: the project's settings can disable a plugin, and enable only
those that the user has installed for this project.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

MAX_FILE_BYTES = 1_000_000
_OF_ONE_PROJECT = frozenset({"project", "local"})


class Plugin(msgspec.Struct, frozen=True):
    """One plugin; its agents are called `NAME:AGENT`."""

    name: str
    root: Path
    data: Path
    """The folder for what it keeps."""
    agents: tuple[Path, ...]
    """Its agent files, and folders of them."""

    def filled(self, text: str) -> str:
        """*text* of an agent with the plugin's folders in place of their variables, as Claude Code passes it on."""
        with_root = text.replace("${CLAUDE_PLUGIN_ROOT}", str(self.root))
        return with_root.replace("${CLAUDE_PLUGIN_DATA}", str(self.data))


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
            place = _mapping(markets.get(market))
            listed = _listed(name, place)
            root = _in_its_market(listed, place) or Path(str(entry["installPath"]))
            data = user / "plugins" / "data" / re.sub(r"[^A-Za-z0-9_-]", "-", full)
            found[name] = Plugin(name, root, data, tuple(_agents(root, listed)))
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


def _listed(name: str, market: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry of the plugin *name* in its marketplace, with the marketplace's folder for plugins as `pluginRoot`."""
    place = market.get("installLocation")
    listing = _json(Path(place) / ".claude-plugin" / "marketplace.json") if isinstance(place, str) else {}
    plugins = listing.get("plugins")
    for one in map(_mapping, plugins if isinstance(plugins, list) else ()):
        if one.get("name") == name:
            return {**one, "pluginRoot": _mapping(listing.get("metadata")).get("pluginRoot")}
    return {}


def _in_its_market(listed: Mapping[str, Any], market: Mapping[str, Any]) -> Path | None:
    """The folder of a plugin from a local marketplace: it is read there, not from its installed copy."""
    source, root = listed.get("source"), listed.get("pluginRoot")
    if _mapping(market.get("source")).get("source") != "directory" or not isinstance(source, str):
        return None
    above = root if isinstance(root, str) and not source.startswith(".") else ""
    return Path(os.path.normpath(Path(market["installLocation"]) / above / source))


def _agents(root: Path, listed: Mapping[str, Any]) -> Iterator[Path]:
    """Files that the manifest names replace the folder `agents`; those that the marketplace names are added."""
    own = _files(_json(root / ".claude-plugin" / "plugin.json").get("agents"))
    for path in (*(own or ("agents",)), *_files(listed.get("agents"))):
        yield root / path


def _files(value: object) -> list[str]:
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str) and name.startswith("./") and name.endswith(".md")]


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
