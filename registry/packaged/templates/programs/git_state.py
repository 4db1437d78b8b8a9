"""Lists, compares and restores the files of a git work tree, for agents of a command.

The first word of its command line says what it does:

    checkpoint           outputs `checkpoint`, the id of a git tree with all files as they are, untracked ones too;
                         as a compensation it puts every file back as it was then
    restore              as a compensation only: puts the file `file.path` back as it was at the input `checkpoint`
    changes              outputs `changes`, {files, diff}: what was changed since the input `checkpoint`
    branch               outputs `changes`: what the current branch changed since it left the input `base`
    files PATTERN…       outputs `files`, [{path}]: those that match the input `pattern`, or else a PATTERN
    only PATTERN…        outputs a boolean: everything in the input `changes` matches a PATTERN

Files that git ignores are neither saved nor touched, nor is the index. Before files are put back, the state that is
given up is saved on the branch `undone/RUN`, so that no edit is lost: not even one that you made meanwhile.

Effects: runs git; writes objects and a branch, and files where it restores. No shell, and no hook of the repository.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MAX_DIFF = 400_000
"""Characters of a diff; the list of files is always whole."""
OURS = (":(exclude).claude/orchestration", ":(exclude).claude/worktrees")
SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
WHO = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "orchestration"), ("EMAIL", "orchestration@localhost"))
}


class Failure(Exception):
    """An expected failure: its code, and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def git(*words: str, given: str = "", **variables: str) -> str:
    """The output of git; Failure (GIT_FAILED) with its complaint."""
    ran = subprocess.run(
        ["git", *SAFE, *words], input=given, capture_output=True, text=True, errors="surrogateescape", check=False,
        env=os.environ | variables,
    )  # fmt: skip
    if ran.returncode != 0:
        raise Failure("GIT_FAILED", f"git {words[0]}: {ran.stderr.strip()[-500:]}")
    return ran.stdout.removesuffix("\n")


def names(listed: str) -> list[str]:
    """The items of a list that ends each with NUL."""
    return [name for name in listed.split("\0") if name]


def head() -> str:
    """The commit of the current branch; empty if it has none yet."""
    return subprocess.run(
        ["git", *SAFE, "rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()


def snapshot() -> str:
    """The id of a tree with the files of the project as they are. It uses an index of its own."""
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")
        own = Path(git("rev-parse", "--git-path", "index"))
        if own.exists():
            shutil.copyfile(own, index)  # it knows which files are unchanged, which saves reading them
        git("add", "--all", "--", ".", *OURS, GIT_INDEX_FILE=str(index))
        return git("write-tree", GIT_INDEX_FILE=str(index))


def tree(given: Any) -> str:
    """The checkpoint *given* as an input; Failure (NO_CHECKPOINT) if it is none."""
    if isinstance(given, str) and len(given) in {40, 64} and set(given) <= set("0123456789abcdef"):
        return git("rev-parse", "--verify", "--quiet", f"{given}^{{tree}}")
    raise Failure("NO_CHECKPOINT", "there is no checkpoint to go back to")


def restore(to: str, run: str, *paths: str) -> None:
    """Put *paths* back as they are in the tree *to*; the state that is given up goes to a branch."""
    now = snapshot()
    listed = names(git("diff-tree", "-r", "-z", "--name-status", "--no-renames", now, to, "--", *paths))
    if not listed:
        return
    parent = head()
    parents = ("-p", parent) if parent else ()
    saved = git("commit-tree", now, *parents, "-m", f"State before {run} was undone", **WHO)
    git("update-ref", f"refs/heads/undone/{run}", saved)
    print(f"the state before this was undone is on the branch undone/{run}", file=sys.stderr)
    top = Path(git("rev-parse", "--show-toplevel"))
    kept = []
    for status, name in zip(listed[::2], listed[1::2], strict=True):
        if status == "D":
            (top / name).unlink(missing_ok=True)
        else:
            kept.append(name)
    with tempfile.TemporaryDirectory() as folder:
        index = str(Path(folder, "index"))
        git("read-tree", to, GIT_INDEX_FILE=index)
        git("-C", str(top), "checkout-index", "-f", "-z", "--stdin", given="\0".join(kept), GIT_INDEX_FILE=index)


def compared(old: str, new: str) -> dict[str, Any]:
    """The files that differ between two trees or commits, with the diff."""
    listed = names(git("diff", "--numstat", "-z", "--no-renames", "--relative", old, new))
    files = []
    for line in listed:
        added, removed, path = line.split("\t", 2)
        files.append({"path": path, "added": number(added), "removed": number(removed)})
    diff = git("diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--relative", "--unified=5", old, new)
    return {"files": files, "diff": clean(diff[:MAX_DIFF]), "whole": len(diff) <= MAX_DIFF}


def number(text: str) -> int:
    """A count of git, which writes `-` for a binary file."""
    return int(text) if text.isdigit() else 0


def clean(text: str) -> str:
    """*text* without bytes that were not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def branch_point(base: str) -> str:
    """The commit at which the current branch left *base*."""
    if base.startswith("-"):
        raise Failure("UNKNOWN_BASE", f"{base!r} is not a branch")
    return git("merge-base", f"{base}^{{commit}}", "HEAD")


def matching(patterns: list[str]) -> list[dict[str, str]]:
    """The files of the project that match one of *patterns*, such as `src/*.py`; `*` crosses folders."""
    listed = set(names(git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")))
    found = sorted(path for path in listed if is_any(path, patterns) and Path(path).is_file())
    return [{"path": clean(path)} for path in found]


def is_any(path: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def undo(request: dict[str, Any], action: str) -> None:
    """Do the work of a compensation."""
    inputs = request["inputs"]
    if action == "checkpoint" and "checkpoint" in request["produced"]:
        restore(tree(request["produced"]["checkpoint"]), request["runId"], ".")
    elif action == "restore":
        restore(tree(inputs.get("checkpoint")), request["runId"], f":(literal){inputs['file']['path']}")


def outputs(request: dict[str, Any], action: str, patterns: list[str]) -> dict[str, Any]:
    """The outputs of an ordinary attempt."""
    inputs = request["inputs"]
    if action == "checkpoint":
        return {"checkpoint": snapshot()}
    if action == "changes":
        return {"changes": compared(tree(inputs["checkpoint"]), snapshot())}
    if action == "branch":
        return {"changes": compared(branch_point(str(inputs["base"])), "HEAD")}
    if action == "files":
        asked = inputs.get("pattern")
        return {"files": matching([asked] if asked else patterns)}
    if action == "only":
        strange = [file["path"] for file in inputs["changes"]["files"] if not is_any(file["path"], patterns)]
        print(f"outside of {' '.join(patterns)}: {strange}", file=sys.stderr)
        return dict.fromkeys(request["outputs"], not strange)
    raise Failure("UNKNOWN_ACTION", f"this program cannot {action!r}")


def main() -> dict[str, Any]:
    request = json.load(sys.stdin)
    action, *patterns = sys.argv[1:]
    try:
        if request.get("role") == "compensate":
            undo(request, action)
            return {"outputs": {}}
        return {"outputs": outputs(request, action, patterns)}
    except Failure as failure:
        return {"failure": {"kind": "error", "code": failure.code, "message": str(failure)}}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
