"""Takes secrets out of text that is kept or shown: failure messages, partial outputs, progress lines.

Pure. It knows how common keys look and what people call them; it is a net under careless agents, not a proof that no
secret is left.
"""

from __future__ import annotations

import re

MASK = "[redacted]"
_MARGIN = 8192
"""Longer than any private key."""

# What each issuer's keys look like. The prefix stays readable, so that a user knows which key to replace.
_KEYS = re.compile(
    r"""
    \b(
        sk-(?:ant-|proj-|or-|live-|test-)?      # Anthropic, OpenAI and those who copied the form
      | [sr]k_(?:live|test)_                    # Stripe
      | (?:AKIA|ASIA|AROA)                      # AWS key ids
      | gh[pousr]_ | github_pat_ | glpat-       # GitHub, GitLab
      | xox[abeoprs]- | xapp-                   # Slack
      | AIza | ya29\.                           # Google
      | npm_ | pypi- | dop_v1_ | hf_
    )[A-Za-z0-9_\-]{12,}
    """,
    re.VERBOSE,
)
_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")  # JSON web tokens
_AUTHORIZATION = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@]{0,128}:)[^\s/@]{1,256}@", re.IGNORECASE)
_NAMED = re.compile(
    r"((?:api[_-]?key|secret(?:[_-]?(?:access[_-]?)?key)?|access[_-]?token|auth[_-]?token|_token|passwd|password)"
    r"""["']?\s{0,8}[=:]\s{0,8}["']?)(?!\[redacted\])[^\s"',;&]{4,}""",
    re.IGNORECASE,
)
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+")
_CONTROL_IN_LINES = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """*text* on one line, without control characters and the marks that turn the direction of text."""
    return _CONTROL.sub(" ", text).strip()


def printable(text: str) -> str:
    """*text* as a terminal may be given it: line ends and tabs stay, whatever else steers a terminal goes."""
    return _CONTROL_IN_LINES.sub("", text)


def redact(text: str) -> str:
    """*text* with what looks like a secret replaced by `[redacted]`; linear in its length."""
    text = _PRIVATE_KEY.sub(rf"\1 {MASK}", text)
    text = _KEYS.sub(rf"\1{MASK}", text)
    text = _TOKEN.sub(MASK, text)
    text = _AUTHORIZATION.sub(rf"\1\2{MASK}", text)
    text = _PASSWORD_IN_URL.sub(rf"\1{MASK}@", text)
    return _NAMED.sub(rf"\1{MASK}", text)


def excerpt(text: str, *, limit: int = 2000) -> str | None:
    """The last *limit* characters of *text*, redacted; None where there is nothing but white space."""
    text = redact(text.strip()[-(limit + _MARGIN) :])  # the margin holds a secret that the cut would halve
    if len(text) > limit:
        text = "…" + text[-limit:]
    return text or None


def one_line(text: str, *, limit: int = 80) -> str:
    """The first line of *text*, redacted and cut, for a progress display."""
    line = " ".join(clean(redact(text.strip()[: limit * 20]).split("\n", 1)[0]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
