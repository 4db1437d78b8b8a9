"""Merges, numbers and reports what reviewers found, for agents of a command. A program, so that nothing is made up.

The first word of its command line says what it does:

    merge       takes `findings`, outputs `candidates`: one for each place, with an `id`, the most severe first
    report      takes `candidates` and `verdicts` (by id), outputs `confirmed` and `report`, a text in Markdown
    claims      takes `claims`, [{claim, url, quote}], outputs `candidates`, each claim once, with an `id`
    citations   takes `report` and `checks` (by id), outputs a boolean: every link of the report is a source that some
                check found, and there is one

Effects: none.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

SEVERITIES = ("critical", "high", "medium", "low")
LINK = re.compile(r"https?://[^\s<>()\[\]\"'`]+")


def merge(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One finding for each line of a file; of several the most severe one, with the angles that others had."""
    places: dict[tuple[str, int], dict[str, Any]] = {}
    for finding in sorted(findings, key=rank):
        first = places.setdefault((finding["file"], finding["line"]), {**finding, "also": []})
        if first["claim"] != finding["claim"]:
            first["also"].append(finding["claim"])
    return [{"id": f"F{number}", **finding} for number, finding in enumerate(places.values(), 1)]


def rank(finding: dict[str, Any]) -> int:
    return SEVERITIES.index(finding["severity"])


def confirmed(candidates: list[dict[str, Any]], verdicts: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates that stood up to verification, with the severity and the reason of the verdict."""
    found = [
        candidate | {"severity": verdict["severity"], "reason": verdict["reason"]}
        for candidate in candidates
        if (verdict := verdicts.get(candidate["id"])) is not None and verdict["real"]
    ]
    return sorted(found, key=rank)


def report(candidates: list[dict[str, Any]], verdicts: dict[str, Any]) -> str:
    """The confirmed findings for people; what was refuted or could not be verified is counted."""
    real = confirmed(candidates, verdicts)
    refuted = sum(not verdict["real"] for verdict in verdicts.values())
    open_ones = [candidate for candidate in candidates if candidate["id"] not in verdicts]
    lines = [f"# {len(real)} confirmed, {refuted} refuted, {len(open_ones)} not verified", ""]
    for finding in real:
        lines += [
            f"## {finding['severity']}: {finding['claim']}",
            "",
            f"`{finding['file']}:{finding['line']}`. {finding['evidence']}",
            "",
            f"Verified: {finding['reason']}",
            "",
        ]
    if open_ones:
        lines += ["## Not verified", "", *(f"- `{one['file']}:{one['line']}` {one['claim']}" for one in open_ones), ""]
    return "\n".join(lines)


def distinct(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each claim once, whatever its spelling of spaces and capitals, with an id."""
    found: dict[str, dict[str, Any]] = {}
    for claim in claims:
        found.setdefault(" ".join(claim["claim"].casefold().split()).rstrip("."), claim)
    return [{"id": f"C{number}", **claim} for number, claim in enumerate(found.values(), 1)]


def cited_well(text: str, checks: dict[str, Any]) -> bool:
    """Whether *text* links, and only to sources that the checks of the claims have found."""
    links = {link.rstrip(".,;:") for link in LINK.findall(text)}
    known = {url for check in checks.values() if check["status"] != "contradicted" for url in check["sources"]}
    for link in sorted(links - known):
        print(f"not a source of any check: {link}", file=sys.stderr)
    return bool(links) and links <= known


def main() -> dict[str, Any]:
    request = json.load(sys.stdin)
    inputs = request["inputs"]
    match sys.argv[1]:
        case "merge":
            return {"candidates": merge(inputs["findings"])}
        case "report":
            verdicts = inputs["verdicts"]
            found = {"confirmed": confirmed(inputs["candidates"], verdicts)}
            return found | {"report": report(inputs["candidates"], verdicts)}
        case "claims":
            return {"candidates": distinct(inputs["claims"])}
        case "citations":
            return dict.fromkeys(request["outputs"], cited_well(inputs["report"], inputs["checks"]))
        case action:
            sys.exit(f"this program cannot {action!r}")


if __name__ == "__main__":
    json.dump({"outputs": main()}, sys.stdout)
