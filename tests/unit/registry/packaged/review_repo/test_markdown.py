"""Text of others stays text."""

from __future__ import annotations

import pytest

from registry.packaged.review_repo.findings import one_line
from registry.packaged.review_repo.markdown import code, plain, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "`a`"),
        ("a`b", "`` a`b ``"),
        ("a``b", "``` a``b ```"),
        ("a|b", "`a\\|b`"),
        ("a\nb\u202e", "`a b`"),
        ("", "` `"),
    ],
)
def test_a_code_span_cannot_be_ended_by_what_is_in_it(text: str, shown: str) -> None:
    assert code(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b *c* <d> [e](f) # g|h", "a\\_b \\*c\\* &lt;d&gt; \\[e\\](f) \\# g\\|h"),
        ("use `a_b` or c_d", "use `a_b` or c\\_d"),
        ("one ` only_", "one ' only\\_"),
        ("R&D", "R&amp;D"),
    ],
)
def test_text_is_escaped_but_for_code_spans_of_the_tools(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_text_is_cut_to_one_line() -> None:
    assert one_line("a \n b\x1b[31m" + "c" * 50, 10) == "a b [31mc…"


def test_a_table_has_a_line_under_its_header() -> None:
    assert table(("A", "B"), [("1", "2")]) == "| A | B |\n| --- | --- |\n| 1 | 2 |"
