"""The form of our own rules for ast-grep, and the parts that several languages share.

Pure. Every rule has an example that it finds and one that it leaves alone; the tests run both.
"""

from __future__ import annotations

from typing import Any

import msgspec

Matcher = dict[str, Any]
"""A rule object of ast-grep."""

ADDRESS = r"(?i:ur[li]|next|redirect|return|target|dest|goto|link|location|callback)"
"""In the name of a variable that holds an address."""
SQL = r"(?is)\b(select\b.+\bfrom|select\s+'%|insert\s+into|update\b.+\bset|delete\s+from|replace\s+into)\b"
"""SQL somewhere in a text."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: the code that it finds, and what that means."""

    id: str
    meaning: str
    severity: str
    confidence: str
    languages: tuple[str, ...]
    """Names of ast-grep's languages; the examples are in the first."""
    matcher: Matcher
    constraints: dict[str, Matcher] = msgspec.field(default_factory=dict)
    """Forms that the named parts of a pattern must have."""
    traced: bool = False
    """Whether only a value counts that data of a request is shown to reach: the part X, or all of the code."""
    bad: str
    """Code with one place that the rule finds."""
    good: str
    """Similar code that is right."""

    def document(self, language: str) -> dict[str, Any]:
        """The rule for one of its languages, as ast-grep reads it."""
        return {
            "id": f"{self.id}--{language.lower()}",
            "language": language,
            "severity": "warning",
            "message": self.id,
            "rule": self.matcher,
            **({"constraints": self.constraints} if self.constraints else {}),
        }


def patterns(*texts: str) -> Matcher:
    """Any of these patterns."""
    return {"any": [{"pattern": text} for text in texts]}


def both(*matchers: Matcher) -> Matcher:
    """All of these matchers."""
    return {"all": list(matchers)}


def kind(name: str, text: str = "") -> Matcher:
    """A node of the syntax tree whose whole text matches *text*, if given."""
    return {"kind": name, **({"regex": text} if text else {})}


def inside(matcher: Matcher) -> Matcher:
    """Within a node of this form, at any depth."""
    return {"inside": {**matcher, "stopBy": "end"}}


def has(matcher: Matcher) -> Matcher:
    """With a node of this form inside, at any depth."""
    return {"has": {**matcher, "stopBy": "end"}}


def part(name: str, matcher: Matcher) -> Matcher:
    """With this form in the named field of the syntax tree."""
    return {"has": {"field": name, **matcher}}


def no(matcher: Matcher) -> Matcher:
    """Not of this form."""
    return {"not": matcher}
