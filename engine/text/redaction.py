"""Removes secrets from texts that are kept or shown: outputs, failure messages, partial outputs, progress lines.

Pure. It knows the form of common keys, their usual names, and the values that an agent received as secrets; it is a
safety net for careless agents, not a guarantee that no secret is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from engine.text.cut import ELLIPSIS, cut
from engine.text.shown import clean, printable

T = TypeVar("T")

MASK = "[redacted]"
"""Marks where a text was cut."""
_ANY = "xxxx"
"""The shortest value that its name alone makes a secret."""
_SHORTEST_IN_DATA = 16
"""Every certain secret is at least this long."""
_MARGIN = 8192
"""Longer than any private key."""

# The form of each issuer's keys. The prefix stays readable, so that a user knows which key to replace.
_FORMS = r"""
    (
        [sr]k_(?:live|test)_                    # Stripe
      | (?:AKIA|ASIA|AROA)                      # AWS key ids
      | gh[pousr]_ | github_pat_ | glpat-       # GitHub, GitLab
      | xox[abeoprs]- | xapp-                   # Slack
      | AIza | ya29\.                           # Google
      | sk-(?:ant|proj|or|live|test)-           # Anthropic, OpenAI and others with the same form
      | (?:sk- | npm_ | pypi- | dop_v1_ | hf_)(?=[A-Za-z_\-]*[0-9])                  # npm_config_registry is not a key
    )[A-Za-z0-9_\-]{12,}
    """
_KEYS = re.compile(rf"\b{_FORMS}", re.VERBOSE)
_KEYS_SURELY = re.compile(rf"(?<![\w+/-]){_FORMS}", re.VERBOSE)
"""In data: encoded bytes contain every short text sooner or later, so a key has to stand alone."""
_KEY_MARKS = (
    *("k_live_", "k_test_", "AKIA", "ASIA", "AROA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
    *("xox", "xapp-", "AIza", "ya29.", "sk-", "npm_", "pypi-", "dop_v1_", "hf_"),
)
_NAME_MARKS = (
    *("apikey", "api_key", "api-key", "secret", "accesstoken", "access_token", "access-token"),
    *("authtoken", "auth_token", "auth-token", "_token", "passwd", "password"),
)
"""Every text that the pattern of keys, or of names, can match contains one of these: searching for them is a hundred
times faster, and outputs may have megabytes."""
_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")  # JSON web tokens
_AUTHORIZATION = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@]{0,128}:)[^\s/@]{1,256}@", re.IGNORECASE)
_NAME = (
    r"((?:api[_-]?key|secret(?:[_-]?(?:access[_-]?)?key)?|access[_-]?token|auth[_-]?token|_token|passwd|password)"
    r"""["']?\s{0,8}[=:]\s{0,8}["']?)"""
)
_NAMED = re.compile(rf"""{_NAME}(?!\[redacted\])[^\s"',;&]{{4,}}""", re.IGNORECASE)
_NAMED_SURELY = re.compile(  # in data: code says `password: str` and `token = settings.token`
    rf"{_NAME}(?=[A-Za-z_/+-]*[0-9])(?=[0-9_/+-]*[A-Za-z])[A-Za-z0-9_/+-]{{16,}}+(?![\w.(\[])", re.IGNORECASE
)
_BARE_TOKEN = re.compile(  # the word alone is ordinary: its value has to look like a key
    r"""((?<![\w-])token["']?\s{0,8}[=:]\s{0,8}["']?)(?=[A-Za-z_/+.-]*[0-9])(?=[0-9_/+.-]*[A-Za-z])"""
    r"[A-Za-z0-9_/+.-]{16,}",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|KEY|(?:^|_)PAT|(?:^|_)PW)$", re.IGNORECASE
)
_PRIVATE_KEY = re.compile(
    r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)


def _has_one(text: str, marks: Iterable[str]) -> bool:
    for mark in marks:  # noqa: SIM110 - `any` would take three times as long, for every text of every node
        if mark in text:
            return True
    return False


def redact(text: str) -> str:
    """*text* with apparent secrets replaced by `[redacted]`; linear in its length."""
    lowered = text.lower()
    plain = lowered.isascii()  # otherwise a letter such as the long s may match where its lower case does not
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(rf"\1 {MASK}", text)
    if _has_one(text, _KEY_MARKS):
        text = _KEYS.sub(rf"\1{MASK}", text)
    if "eyJ" in text:
        text = _TOKEN.sub(MASK, text)
    if not plain or "bearer" in lowered or "basic" in lowered:
        text = _AUTHORIZATION.sub(rf"\1\2{MASK}", text)
    if "://" in text and "@" in text:
        text = _PASSWORD_IN_URL.sub(rf"\1{MASK}@", text)
    if not plain or _has_one(lowered, _NAME_MARKS):
        text = _NAMED.sub(rf"\1{MASK}", text)
    if "token" in lowered:
        text = _BARE_TOKEN.sub(rf"\1{MASK}", text)
    return text


def redact_shown(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """*value*, JSON, as people may see it: masked in its texts and keys, and where a key names a secret, as in text."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [redact_shown(item) for item in value]
    if isinstance(value, Mapping):
        return {redact(key): _redact_named(key, item) for key, item in value.items()}
    return value


def _redact_named(key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(value, str) or len(value) < len(_ANY):
        return redact_shown(value)
    named = redact(f"{key}={_ANY}").endswith(MASK) or _BARE_TOKEN.fullmatch(f"{key}={value}")
    return MASK if named else redact(value)


def redact_data(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """*value*, JSON, with certain secrets masked; the same object if there are none.

    The next agent works with the data, and code in it may say `password: str`: a name alone does not mask a value.
    """
    return _replaced(value, _redact_surely)


def _redact_surely(text: str) -> str:
    if len(text) < _SHORTEST_IN_DATA:
        return text
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(rf"\1 {MASK}", text)
    if _has_one(text, _KEY_MARKS):
        text = _KEYS_SURELY.sub(rf"\1{MASK}", text)
    if "eyJ" in text:
        text = _TOKEN.sub(MASK, text)
    lowered = text.lower()
    return _NAMED_SURELY.sub(rf"\1{MASK}", text) if _has_one(lowered, _NAME_MARKS) else text


def names_a_secret(name: str) -> bool:
    """Whether a variable called *name* holds a secret, by its ending: GITHUB_TOKEN, DB_PASSWORD."""
    return _SECRET_NAME.search(name) is not None


class Mask:
    """Replaces values known to be secret anywhere in a text; false if there are none."""

    __slots__ = ("_found", "_values")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """*values* are the secrets; if one is part of another, the longer one is replaced first."""
        self._values = sorted(set(values), key=len, reverse=True)
        self._found = re.compile("|".join(map(re.escape, self._values))) if self._values else None

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return self._found is not None

    def hide(self, text: str) -> str:
        """*text* with every secret replaced by `[redacted]`."""
        return text if self._found is None else self._found.sub(MASK, text)

    def hide_cut(self, text: str) -> str:
        """Like `hide`, for a text that was cut at each "…" in it: the rest of a cut secret is masked as well."""
        parts = self.hide(text).split(ELLIPSIS)
        for number, part in enumerate(parts):
            start = self._left_at_start(part) if number else 0
            end = self.open_end(part) if number < len(parts) - 1 else len(part)
            parts[number] = part[start:end]
        return ELLIPSIS.join(parts)

    def _left_at_start(self, text: str) -> int:
        """How many characters at the start of *text* may be the end of a secret."""
        longest = max(map(len, self._values), default=1) - 1
        sizes = range(min(longest, len(text)), 0, -1)
        return next((size for size in sizes if any(value.endswith(text[:size]) for value in self._values)), 0)

    def hide_in(self, value: T) -> T:
        """*value*, JSON, with every secret in its texts replaced; the same object if there are none."""
        return value if self._found is None else _replaced(value, self.hide)

    def open_end(self, text: str) -> int:
        """The start of a tail of *text* that may be the start of a secret; the length of *text* if there is none."""
        longest = max(map(len, self._values), default=1) - 1
        starts = range(max(0, len(text) - longest), len(text))
        return next((at for at in starts if any(value.startswith(text[at:]) for value in self._values)), len(text))


def _replaced(value: Any, replace: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON value
    """*value* with *replace* applied to each text in it; the same object if nothing changes."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, Mapping):
        changed = {replace(key): _replaced(item, replace) for key, item in value.items()}
        same = all(one is other for one, other in zip(changed.values(), value.values(), strict=False))
        return value if same and list(changed) == list(value) else changed
    if isinstance(value, list | tuple):
        items = [_replaced(item, replace) for item in value]
        return value if all(one is other for one, other in zip(items, value, strict=True)) else items
    return value


def excerpt(text: str, *, limit: int = 2000) -> str | None:
    """The last *limit* characters of *text*, redacted; None if there is only white space."""
    text = redact(text.strip()[-(limit + _MARGIN) :])  # the margin holds a secret that the cut would halve
    if len(text) > limit:
        text = ELLIPSIS + text[-limit:]
    return text or None


def one_line(text: str, *, limit: int = 80) -> str:
    """The first line of *text*, redacted and cut, for a progress display."""
    line = clean(redact(text.strip()[: limit * 20]).split("\n", 1)[0])
    return cut(line, limit)


@lru_cache(4096)
def shown(text: str) -> str:
    """*text* made safe to show, without secrets; cached, since todos and messages come with each status."""
    return printable(redact(text))
