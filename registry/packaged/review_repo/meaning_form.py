"""The form of a finding's meaning, and the kinds of meanings with their weights.

Pure: a table.
"""

from __future__ import annotations

import msgspec


class Meaning(msgspec.Struct, frozen=True):
    """One kind of fault."""

    kind: str
    """Key of `KINDS`."""
    title: str
    why: str
    fix: str
    cwe: int = 0
    """Number of the weakness in the Common Weakness Enumeration; 0 for none."""


KINDS = {
    "injection": 1.2,
    "secret": 1.1,
    "tls": 1.0,
    "access": 1.0,
    "bug": 0.9,
    "ci": 0.9,
    "robustness": 0.8,
    "crypto": 0.7,
    "docker": 0.6,
    "hygiene": 0.5,
}
"""The weight of each kind in the score."""
SECURITY = frozenset({"injection", "secret", "tls", "access", "crypto"})
"""Kinds that are listed place by place; the others merge over the repository."""
