"""Changes between two trees, as values: which of them are refused before a file is touched."""

from __future__ import annotations

import pytest

from engine.executors.worktrees.changes import Change, Entry, ForeignPath, refuse_foreign

BLOB = "1" * 40


def change(path: bytes, mode: str = "100644") -> Change:
    return Change(path, None, Entry(mode, BLOB))


@pytest.mark.parametrize("mode", ["040000", "100600", "020000", "010644", "000000", "777777", ""])
def test_a_mode_that_neither_a_file_nor_a_link_has_is_refused(mode: str) -> None:
    with pytest.raises(ForeignPath, match="is neither a file nor a link") as refused:
        refuse_foreign([change(b"a"), change(b"b", mode)], below=b"")
    assert "paths that do not belong to the project: b" in refused.value.message


@pytest.mark.parametrize("mode", ["100644", "100755", "120000"])
def test_files_programs_and_links_are_fine(mode: str) -> None:
    refuse_foreign([change(b"a", mode)], below=b"")


@pytest.mark.parametrize(
    "path",
    [b"../a", b"/a", b".git/a", b"x/GIT~1/a", b"other/a", b"part/.claude/orchestration/a", b"part//a", b"part/a\nb"],
)
def test_a_path_outside_of_the_project_or_of_somebody_else_is_refused(path: bytes) -> None:
    with pytest.raises(ForeignPath) as refused:
        refuse_foreign([change(path)], below=b"part/", foreign=[b"part/.claude/orchestration"])
    assert refused.value.code == "MERGE_REFUSED"


def test_a_submodule_and_a_file_inside_of_a_file_are_refused() -> None:
    with pytest.raises(ForeignPath, match="nested repositories: a"):
        refuse_foreign([change(b"a", "160000")], below=b"")
    with pytest.raises(ForeignPath, match="is inside a file"):
        refuse_foreign([change(b"a"), change(b"a/b")], below=b"")
