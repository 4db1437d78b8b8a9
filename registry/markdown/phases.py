"""Splits steps that depend on each other into phases, and names the phases after their tasks.

Pure. The names are those of the guide's first tutorial: analysis, parallel reviews, report.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NOUNS = {
    "analyze": "Analysis",
    "analyse": "Analysis",
    "audit": "Audit",
    "build": "Build",
    "check": "Check",
    "clean": "Cleanup",
    "deploy": "Deployment",
    "design": "Design",
    "document": "Documentation",
    "fix": "Fix",
    "implement": "Implementation",
    "install": "Installation",
    "migrate": "Migration",
    "optimize": "Optimization",
    "plan": "Plan",
    "prepare": "Preparation",
    "publish": "Publication",
    "refactor": "Refactoring",
    "release": "Release",
    "research": "Research",
    "review": "Review",
    "scan": "Scan",
    "summarize": "Summary",
    "synthesize": "Synthesis",
    "test": "Test",
    "validate": "Validation",
    "verify": "Verification",
}
_MAKERS = frozenset({"create", "generate", "make", "produce", "write", "compile", "prepare", "publish"})
"""Verbs that say less than their object: "Generate report" is a report."""


def levels(ids: Sequence[str], after: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """*ids* by the longest chain of dependencies among them; those in a circle form one last level."""
    inside = set(ids)
    missing = {one: len({need for need in after[one] if need in inside}) for one in ids}
    users: dict[str, list[str]] = {one: [] for one in ids}
    for one in ids:
        for need in dict.fromkeys(after[one]):
            if need in inside:
                users[need].append(one)
    place = {one: at for at, one in enumerate(ids)}
    found: list[list[str]] = []
    ready = [one for one in ids if not missing[one]]
    while ready:
        found.append(sorted(ready, key=place.__getitem__))
        following: list[str] = []
        for one in ready:
            for user in users[one]:
                missing[user] -= 1
                if not missing[user]:
                    following.append(user)
        ready = following
    circle = [one for one in ids if missing[one]]
    return [*found, circle] if circle else found


def needs_all_before(ranks: Sequence[Sequence[str]], after: Mapping[str, Sequence[str]]) -> list[bool]:
    """For each rank, whether each of its steps comes after all earlier ranks, so that a barrier costs nothing."""
    bits = {one: 1 << at for at, one in enumerate(one for rank in ranks for one in rank)}
    before: dict[str, int] = {}
    earlier = 0
    found: list[bool] = []
    for rank in ranks:
        for one in rank:
            needs = [need for need in after[one] if need in before]
            before[one] = 0
            for need in needs:
                before[one] |= before[need] | bits[need]
        found.append(all(before[one] & earlier == earlier for one in rank))
        for one in rank:
            earlier |= bits[one]
    return found


def phase_names(heading: str, ranks: Sequence[Sequence[str]]) -> list[str]:
    """A name for each rank of tasks; the heading itself if there is only one rank."""
    if len(ranks) == 1:
        return [heading or "Default"]
    names: list[str] = []
    for rank in ranks:
        name = _one(rank[0]) if len(rank) == 1 else _several(rank)
        names.append(f"{heading}: {name}" if heading else name)
    return names


def _one(task: str) -> str:
    """The subject of one task."""
    words = re.findall(r"[A-Za-z][\w-]*", task.partition(":")[0])
    if not words:
        return "Step"
    verb = words[0].casefold()
    if verb in _MAKERS and len(words) > 1:
        head = re.split(r"\s(?:for|from|of|with|to|in|on|and|based)\s", " ".join(words[1:]))[0]
        return head.split()[-1].capitalize()
    gist = " ".join(words[:3])
    return _NOUNS.get(verb, gist[0].upper() + gist[1:])


def _several(tasks: Sequence[str]) -> str:
    """A common name for tasks that run together."""
    verbs = Counter(words[0].casefold() for task in tasks if (words := re.findall(r"[A-Za-z]+", task)))
    verb, count = verbs.most_common(1)[0] if verbs else ("", 0)
    noun = _NOUNS.get(verb)
    if noun is None or count < len(tasks):
        return "Parallel Tasks"
    return f"Parallel {_plural(noun)}"


def _plural(noun: str) -> str:
    if noun.endswith("sis"):
        return f"{noun[:-2]}es"
    if noun.endswith("x"):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
