"""Git bundles: commits with their files as bytes, for a repository on another machine.

Effects: starts git, which reads and writes objects; no branch or file of a repository changes. A bundle that another
machine has made is not trusted: its head must be the expected one, and git refuses objects that are damaged, that it
would not make itself, or that need others which are in neither the bundle nor the repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.executors.worktrees.git import Git

LARGEST = 512 * 1024 * 1024
"""Bytes of the largest bundle: git's answers and messages are held in memory."""
_LOOSE = 100
"""From this number of objects on a bundle stays a pack, as git does it after a fetch."""
_SHA1, _SHA256 = 40, 64
_BEGINNINGS = {_SHA1: b"# v2 git bundle\n", _SHA256: b"# v3 git bundle\n@object-format=sha256\n"}
_REF = b"refs/heads/files"
_COUNT = slice(8, 12)
"""Where a pack says how many objects it has."""


def wrapped(pack: bytes, commit: str, *without: str) -> bytes:
    """*pack* as a bundle of *commit* for those who have the commits *without*."""
    needed = b"".join(b"-%s\n" % one.encode("ascii") for one in without)
    return b"%s%s%s %s\n\n%s" % (_BEGINNINGS[len(commit)], needed, commit.encode("ascii"), _REF, pack)


def unwrapped(bundle: bytes, commit: str) -> bytes:
    """The pack in *bundle*, which `wrapped` made of *commit*. Raises `ValueError` if it is another."""
    beginning = _BEGINNINGS[len(commit)]
    head, found, pack = bundle.partition(b"\n\n")
    lines = head.removeprefix(beginning).split(b"\n")
    whole = head.startswith(beginning) and found and pack.startswith(b"PACK") and len(pack) >= _COUNT.stop
    if not whole or lines[-1] != commit.encode("ascii") + b" " + _REF:
        message = f"it is not a git bundle of the commit {commit}"
        raise ValueError(message)
    return pack


async def bundle_of(git: Git, commit: str, *without: str) -> bytes:
    """A bundle of *commit* without what leads to the commits *without*. Raises `IsolationUnavailable`."""
    wanted = "".join(f"{line}\n" for line in (commit, *(f"^{one}" for one in without)))
    words = ("--revs", "--thin", "--delta-base-offset", "--stdout", "-q")
    packed = await git.run("pack-objects", *words, stdin=wanted.encode("ascii"))
    return wrapped(packed.stdout, commit, *without)


async def absorb(git: Git, bundle: bytes, commit: str, *, strict: bool) -> None:
    """Take the objects of *bundle*, made of *commit*, into the repository.

    *strict* refuses what git itself would not make: another machine may have made it. Raises `ValueError` for something
    else than a bundle of *commit*, and `IsolationUnavailable` with git's message for objects that it refuses.
    """
    pack = unwrapped(bundle, commit)
    few = int.from_bytes(pack[_COUNT]) < _LOOSE
    words = ["unpack-objects", "-q"] if few else ["index-pack", "--stdin", "--fix-thin"]
    await git.run(*words, *(["--strict"] if strict else []), f"--max-input-size={LARGEST}", stdin=pack)


async def lasting_commit(git: Git, tree: str, *parents: str) -> str:
    """A commit of *tree* that has the same id wherever and whenever it is made: it need not be sent twice."""
    person = "orchestrate <orchestrate@localhost> 0 +0000"
    lines = [f"tree {tree}", *(f"parent {one}" for one in parents), f"author {person}", f"committer {person}"]
    text = "\n".join([*lines, "", "Files of a project", ""])
    return await git.line("hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode("ascii"))


async def has_all(git: Git, commit: str) -> bool:
    """Whether *commit* and everything that it leads to is in the repository."""
    words = ("rev-list", "--objects", "--quiet", commit)
    return (await git.run(*words, accept=range(256))).returncode == 0
