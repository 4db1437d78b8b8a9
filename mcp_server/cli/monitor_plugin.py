"""The plugin with our monitor, as Claude Code loads it from the user's folder of skills.

Pure. A monitor is a part of a plugin. Claude Code starts those of installed plugins and of the user's own folder, and
none that come with a project (seen with 2.1.332).
"""

from __future__ import annotations

import json
import shlex

NAME = "orchestration-monitor"
FOLDER = f"skills/{NAME}"
"""In the user's configuration of Claude Code."""
MARK = "Written by `orchestrate sync --monitor`."
"""In the description of a manifest that is ours."""


def plugin_files(program: str) -> dict[str, str]:
    """The files of the plugin, by path inside its folder, the manifest first; *program* is `orchestrate`."""
    manifest = {
        "name": NAME,
        "version": "1.0.0",
        "description": f"Wakes Claude when a run of the project asks, fails or ends. {MARK}",
    }
    monitor = {
        "name": "runs",
        "command": f"exec {shlex.join([program, 'monitor'])}",
        "description": "Runs of this project",
        "when": "always",
    }
    return {
        ".claude-plugin/plugin.json": json.dumps(manifest, indent=2) + "\n",
        "monitors/monitors.json": json.dumps([monitor], indent=2) + "\n",
    }


def is_ours(manifest: str) -> bool:
    """Whether *manifest* is one that `orchestrate sync` has written."""
    return MARK in manifest
