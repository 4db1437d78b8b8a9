"""Lints the Python code of a repository with ruff: with its own ruff settings if it has any, otherwise with ours.

Effects: reads the repository, starts ruff without cache and without fixes; as a program it answers on stdout.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import Refusal, answering, serve
from registry.packaged.review_repo.files import Listing, Source, read_text, relist
from registry.packaged.review_repo.findings import Finding, Rule, review_output
from registry.packaged.review_repo.programs import Deadline, batches, python_tool, run, tool_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SECONDS = 90.0
"""Budget of this agent, below its node's timeout."""

SELECTED = "F,E9,E722,W605,B,PLE,ASYNC,YTT,T100,LOG,PIE794,PIE796,PLW0127,PLW0129,PLW1508,PLW1509,RUF006,RUF016,C901"
IGNORED = "B007,B008,B009,B010,B011,B027,B028,B904,B905,F541,F722,ASYNC109,ASYNC110"
"""Rules of the selected groups that are a matter of taste, or often wrong about good code."""
OUR_SETTINGS = (
    "--isolated",
    f"--select={SELECTED}",
    f"--ignore={IGNORED}",
    "--per-file-ignores=__init__.py:F401,__init__.py:F403",
    "--config=lint.mccabe.max-complexity=20",
    # The newest syntax that every supported ruff knows, so that code for a new Python has no syntax errors.
    "--target-version=py314",
)
COMMON = ("--output-format=json", "--no-cache", "--no-fix", "--exit-zero", "--force-exclude", "--quiet")

WHY = 160
"""Length from which a first sentence is enough, in characters."""

_HINT = "Install ruff again; it may be damaged."

_SEVERITY = (
    (r"F(401|403|405|541|841|842)$", "low"),
    (r"PLW1508", "low"),
    (r"F(402|811)$|PLE0(605|704)|T100", "medium"),
    (r"invalid-syntax|F\d|E9|PLE|YTT|RUF016", "high"),
    (r"B018$|B9|RUF100", "low"),
    (r"E722|W605|B\d|S\d|ASYNC|RUF006|PLW|C901|LOG|PIE79|BLE|DTZ", "medium"),
)
"""The first pattern that matches the start of a code; everything else is style."""
_UNSURE = re.compile(r"F821|F811|B\d|S\d|ASYNC|C901|DTZ|PLW|PLE0(605|704)|PLE2502")
"""Rules that are sometimes wrong about good code."""


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-linter`: input `structure`, output `lint`."""
    deadline = Deadline(SECONDS)
    _, listing, _ = relist(inputs)
    python = [file for file in listing.of_language("Python") if not file.path.endswith(".pyx")]
    ruff = python_tool("ruff")
    limits: list[str] = []
    own, ours = _by_settings(listing, python)
    found: list[dict[str, Any]] = []
    for paths, settings in ((own, ()), (ours, OUR_SETTINGS)):
        found += _check(ruff, listing.root, paths, settings, deadline=deadline, limits=limits)
    findings = [finding for item in found if (finding := to_finding(item, listing.root)) is not None]
    note = f"{len(own)} files by the project's own ruff settings, {len(ours)} by ours" if own else "our rules"
    rules = _rules(ruff, listing.root, {finding.rule for finding in findings}, found)
    return {
        "lint": review_output(
            tool="ruff", files=len(python), findings=findings, rules=rules, limits=[*limits, *listing.limits], note=note
        )
    }


def _by_settings(listing: Listing, python: list[Source]) -> tuple[list[str], list[str]]:
    """Files below a folder with ruff settings of the project, and the others."""
    folders = set()
    for file in listing.files:
        folder, _, name = file.path.rpartition("/")
        tables = name == "pyproject.toml" and re.search(
            r"^\[tool\.ruff[\].]", read_text(listing.root, file) or "", re.MULTILINE
        )
        if name in ("ruff.toml", ".ruff.toml") or tables:
            folders.add(folder)
    own: list[str] = []
    ours: list[str] = []
    for file in python:
        parents = file.path.split("/")[:-1]
        chain = {"/".join(parents[:depth]) for depth in range(len(parents) + 1)}
        (own if chain & folders else ours).append(file.path)
    return own, ours


def _check(
    ruff: list[str],
    root: Path,
    paths: Iterable[str],
    settings: tuple[str, ...],
    *,
    deadline: Deadline,
    limits: list[str],
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in batches(paths):
        if deadline.passed:
            limits.append("ruff's time was up before the last files.")
            break
        done = run(
            [*ruff, "check", *COMMON, *settings, "--", *batch], cwd=root, seconds=deadline.left, env=tool_environment()
        )
        parsed = _parse(done.stdout)
        if parsed is None and not settings and not done.timed_out:
            # Settings for another version of ruff, or broken ones: the files are still worth checking.
            limits.append(f"The project's ruff settings could not be used, so ours were: {done.complaint}")
            again = [path.removeprefix("./") for path in batch]
            found += _check(ruff, root, again, OUR_SETTINGS, deadline=deadline, limits=limits)
        elif parsed is not None:
            found += parsed
        elif done.timed_out or done.truncated:
            limits.append(f"ruff was stopped at its limit of time or output in a batch of {len(batch)} files.")
        else:
            raise Refusal("TOOL_FAILED", f"ruff failed: {done.complaint}", hint=_HINT)
    return found


def _parse(data: bytes) -> list[dict[str, Any]] | None:
    try:
        parsed = json.loads(data)
    except ValueError:
        return None
    return [item for item in parsed if isinstance(item, dict)] if isinstance(parsed, list) else None


def to_finding(item: Mapping[str, Any], root: Path) -> Finding | None:
    """One entry of ruff's JSON; None if its file is not below *root*."""
    path = str(item.get("filename") or "")
    for prefix in (f"{root}/", f"{root.resolve()}/"):
        path = path.removeprefix(prefix)
    if not path or path.startswith(("/", "..")):
        return None
    code = str(item.get("code") or "invalid-syntax")
    location = item.get("location") or {}
    return Finding(
        rule=code,
        severity=next((severity for pattern, severity in _SEVERITY if re.match(pattern, code)), "style"),
        confidence="medium" if _UNSURE.match(code) else "high",
        file=path,
        line=int(location.get("row") or 1),
        message=str(item.get("message") or code).removeprefix("SyntaxError: "),
    )


def _rules(ruff: list[str], root: Path, codes: set[str], found: list[dict[str, Any]]) -> dict[str, Rule]:
    """Names and reasons of *codes*, from ruff's own documentation; the fix as ruff proposed it."""
    if not codes:
        return {}
    fixes: dict[str, str] = {}
    urls: dict[str, str] = {}
    for item in found:
        code = str(item.get("code") or "invalid-syntax")
        urls.setdefault(code, str(item.get("url") or ""))
        if isinstance(item.get("fix"), dict) and item["fix"].get("message"):
            fixes.setdefault(code, str(item["fix"]["message"]))
    done = run([*ruff, "rule", "--all", "--output-format=json"], cwd=root, seconds=20, env=tool_environment())
    texts = {str(item.get("code")): item for item in _parse(done.stdout) or []}
    rules = {}
    for code in codes:
        text = texts.get(code, {})
        rules[code] = Rule(
            code=code,
            name=str(text.get("name") or code),
            why=_OUR_REASONS.get(code) or why_of(str(text.get("explanation") or "")),
            fix=_OUR_FIXES.get(code) or _general(fixes.get(code, "")),
            url=urls.get(code, ""),
        )
    return rules


_OUR_REASONS = {
    "invalid-syntax": "Python cannot parse the file: importing it fails, and other checks cannot read the rest of it.",
    "C901": "Each branch is a path to test and to keep in mind; functions with many of them have more defects.",
}
_OUR_FIXES = {
    "invalid-syntax": "Correct the syntax, or exclude the file if it is broken on purpose or written for Python 2.",
    "C901": "Move coherent branches into separate functions.",
    "F821": "Define or import the name, or correct its spelling.",
    "E722": "Name the exceptions that are expected here; at most `except Exception`.",
    "B023": "Bind the loop variable when the function is made, as a default argument.",
    "B006": "Default to None and make the object inside the function.",
    "B017": "Assert the precise exception, or match on its message.",
    "RUF006": "Keep a reference to the task until it is done.",
    "F405": "Import the names that are used instead of `*`.",
    "F403": "Import the names that are used instead of `*`.",
}


def why_of(explanation: str) -> str:
    """The first one or two sentences of ruff's section "Why is this bad?"."""
    _, found, rest = explanation.partition("## Why is this bad?")
    paragraph = rest.strip().split("\n\n", 1)[0].split("\n##", 1)[0]
    plain = " ".join(re.sub(r"\[([^\]]*)\](\[[^\]]*\]|\([^)]*\))?", r"\1", paragraph if found else "").split())
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z])", plain)
    return " ".join(sentences[:2]) if len(sentences[0]) < WHY else sentences[0]


def _general(fix: str) -> str:
    """A proposed fix without the name of its place; empty if nothing is left."""
    words = re.sub(r":? `[^`]*`( and .*)?$", "", fix.strip())
    return "" if re.search(r"\b(with|as|to|by|from|of|for|in)$|`", words) else words


if __name__ == "__main__":
    sys.exit(serve(review))
