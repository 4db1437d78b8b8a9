"""All findings as SARIF 2.1.0, the format that code hosts and editors read.

Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from registry.packaged.review_repo.meanings import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_SECURITY_SEVERITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}


def as_sarif(findings: Sequence[Mapping[str, Any]], problems: Iterable[str], *, version: str) -> dict[str, Any]:
    """The log of one run by our *version*; *problems* are the sentences about what was not read."""
    rules: dict[str, Mapping[str, Any]] = {}
    for finding in findings:
        rules.setdefault(_rule_id(finding), finding)
    places = {name: place for place, name in enumerate(rules)}
    notes = [{"level": "warning", "message": {"text": text}} for text in problems]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "review-repo",
                        "version": version,
                        "rules": [_rule(name, finding) for name, finding in rules.items()],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The folder that was reviewed"}}},
                "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notes}],
                "results": [_result(finding, places) for finding in findings],
            }
        ],
    }


def _rule_id(finding: Mapping[str, Any]) -> str:
    return f"{finding['tool']}/{finding['rule']}"


def _rule(name: str, finding: Mapping[str, Any]) -> dict[str, Any]:
    meaning = MEANINGS[finding["meaning"]]
    security = {"security-severity": _SECURITY_SEVERITY[finding["severity"]]} if meaning.cwe else {}
    tags = [meaning.kind, *([f"external/cwe/cwe-{meaning.cwe:03d}"] if meaning.cwe else [])]
    return {
        "id": name,
        "name": meaning.title.title().replace(" ", ""),
        "shortDescription": {"text": meaning.title},
        "fullDescription": {"text": meaning.why},
        "help": {"text": meaning.fix},
        "properties": {"tags": tags, **security},
    }


def _result(finding: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    name = _rule_id(finding)
    return {
        "ruleId": name,
        "ruleIndex": places[name],
        "level": _LEVEL[finding["severity"]],
        "message": {"text": finding["message"] or finding["title"]},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding["file"]), "uriBaseId": "SRCROOT"},
                    "region": {"startLine": max(1, finding["line"])},
                }
            }
        ],
        "partialFingerprints": {"reviewRepo/v1": finding["fingerprint"]},
        "rank": min(100.0, round(10 * finding["score"] / 1.8, 1)),
        "properties": {
            "confidence": finding["confidence"],
            "score": finding["score"],
            "listed": finding["rank"] is not None,
        },
    }
