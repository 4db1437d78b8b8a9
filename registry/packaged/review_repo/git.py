"""Queries git about a repository without running programs that the repository configures.

Effects: starts the git program. It never writes: no lock, no index refresh, no network, no hook, no pager, no filter;
`engine.git_rules` defines this.
"""

from __future__ import annotations

import os
import re
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from engine.git_rules import LISTING, SETTINGS, drivers_in, hooks_off, withheld, without_guidance
from engine.statefolder.executables import find_outside, search_path
from registry.packaged.review_repo.answer import Refusal
from registry.packaged.review_repo.programs import Finished, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
LAST_LINE = 1_000_000
"""Beyond the end of every file that is read."""
COMMITS_COUNTED = 10_000
SUBMODULE_MODE = "160000"
SYMLINK_MODE = "120000"
SPARSE_MODE = "sparse"
"""Stands for the mode of a file that git is asked to keep out of the work tree."""

_asking = threading.Lock()
# A checkout of another owner (a container's mount) may be read: none of its configured programs are run.
_SAFE_CONFIG = {**SETTINGS, "safe.directory": "*"}


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A work tree that git knows."""

    root: Path
    """Where the review runs: the top of the work tree or a folder in it."""
    prefix: str
    """*root* relative to the top of the work tree, with a trailing slash; empty at the top."""
    commits: int
    """Commits reachable from HEAD, at most `COMMITS_COUNTED`."""
    head: str | None
    """Abbreviated hash, None if there is no commit."""
    branch: str | None
    shallow: bool


def open_repository(root: Path) -> Repository:
    """The repository that contains *root*. Raises `Refusal`: TOOL_MISSING, NOT_A_REPOSITORY."""
    # The name of HEAD comes last: without a commit, git answers the questions before it and fails.
    questions = ("--is-inside-work-tree", "--show-prefix", "--is-shallow-repository")
    inside = git(root, "rev-parse", *questions, "--short", "HEAD^{commit}")
    answer = _lines(inside)
    if answer[:1] != ["true"] or len(answer) < len(questions):
        raise Refusal(
            "NOT_A_REPOSITORY",
            f"{root} is not in the work tree of a git repository ({inside.complaint})",
            hint="Run /review-repo in a git work tree, or make one with `git init && git add -A`.",
        )
    prefix, shallow, *head = answer[1:]
    branch = git(root, "symbolic-ref", "--short", "--quiet", "HEAD")
    commits = 0
    if inside.code == 0:
        count = git(root, "rev-list", "--count", f"--max-count={COMMITS_COUNTED}", "HEAD", "--")
        commits = int(count.stdout.strip() or 0) if count.code == 0 else 1
    return Repository(
        root=root,
        prefix=prefix,
        commits=commits,
        head=head[0] if inside.code == 0 and head else None,
        branch=_lines(branch)[0] if branch.code == 0 and _lines(branch) else None,
        shallow=shallow == "true",
    )


def tracked(root: Path, scope: str) -> list[tuple[str, bytes]]:
    """Mode and path of every file in the index below *scope*, unmerged ones once; `SPARSE_MODE` if it may be absent."""
    done = git(root, "ls-files", "-z", "-t", "--stage", "--", scope, seconds=60)
    _check(done, "ls-files")
    entries: dict[bytes, str] = {}
    for record in done.stdout.split(b"\0"):
        meta, tab, path = record.partition(b"\t")
        if tab:
            tag, mode, *_ = meta.decode("ascii").split(" ")
            entries.setdefault(path, SPARSE_MODE if tag == "S" else mode)
    return [(mode, path) for path, mode in entries.items()]


def untracked(root: Path, scope: str) -> list[bytes]:
    """Files below *scope* that are neither tracked nor ignored; a repository inside ends with a slash."""
    done = git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", scope, seconds=60)
    _check(done, "ls-files --others")
    return [path for path in done.stdout.split(b"\0") if path]


def ignored_but_tracked(root: Path, scope: str) -> list[bytes]:
    """Files that are tracked although an ignore rule of the repository matches them."""
    done = git(
        root, "ls-files", "-z", "--cached", "--ignored", "--exclude-per-directory=.gitignore", "--", scope, seconds=60
    )
    return [path for path in done.stdout.split(b"\0") if path] if done.code == 0 else []


def marked_generated(root: Path, paths: list[str]) -> set[str]:
    """Those of *paths* that `.gitattributes` marks as generated or vendored for GitHub's linguist."""
    if not paths:
        return set()
    names = b"\0".join(os.fsencode(path) for path in paths) + b"\0"
    done = git(root, "check-attr", "-z", "--stdin", "linguist-generated", "linguist-vendored", stdin=names, seconds=30)
    fields = done.stdout.split(b"\0")
    marked = set()
    for path, _, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if value in (b"set", b"true"):
            marked.add(os.fsdecode(path))
    return marked


def changed_since(root: Path, revision: str) -> tuple[str, dict[str, list[list[int]]], bool]:
    """The commit where HEAD left *revision*, the changed lines of each file since, and whether all changes are in them.

    Lines are given as first and last. Changes that are not committed are left out if a filter of the repository would
    have to run to compare them. Raises `Refusal` INVALID_REVISION.
    """
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.code != 0 or not revision.strip():
        raise Refusal(
            "INVALID_REVISION",
            f'The revision "{revision[:200]}" is not a commit of this repository',
            kind="validation",
            hint="Fetch it first, or name a branch, a tag or a commit, such as since=origin/main.",
        )
    commit = _lines(found)[0]
    base = git(root, "merge-base", commit, "HEAD")
    start = _lines(base)[0] if base.code == 0 and _lines(base) else commit
    done = _diff(root, start)
    whole = done.code == 0 or done.truncated
    if not whole and not done.timed_out:
        done = _diff(root, start, "HEAD")
    _check(done, "diff")
    return start, changed_lines(done.stdout), whole


def _diff(root: Path, *revisions: str) -> Finished:
    return git(
        root,
        *("-c", "core.quotePath=false", "diff", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv"),
        *("--find-renames", "--relative", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
        *("--diff-filter=d", "--numstat", "--patch", "-z", *revisions, "--"),
        seconds=60,
    )


def changed_lines(diff: bytes) -> dict[str, list[list[int]]]:
    """The added and changed lines of each file in a diff without context, which begins with the counts of each file.

    All lines of a file whose hunks are not there: an attribute hides them, git quotes its name, or the diff is cut.
    """
    counts, patch = _counts(diff)
    hunks = _hunks(patch)
    changed: dict[str, list[list[int]]] = {}
    for path, added in counts.items():
        lines = hunks.get(path, [])
        seen = sum(last - first + 1 for first, last in lines)
        changed[path] = lines if str(seen) == added else [[1, LAST_LINE]]
    return changed


def _counts(diff: bytes) -> tuple[dict[str, str], bytes]:
    """How many lines each changed file has got, `-` for one that git takes for binary; and the text of the diff."""
    counts: dict[str, str] = {}
    rest = diff
    while rest and not rest.startswith(b"\0"):
        record, _, rest = rest.partition(b"\0")
        added, deleted, name = (*record.split(b"\t", 2), b"", b"")[:3]
        if not name:  # renamed: the old name and the new one follow
            _, name, rest = (*rest.split(b"\0", 2), b"", b"")[:3]
        if (added, deleted) != (b"0", b"0"):
            counts[_text(name)] = added.decode("ascii", "replace")
    return counts, rest[1:]


def _hunks(patch: bytes) -> dict[str, list[list[int]]]:
    """The added and changed lines by name of the file; a line of a file that looks like a header is not one."""
    hunks: dict[str, list[list[int]]] = {}
    path = b""
    inside = 0
    for row in patch.split(b"\n"):
        if inside and row.startswith((b"+", b"-")):
            inside -= 1
        elif row.startswith(b"+++ "):
            path = row[4:].rstrip(b"\t")
        elif hunk := _HUNK.match(row):
            old, first, count = (int(each) if each else 1 for each in hunk.groups())
            inside = old + count
            if count:
                hunks.setdefault(_text(path.removeprefix(b"b/")), []).append([first, first + count - 1])
    return hunks


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def git(root: Path, *arguments: str, seconds: float = 20, stdin: bytes = b"", limit: int = 64_000_000) -> Finished:
    """Run git in *root*. Raises `Refusal` TOOL_MISSING if there is none; the caller checks exit status and time."""
    program = find_outside("git", root)
    if program is None:
        raise Refusal(
            "TOOL_MISSING", 'The program "git" was not found on the PATH', hint="Install git and run the review again."
        )
    with _asking:  # several threads want the answer at once
        withheld_here = _withheld(program, root)
    settings = {**_SAFE_CONFIG, **withheld_here}
    argv = [program, "--no-pager", "--literal-pathspecs", *arguments]
    return run(argv, cwd=root, seconds=seconds, stdin=stdin, limit=limit, env=_environment(root, settings))


@lru_cache(maxsize=16)
def _withheld(program: str, root: Path) -> Mapping[str, str]:
    """Settings that prevent programs of the repository's configuration from being started."""
    listing = run([program, "--no-pager", *LISTING], cwd=root, seconds=20, env=_environment(root, _SAFE_CONFIG)).stdout
    return hooks_off(listing) | withheld(drivers_in(listing))


def _environment(root: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """No GIT_DIR of a calling hook, no system configuration, no program of *root*; *settings* override all files."""
    return without_guidance(os.environ, settings) | {"GIT_CONFIG_NOSYSTEM": "1", "PATH": search_path(root)}


def _check(done: Finished, what: str) -> None:
    if done.timed_out:
        raise Refusal("TIMEOUT", f"git {what} took too long", kind="timeout", hint="Review a subfolder with path=src.")
    if done.code != 0 and not done.truncated:
        raise Refusal("GIT_FAILED", f"git {what} failed: {done.complaint}")


def _lines(done: Finished) -> list[str]:
    return done.stdout.decode("utf-8", "replace").splitlines()
