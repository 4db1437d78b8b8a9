"""The findings of reviewers: one shape for every tool, limited before it becomes an output.

Pure. `ranking.py` ranks the findings of all tools.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

from engine.text.shown import clean

SEVERITIES = ("critical", "high", "medium", "low", "style")
"""From worst to least; style is a matter of a project's own linter settings, not of what the code does."""
PER_RULE = 40
"""Findings of one rule that a reviewer passes on; the others are counted."""
BYTES = 120_000
"""Size of a reviewer's findings as JSON."""
MESSAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The meaning of a finding's code."""

    code: str
    name: str
    why: str
    """Why it matters, one or two sentences."""
    fix: str
    """How to correct it."""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One place that deserves a look."""

    rule: str
    severity: str
    confidence: str
    file: str
    line: int
    """From 1."""
    message: str


def review_output(
    *, tool: str, files: int, findings: list[Finding], rules: dict[str, Rule], limits: list[str], note: str = ""
) -> dict[str, Any]:
    """A reviewer's output: the worst findings of every rule within the limits, and counts of all of them."""
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    counts = Counter(finding.rule for finding in findings)
    places: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        places[finding.rule].add(finding.file)
    kept, taken, size = [], Counter[str](), 0
    for finding in sorted(findings, key=lambda found: order[found.severity]):
        entry = as_object(finding)
        size += len(json.dumps(entry)) + 2
        if taken[finding.rule] < PER_RULE and size < BYTES:
            taken[finding.rule] += 1
            kept.append(entry)
        else:
            size -= len(json.dumps(entry)) + 2
    table = [
        {**_rule_object(rules.get(code), code), "count": count, "files": len(places[code])}
        for code, count in counts.most_common(150)
    ]
    return {
        "tool": tool,
        "note": note,
        "files": files,
        "total": len(findings),
        "severities": {name: count for name in SEVERITIES if (count := sum(f.severity == name for f in findings))},
        "findings": kept,
        "rules": table,
        "limits": limits[:10],
    }


def as_object(finding: Finding) -> dict[str, Any]:
    """The finding as JSON, its message one printable line."""
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "file": finding.file,
        "line": max(1, finding.line),
        "message": one_line(finding.message, MESSAGE),
    }


def one_line(text: str, length: int) -> str:
    """*text* without control and direction characters, on one line, cut to *length*."""
    plain = clean(text)
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def _rule_object(rule: Rule | None, code: str) -> dict[str, str]:
    if rule is None:
        return {"rule": code, "name": "", "why": "", "fix": "", "url": ""}
    return {
        "rule": code,
        "name": one_line(rule.name, 80),
        "why": one_line(rule.why, 320),
        "fix": one_line(rule.fix, 200),
        "url": one_line(rule.url, 200),
    }
