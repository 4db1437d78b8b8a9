"""Zizmor, for GitHub workflows and actions.

Effects: starts zizmor offline, without configuration and without its own suppressing comments, on files by name.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.files import Source, read_text
from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.tools.scan import Scan, Workshop, locate, scan

if TYPE_CHECKING:
    from registry.packaged.review_repo.files import Listing
    from registry.packaged.review_repo.programs import Finished

TOOL = "zizmor"
SECONDS = 30.0
_NOTHING = 3
"""Its exit status if there is nothing to audit."""
RULES: dict[str, tuple[str, str, str]] = {
    "template-injection": ("workflow-injection", "medium", "low"),
    "dangerous-triggers": ("workflow-trigger", "low", "medium"),
    "github-env": ("workflow-injection", "medium", "low"),
    "insecure-commands": ("workflow-injection", "medium", "high"),
    "bot-conditions": ("workflow-trigger", "low", "medium"),
    "hardcoded-container-credentials": ("secret", "high", "high"),
    "unredacted-secrets": ("workflow-secret", "medium", "medium"),
    "secrets-inherit": ("workflow-secret", "low", "medium"),
    "overprovisioned-secrets": ("workflow-secret", "medium", "high"),
    "unsound-contains": ("workflow-bug", "medium", "high"),
    "unsound-condition": ("workflow-bug", "medium", "high"),
    "known-vulnerable-actions": ("workflow-pin", "high", "high"),
    "ref-confusion": ("workflow-pin", "medium", "medium"),
    "excessive-permissions": ("workflow-rights", "low", "high"),
    "unpinned-uses": ("workflow-pin", "low", "high"),
    "cache-poisoning": ("workflow-trigger", "low", "low"),
}
_OUTSIDER = re.compile(
    r"github\.head_ref|github\.event\.(issue|pull_request|comment|review|discussion|head_commit|commits|pages|workflow_run)"
    r"(?!\.base\b)[\w.*\[\]]*\.(title|body|message|ref|label|name|email|head_branch|display_title)"
)
_HEAD = re.compile(r"head\.(sha|ref)|github\.head_ref|pull_request\.head|refs/pull/")


def workflows(listing: Listing) -> list[str]:
    """The workflows and the actions of a repository."""
    return [
        file.path
        for file in listing.files
        if re.fullmatch(r"(.*/)?\.github/workflows/[^/]+\.ya?ml|(.*/)?action\.ya?ml", file.path)
    ]


def find(shop: Workshop) -> Scan:
    """Hits of zizmor in workflows and actions."""
    program = locate("zizmor", "zizmor")
    names = [f"./{path}" for path in workflows(shop.listing)]
    argv = [
        program,
        "--offline",
        "--no-config",
        "--no-ignores",
        "--no-progress",
        "--quiet",
        "--no-exit-codes",
        "--strict-collection",
        "--format",
        "json",
        "--",
    ]
    sources = {file.path: file for file in shop.listing.files}
    return scan(shop, TOOL, argv, names, lambda done: _read(done, shop, sources), seconds=SECONDS)


def _read(done: Finished, shop: Workshop, sources: dict[str, Source]) -> list[Hit] | None:
    if done.code == _NOTHING:
        return []
    try:
        items = json.loads(done.stdout)
    except ValueError:
        return None
    found = (_hit(item, shop, sources) for item in items)
    return [hit for hit in found if hit is not None]


def _hit(item: dict[str, Any], shop: Workshop, sources: dict[str, Source]) -> Hit | None:
    rule = str(item["ident"])
    known = RULES.get(rule)
    if known is None:
        return None
    place = next((one for one in item["locations"] if one["symbolic"].get("kind") == "Primary"), item["locations"][0])
    path = shop.original(str(next(iter(place["symbolic"]["key"].values()))["verbatim_path"]))
    span = place["concrete"]["location"]
    first, last = span["start_point"]["row"] + 1, span["end_point"]["row"] + 1
    text = (read_text(shop.listing.root, sources[path]) if path in sources else None) or ""
    meaning, severity, confidence = _weighed(rule, known, text, (first, last))
    note = str(place["symbolic"].get("annotation") or "")
    message = f"{str(item['desc']).capitalize()}{f': {note}' if note else ''}"
    return Hit(
        tool=TOOL,
        rule=rule,
        meaning=meaning,
        severity=severity,
        confidence=confidence,
        file=path,
        line=first,
        end=last,
        message=message,
    )


def _weighed(rule: str, known: tuple[str, str, str], text: str, span: tuple[int, int]) -> tuple[str, str, str]:
    """Severe only where an outsider writes the text, or where foreign code is checked out."""
    meaning, severity, confidence = known
    if rule == "template-injection":
        near = " ".join(re.findall(r"\$\{\{[^}]*\}\}", "\n".join(text.split("\n")[max(0, span[0] - 2) : span[1] + 1])))
        if any("labels" not in found[0] for found in _OUTSIDER.finditer(near)):
            return meaning, "high", "high"
    elif rule == "dangerous-triggers" and _HEAD.search(text) and "actions/checkout" in text:
        return meaning, "high", "high"
    return meaning, severity, confidence
