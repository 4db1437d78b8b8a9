"""Ranks the findings of all reviewers on one scale, without duplicates, places that change often first.

Pure. It takes the reviewers' findings and returns the list and a summary of the rest.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import answering, section
from registry.packaged.review_repo.languages import Role, role_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REVIEWERS = ("secrets", "security", "lint", "hygiene")
SEVERITY = {"critical": 10.0, "high": 6.0, "medium": 3.0, "low": 1.0, "style": 0.4}
CONFIDENCE = {"high": 1.0, "medium": 0.7, "low": 0.4}
PLACE = {Role.SOURCE: 1.0, Role.EXAMPLE: 0.5, Role.TEST: 0.3}
PER_RULE = 5
"""Ranked places of one rule; the others are counted in `folded`."""
LISTED = 100
LINES = 8

ACT = 4.0
LOOK = 1.5
"""Scores from which a finding needs action, or a look."""

FORMULA = (
    "score = severity (critical 10, high 6, medium 3, low 1, style 0.4) x confidence (high 1, medium 0.7, low 0.4) "
    "x place (shipped code 1, examples and docs 0.5, tests 0.3) x heat (1 to 2, by the file's hot-spot score)"
)

_SAME = (
    ("secret", re.compile(r"secret-|B10[567]$|S10[567]$")),
    ("direction", re.compile(r"PLE2502$|B613$|bidi-control$")),
    ("markup", re.compile(r"[BS](308|703|704)$")),
    ("except", re.compile(r"E722$|B110$|B112$|S110$|S112$|BLE001$")),
)
"""Rules of different tools that mean the same if they occur on one line."""


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-ranker`: the reviewers' outputs and `hotspots`; outputs `findings` and `ranking`."""
    outputs = {name: section(inputs, name) for name in REVIEWERS}
    weights = section(section(inputs, "hotspots"), "weights")
    scored = [
        scored_finding(finding, str(output.get("tool", name)), weights)
        for name, output in outputs.items()
        for finding in output.get("findings", ())
        if isinstance(finding, dict)
    ]
    entries = by_file_and_rule(without_duplicates(scored))
    entries.sort(key=lambda entry: (-entry["score"], entry["file"], entry["line"], entry["rule"]))
    rules = {
        (output.get("tool"), rule["rule"]): rule for output in outputs.values() for rule in output.get("rules", ())
    }
    listed = _listed(entries, rules)
    return {"findings": listed, "ranking": _ranking(outputs, entries, listed, rules)}


def scored_finding(finding: Mapping[str, Any], tool: str, weights: Mapping[str, Any]) -> dict[str, Any]:
    """*finding* with its score, role and heat."""
    role = role_of(str(finding["file"]))
    heat = 1 + min(1.0, max(0.0, float(weights.get(finding["file"], 0.0))))
    score = SEVERITY[finding["severity"]] * CONFIDENCE[finding["confidence"]] * PLACE[role] * heat
    return {**finding, "tool": tool, "role": role.value, "heat": round(heat, 2), "score": round(score, 2)}


def without_duplicates(scored: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One finding if several tools mean the same on one line: the one with the highest score."""
    best: dict[tuple[str, int, str], dict[str, Any]] = {}
    for finding in scored:
        key = (finding["file"], finding["line"], _meaning(finding["rule"]))
        if key not in best or finding["score"] > best[key]["score"]:
            best[key] = finding
    return list(best.values())


def _meaning(rule: str) -> str:
    for name, pattern in _SAME:
        if pattern.match(rule):
            return name
    # ruff's S rules are bandit's with another letter.
    return f"B{rule[1:]}" if re.fullmatch(r"S\d{3}", rule) else rule


def by_file_and_rule(findings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each rule in each file, at its worst place, with the other lines."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for finding in findings:
        groups[(finding["tool"], finding["rule"], finding["file"])].append(finding)
    entries = []
    for group in groups.values():
        worst = max(group, key=lambda finding: (finding["score"], -finding["line"]))
        lines = sorted({finding["line"] for finding in group} - {worst["line"]})
        entries.append({**worst, "count": len(group), "lines": lines[:LINES]})
    return entries


def _listed(entries: list[dict[str, Any]], rules: Mapping[tuple[Any, Any], Mapping[str, Any]]) -> list[dict[str, Any]]:
    taken: Counter[tuple[str, str]] = Counter()
    listed: list[dict[str, Any]] = []
    for entry in entries:
        key = (entry["tool"], entry["rule"])
        if taken[key] >= PER_RULE or len(listed) >= LISTED:
            continue
        taken[key] += 1
        rule = rules.get(key, {})
        listed.append(
            {
                "rank": len(listed) + 1,
                **entry,
                **{name: str(rule.get(name, "")) for name in ("name", "why", "fix", "url")},
            }
        )
    return listed


def _ranking(
    outputs: Mapping[str, Mapping[str, Any]],
    entries: list[dict[str, Any]],
    listed: list[dict[str, Any]],
    rules: Mapping[tuple[Any, Any], Mapping[str, Any]],
) -> dict[str, Any]:
    shown = Counter((entry["tool"], entry["rule"]) for entry in listed)
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        worst.setdefault((entry["tool"], entry["rule"]), entry)
    severities: Counter[str] = Counter()
    for output in outputs.values():
        severities.update(output.get("severities", {}))
    table = [
        {
            "tool": tool, "rule": code, "name": rules.get((tool, code), {}).get("name", ""),
            "severity": entry["severity"], "score": entry["score"],
            "count": rules.get((tool, code), {}).get("count", entry["count"]),
            "files": rules.get((tool, code), {}).get("files", 1), "shown": shown[(tool, code)],
            "file": entry["file"], "line": entry["line"],
        }
        for (tool, code), entry in worst.items()
    ]  # fmt: skip
    return {
        "formula": FORMULA,
        "act": sum(entry["score"] >= ACT for entry in entries),
        "look": sum(LOOK <= entry["score"] < ACT for entry in entries),
        "minor": sum(entry["score"] < LOOK for entry in entries),
        "severities": {name: severities[name] for name in SEVERITY},
        "rules": sorted(table, key=lambda row: -row["score"])[:120],
        "reviewers": [
            {
                "name": name,
                "ran": bool(output),
                "tool": output.get("tool", ""),
                "note": output.get("note", ""),
                "files": output.get("files", 0),
                "total": output.get("total", 0),
                "limits": output.get("limits", []),
            }
            for name, output in outputs.items()
        ],
    }
