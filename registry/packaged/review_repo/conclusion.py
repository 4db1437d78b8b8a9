"""Concludes a review: one ranking over all findings, the report, and the same as JSON and SARIF; and the limit for CI.

Effects: asks git when the listed lines were changed; the limit reads a baseline file of the repository. Before a deep
review is concluded, what models read is chosen here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import Refusal, answering, section
from registry.packaged.review_repo.deep import depth_of, hot_files, readings
from registry.packaged.review_repo.files import READ_LIMIT, Source, checked_scope, read_bytes
from registry.packaged.review_repo.findings import MODEL, SEVERITIES
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.meanings import MEANINGS, SECURITY
from registry.packaged.review_repo.ranked import found_by_scanners, ranked
from registry.packaged.review_repo.ranking import Entry, Scored, factors
from registry.packaged.review_repo.report import problems, write
from registry.packaged.review_repo.sarif import as_sarif
from registry.packaged.review_repo.verdicts import UNSHOWN, claims_of, key_of
from registry.packaged.scanners import version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.packaged.review_repo.verdicts import Depth

FINDINGS = 2_000
"""Findings in the outputs; the report's table counts all."""


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-reporter`: what the others found; outputs `report`, `findings` and `sarif`."""
    deep = bool(section(inputs, "structure").get("deep"))
    told, misplaced = readings(inputs) if deep else ([], 0)
    found = ranked(inputs, told)
    depth = None
    if deep:
        withheld = [key_of(entry) for entry in found.first if entry.kind in UNSHOWN]
        depth = depth_of(inputs, withheld, misplaced)
    listed = [entry for entry in found.first if depth is None or depth.keeps(entry)]
    objects = _objects(found.entries, listed, depth)
    return {
        "report": write(found, listed, depth),
        "findings": objects,
        "sarif": as_sarif(objects, problems(found.structure, found.scans), version=version()),
    }


@answering
def choose_files(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-hot`: output `hot`, the files that models read whole in a deep review."""
    return {"hot": hot_files(inputs, found_by_scanners(inputs))}


@answering
def choose_findings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-first`: output `claims`, the entries at the head of the ranking, each to be verified by a model."""
    told, _ = readings(inputs)
    return {"claims": claims_of(ranked(inputs, told).first)}


@answering
def limit(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-limit`: fails if one of `findings` reaches the limit of `structure` and is not in the `baseline`."""
    severity = str(section(inputs, "structure").get("limit"))
    known = _baseline(inputs.get("baseline"))
    reached = SEVERITIES[: SEVERITIES.index(severity) + 1]
    value = inputs.get("findings")
    findings = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    over = [item for item in findings if _counts(item, reached) and item["fingerprint"] not in known]
    if over:
        first = over[0]
        raise Refusal(
            "FINDINGS",
            f"{len(over)} finding{'s' if len(over) > 1 else ''} of severity {severity} or worse"
            f"{' that the baseline does not hold' if known else ''}, "
            f"first {first['file']}:{first['line']} {first['title']}",
            hint="Correct them, or keep them: `orchestrate output RUN findings --raw --output FILE`, baseline=FILE.",
        )
    return {}


def _counts(item: Mapping[str, Any], reached: Sequence[str]) -> bool:
    """Whether a finding counts for the limit: severe enough, in shipped code, no guess, and no word of a model."""
    shipped = item["role"] not in (Role.TEST, Role.EXAMPLE)
    return item["severity"] in reached and item["confidence"] != "low" and shipped and item["tool"] != MODEL


def _baseline(value: object) -> set[str]:
    """The fingerprints in a file of earlier findings, as JSON or SARIF; read as data.

    Raises `Refusal`: INVALID_PATH, INVALID_BASELINE.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        return set()
    root = Path.cwd()
    path = checked_scope(root, text)
    place = root / path
    data = read_bytes(root, Source(path=path, size=place.stat().st_size, language="JSON", role=Role.SOURCE))
    try:
        content = json.loads(data or b"")
        if isinstance(content, dict) and "runs" in content:
            return {
                str(item["partialFingerprints"]["reviewRepo/v1"]) for run in content["runs"] for item in run["results"]
            }
        items = content["findings"] if isinstance(content, dict) else content
        return {str(item["fingerprint"]) for item in items}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(
            "INVALID_BASELINE",
            f'The baseline "{path}" does not hold findings of an earlier review',
            kind="validation",
            hint=f"Save the output `findings` or `sarif` of a review there, at most {READ_LIMIT // 1_000_000} MB.",
        ) from error


def _objects(entries: Sequence[Entry], listed: Sequence[Entry], depth: Depth | None) -> list[dict[str, Any]]:
    """All findings as JSON, in order of their entries; `rank` is the number in the report, None if it is not listed.

    Those of an entry that a model has verified have its `verdict`.
    """
    numbers = {id(entry): number for number, entry in enumerate(listed, start=1)}
    objects: list[dict[str, Any]] = []
    for entry in entries:
        verdict = None if depth is None else depth.verdict_of(entry)
        more = {} if verdict is None else {"verdict": verdict.as_object()}
        objects += [_object(one, numbers.get(id(entry))) | more for one in entry.places]
        if len(objects) >= FINDINGS:
            break
    return objects[:FINDINGS]


def _object(one: Scored, number: int | None) -> dict[str, Any]:
    found, meaning = one.finding, MEANINGS[one.finding.meaning]
    return {
        "rank": number,
        "score": one.score,
        "severity": found.severity,
        "confidence": found.confidence,
        "kind": meaning.kind,
        "security": meaning.kind in SECURITY,
        "meaning": found.meaning,
        "title": meaning.title,
        "tool": found.tool,
        "tools": list(one.tools),
        "rule": found.rule,
        "file": found.file,
        "line": found.line,
        "message": found.message,
        "evidence": found.evidence,
        "reasons": list(found.reasons),
        "factors": factors(one),
        "role": one.role.value,
        "package": one.package,
        "cwe": meaning.cwe or None,
        "why": found.why or meaning.why,
        "fix": found.fix or meaning.fix,
        "fingerprint": found.fingerprint,
    }
