"""Comments by which people say that a finding is accepted, in the dialects of all scanners.

Pure. A comment beside the code holds for what it names; one over a whole file never hides a security finding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.packaged.review_repo.meanings import MEANINGS, SECURITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.packaged.review_repo.findings import Hit

_ANY = re.compile(
    r"nosec\b|nosemgrep|NOSONAR|oxlint-disable|lgtm\s*\[|codeql\s*\[|pragma:\s*allowlist|gitleaks:\s*allow"
    r"|trufflehog:\s*ignore|nolint\b|rubocop:\s*disable|phpcs:\s*ignore|@phpstan-ignore|@psalm-suppress|ast-grep-ignore"
    r"|@Suppress(FB)?Warnings|@Suppress\(|#\[allow\(|#pragma warning disable|DevSkim:\s*ignore|checkov:\s*skip"
    r"|hadolint\s+ignore"
    r"|shellcheck\s+disable|zizmor:\s*ignore|brakeman:\s*ignore|kics-scan\s+ignore|deepcode\s+ignore|biome-ignore"
    r"|bearer:\s*disable|NOLINT\b|horusec:\s*ignore",
    re.IGNORECASE,
)
_NOQA = re.compile(r"#\s*noqa\b(?:\s*:\s*(?P<codes>[A-Z]+\d+(?:[\s,]+[A-Z]+\d+)*))?", re.IGNORECASE)
_ESLINT = re.compile(r"eslint-disable(?:-next-line|-line)?(?P<rules>[^*\n]*)")
_FILE = re.compile(
    r"^\s*(?:/\*\s*(?:eslint|oxlint)-disable\b[^*]*\*/|#\s*(?:ruff|flake8):\s*noqa\b|//\s*@ts-nocheck)", re.MULTILINE
)
_COMMENT = re.compile(r"^\s*(#|//|/\*|\*|<!--|--|;|@|\{/\*)")
_HEAD = 20
"""Lines at the top of a file that can speak for all of it."""
_WORDS = {
    "eval": re.compile(r"eval|new-func|script-url"),
    "xss": re.compile(r"danger|html|unsanitized|xss"),
    "null": re.compile(r"optional-chaining|non-null"),
    "promise": re.compile(r"promise"),
}


def is_suppressed(hit: Hit, lines: Sequence[str]) -> bool:
    """Whether a comment on the lines of *hit*, or alone on the line above, accepts it."""
    first, last = hit.line - 1, max(hit.line, min(hit.end, hit.line + 12)) - 1
    near = [line for line in lines[first : last + 1] if len(line) < 2_000]  # noqa: PLR2004 - longer lines hold no comment
    above = lines[first - 1] if 0 < first <= len(lines) else ""
    if _COMMENT.match(above):
        near.append(above)
    near += [line for line in lines[max(0, first - 4) : first] if "@SuppressFBWarnings" in line]
    return any(_accepts(line, hit) for line in near) or _file_accepts(hit, lines)


def speaks_for_file(lines: Sequence[str]) -> bool:
    """Whether a comment at the top switches checks off for the whole file."""
    return _FILE.search("\n".join(lines[:_HEAD])) is not None


def _file_accepts(hit: Hit, lines: Sequence[str]) -> bool:
    return MEANINGS[hit.meaning].kind not in SECURITY and speaks_for_file(lines)


def _accepts(line: str, hit: Hit) -> bool:
    if _ANY.search(line):
        return True
    noqa = _NOQA.search(line)
    if noqa:
        codes = re.findall(r"[A-Z]+\d+", (noqa["codes"] or "").upper())
        secure = MEANINGS[hit.meaning].kind in SECURITY
        return not codes or any(hit.rule.startswith(code) or (secure and code[0] in "SB") for code in codes)
    eslint = _ESLINT.search(line)
    return eslint is not None and _eslint_accepts(eslint["rules"], hit)


def _eslint_accepts(text: str, hit: Hit) -> bool:
    names = re.findall(r"[\w@/-]*[a-z][\w@/-]*", text.partition(" -- ")[0])
    words = _WORDS.get(hit.meaning)
    return not names or any(
        name.rpartition("/")[2] == hit.rule
        or "security" in name
        or (words is not None and words.search(name) is not None)
        for name in names
    )
