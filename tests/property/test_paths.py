"""Laws of paths that come from git or a file: what passes lies where it says, and nothing ordinary is refused."""

from __future__ import annotations

import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.executors.worktrees.changes import Change, Entry, ForeignPath, refuse_foreign
from engine.paths import path_problem

PARTS = st.sampled_from(
    [
        b"a",
        b"b c",
        b"..",
        b".",
        b"",
        b".git",
        b".GIT",
        b".gitignore",
        b".claude",
        b"worktrees",
        b"x\n",
        b"\xc2\x85",
        b"\xff",
    ]
)
PATHS = st.lists(PARTS, min_size=1, max_size=6).map(b"/".join) | st.binary(max_size=12)
ORDINARY = st.lists(
    st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=8), min_size=1, max_size=5
).map(lambda parts: "/".join(parts).encode())
ENTRIES = st.builds(Entry, st.sampled_from(["100644", "100755", "120000"]), st.just("0" * 40))


@given(PATHS)
def test_a_path_that_passes_is_inside_and_plain_and_not_gits(path: bytes) -> None:
    if path_problem(path) is None:
        text = path.decode("utf-8", "surrogateescape")
        assert not posixpath.isabs(text)
        assert posixpath.normpath(f"/top/{text}") == f"/top/{text}"
        assert ".git" not in text.casefold().split("/")
        assert "Cc" not in {unicodedata.category(character) for character in text}


@given(PATHS, st.sampled_from([b"project/", b"a/b c/"]), st.sampled_from([b"worktrees", b".claude/worktrees"]))
def test_a_path_that_passes_is_below_its_folder_and_in_none_of_the_others(
    path: bytes, below: bytes, own: bytes
) -> None:
    for given_path in (path, below + path, below + own + b"/" + path, below + own.upper()):
        if path_problem(given_path, below=below, but=[below + own]) is None:
            assert given_path.startswith(below)
            assert not given_path.lower().startswith(below.lower() + own + b"/")
            assert given_path.lower() != below.lower() + own


@given(ORDINARY)
def test_an_ordinary_path_passes(path: bytes) -> None:
    assert path_problem(path) is None
    assert path_problem(b"top/" + path, below=b"top/", but=[b"top/.claude/worktrees"]) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (b"", "is not a plain path"),
        (b"a//b", "is not a plain path"),
        (b"a/./b", "is not a plain path"),
        (b"/etc/x", "is absolute"),
        (b"a/../../x", "is outside its folder"),
        (b"a/.Git/config", "belongs to git"),
        (b"a/.git. /config", "belongs to git"),
        (b"GIT~1/config", "belongs to git"),
        ("a/.g\u200cit/config".encode(), "belongs to git"),
        (b"a\nb", "holds control characters"),
        (b"a\x7f", "holds control characters"),
        (b"lib/x", "is outside the project"),
        (b"project/.Claude/Orchestration/x", "belongs to the engine"),
        (b"project/.claude/orchestration", "belongs to the engine"),
        (b"project/.claude/orchestrations", None),
        (b"project/.gitignore", None),
        (b"project/..a", None),
    ],
)
def test_what_is_wrong_with_a_path_is_told(path: bytes, problem: str | None) -> None:
    below = b"project/" if path.startswith((b"lib", b"project")) else b""
    assert path_problem(path, below=below, but=[b"project/.claude/orchestration"]) == problem


@given(st.lists(st.tuples(PATHS, st.none() | ENTRIES, st.none() | ENTRIES), max_size=5))
def test_changes_that_pass_hold_no_path_that_does_not_and_no_two_in_each_others_way(
    given_changes: list[tuple[bytes, Entry | None, Entry | None]],
) -> None:
    changes = [Change(*change) for change in given_changes]
    try:
        refuse_foreign(changes, below=b"", foreign=[b"worktrees"])
    except ForeignPath as fault:
        told = fault.message
        assert told.isprintable()
        return
    new = {change.path for change in changes if change.new is not None}
    assert all(path_problem(change.path, but=[b"worktrees"]) is None for change in changes)
    assert not any(other.startswith(path + b"/") for path in new for other in new)


def test_a_submodule_is_not_the_projects_to_change() -> None:
    link = Entry("160000", "0" * 40)
    for change in (Change(b"library", link, None), Change(b"library", None, link)):
        with pytest.raises(ForeignPath, match="nested repositories: library"):
            refuse_foreign([change], below=b"")
