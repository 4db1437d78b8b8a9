"""The findings of scanners: one shape for every tool, before and after they are judged.

Pure. `evidence.py` judges a hit, `ranking.py` ranks what remains.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from engine.text.shown import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

SEVERITIES = ("critical", "high", "medium", "low")
"""From worst to least."""
CONFIDENCES = ("high", "medium", "low")
MODEL = "model"
"""The tool of a finding that a model has made."""
MESSAGE = 240
EVIDENCE = 160
"""Characters of a shown line of code."""
_OWN_WORDS = frozenset({"why", "fix"})


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One place that a scanner names, as it says it."""

    tool: str
    rule: str
    meaning: str
    """Key of `meanings.MEANINGS`; hits of several tools on one line merge if they mean the same."""
    severity: str
    confidence: str
    file: str
    line: int
    """From 1."""
    message: str
    end: int = 0
    """Last line of the matched code, 0 if the tool names one line."""
    value: str = ""
    """The code that data of a request must reach for this to count; empty if it counts anyway."""
    redacted: bool = False
    """Whether the line holds a secret, and is not shown."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A hit that was judged by the code around it."""

    tool: str
    rule: str
    meaning: str
    severity: str
    confidence: str
    file: str
    line: int
    message: str
    evidence: str
    """The line of code, empty if it is not shown."""
    reasons: tuple[str, ...]
    """Why its severity or confidence is what it is, one clause each."""
    fingerprint: str
    """Identifies the finding when lines above it change."""
    why: str = ""
    """Why it matters, if its meaning does not say that."""
    fix: str = ""

    def as_object(self) -> dict[str, Any]:
        """The finding as JSON."""
        given = {name: value for name, value in structs.asdict(self).items() if value or name not in _OWN_WORDS}
        return {**given, "reasons": list(self.reasons)}


def from_object(value: Mapping[str, Any]) -> Finding:
    """The finding that `as_object` wrote."""
    fields = {name: value[name] for name in Finding.__struct_fields__ if name not in _OWN_WORDS or name in value}
    return Finding(**{**fields, "reasons": tuple(fields["reasons"])})


def fingerprint(*parts: str) -> str:
    """Sixteen hexadecimal digits of what identifies a finding; spaces count as one."""
    text = "\0".join(" ".join(part.split()) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def one_line(text: str, length: int) -> str:
    """*text* without control and direction characters, on one line, cut to *length*."""
    plain = clean(text)
    return plain if len(plain) <= length else plain[: length - 1] + "…"
