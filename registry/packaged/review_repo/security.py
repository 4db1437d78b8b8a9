"""Scans the Python code of a repository for security defects with bandit.

Effects: reads the repository, starts bandit; as a program it answers on stdout. Quoted passwords are removed.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import Refusal, answering, serve
from registry.packaged.review_repo.files import Listing, read_text, relist
from registry.packaged.review_repo.findings import Finding, Rule, review_output
from registry.packaged.review_repo.languages import Role, role_of
from registry.packaged.review_repo.programs import Deadline, Finished, batches, python_tool, run, tool_environment
from registry.packaged.review_repo.security_reasons import reason

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 150.0
"""Budget of this agent, below its node's timeout."""
LEFT_OUT = "B101,B403,B404,B405,B406,B407,B408,B409,B603,B607"
"""Notes that something is asserted, imported or started: not findings, and the uses have their own rules."""
BATCH = 150
"""Files per call: a call that runs out of time is lost."""

_HINT = "Install bandit again; it may be damaged."
_SEVERITY = {"HIGH": "high", "MEDIUM": "medium", "LOW": "low"}
_CONFIDENCE = {"HIGH": "high", "MEDIUM": "medium", "LOW": "low"}
_PASSWORDS = ("B105", "B106", "B107")
"""Passwords in the code, which the message quotes; in tests they are common and harmless."""
_QUOTE = re.compile("['\"]")


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-security`: input `structure`, output `security`."""
    deadline = Deadline(SECONDS)
    _, listing, _ = relist(inputs)
    python = [file.path for file in listing.of_language("Python") if not file.path.endswith((".pyi", ".pyx"))]
    bandit = [*python_tool("bandit"), "--format=json", "--quiet", "--exit-zero", f"--skip={LEFT_OUT}"]
    own = own_settings(listing)
    limits: list[str] = []
    results: list[dict[str, Any]] = []
    scanned = 0
    for batch in batches(python, files=BATCH):
        if deadline.passed:
            break
        done = run([*bandit, *own, *batch], cwd=listing.root, seconds=deadline.left, env=tool_environment())
        if done.code != 0 and own and not done.timed_out:
            limits.append(f"The project's bandit settings could not be used: {done.complaint}")
            own = ()
            done = run([*bandit, *batch], cwd=listing.root, seconds=deadline.left, env=tool_environment())
        if done.timed_out or done.truncated:
            break
        results += _parsed(done)
        scanned += len(batch)
    if scanned < len(python):
        limits.append(f"bandit's limit was reached after {scanned} of {len(python)} files, shipped code first.")
    findings = [finding for item in results if (finding := to_finding(item)) is not None]
    return {
        "security": review_output(
            tool="bandit",
            files=scanned,
            findings=findings,
            rules=_rules(results),
            limits=[*limits, *listing.limits],
            note="the project's own bandit settings" if own else "",
        )
    }


def own_settings(listing: Listing) -> tuple[str, ...]:
    """`-c pyproject.toml` if that file has a table for bandit."""
    file = next((file for file in listing.files if file.path == "pyproject.toml"), None)
    text = (read_text(listing.root, file) or "") if file else ""
    return ("-c", "pyproject.toml") if re.search(r"^\[tool\.bandit[\].]", text, re.MULTILINE) else ()


def _parsed(done: Finished) -> list[dict[str, Any]]:
    try:
        parsed = json.loads(done.stdout)
    except ValueError:
        raise Refusal("TOOL_FAILED", f"bandit failed: {done.complaint}", hint=_HINT) from None
    return [item for item in parsed.get("results", ()) if isinstance(item, dict)]


def to_finding(item: Mapping[str, Any]) -> Finding | None:
    """One entry of bandit's JSON; None if its file is not below the root."""
    path = str(item.get("filename") or "")
    while path.startswith("./"):
        path = path[2:]
    if not path or path.startswith(("/", "..")):
        return None
    code = str(item.get("test_id") or "")
    text = str(item.get("issue_text") or code).replace("``", "`")
    if code in _PASSWORDS:
        if role_of(path) is Role.TEST:
            return None
        text = f"{_QUOTE.split(text, maxsplit=1)[0].rstrip(' :')} (value not shown)"
    return Finding(
        rule=code,
        severity=_SEVERITY.get(str(item.get("issue_severity")), "low"),
        confidence=_CONFIDENCE.get(str(item.get("issue_confidence")), "low"),
        file=path,
        line=int(item.get("line_number") or 1),
        message=text,
    )


def _rules(results: list[dict[str, Any]]) -> dict[str, Rule]:
    rules = {}
    for item in results:
        code = str(item.get("test_id") or "")
        cwe = (item.get("issue_cwe") or {}).get("id")
        why, fix = reason(code)
        rules[code] = Rule(
            code=code,
            name=str(item.get("test_name") or code).replace("_", "-"),
            why=why or (f"A weakness of the class CWE-{cwe}." if cwe else ""),
            fix=fix,
            url=str(item.get("more_info") or ""),
        )
    return rules


if __name__ == "__main__":
    sys.exit(serve(review))
