"""The steps of a release with git, each of which can be undone, for agents of a command.

The first word of its command line is the step. All take the inputs `version`, `remote` and `branch`:

    inspect       refuses what cannot be released; outputs `candidate`: {tag, head, previous, commits}
    commit        takes `notes`, puts them on top of CHANGELOG.md and commits that file; outputs `release`: {commit,
                  parent}. Undone: the branch is back at the parent, unless something was committed since
    tag           tags `release.commit`; undone: the tag is deleted
    push-tag      pushes the tag; undone: the tag is deleted on the remote, if it is still ours
    is-published  outputs `state`: {published}, whether the remote has our tag. Ask for the result of your build here
    push-branch   pushes the branch, which nothing undoes, so it is the last step

Effects: runs git, without a shell; writes CHANGELOG.md, a commit, a tag, and the remote.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

VERSION = re.compile(r"\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
CHANGELOG = Path("CHANGELOG.md")
TITLE = "# Changelog\n"
MAX_COMMITS = 500


class Failure(Exception):
    """An expected failure: its code, and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def git(*words: str) -> str:
    """The output of git; Failure (GIT_FAILED) with its complaint."""
    ran = subprocess.run(
        ["git", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
    )  # fmt: skip
    if ran.returncode != 0:
        raise Failure("GIT_FAILED", f"git {words[0]}: {ran.stderr.strip()[-500:]}")
    return ran.stdout.strip()


def commit_of(name: str) -> str | None:
    """The commit that *name* stands for; None if there is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except Failure:
        return None


def on_remote(remote: str, ref: str) -> str | None:
    """The object to which *ref* points on the remote; None if it has none."""
    return git("ls-remote", remote, ref).partition("\t")[0] or None


def inspect(tag: str, remote: str, branch: str) -> dict[str, Any]:
    """The candidate for a release; Failure if something is in the way."""
    current = git("symbolic-ref", "--short", "HEAD")
    if current != branch:
        raise Failure("WRONG_BRANCH", f"releases are made from {branch}, this is {current}")
    if changed := git("status", "--porcelain", "--untracked-files=no"):
        raise Failure("NOT_CLEAN", f"uncommitted changes:\n{changed[:500]}")
    if commit_of(f"refs/tags/{tag}") or on_remote(remote, f"refs/tags/{tag}"):
        raise Failure("TAG_EXISTS", f"{tag} is there already")
    head = git("rev-parse", "HEAD")
    theirs = on_remote(remote, f"refs/heads/{branch}")
    if theirs and commit_of(theirs) is None:
        raise Failure("BEHIND_REMOTE", f"{remote} has commits of {branch} that are not here: pull them first")
    described = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0"], capture_output=True, text=True, check=False
    ).stdout.strip()
    since = [f"{described}..HEAD"] if described else []
    log = git("log", "--no-merges", f"--max-count={MAX_COMMITS}", "--format=%h %s", *since)
    if not log:
        raise Failure("NOTHING_TO_RELEASE", f"nothing was committed since {described}")
    return {"tag": tag, "head": head, "previous": described or None, "commits": log.splitlines()}


def commit(version: str, notes: str) -> dict[str, Any]:
    """Commit the notes of the release."""
    parent = git("rev-parse", "HEAD")
    old = CHANGELOG.read_text(encoding="utf-8") if CHANGELOG.exists() else TITLE
    rest = old.removeprefix(TITLE)
    CHANGELOG.write_text(f"{TITLE}\n## {version}\n\n{notes.strip()}\n{rest}", encoding="utf-8")
    git("add", "--", str(CHANGELOG))
    git("commit", "--quiet", f"--message=Release {version}", "--only", "--", str(CHANGELOG))
    return {"commit": git("rev-parse", "HEAD"), "parent": parent}


def uncommit(release: dict[str, Any] | None, version: str) -> None:
    """Take the release's commit back; if the step ended before it, the notes in the file."""
    head, subject = git("log", "-1", "--format=%H %s").split(" ", 1)
    if release is not None and head != release["commit"]:
        raise Failure("BRANCH_MOVED", f"there are commits after {release['commit']}: revert it by hand")
    if subject == f"Release {version}":
        git("reset", "--quiet", "--keep", "HEAD^")
    elif git("ls-files", "--", str(CHANGELOG)):
        git("checkout", "--quiet", "HEAD", "--", str(CHANGELOG))
    else:
        CHANGELOG.unlink(missing_ok=True)


def forward(step: str, tag: str, inputs: dict[str, Any], remote: str, branch: str) -> dict[str, Any]:
    """One step; its outputs."""
    match step:
        case "inspect":
            return {"candidate": inspect(tag, remote, branch)}
        case "commit":
            return {"release": commit(inputs["version"], inputs["notes"])}
        case "tag":
            git("tag", "--annotate", f"--message=Release {inputs['version']}", tag, inputs["release"]["commit"])
        case "push-tag":
            git("push", "--quiet", remote, f"refs/tags/{tag}")
        case "is-published":
            return {
                "state": {"published": on_remote(remote, f"refs/tags/{tag}") == git("rev-parse", f"refs/tags/{tag}")}
            }
        case "push-branch":
            git("push", "--quiet", remote, f"HEAD:refs/heads/{branch}")
        case _:
            raise Failure("UNKNOWN_STEP", f"this program cannot {step!r}")
    return {}


def back(step: str, tag: str, request: dict[str, Any], remote: str) -> None:
    """Undo one step."""
    inputs = request["inputs"]
    ref = f"refs/tags/{tag}"
    if step == "commit":
        uncommit(request["produced"].get("release"), inputs["version"])
    elif step == "tag" and commit_of(ref) == inputs["release"]["commit"]:
        git("tag", "--delete", tag)
    elif step == "push-tag" and (pushed := on_remote(remote, ref)) is not None:
        git("push", "--quiet", f"--force-with-lease={ref}:{pushed_by_us(ref, pushed)}", remote, f":{ref}")


def pushed_by_us(ref: str, pushed: str) -> str:
    """*pushed*, if it is the tag that is here; Failure if someone else has put another one there."""
    if git("rev-parse", ref) != pushed:
        raise Failure("TAG_MOVED", f"the remote has another {ref}: look who made it")
    return pushed


def checked(inputs: dict[str, Any]) -> tuple[str, str]:
    """Remote and branch of the inputs; no input can become an option of git."""
    version, remote, branch = (str(inputs[key]) for key in ("version", "remote", "branch"))
    if VERSION.fullmatch(version) and NAME.fullmatch(remote) and NAME.fullmatch(branch):
        return remote, branch
    raise Failure("INVALID_RELEASE", f"{version!r}, {remote!r}, {branch!r}: not a version, a remote and a branch")


def main() -> dict[str, Any]:
    request = json.load(sys.stdin)
    inputs, step = request["inputs"], sys.argv[1]
    try:
        remote, branch = checked(inputs)
        tag = f"v{inputs['version']}"
        if request.get("role") == "compensate":
            back(step, tag, request, remote)
            return {"outputs": {}}
        return {"outputs": forward(step, tag, inputs, remote, branch)}
    except Failure as failure:
        return {"failure": {"kind": "error", "code": failure.code, "message": str(failure)}}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
