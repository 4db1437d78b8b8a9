"""Maps a repository: languages, folders, tests and habits, and files that other reviewers should skip.

Effects: queries git and reads the files of the repository in the working directory. It does not judge single lines.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.answer import answering
from registry.packaged.review_repo.files import (
    READ_LIMIT,
    Listing,
    Source,
    checked_scope,
    is_script_candidate,
    read_text,
    survey,
)
from registry.packaged.review_repo.findings import one_line
from registry.packaged.review_repo.git import Repository, marked_generated, open_repository
from registry.packaged.review_repo.languages import (
    NOT_CODE,
    Role,
    is_minified,
    marks_generated,
    script_language,
)
from registry.packaged.review_repo.programs import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECONDS = 60.0
"""Budget of this agent, below its node's timeout."""
NAMED_FILES = 1_500
"""Generated files and scripts that are passed to the other reviewers."""

_TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


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
    scripts: dict[str, str] = field(default_factory=dict)
    text_files: int = 0
    todos: int = 0


@answering
def review(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Agent `repo-structure`: inputs `path` or `arguments` (a subfolder), output `structure`."""
    deadline = Deadline(SECONDS)
    root = Path.cwd()
    repository = open_repository(root)
    scope = checked_scope(root, _wanted(inputs))
    listing = survey(repository, scope)
    marked = marked_generated(root, [file.path for file in listing.files])
    tally = _count(listing, marked, deadline)
    return {"structure": _output(repository, listing, tally)}


def _wanted(inputs: Mapping[str, Any]) -> object:
    """The requested folder: the argument `path`, or the whole argument string of `/review-repo src`."""
    path, text = inputs.get("path"), inputs.get("arguments")
    if isinstance(path, str) and path.strip() not in ("", "."):
        return path
    if isinstance(text, str):
        return text.strip().removeprefix("path=")
    return path


def _count(listing: Listing, marked: set[str], deadline: Deadline) -> _Tally:
    tally = _Tally(generated=sorted(marked))
    for number, file in enumerate(listing.files):
        if deadline.passed:
            listing.limits.append(f"Lines were counted in the first {number:,} of {len(listing.files):,} files only.")
            break
        if file.path not in marked and (file.language is not None or is_script_candidate(file)):
            _count_file(listing.root, file, tally)
    return tally


def _count_file(root: Path, file: Source, tally: _Tally) -> None:
    text = read_text(root, file)
    if text is None:
        return
    language = file.language or script_language(text)
    if language is None:
        return
    code = language not in NOT_CODE
    if code and (marks_generated(text) or is_minified(text)):
        tally.generated.append(file.path)
        return
    if file.language is None:
        tally.scripts[file.path] = language
    tally.text_files += 1
    lines = sum(1 for line in text.split("\n") if line.strip())
    folder = file.path.split("/", 1)[0] if "/" in file.path else "."
    for count in (tally.languages[language], *([tally.folders[folder]] if code else [])):
        count.files += 1
        count.lines += lines
        count.test_files += file.role is Role.TEST
    if code:
        tally.todos += len(_TODO.findall(text))


def _output(repository: Repository, listing: Listing, tally: _Tally) -> dict[str, Any]:
    by_lines = sorted(tally.languages.items(), key=lambda item: (item[0] in NOT_CODE, -item[1].lines))
    folders = sorted(tally.folders.items(), key=lambda item: -item[1].lines)
    generated, scripts = sorted(tally.generated)[:NAMED_FILES], sorted(tally.scripts.items())[:NAMED_FILES]
    skipped = {reason: (len(paths), paths[:3]) for reason, paths in listing.skipped.items()}
    if tally.generated:
        count, examples = skipped.get("generated", (0, []))
        skipped["generated"] = (count + len(tally.generated), (examples + generated)[:3])
    oversized = [file.path for file in listing.files if file.size > READ_LIMIT and file.language is not None]
    if oversized:
        skipped[f"larger than {READ_LIMIT // 1_000_000} MB"] = (len(oversized), oversized[:3])
    python = tally.languages.get("Python", _Count())
    return {
        "scope": listing.scope,
        "commit": repository.head,
        "branch": one_line(repository.branch or "", 100) or None,
        "commits": repository.commits,
        "shallow": repository.shallow,
        "files": len(listing.files),
        "text_files": tally.text_files,
        "python_files": python.files,
        "test_files": sum(count.test_files for name, count in tally.languages.items() if name not in NOT_CODE),
        "code_lines": sum(count.lines for name, count in tally.languages.items() if name not in NOT_CODE),
        "todos": tally.todos,
        "languages": [
            {"language": name, "files": count.files, "lines": count.lines, "test_files": count.test_files}
            for name, count in by_lines[:25]
        ],
        "folders": [
            {"folder": one_line(name, 100), "files": count.files, "lines": count.lines} for name, count in folders[:12]
        ],
        "generated": generated,
        "scripts": dict(scripts),
        "skipped": [
            {"reason": reason, "count": count, "examples": [one_line(path, 100) for path in examples]}
            for reason, (count, examples) in sorted(skipped.items(), key=lambda item: -item[1][0])
        ],
        "practices": _practices(listing, tally),
        "limits": listing.limits[:10],
    }


_MANIFESTS = {
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "requirements.txt", "Pipfile.lock"),
    "setup.py": ("requirements.txt", "requirements-dev.txt", "uv.lock", "Pipfile.lock"),
    "Pipfile": ("Pipfile.lock",),
    "package.json": (
        "package-lock.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lock",
        "bun.lockb",
        "npm-shrinkwrap.json",
    ),
    "Cargo.toml": ("Cargo.lock",),
    "go.mod": ("go.sum",),
    "Gemfile": ("Gemfile.lock",),
    "composer.json": ("composer.lock",),
    "mix.exs": ("mix.lock",),
}
_CI = re.compile(
    r"^(\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.ya?ml|\.circleci/config\.ya?ml|Jenkinsfile|azure-pipelines\.ya?ml"
    r"|\.travis\.ya?ml|\.buildkite/.+|bitbucket-pipelines\.ya?ml|\.woodpecker(/.+|\.ya?ml)|\.forgejo/workflows/.+)$"
)
_LINTERS = re.compile(
    r"^(\.?ruff\.toml|\.flake8|\.pylintrc|\.pre-commit-config\.ya?ml|\.eslintrc.*|eslint\.config\..+|biome\.jsonc?|tox\.ini"
    r"|\.golangci\.ya?ml|\.?rustfmt\.toml|\.?clippy\.toml|\.rubocop\.ya?ml|\.clang-(tidy|format)|\.editorconfig"
    r"|\.prettierrc.*|checkstyle\.xml|phpstan\.neon.*)$"
)


def _practices(listing: Listing, tally: _Tally) -> list[dict[str, Any]]:
    """Habits of a project that show in its files; `ok` is None if nothing is expected."""
    paths = {file.path for file in listing.files}.union(*listing.skipped.values())
    top = {path.lower() for path in paths if "/" not in path}
    code = {name: count for name, count in tally.languages.items() if name not in NOT_CODE}
    tests = sum(count.test_files for count in code.values())
    sources = sum(count.files for count in code.values()) - tests
    manifests = sorted(name for name in _MANIFESTS if name in paths)
    unlocked = [name for name in manifests if not any(lock in paths for lock in _MANIFESTS[name])]
    ci = sorted(path for path in paths if _CI.match(path))
    linters = sorted(path for path in top if _LINTERS.match(path))
    own_tools = _tool_tables(listing)
    return [
        _practice("README", _starts(top, "readme"), "says what this is and how to start"),
        _practice("Licence", _starts(top, "licen", "copying"), "says who may use it"),
        _practice("Tests", tests > 0 if sources else None, f"{tests} test files for {sources} other code files"),
        _practice("Continuous integration", bool(ci), ", ".join(ci[:3]) or "no configuration found"),
        _practice(
            "Dependencies declared", bool(manifests) if code else None, ", ".join(manifests) or "no manifest found"
        ),
        _practice(
            "Dependencies locked",
            not unlocked if manifests else None,
            f"no lock file beside {', '.join(unlocked)}" if unlocked else "lock files exist",
        ),
        _practice(
            "Linter or formatter set up",
            bool(linters or own_tools) if code else None,
            ", ".join([*linters, *own_tools][:4]) or "no configuration found",
        ),
        _practice(
            "Changelog", _starts(top, "changelog", "changes", "history", "news", "release"), "shows users what changed"
        ),
    ]


_PURPOSES = ("says what this is and how to start", "says who may use it", "shows users what changed")


def _practice(name: str, ok: bool | None, detail: str) -> dict[str, Any]:  # noqa: FBT001 - a three-valued field
    absent = ok is False and detail in _PURPOSES
    return {"name": name, "ok": ok, "detail": "none found" if absent else one_line(detail, 200)}


def _starts(names: Iterable[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)


def _tool_tables(listing: Listing) -> list[str]:
    """Linters that pyproject.toml configures."""
    wanted = next((file for file in listing.files if file.path == "pyproject.toml"), None)
    text = (read_text(listing.root, wanted) or "") if wanted else ""
    found = Counter(re.findall(r"^\[tool\.(ruff|black|flake8|pylint|isort)\b", text, re.MULTILINE))
    return [f"pyproject.toml [tool.{name}]" for name in found]
