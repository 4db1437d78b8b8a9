"""Searches the text files of a repository for secrets with detect-secrets, whatever their language.

Effects: reads the repository, starts detect-secrets without its network checks. Findings name places, never values.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import Refusal, answering
from registry.packaged.review_repo.files import Listing, Source, read_text, relist
from registry.packaged.review_repo.findings import Finding, Rule, review_output
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.programs import Deadline, batches, python_tool, run, tool_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 120.0
"""Budget of this agent, below its node's timeout."""
SIZE_LIMIT = 400_000
BATCH = 100
OFF = ("HexHighEntropyString", "Base64HighEntropyString", "IPPublicDetector")
"""Detectors that report every hash and IP address: noise in a review."""

_HINT = "Install detect-secrets again; it may be damaged."
_BASELINE = ".secrets.baseline"
_HINTS = re.compile(
    r"(?i:(?:api|auth|service|account|db|database|priv|private|client)_?key|(?:db|database|key)_?pass|password|passwd"
    r"|pwd|secret|contrase[nñ]a|-----BEGIN |softlayer|cloudant|_authToken|aws|hooks\.slack)|://[^/\s]{1,200}:[^/\s]{1,200}@"
    r"|xox[abpors]-|eyJ|A3T|ABIA|ACCA|AKIA|ASIA|AKC[A-Za-z0-9]{10}|AP[0-9A-F][A-Za-z0-9]{8}"
)
_RUN = re.compile(r"[A-Za-z0-9_-]{20,}")
_DIGEST = re.compile(r"([0-9a-f]{8}){4,16}")
_PLACEHOLDER = re.compile(
    r"example|change[-_ ]?me|placeholder|dummy|your[-_ ]|<[^>]+>|x{4,}|\*{3,}|\.{3}|foo|bar|insecure"
    r"|not[-_ ]?a?[-_ ]?(real|secret)|fake|sample|redacted|todo|user:pass|username:password"
    r"|postgres:postgres|root:root|test:test",
    re.IGNORECASE,
)
_KNOWN_TOKEN = ("critical", "medium", "With a key of this form, anyone who can read the code can use an account.")
_KINDS = {
    "Private Key": ("critical", "medium", "Anyone who can read the code can act as the key's owner."),
    "Basic Auth Credentials": (
        "high",
        "medium",
        "Name and password are part of a URL, and end up in logs with it.",
    ),
    "Secret Keyword": ("medium", "low", "A value assigned to a name like this is often a live credential."),
    "JSON Web Token": ("medium", "medium", "A token that has not expired lets its holder act as its user."),
}
_FIX = (
    "Revoke and replace it if it is real, then load it from the environment; "
    "if not, mark the line `pragma: allowlist secret`."
)


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-secrets`: input `structure`, output `secrets`."""
    deadline = Deadline(SECONDS)
    _, listing, _ = relist(inputs)
    order = {Role.SOURCE: 0, Role.EXAMPLE: 1, Role.TEST: 2}
    readable = [file for file in listing.files if 0 < file.size <= SIZE_LIMIT and file.path != _BASELINE]
    readable.sort(key=lambda file: (order[file.role], file.path))
    suspects = [file for file, text in listing.texts(readable, Deadline(deadline.left / 3)) if may_hold_secret(text)]
    limits: list[str] = []
    results = _scan(listing, suspects, deadline, limits)
    known = known_places(listing)
    by_path = {file.path: file for file in suspects}
    findings = []
    for item in results:
        file = by_path.get(str(item.get("filename")))
        if file is not None and (file.path, item.get("hashed_secret")) not in known:
            findings.append(to_finding(item, listing, file))
    kept = [finding for finding in findings if finding is not None]
    return {
        "secrets": review_output(
            tool="detect-secrets",
            files=len(readable),
            findings=kept,
            rules={finding.rule: _rule(finding.rule) for finding in kept},
            limits=[*limits, *listing.limits],
            note=f"{len(suspects)} files with possible secrets",
        )
    }


def may_hold_secret(text: str) -> bool:
    """Whether a detector could find a secret in *text*; wide enough for future detectors."""
    return _HINTS.search(text) is not None or any(_looks_random(run) for run in set(_RUN.findall(text)))


def _looks_random(run: str) -> bool:
    digits = sum(sign.isdigit() for sign in run)
    mixed = digits and not run.islower() and not run.isupper()
    return bool(mixed) or (digits > 2 and len(run) >= 32 and _DIGEST.fullmatch(run) is None)  # noqa: PLR2004


def _scan(listing: Listing, suspects: list[Source], deadline: Deadline, limits: list[str]) -> list[dict[str, Any]]:
    tool = [
        *python_tool("detect_secrets"),
        "--cores", str(min(4, os.cpu_count() or 1)), "scan", "--no-verify",
        *(part for name in OFF for part in ("--disable-plugin", name)),
    ]  # fmt: skip
    results: list[dict[str, Any]] = []
    scanned = 0
    for batch in batches([file.path for file in suspects], files=BATCH):
        if deadline.passed:
            break
        done = run([*tool, *batch], cwd=listing.root, seconds=deadline.left, env=tool_environment())
        if done.timed_out or done.truncated:
            break
        try:
            found = json.loads(done.stdout)["results"]
        except (ValueError, KeyError):
            raise Refusal("TOOL_FAILED", f"detect-secrets failed: {done.complaint}", hint=_HINT) from None
        results += [{"filename": path, **item} for path, items in found.items() for item in items]
        scanned += len(batch)
    if scanned < len(suspects):
        limits.append(
            f"detect-secrets' time was up after {scanned} of {len(suspects)} suspect files, shipped code first."
        )
    return results


def known_places(listing: Listing) -> set[tuple[str, object]]:
    """Path and hash of the entries in the project's own baseline, which have been reviewed.

    The baseline is read as data; passing it to the tool would load plug-ins that it names.
    """
    file = next((file for file in listing.files if file.path == _BASELINE), None)
    try:
        results = json.loads((read_text(listing.root, file) if file else None) or "{}").get("results", {})
        return {(path, item.get("hashed_secret")) for path, items in results.items() for item in items}
    except (ValueError, AttributeError, TypeError, RecursionError):
        return set()


def to_finding(item: Mapping[str, Any], listing: Listing, file: Source) -> Finding | None:
    """One entry of the tool's JSON; None for a password in a test or manual, or an obvious placeholder."""
    kind = str(item.get("type") or "Secret")
    line = int(item.get("line_number") or 1)
    if kind == "Secret Keyword" and (file.role is Role.TEST or file.language in ("Markdown", "reStructuredText")):
        return None
    severity, confidence, _ = _KINDS.get(kind, _KNOWN_TOKEN)
    lines = (read_text(listing.root, file) or "").split("\n")
    if _PLACEHOLDER.search(lines[line - 1] if line <= len(lines) else ""):
        if kind in ("Secret Keyword", "Basic Auth Credentials"):
            return None
        confidence = "low"
    if kind == "Private Key" and file.role is Role.TEST:
        confidence = "low"
    return Finding(
        rule=_code(kind),
        severity=severity,
        confidence=confidence,
        file=file.path,
        line=line,
        message=f"Possible {kind} (value not shown)",
    )


def _code(kind: str) -> str:
    return f"secret-{kind.lower().removeprefix('secret ').replace(' ', '-')}"


def _rule(code: str) -> Rule:
    kind = next((kind for kind in _KINDS if code == _code(kind)), None)
    return Rule(code=code, name=code, why=_KINDS.get(kind or "", _KNOWN_TOKEN)[2], fix=_FIX)
