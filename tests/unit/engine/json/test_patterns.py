"""Regular expressions of schemas: read as ECMA-262 has them, matched by RE2, bounded."""

from __future__ import annotations

import pytest

from engine.json.patterns import MAX_LENGTH, found_in, pattern_problem

SEMVER = (
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$"
)
EVERYDAY = [
    (r"^[^@\s]+@[^@\s]+\.[^@\s]+$", "ada@example.org", "ada@example"),
    (r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$", "a.b+c@example.org", "a b@example.org"),
    (
        SEMVER,
        "1.0.0-rc.1+build.5",
        "1.0",
    ),
    (r"^(feat|fix|docs|chore)(\([\w./-]+\))?!?: .+$", "fix(api)!: close the door", "fixed it"),
    (r"^https?://[^\s/$.?#].[^\s]*$", "https://example.org/a?b=c", "ftp://example.org"),
    (
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        "6" * 8 + "-1111-4111-8111-" + "a" * 12,
        "x",
    ),
    (r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", "2026-11-28", "2026-13-01"),
    (
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$",
        "2026-11-28T10:00:00.5Z",
        "2026-11-28 10:00:00",
    ),
    (r"^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$", "192.168.0.1", "300.1.1.1"),
    (r"^#?([a-fA-F0-9]{6}|[a-fA-F0-9]{3})$", "#ffaa00", "#ffaa0"),
    (r"^[a-z0-9]+(-[a-z0-9]+)*$", "a-slug-2", "-a"),
    (r"^[A-Z][A-Z0-9]+-\d+$", "PROJ-12", "proj-12"),
    (r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", "YWJjZA==", "YWJjZ"),
    (r"^(?:\/[^\/\n]+)+\/?$", "/usr/local/bin", "usr"),
    (r"\.(py|ts|go)$", "src/a.py", "a.pyc"),
    (r"^CVE-\d{4}-\d{4,}$", "CVE-2026-12345", "CVE-26-1"),
    (r"^\+?[1-9]\d{1,14}$", "+4912345", "0123"),
    (r"^[\w\s.,'-]+$", "It's fine, really", "no; never"),
    (r"(?i)^(todo|fixme)\b", "Fixme: this", "todos"),
    (r"^v?\d+(\.\d+)*$", "v1.2.3", "v"),
    (r"^[0-9a-f]{7,40}$", "2a924e2", "xyz"),
    (r"^\S+(\s+\S+)*$", "one two  three", " one"),
    (r"^\s*$", " \t\u00a0\u2003", " x "),
    (r"^[\p{L}\p{M}' -]+$", "José Ångström", "R2D2"),
    (r"^\p{Uppercase_Letter}", "Émile", "émile"),
    (r"^(?<year>\d{4})", "2026", "x"),
    (r"^[A-Za-z_$][\w$]*$", "_name$1", "1name"),
]


@pytest.mark.parametrize(("pattern", "matching", "other"), EVERYDAY)
def test_everyday_patterns_are_accepted_and_mean_what_they_say(pattern: str, matching: str, other: str) -> None:
    assert pattern_problem(pattern) is None
    assert found_in(pattern, matching)
    assert not found_in(pattern, other)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"^\u00e9$", "é", "e"),
        (r"^[\u0041-\u0043]$", "B", "D"),
        (r"^\uD83D\uDE00$", "😀", "x"),
        (r"^\u{1F600}$", "😀", "x"),
        (r"^.$", "😀", "\n"),
        (r"^\cJ$", "\n", "J"),
        (r"^[\S\n]$", "\n", "\u00a0"),
        (r"^[^\s]$", "x", "\ufeff"),
        (r"^[\s-]$", "-", "_"),
        (r"^[\s-.]$", ".", "/"),
        (r"^[[\]]$", "[", "x"),
        (r"^[[:a]$", ":", "b"),
        (r"^[^]$", "x", ""),
        (r"^a[]?$", "a", "ab"),
        (r"^[a[]]$", "[]", "a"),
        (r"^\p{Script=Greek}$", "λ", "l"),
        (r"^\P{Letter}$", "1", "λ"),
        (r"^\pL$", "λ", "1"),
        (r"^\\s$", r"\s", " "),
        (r"a$", "a", "a\n"),
        (r"^\d$", "5", "\u0665"),
        (r"^\w$", "a", "é"),
        ("^\ud800$", "\udfff", "x"),
    ],
)
def test_a_pattern_is_read_as_ecma_262_has_it(pattern: str, matching: str, other: str) -> None:
    assert pattern_problem(pattern) is None
    assert found_in(pattern, matching)
    assert not found_in(pattern, other)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing )"),
        ("a{2}{3}x**", "bad repetition"),
        (r"(?=a)b", "invalid perl operator"),
        (r"^(a)\1$", "invalid escape sequence"),
        (r"^(?>a)b", "invalid perl operator"),
        (r"a\Z", "invalid escape sequence"),
        (r"\p{Alphabetic}", "invalid character class"),
        ("a{1001}", "invalid repetition size"),
        ("(é", "missing )"),
        ("x" * (MAX_LENGTH + 1), "longer than 1,000"),
        (r"\p{L}{20}", "too large"),
        (r"(\p{L}{100}){10}", "too large"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert reason in str(pattern_problem(pattern))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)*b", "^" + "a?" * 40 + "a" * 40 + "b", r"(.*)*x", r"\s+$"])
def test_what_makes_a_backtracking_matcher_run_away_takes_linear_time(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    assert not found_in(pattern, "a" * 50_000 + "!")


def test_a_text_beyond_all_bounds_is_said_to_be_too_long() -> None:
    with pytest.raises(OverflowError, match="1,000,000 characters is too long"):
        found_in(r"^(?:\p{L}\p{N}?){5}$", "a" * 1_000_000)
