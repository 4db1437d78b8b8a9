"""Habits of a project that show in its files: tests, locked dependencies, linters, continuous integration.

Pure. A lock file pins what is installed, and a linter reads code for mistakes; a list of names or the settings of an
editor are neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from registry.packaged.review_repo.findings import one_line
from registry.packaged.review_repo.languages import NOT_CODE, Role, role_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry.packaged.review_repo.files import Listing

_LOCKS = {
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "Pipfile.lock"),
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
    r"^(\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.ya?ml|\.circleci/config\.ya?ml|Jenkinsfile|\.?azure-pipelines\.ya?ml"
    r"|\.travis\.ya?ml|\.buildkite/.+|bitbucket-pipelines\.ya?ml|\.woodpecker(/.+|\.ya?ml)|\.forgejo/workflows/.+)$"
)
_LINTER_FILES = re.compile(
    r"^(\.?ruff\.toml|\.flake8|\.?pylintrc|\.eslintrc(\..+)?|eslint\.config\..+|biome\.jsonc?|\.?oxlintrc\.json|\.golangci\.(ya?ml|toml)"
    r"|\.?clippy\.toml|\.rubocop\.ya?ml|\.clang-tidy|checkstyle\.xml|phpstan\.neon.*|psalm\.xml|phpcs\.xml.*|\.shellcheckrc|\.jshintrc"
    r"|tslint\.json|\.swiftlint\.yml|detekt\.yml|\.credo\.exs|\.hadolint\.ya?ml)$"
)
_LINTER_WORDS = re.compile(
    r"\[tool\.(?P<table>ruff|flake8|pylint|mypy|pyright)\b|\"eslintConfig\""
    r"|\b(?P<word>ruff check|ruff|flake8|pylint|eslint|oxlint|biome (?:check|lint)|golangci-lint|go vet"
    r"|staticcheck|cargo clippy|clippy|rubocop|phpstan|psalm|phpcs|checkstyle"
    r"|spotbugs|errorprone|pmd|shellcheck|ktlint|detekt"
    r"|swiftlint|standardrb)\b"
    r"|(?:gem |npx |exec )['\"]?(?P<tool>standard|xo)\b|\"(?P<package>standard|xo)\"\s*:"
    r"|:\s*\"(?P<script>standard|xo)(?:\"|\s+[-&|*\\])"
)
"""Programs whose names are ordinary words count only where a program or a package is named."""
_RUNS = re.compile(
    r"Makefile$|tox\.ini$|\.github/workflows/|\.gitlab-ci\.yml$|\.pre-commit-config\.yaml$|package\.json$|pom\.xml$|build\.gradle|composer\.json$|Gemfile$|setup\.cfg$"
)
_LISTS = re.compile(r"requirements([\w.-]*)\.txt")
_NOT_SHIPPED = re.compile(r"dev|test|doc|lint|ci\b|build|typing|example|sample|template", re.IGNORECASE)
"""Lists of what only those need who develop the project, and lists to copy."""
_CHANGES = re.compile(
    r"((changelog|changes|history|news|release)|docs?/(\w+/)?(changelog|changes|history|release[-_]?notes|whats[-_]?new)|debian/changelog)"
    r"(?![^/]*\.(sh|py|rb|pl|ps1|go|[mc]?[jt]s|ya?ml|json|toml|xml)$)[^/]*$|\.changeset/"
)
"""Where users read what changed; a script or the settings of a release are no such place."""
_PINNED = re.compile(r"^[\w.\[\],-]+\s*===?\s*[\w.]+", re.MULTILINE)
_NAMED = re.compile(r"^[A-Za-z][\w.\[\],-]*\s*(?:[=<>~!;].*)?$", re.MULTILINE)


def habits(listing: Listing, manifests: Mapping[str, str], languages: Mapping[str, int]) -> list[dict[str, Any]]:
    """Habits of a project that show in its files; `ok` is None if nothing is expected."""
    paths = {file.path for file in listing.files}.union(*listing.skipped.values())
    lowered = {path.lower() for path in paths}
    top = {path for path in lowered if "/" not in path}
    folders = {path.partition("/")[0] for path in lowered} - top
    own = {path: text for path, text in manifests.items() if _CI.match(path) or role_of(path) is Role.SOURCE}
    code = any(name not in NOT_CODE for name in languages)
    tests = sum(file.role is Role.TEST and file.language not in (None, *NOT_CODE) for file in listing.files)
    sources = sum(file.role is not Role.TEST and file.language not in (None, *NOT_CODE) for file in listing.files)
    ci = sorted(path for path in paths if _CI.match(path))
    return [
        _habit("README", _starts(top, "readme"), "says what this is and how to start"),
        _habit("Licence", _starts({*top, *folders}, "licen", "copying", "unlicense"), "says who may use it"),
        _habit("Tests", tests > 0 if sources else None, f"{tests:,} test files for {sources:,} other code files"),
        _habit("Continuous integration", bool(ci), ", ".join(ci[:3]) or "no configuration found"),
        locked(paths, own),
        _linted(top, own, code=code),
        _habit("Changelog", any(map(_CHANGES.match, lowered)), "shows users what changed"),
    ]


def locked(paths: Iterable[str], manifests: Mapping[str, str]) -> dict[str, Any]:
    """Whether each application's dependencies are pinned, by a lock beside its manifest or in a folder above."""
    known = set(paths)
    missing, locks = [], set()
    for path, text in sorted(manifests.items()):
        folder, _, name = path.rpartition("/")
        if name in _LOCKS and _has_dependencies(name, text):
            lock = next(
                (
                    f"{parent}{lock}"
                    for parent in _parents(folder)
                    for lock in _LOCKS[name]
                    if f"{parent}{lock}" in known
                ),
                None,
            )
            if lock:
                locks.add(lock)
            elif not _pinned_beside(folder, name, manifests) and not _is_library(name, text):
                missing.append(path)
        elif (listed := _LISTS.fullmatch(name)) and not _NOT_SHIPPED.search(listed[1]):
            (locks.add if _is_pinned(text) else missing.append)(path)
    if not missing and not locks:
        return _habit("Dependencies locked", None, "nothing to lock")
    text = f"no lock for {', '.join(missing[:4])}" if missing else ", ".join(sorted(locks)[:3])
    return _habit("Dependencies locked", not missing, text)


def _has_dependencies(name: str, text: str) -> bool:
    if name == "package.json":
        return re.search(r'"(dev)?dependencies"\s*:\s*\{\s*"', text, re.IGNORECASE) is not None
    if name == "pyproject.toml":
        return (
            re.search(r"^dependencies\s*=\s*\[\s*[\"']|^\[tool\.poetry\.dependencies\]", text, re.MULTILINE) is not None
        )
    if name == "go.mod":
        return "require" in text
    return True


def _is_library(name: str, text: str) -> bool:
    """Whether others install it: then ranges are right, and the lock is a matter of its own development."""
    if name == "pyproject.toml":
        return "[build-system]" in text and not re.search(r"^\[tool\.poetry\]", text, re.MULTILINE)
    if name == "package.json":
        return '"private": true' not in text and re.search(r'"(main|exports|module|bin)"\s*:', text) is not None
    return (
        name in ("Cargo.toml", "composer.json", "Gemfile")
        and re.search(r'\[lib\]|"type"\s*:\s*"library"|^gemspec', text, re.MULTILINE) is not None
    )


def _pinned_beside(folder: str, name: str, manifests: Mapping[str, str]) -> bool:
    prefix = f"{folder}/" if folder else ""
    beside = [
        text for path, text in manifests.items() if re.fullmatch(re.escape(prefix) + r"requirements[\w.-]*\.txt", path)
    ]
    return name in ("pyproject.toml", "Pipfile") and any(_is_pinned(text) for text in beside)


def _is_pinned(text: str) -> bool:
    """Whether every requirement has one version; `>=` is a range and no lock."""
    plain = re.sub(r"\s*(--hash=\S+|\\)\s*", " ", re.sub(r"#.*", "", text))
    lines = [line.strip() for line in plain.splitlines() if _NAMED.match(line.strip())]
    return bool(lines) and all(_PINNED.match(line) for line in lines)


def _parents(folder: str) -> list[str]:
    parts = folder.split("/") if folder else []
    return ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]


def _linted(top: set[str], manifests: Mapping[str, str], *, code: bool) -> dict[str, Any]:
    found = sorted(path for path in top if _LINTER_FILES.match(path))
    for path, text in sorted(manifests.items()):
        if path.endswith("pyproject.toml") or _RUNS.search(path):
            for match in _LINTER_WORDS.finditer(text):
                kind = match.lastgroup
                if match["table"] in ("mypy", "pyright") or (kind not in (None, "table") and not _RUNS.search(path)):
                    continue
                found.append(f"{match[kind] if kind else 'eslintConfig'} in {path}")
                break
    return _habit("Linter", bool(found) if code else None, ", ".join(found[:3]) or "no linter is set up or run")


_PURPOSES = ("says what this is and how to start", "says who may use it", "shows users what changed")


def _habit(name: str, ok: bool | None, detail: str) -> dict[str, Any]:  # noqa: FBT001 - a three-valued field
    absent = ok is False and detail in _PURPOSES
    return {"name": name, "ok": ok, "detail": "none found" if absent else one_line(detail, 200)}


def _starts(names: Iterable[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)
