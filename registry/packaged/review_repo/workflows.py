"""Facts that the workflows of a repository show without a scanner: rights, fixed versions, retired parts.

Pure: one line of facts for each workflow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_USES = re.compile(r"^\s*(?:-\s*)?uses:\s*[\"']?(?P<action>[\w.-]+/[\w./-]+)@(?P<version>[\w./-]+)", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RETIRED = (
    (
        re.compile(
            r"actions/(checkout|setup-node|setup-python|setup-go|cache|upload-artifact|download-artifact)@v[12]\b"
        ),
        "actions on a retired Node.js",
    ),
    (re.compile(r"actions/(upload-artifact|download-artifact)@v3\b"), "artifact actions that GitHub switched off"),
    (
        re.compile(r"\b(ubuntu-(16|18|20)\.04|macos-(10\.15|11|12)|windows-2016|windows-2019)\b"),
        "a runner image that is retired",
    ),
    (re.compile(r"::set-(output|env)\b|::save-state\b"), "commands that are retired"),
    (re.compile(r"node-version:\s*[\"']?(8|10|12|14|16|18)\b"), "Node.js versions without support"),
    (re.compile(r"python-version:\s*[\"']?(2\.7|3\.[5-8])\b"), "Python versions without support"),
)


def workflow_facts(manifests: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each GitHub workflow: actions without a fixed commit, whether rights are set, what is retired."""
    facts = []
    for path, text in sorted(manifests.items()):
        if not path.startswith(".github/workflows/"):
            continue
        plain = re.sub(r"(?m)^\s*#.*$", "", text)
        versions = [(found["action"], found["version"]) for found in _USES.finditer(plain)]
        facts.append(
            {
                "path": path,
                "actions": len(versions),
                "unpinned": sum(not _COMMIT.fullmatch(version) for _, version in versions),
                "permissions": re.search(r"^\s*permissions:", plain, re.MULTILINE) is not None,
                "retired": sorted({meaning for pattern, meaning in _RETIRED if pattern.search(plain)}),
            }
        )
    return facts[:30]
