"""Finds secrets in text: tokens of known forms, private keys, addresses with a password, values of telling names.

Pure. Its hits name the kind and the line, never the value.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING

from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.languages import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL = "secrets"
VALUE_BITS = 2.8
"""Entropy, in bits a character, from which a value may be a secret."""
CLEAR_BITS = 3.3
CLEAR_LENGTH = 12
_RUN = 3

_TOKENS = tuple(
    (rule, name, hints, re.compile(pattern))
    for rule, name, hints, pattern in (
        ("aws-key", "AWS access key", ("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("github-token", "GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
        ("github-token", "GitHub token", ("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{60,}"),
        ("gitlab-token", "GitLab token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("slack-token", "Slack token", ("xox",), r"\bxox[abprs]-[A-Za-z0-9-]{20,}"),
        (
            "slack-hook",
            "Slack webhook",
            ("hooks.slack",),
            r"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}",
        ),
        ("stripe-key", "Stripe live key", ("k_live_",), r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
        ("google-key", "Google API key", ("AIza",), r"\bAIza[0-9A-Za-z_-]{35}\b"),
        ("npm-token", "npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("pypi-token", "PyPI token", ("pypi-",), r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
        ("model-key", "API key of a model provider", ("sk-",), r"\bsk-(?:proj|ant-api\d\d)-[A-Za-z0-9_-]{20,}"),
        ("sendgrid-key", "SendGrid key", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b"),
        ("hugging-face-token", "Hugging Face token", ("hf_",), r"\bhf_[A-Za-z]{34}\b"),
        (
            "private-key",
            "Private key",
            ("PRIVATE KEY",),
            r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:\\n|\s)*[\"'+\s]*[A-Za-z0-9+/=]{40}",
        ),
    )
)
"""Rule, name, texts of which one must occur, and the form of each known token."""
HINTS = tuple(dict.fromkeys(hint for _, _, hints, _ in _TOKENS for hint in hints))
"""Texts of which each known token has one."""
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]{2,15}://(?P<user>[^\s/:@'\"$<>{}%]{1,60}):(?P<value>[^\s/@'\"$<>{}%]{3,80})@(?P<host>[^\s'\"/:]{3,})"
)
_NAMED = re.compile(
    r"(?i:(?<![A-Za-z])[\w.-]{0,30}(?:passw(?:or)?d|passphrase|secret(?:_?key)?|api_?key|auth_?token|access_?token|private_?key"
    r"|cookie_?secret|client_?secret)[\"']?\]?\s*(?::=|=>|[:=])\s*[\"'](?P<value>[^\"'\s]{6,100})[\"'])"
)
_NAME_HINTS = (
    *("passw", "passphrase", "secret", "apikey", "api_key", "privatekey", "private_key"),
    *("authtoken", "auth_token", "accesstoken", "access_token"),
)
"""Texts of which each name in `_NAMED` has one, its case folded."""
_PLACEHOLDER = re.compile(
    r"example|change|placeholder|dummy|your|xxx|\*\*\*|\.\.\.|foo|bar\b|insecure|^secret|secret$|fake|sample|redacted|todo|test"
    r"|password|passw|\$\{|\{\{|<|process\.env|getenv|environ|^env[.:]|localhost|1234|abcd|dev(elop)?|default|admin|hunter2",
    re.IGNORECASE,
)
_NOT_A_VALUE = re.compile(
    r"[a-z]+([_.:/-][a-z]+)*|[A-Z]+([_.-][A-Z]+)*|/[\w/.-]+|[a-z]+([A-Z][a-z]+)+|([A-Z][a-z]+)+|[A-Za-z_]+(\.[A-Za-z_]+)+|[a-z-]+\d?"
)
_LOCAL = re.compile(
    r"^(localhost|127\.0\.0\.1|0\.0\.0\.0|\[?::1|host|db|database|redis|postgres|postgresql|server|mysql|mongo|mongodb|rabbitmq|proxy|user|example\..*|.*\.example(\..*)?|.*\.(test|local|invalid|localhost))$"
)
_SAMPLE_LINE = re.compile(
    r"example|e\.g\.|placeholder|such as|format|usage|sample|^\s*(echo|print(f|ln)?|cat)\b", re.IGNORECASE
)
_TRANSLATION = re.compile(r"(^|/)(i18n|intl|locales?|lang|languages?|messages|translations?)/")
_TEMPLATE = re.compile(
    r"(^|/)(openapi|swagger|postman)|\.(sample|example|template|dist|tmpl|j2)(\.\w+)?$|(^|/)\.secrets\.baseline$|(^|/)(\.env\.(example|sample|template)|example\.env)",
    re.IGNORECASE,
)
_NO_CODE = (".lock", ".svg", ".css", ".html", ".htm", ".po", ".snap", ".map", ".ipynb", ".rst", ".md", ".txt", ".adoc")
_OF_TESTS = re.compile(
    r"(^|/)(integration|it|e2e|functional|acceptance|certs?-?test|test-?certs?|dev|local|examples?|samples?|demos?|seed(er|s|ing)?)(/|[-_.])|local(host)?\.|snakeoil|self.?signed",
    re.IGNORECASE,
)
"""Paths of keys that belong to tests or to a machine's own use."""
_MADE_UP = re.compile(r"\b(test|probing|dummy|fake|mock|demo|seed|example|sample|insecure)|self.?signed", re.IGNORECASE)
_NEAR = 300
"""Characters before and after a key that may say that pages carry it in the open."""
_PUBLIC = re.compile(r"algolia|docsearch|\bindexName\b|\bauthDomain\b|\bmessagingSenderId\b", re.IGNORECASE)
"""Beside keys of a search in pages, or of an application that runs in them: they only name it."""
_STORED = re.compile(r"hash|digest|encrypted", re.IGNORECASE)
"""Names of values that are made of a secret and stored."""
_ABOVE = 600
"""Characters above a private key that may say what it is for."""
_FOR_DEVELOPMENT = re.compile(
    r"(^|/)(\.?ci|\.github|build|scripts|hack|dev|local|docker|\.devcontainer)[^/]*/|compose[^/]*\.ya?ml$|(^|/)(test|development|dev|local)\.|\.env(\.\w+)?$|appsettings\.dev",
    re.IGNORECASE,
)


def find_secrets(text: str, path: str, role: Role) -> Iterator[Hit]:
    """The secrets in *text*, the content of *path*; none in tests, translations, templates and prose."""
    if _is_sample(path, role):
        return
    prose = path.lower().endswith(_NO_CODE)
    yield from _tokens(text, path, role)
    if prose or role is Role.EXAMPLE:
        return
    if "://" in text:
        yield from _addresses(text, path)
    folded = text.casefold()
    if any(hint in folded for hint in _NAME_HINTS):
        yield from _named(text, path)


def find_tokens(text: str, path: str, role: Role) -> Iterator[Hit]:
    """Only the tokens of known forms and private keys in *text*, where `find_secrets` looks."""
    if not _is_sample(path, role):
        yield from _tokens(text, path, role)


def _is_sample(path: str, role: Role) -> bool:
    return role is Role.TEST or bool(_TRANSLATION.search(path) or _TEMPLATE.search(path))


def _tokens(text: str, path: str, role: Role) -> Iterator[Hit]:
    for rule, name, hints, form in _TOKENS:
        if not any(hint in text for hint in hints):
            continue
        for found in form.finditer(text):
            value = found[0]
            if rule != "private-key" and (_PLACEHOLDER.search(value[-20:]) or _bits(value) < VALUE_BITS):
                continue
            line = _line_of(text, found.start())
            commented = rule != "private-key" and re.match(r"\s*(//|#|\*|/\*|--|;)", line) is not None
            confidence = "high" if role is Role.SOURCE and not commented else "low"
            above = text[max(0, found.start() - _ABOVE) : found.start()]
            made_up = path.lower().endswith(_NO_CODE) or _OF_TESTS.search(path) or _MADE_UP.search(above)
            if rule == "private-key" and made_up:
                continue
            # Pages carry such keys in the open, restricted to their site.
            severity = "medium" if rule == "google-key" else "critical"
            if rule == "google-key" and _is_public(text, found):
                confidence = "low"
            yield _hit(rule, name, (severity, confidence), path, _line(text, found.start()))


def _addresses(text: str, path: str) -> Iterator[Hit]:
    for found in _ADDRESS.finditer(text):
        value = found["value"]
        if (
            _PLACEHOLDER.search(value)
            or _LOCAL.match(found["host"].lower())
            or value == found["user"]
            or re.fullmatch(r"pass|pwd|pw|\w{1,4}", value)
        ):
            continue
        if _SAMPLE_LINE.search(_line_of(text, found.start())):
            continue
        confidence = "low" if _FOR_DEVELOPMENT.search(path) else "medium"
        yield _hit("address", "Password in an address", ("high", confidence), path, _line(text, found.start()))


def _named(text: str, path: str) -> Iterator[Hit]:
    for found in _NAMED.finditer(text):
        value = found["value"]
        if not _may_be_secret(value) or _SAMPLE_LINE.search(_line_of(text, found.start("value"))):
            continue
        short = len(value) < CLEAR_LENGTH or _bits(value) < CLEAR_BITS
        stored = _STORED.search(text[found.start() : found.start("value")])
        doubtful = short or stored or _FOR_DEVELOPMENT.search(path) or _is_public(text, found)
        confidence = "low" if doubtful else "medium"
        yield _hit(
            "named-value", "Value of a telling name", ("medium", confidence), path, _line(text, found.start("value"))
        )


def _is_public(text: str, found: re.Match[str]) -> bool:
    """Whether the lines around a key say that every visitor of a page gets it."""
    return _PUBLIC.search(text, max(0, found.start() - _NEAR), found.end() + _NEAR) is not None


def _may_be_secret(value: str) -> bool:
    if value.startswith(("http", "$", "%", "@", "#", "--", "/", "./", "&")) or re.search(r"[(\\]|\$[A-Za-z_{]", value):
        return False
    if _PLACEHOLDER.search(value) or _NOT_A_VALUE.fullmatch(value) or _bits(value) < VALUE_BITS:
        return False
    if "|" in value or len(_runs(value)) > 1:
        return False
    return re.search(r"\d", value) is not None


def _runs(value: str) -> list[str]:
    """The pieces of three or more signs that follow each other in the alphabet or the digits, as in made-up values."""
    found, start = [], 0
    for place in range(1, len(value) + 1):
        if place == len(value) or ord(value[place].lower()) != ord(value[place - 1].lower()) + 1:
            if place - start >= _RUN:
                found.append(value[start:place])
            start = place
    return found


def _bits(text: str) -> float:
    """Entropy in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _line_of(text: str, offset: int) -> str:
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    return text[start : end if end >= 0 else None][:400]


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _hit(rule: str, name: str, weight: tuple[str, str], path: str, line: int) -> Hit:
    return Hit(
        tool=TOOL,
        rule=rule,
        meaning="secret",
        severity=weight[0],
        confidence=weight[1],
        file=path,
        line=line,
        message=f"{name} in the code (the value is not shown)",
        redacted=True,
    )
