"""Maps a repository: languages, folders, packages and habits, and what scanners must know of single files.

Effects: queries git and reads the files of the repository in the working directory. It does not judge single lines.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import Refusal, answering
from registry.packaged.review_repo.files import (
    NOT_READABLE,
    READ_LIMIT,
    Listing,
    Source,
    checked_scope,
    is_script_candidate,
    read_bytes,
    read_text,
    survey,
)
from registry.packaged.review_repo.findings import SEVERITIES, one_line
from registry.packaged.review_repo.git import LAST_LINE, Repository, changed_since, marked_generated, open_repository
from registry.packaged.review_repo.habits import habits
from registry.packaged.review_repo.languages import (
    NOT_CODE,
    Role,
    is_library,
    is_minified,
    marks_generated,
    script_language,
)
from registry.packaged.review_repo.packages import frameworks_of, packages_of
from registry.packaged.review_repo.programs import Deadline
from registry.packaged.review_repo.workflows import workflow_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 60.0
"""Budget of this agent, below its node's timeout."""
WISHES = ("deep", "old-secrets")
"""Arguments that are true or false."""
NAMED_FILES = 1_500
"""Files of one sort whose names are passed to the scanners."""
CHANGED_FILES = 3_000
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(slots=True)
class _Count:
    files: int = 0
    lines: int = 0
    test_files: int = 0


@dataclass(slots=True)
class _Tally:
    """Totals over all files."""

    languages: dict[str, _Count] = field(default_factory=lambda: defaultdict(_Count))
    folders: dict[str, _Count] = field(default_factory=lambda: defaultdict(_Count))
    generated: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    not_utf8: list[str] = field(default_factory=list)
    pointers: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    text_files: int = 0


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-structure`: inputs `path` or `arguments`, `since`, `fail-on`, `WISHES`; output `structure`."""
    deadline = Deadline(SECONDS)
    root = Path.cwd()
    repository = open_repository(root)
    scope = checked_scope(root, _wanted(inputs))
    limit, wishes = _severity(inputs.get("fail-on")), {name: _yes(inputs.get(name), name) for name in WISHES}
    listing = survey(root, scope)
    since = _text(inputs.get("since"))
    base, changed, whole = changed_since(root, since) if since else ("", None, True)
    if not whole:
        listing.limits.append(
            "Changes that are not committed were left out: a filter of the repository would have to run."
        )
    marked = marked_generated(root, [file.path for file in listing.files])
    tally = _count(listing, marked, deadline)
    return {"structure": {**_output(repository, listing, tally, base, changed), "limit": limit, **wishes}}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _severity(value: object) -> str:
    """The severity `fail-on`, empty without one. Raises `Refusal` INVALID_ARGUMENT, before anything is scanned."""
    wanted = _text(value)
    if wanted and wanted not in SEVERITIES:
        raise Refusal(
            "INVALID_ARGUMENT",
            f'fail-on is "{wanted[:60]}", which is not a severity',
            kind="validation",
            hint=f"Use one of {', '.join(SEVERITIES)}.",
        )
    return wanted


def _yes(value: object, name: str) -> bool:
    """The argument *name*. Raises `Refusal` INVALID_ARGUMENT for a text that the command's conditions would ignore."""
    text = value.strip() if isinstance(value, str) else value
    if text in (True, "true"):
        return True
    if text in (None, False, "", "false"):
        return False
    raise Refusal(
        "INVALID_ARGUMENT",
        f'{name} is "{str(value)[:60]}", which is neither true nor false',
        kind="validation",
        hint=f"Use {name}=true, or leave it out.",
    )


def _wanted(inputs: Mapping[str, Any]) -> object:
    """The requested folder: the argument `path`, or the whole argument string of `/review-repo src`."""
    path, text = inputs.get("path"), inputs.get("arguments")
    if isinstance(path, str) and path.strip() not in ("", "."):
        return path
    if isinstance(text, str):
        return text.strip().removeprefix("path=")
    return path


def _count(listing: Listing, marked: set[str], deadline: Deadline) -> _Tally:
    tally = _Tally()
    for number, file in enumerate(listing.files):
        if deadline.passed:
            listing.limits.append(f"Lines were counted in the first {number:,} of {len(listing.files):,} files only.")
            break
        if file.language is not None or is_script_candidate(file):
            _count_file(listing.root, file, tally, marked=file.path in marked)
    return tally


def _count_file(root: Path, file: Source, tally: _Tally, *, marked: bool) -> None:
    data = read_bytes(root, file)
    if data is None:
        if file.size <= READ_LIMIT:
            tally.unreadable.append(file.path)
        return
    if data.startswith(_LFS):
        tally.pointers.append(file.path)
        return
    if b"\0" in data[:8000]:
        return
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    language = file.language or script_language(text)
    if language is None:
        return
    if "\ufffd" in text and b"\xef\xbf\xbd" not in data:
        tally.not_utf8.append(file.path)
    code = language not in NOT_CODE
    if code and (is_minified(text) or is_library(file.path, language, text)):
        tally.foreign.append(file.path)
        return
    if file.language is None:
        tally.scripts[file.path] = language
    if code and (marked or marks_generated(text)):
        tally.generated.append(file.path)
        return
    tally.text_files += 1
    lines = text.count("\n") - text.count("\n\n") + (not text.endswith("\n"))
    folder = file.path.split("/", 1)[0] if "/" in file.path else "."
    for count in (tally.languages[language], *([tally.folders[folder]] if code else [])):
        count.files += 1
        count.lines += lines
        count.test_files += file.role is Role.TEST


def _output(
    repository: Repository,
    listing: Listing,
    tally: _Tally,
    base: str,
    changed: dict[str, list[list[int]]] | None,
) -> dict[str, Any]:
    by_lines = sorted(tally.languages.items(), key=lambda item: (item[0] in NOT_CODE, -item[1].lines))
    folders = sorted(tally.folders.items(), key=lambda item: -item[1].lines)
    texts = _manifests(listing)
    if changed is not None:
        # New files that git does not know yet are changes too.
        changed |= {file.path: [[1, LAST_LINE]] for file in listing.files if not file.tracked}
        if len(changed) > CHANGED_FILES:
            listing.limits.append(f"Only the first {CHANGED_FILES:,} of {len(changed):,} changed files were reviewed.")
            changed = dict(sorted(changed.items())[:CHANGED_FILES])
    return {
        "scope": listing.scope,
        "commit": repository.head,
        "branch": one_line(repository.branch or "", 100) or None,
        "commits": repository.commits,
        "shallow": repository.shallow,
        "since": base[:12] or None,
        "changed": changed,
        "files": len(listing.files),
        "paths": [file.path for file in listing.files] if len(listing.files) <= NAMED_FILES else None,
        "text_files": tally.text_files,
        "test_files": sum(count.test_files for name, count in tally.languages.items() if name not in NOT_CODE),
        "code_lines": sum(count.lines for name, count in tally.languages.items() if name not in NOT_CODE),
        "languages": [
            {"language": name, "files": count.files, "lines": count.lines, "test_files": count.test_files}
            for name, count in by_lines[:25]
        ],
        "folders": [
            {"folder": one_line(name, 100), "files": count.files, "lines": count.lines} for name, count in folders[:12]
        ],
        "generated": sorted(tally.generated)[:NAMED_FILES],
        "foreign": sorted(tally.foreign)[:NAMED_FILES],
        "scripts": dict(sorted(tally.scripts.items())[:NAMED_FILES]),
        "not_utf8": sorted(tally.not_utf8)[:NAMED_FILES],
        "packages": packages_of(listing)[:100],
        "frameworks": sorted(frameworks_of(texts)),
        "skipped": _skipped(listing, tally),
        "workflows": workflow_facts(texts),
        "practices": habits(listing, texts, {name: count.files for name, count in tally.languages.items()}),
        "limits": listing.limits[:10],
    }


def _skipped(listing: Listing, tally: _Tally) -> list[dict[str, Any]]:
    skipped = {reason: list(paths) for reason, paths in listing.skipped.items()}
    oversized = [file.path for file in listing.files if file.size > READ_LIMIT and file.language is not None]
    for reason, paths in (
        ("copy of a library, or minified", tally.foreign),
        ("stored in Git LFS, not here", tally.pointers),
        (NOT_READABLE, tally.unreadable),
        (f"larger than {READ_LIMIT // 1_000_000} MB", oversized),
    ):
        skipped[reason] = [*skipped.get(reason, ()), *paths]
    return [
        {"reason": reason, "count": len(paths), "examples": [one_line(path, 100) for path in sorted(paths)[:3]]}
        for reason, paths in sorted(skipped.items(), key=lambda item: -len(item[1]))
        if paths
    ]


_MANIFEST = re.compile(
    r"(^|/)(package\.json|pyproject\.toml|setup\.cfg|Pipfile|requirements[\w.-]*\.txt|pom\.xml|build\.gradle(\.kts)?|Gemfile|composer\.json"
    r"|Makefile|tox\.ini|\.pre-commit-config\.yaml|Cargo\.toml|go\.mod)$|^\.github/workflows/[^/]+\.ya?ml$|^\.gitlab-ci\.yml$"
)


def _manifests(listing: Listing) -> dict[str, str]:
    """The text of the files that say how a project is built and checked."""
    wanted = [file for file in listing.files if _MANIFEST.search(file.path)][:200]
    return {file.path: text for file in wanted if (text := read_text(listing.root, file)) is not None}
