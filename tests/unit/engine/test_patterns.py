"""Which regular expressions of a schema are matched in linear time."""

from __future__ import annotations

import pytest

from engine.patterns import pattern_problem


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "foo",
        "^$",
        r"\S",
        r"\d+",
        r"^\w{1,64}$",
        r"^/[a-z0-9-]+$",
        r"^[a-z0-9]+(?:-[a-z0-9]+)*$",
        r"^\d+\.\d+\.\d+$",
        r"^v?\d+\.\d+\.\d+(-[a-z.0-9]+)?(\+[a-z0-9.]+)?$",
        r"^\d{4}-\d{2}-\d{2}$",
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        r"^sha256:[a-f0-9]{64}$",
        r"^(low|high|medium)$",
        r"^(feat|fix|docs)(\([^)]+\))?: .+$",
        r"^https?://[^\s/]+(/[^\s]*)?$",
        r"^[^@\s]+@[^@\s]+$",
        r"^[a-z_]\w*(\.[a-z_]\w*)*$",
        r"^.*foo$",
        r"^a*?b$",
        r"^(?:a|bc)$|^d",
        r"(^a+b)",
        r"^(?:ab|)c$",
        r"^é+[à-ü]?$",
        r"^[^\d\x80]+5",
        r"^\D+\d$",
        r"^a{0}b\b",
        r"^a{300}$",
        r"^[\W]+a",
        r"\Aa+\Z",
    ],
)
def test_a_pattern_that_reads_any_text_in_one_way_is_accepted(pattern: str) -> None:
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("^(a+)+$", "two ways"),
        ("^(a*)*$", "two ways"),
        ("^([a-z]+)*$", "two ways"),
        ("^(.*)*$", "two ways"),
        ("^(?:aa|aa)*b", "two ways"),
        ("^(a|b|ab)*c", "two ways"),
        ("^(?:a?|b?)x", "two ways"),
        ("(?:|)" * 30 + "x", "two ways"),
        ("^(?:){4000000000}", "two ways"),
        ("^a*a*a*a*b$", "linear time"),
        ("^.*a.*b.*c", "linear time"),
        ("^.*fo+x", "linear time"),
        ("^" + "a?" * 40 + "a" * 40, "linear time"),
        ("^(a?){30}b$", "linear time"),
        ("^[a-z]*[0-9]*[a-z0-9]*x", "linear time"),
        ("^" + "(?:ab|cd|ae)" * 10 + "$", "linear time"),
        ("a+b", "does not begin with ^"),
        (r"\s+$", "does not begin with ^"),
        (r"^a|b+c", "does not begin with ^"),
        ("(|^a)b+c", "does not begin with ^"),
        ("(", "no regular expression"),
        ("a{2}{3}", "no regular expression"),
        ("(?=a)b", "not supported"),
        (r"^(a)\1$", "not supported"),
        ("(?i)abc", "not supported"),
        ("(?i:a)", "not supported"),
        ("x" * 201, "longer than 200"),
        ("^" + "a" * 151, "more than 150"),
    ],
)
def test_a_pattern_that_can_run_away_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    assert reason in str(pattern_problem(pattern))


def test_possessive_and_lazy_repetitions_count_as_greedy_ones() -> None:
    assert pattern_problem("^a++b") is None
    assert "two ways" in str(pattern_problem("^(?:a+?)+?b"))


def test_an_atomic_group_is_not_supported() -> None:
    assert "not supported" in str(pattern_problem("^(?>a)b"))
