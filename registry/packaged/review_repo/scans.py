"""The agents that scan code and automation: each runs some scanners side by side and judges what they find.

Effects: reads the repository in the working directory and starts scanners, which write to a scratch folder only.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import answering
from registry.packaged.review_repo.docker import check_compose, check_dockerfile, is_compose, is_dockerfile
from registry.packaged.review_repo.evidence import judge_all
from registry.packaged.review_repo.files import Listing, Source, read_text, relist
from registry.packaged.review_repo.findings import Finding, Hit
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.meanings import MEANINGS, SECURITY
from registry.packaged.review_repo.tools import actionlint, ast_grep, oxlint, ruff, shellcheck, zizmor
from registry.packaged.review_repo.tools.scan import Scan, Workshop, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SECONDS = 120.0
"""The longest that a scanning agent takes: each scanner has a shorter time of its own."""
PER_RULE = 300
"""Hits of one rule that are judged; the others are counted."""
KEPT = 3_000
"""Findings that an agent passes on."""
GENERATED = "in generated code, and no matter of security"
UNCHANGED = "on a line that did not change"


@answering
def code(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-code`: ruff, ast-grep and oxlint; output `code`."""
    return {"code": _with_tools(inputs, {"ruff": ruff.find, "ast-grep": ast_grep.find, "oxlint": oxlint.find})}


@answering
def automation(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-automation`: zizmor, shellcheck, actionlint, and our checks of containers; output `automation`."""
    tools = {"zizmor": zizmor.find, "shellcheck": shellcheck.find, "actionlint": actionlint.find, "docker": _docker}
    return {"automation": _with_tools(inputs, tools)}


def _with_tools(inputs: Mapping[str, Any], tools: Mapping[str, Callable[[Workshop], Scan]]) -> dict[str, Any]:
    listing, structure = relist(inputs)
    with tempfile.TemporaryDirectory(prefix="review-") as folder:
        shop = Workshop(listing, Path(folder).resolve(), structure.get("not_utf8", ()))
        with ThreadPoolExecutor(len(tools)) as pool:
            waiting = [pool.submit(guarded, name, functools.partial(find, shop)) for name, find in tools.items()]
            scans = [each.result() for each in waiting]
    return output_of(scans, listing, structure, {})


def _docker(shop: Workshop) -> Scan:
    done = Scan(tool="docker")
    for file in shop.listing.files:
        check = check_dockerfile if is_dockerfile(file.path) else check_compose if is_compose(file.path) else None
        content = read_text(shop.listing.root, file) if check else None
        if check and content is not None:
            done.files += 1
            done.hits += check(content, file.path)
    return done


def output_of(
    scans: Sequence[Scan], listing: Listing, structure: Mapping[str, Any], texts: dict[str, list[str]]
) -> dict[str, Any]:
    """The judged findings of *scans*, and what each did; *texts* are the lines that were read already."""
    sources = {file.path: file for file in listing.files}
    hits, limits = _bounded([hit for each in scans for hit in each.hits])
    for path in {hit.file for hit in hits} - texts.keys():
        content = read_text(listing.root, sources[path]) if path in sources else None
        texts[path] = (content or "").split("\n")
    findings, dropped = judge_all(hits, texts, frozenset(structure.get("frameworks", ())))
    kept = []
    changed = structure.get("changed")
    for finding in findings:
        reason = _left_out(finding, sources.get(finding.file), changed)
        if reason is None:
            kept.append(finding)
        else:
            dropped[reason] = dropped.get(reason, 0) + 1
    if len(kept) > KEPT:
        limits.append(f"{len(kept) - KEPT:,} findings of an agent are counted only.")
    return {
        "findings": [finding.as_object() for finding in kept[:KEPT]],
        "scans": [
            {
                "tool": each.tool,
                "files": each.files,
                "problem": each.problem[:300],
                "unread": len(set(each.unread)),
                "examples": sorted(set(each.unread))[:3],
            }
            for each in scans
        ],
        "dropped": dropped,
        "limits": [*limits, *listing.limits][:10],
    }


def _left_out(
    finding: Finding, source: Source | None, changed: Mapping[str, Sequence[Sequence[int]]] | None
) -> str | None:
    if source is not None and source.role is Role.GENERATED and MEANINGS[finding.meaning].kind not in SECURITY:
        return GENERATED
    ranges = None if changed is None else changed.get(finding.file, ())
    if ranges is not None and not any(first <= finding.line <= last for first, last in ranges):
        return UNCHANGED
    return None


def _bounded(hits: Iterable[Hit]) -> tuple[list[Hit], list[str]]:
    """At most `PER_RULE` hits of each rule, and a sentence for each rule with more."""
    ordered = sorted(hits, key=lambda hit: (hit.tool, hit.rule, hit.file, hit.line))
    counts, kept = Counter[tuple[str, str]](), []
    for hit in ordered:
        counts[(hit.tool, hit.rule)] += 1
        if counts[(hit.tool, hit.rule)] <= PER_RULE:
            kept.append(hit)
    limits = [
        f"{tool} {rule}: {count:,} places, of which {PER_RULE} were judged."
        for (tool, rule), count in counts.most_common(5)
        if count > PER_RULE
    ]
    return kept, limits
