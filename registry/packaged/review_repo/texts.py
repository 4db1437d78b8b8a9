"""The agent that reads text of any kind: secrets, data files, links, leftovers, by checks of our own.

Effects: reads the repository in the working directory. It is apart from the other scanning agents, since its parsers of
data files are slow to import.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import answering
from registry.packaged.review_repo.files import relist
from registry.packaged.review_repo.hygiene import check_repository, check_text
from registry.packaged.review_repo.languages import NOT_CODE, Role
from registry.packaged.review_repo.programs import Deadline
from registry.packaged.review_repo.scans import output_of
from registry.packaged.review_repo.secrets import find_secrets
from registry.packaged.review_repo.suppression import speaks_for_file
from registry.packaged.review_repo.tools.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 40.0
DATED = 5
"""Marks such as TODO whose age is asked for, spread over all."""
_MARKS = ("TODO", "FIXME", "XXX", "HACK")
_MARK = re.compile(rf"\b({'|'.join(_MARKS)})\b")


@answering
def text(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-text`: secrets, data files, links, leftovers, by checks of our own; output `text`."""
    listing, structure = relist(inputs, skipped=True)
    secrets, hygiene = Scan(tool="secrets"), Scan(tool="hygiene")
    targets, named = check_repository(listing)
    hygiene.hits += named
    texts: dict[str, list[str]] = {}
    silenced, marks = [], []
    readable = [file for file in listing.files if file.language is not None or file.size < 200_000]  # noqa: PLR2004 - settings
    for file, content in listing.texts(readable, Deadline(SECONDS)):
        leaks = list(find_secrets(content, file.path, file.role))
        secrets.hits += leaks
        plain = list(check_text(file, content, targets)) if file.language is not None else []
        hygiene.hits += plain
        secrets.files += 1
        hygiene.files += file.language is not None
        if leaks or plain:
            texts[file.path] = content.split("\n")
        if file.language not in (None, *NOT_CODE) and speaks_for_file(content[:2_000].split("\n")):
            silenced.append(file.path)
        marked = any(mark in content for mark in _MARKS)
        if marked and file.role is Role.SOURCE and file.language not in (None, *NOT_CODE):
            marks += [(file.path, content.count("\n", 0, found.start()) + 1) for found in _MARK.finditer(content)]
    output = output_of([secrets, hygiene], listing, structure, texts)
    places = [{"file": path, "line": line} for path, line in marks[:: max(1, len(marks) // DATED)][:DATED]]
    return {"text": {**output, "silenced": sorted(silenced)[:100], "todos": {"count": len(marks), "places": places}}}
