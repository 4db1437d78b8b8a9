"""Language-independent checks of a repository: data files, conflict markers, links, names, leftovers.

Effects: reads the repository. It needs only git, and parses data files without building objects that they name.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from registry.packaged.review_repo.data_files import syntax_error
from registry.packaged.review_repo.files import DELETED
from registry.packaged.review_repo.findings import Hit
from registry.packaged.review_repo.git import ignored_but_tracked, tracked
from registry.packaged.review_repo.languages import NOT_CODE, Role
from registry.packaged.review_repo.markdown_links import Targets, broken_links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.packaged.review_repo.files import Listing, Source

TOOL = "hygiene"
LARGE = 5_000_000
"""Size from which a tracked file burdens every clone, in bytes."""

_CONFLICT_START = re.compile(r"^<{7} \S", re.MULTILINE)
_CONFLICT_END = re.compile(r"^>{7} \S", re.MULTILINE)
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LEFTOVER = re.compile(
    r"(^|/)(\.DS_Store|Thumbs\.db|desktop\.ini|\.env|[^/]+\.(orig|rej|swp|pyc|class|bak)|npm-debug\.log|core)$"
)
_WINDOWS = re.compile(
    r'[<>:"|?*\\\x00-\x1f]|[. ](/|$)|(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.[^/]*)?(/|$)', re.IGNORECASE
)
_FORMATS = {"JSON": "json-syntax", "TOML": "toml-syntax", "YAML": "yaml-syntax"}


def check_repository(listing: Listing) -> tuple[Targets, list[Hit]]:
    """The targets that links can have, and what is wrong with names, links and tracked files."""
    hits = [*_names(listing), *_symlinks(listing), *_ignored(listing)]
    return _targets(listing), hits


def _targets(listing: Listing) -> Targets:
    """Every path of the repository, including folders, reviewed or not, except deleted files."""
    paths = {file.path for file in listing.files}
    for reason, skipped in listing.skipped.items():
        if reason != DELETED:
            paths.update(path.rstrip("/") for path in skipped)
    if listing.scope != ".":
        paths.update(raw.decode("utf-8", "replace") for _, raw in tracked(listing.root, "."))
    for path in list(paths):
        parent = posixpath.dirname(path)
        while parent and parent not in paths:
            paths.add(parent)
            parent = posixpath.dirname(parent)
    opaque = {*listing.skipped.get("symlink", ()), *listing.skipped.get("submodule or nested repository", ())}
    return Targets(paths, {path.rstrip("/") for path in opaque})


def check_text(file: Source, text: str, targets: Targets) -> Iterator[Hit]:
    """Faults in the text of *file*, whatever its language."""
    start = _CONFLICT_START.search(text) if "<<<<<<<" in text else None
    end = _CONFLICT_END.search(text) if start else None
    if start and end and start.start() < end.start() and re.search(r"^={7}$", text, re.MULTILINE):
        yield _hit(
            "conflict-marker", file.path, "A merge conflict was committed unresolved", _line(text, start.start())
        )
    signs = () if text.isascii() else _BIDI.finditer(text)
    bidi = next((found for found in signs if not _closed(text, found.start())), None)
    if bidi and file.language not in NOT_CODE and file.language != "HTML":
        yield _hit(
            "bidi-control", file.path, f"Direction character U+{ord(bidi[0]):04X} in code", _line(text, bidi.start())
        )
    rule = _FORMATS.get(file.language or "")
    # Test data may be broken on purpose; a template becomes data only when it is filled in.
    if rule and file.role is not Role.TEST and not start and not re.search(r"\{\{|\{%|<%|\$\{\{", text):
        problem = syntax_error(file.path, file.language or "", text)
        if problem is not None:
            yield _hit(rule, file.path, problem[1], problem[0])
    if file.language == "Markdown" and file.role is not Role.TEST:
        for line, target in broken_links(file.path, text, targets):
            yield _hit("broken-link", file.path, f"Link to {target}, which does not exist", line)


def _closed(text: str, place: int) -> bool:
    """Whether the directions on the line of *place* only isolate words, and all are closed again."""
    end = text.find("\n", place)
    line = text[text.rfind("\n", 0, place) + 1 : end if end >= 0 else None]
    opened = sum(line.count(sign) for sign in "\u2066\u2067\u2068")
    return opened == line.count("\u2069") and not re.search("[\u202a-\u202e]", line)


def _names(listing: Listing) -> Iterator[Hit]:
    folded: dict[str, list[str]] = defaultdict(list)
    for file in listing.files:
        folded[file.path.casefold()].append(file.path)
        if _LEFTOVER.search(file.path) and file.tracked:
            rule = "env-file" if file.path.rpartition("/")[2] == ".env" else "leftover-file"
            yield _hit(rule, file.path, "A temporary file of a tool is tracked")
        if _WINDOWS.search(file.path):
            yield _hit("unportable-name", file.path, "Windows cannot check out this name")
        if file.size > LARGE and file.tracked:
            yield _hit("large-file", file.path, f"{file.size / 1_000_000:.0f} MB in every clone")
    for paths in folded.values():
        if len(paths) > 1:
            yield _hit("case-collision", paths[1], f"Differs from {paths[0]} only in upper and lower case")


def _symlinks(listing: Listing) -> Iterator[Hit]:
    root = listing.root.resolve()
    for path in listing.skipped.get("symlink", ()):
        link = listing.root / path
        try:
            if not link.is_symlink():
                continue
            target = link.readlink()
            resolved = link.resolve()
            if target.is_absolute() or not resolved.is_relative_to(root):
                yield _hit("symlink-outside", path, "The link points outside the repository")
            elif not resolved.exists():
                yield _hit("symlink-broken", path, "The target of the link does not exist")
        except (OSError, RuntimeError):
            yield _hit("symlink-broken", path, "The link cannot be resolved")


def _ignored(listing: Listing) -> Iterator[Hit]:
    reviewed = {file.path for file in listing.files}
    for raw in ignored_but_tracked(listing.root, listing.scope):
        path = raw.decode("utf-8", "replace")
        if path in reviewed:
            yield _hit("ignored-but-tracked", path, "Tracked although .gitignore matches it")


def _hit(rule: str, path: str, message: str, line: int = 1) -> Hit:
    meaning, severity, confidence = RULES[rule]
    return Hit(
        tool=TOOL,
        rule=rule,
        meaning=meaning,
        severity=severity,
        confidence=confidence,
        file=path,
        line=line,
        message=message,
    )


RULES = {
    "conflict-marker": ("conflict", "high", "high"),
    "bidi-control": ("direction", "high", "medium"),
    "json-syntax": ("data-syntax", "medium", "medium"),
    "toml-syntax": ("data-syntax", "medium", "high"),
    "yaml-syntax": ("data-syntax", "medium", "medium"),
    "broken-link": ("broken-link", "low", "high"),
    "case-collision": ("case-collision", "low", "high"),
    "unportable-name": ("name", "low", "high"),
    "leftover-file": ("leftover", "low", "high"),
    "env-file": ("env-file", "low", "medium"),
    "large-file": ("large-file", "low", "high"),
    "symlink-outside": ("symlink", "medium", "high"),
    "symlink-broken": ("symlink", "low", "high"),
    "ignored-but-tracked": ("ignored", "low", "low"),
}
"""Meaning, severity and confidence of each check."""


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
