"""Finds relative links in Markdown without a target in the repository.

Pure: the existing paths are passed in. URLs, anchors, and routes of a site generator are not checked.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_INLINE = re.compile(r"\]\(\s*(<[^<>\n]{1,500}>|[^\s()<>]{1,500})(?:\s+[\"'][^\n]{0,300}?)?\s*\)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:\s+<?([^\s<>]{1,500})>?")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_ROUTES = (".html", ".htm", ".php", ".aspx")
_LINE = 5_000


class Targets(msgspec.Struct, frozen=True):
    """Possible targets of links."""

    paths: set[str]
    """Files and folders of the repository."""
    opaque: set[str]
    """Symlinks and submodules: paths below them are unknown, and not checked."""

    def missing(self, path: str) -> bool:
        """Whether *path* certainly does not exist."""
        parent = posixpath.dirname(path)
        while parent:
            if parent in self.opaque:
                return False
            parent = posixpath.dirname(parent)
        return path not in self.paths


def broken_links(path: str, text: str, targets: Targets) -> Iterator[tuple[int, str]]:
    """Line and target of each relative link of the Markdown file *path* that is missing."""
    for number, line in _prose(text):
        links = [match[1].strip("<>") for match in _INLINE.finditer(line)]
        reference = _REFERENCE.match(line)
        if reference:
            links.append(reference[1])
        for link in links:
            if _is_missing(path, link, targets):
                yield number, link


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside code, without lines that are only comments."""
    fence = ""
    for number, line in enumerate(text.split("\n"), start=1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence):
                fence = ""
        elif mark:
            fence = mark[1]
        elif len(line) < _LINE and not line.lstrip().startswith("<!--") and not line.startswith(("    ", "\t")):
            yield number, _CODE.sub("", line)


def _is_missing(path: str, link: str, targets: Targets) -> bool:
    plain = unquote(link.split("#", 1)[0].split("?", 1)[0])
    if not plain or re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//", link) or re.search(r"[{}$*|\\]", plain):
        return False
    # Only names of files are checked: a path without an ending may be a route of a documentation site, and so may
    # an absolute one, unless the page is at the top, where only hosts such as GitHub show it.
    if not _ENDING.search(plain) or plain.lower().endswith(_ROUTES) or (plain.startswith("/") and "/" in path):
        return False
    base = "" if plain.startswith("/") else posixpath.dirname(path)
    resolved = posixpath.normpath(posixpath.join(base, plain.lstrip("/")))
    return not resolved.startswith("..") and targets.missing(resolved)
