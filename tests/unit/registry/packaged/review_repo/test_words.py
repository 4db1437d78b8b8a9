"""A file without the words of a rule is not parsed for it, and no rule loses a hit by that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.packaged.review_repo import scans
from registry.packaged.review_repo.rules import RULES
from registry.packaged.review_repo.rules.form import Matcher, Rule
from registry.packaged.review_repo.rules.words import NOTHING, All, OneOf, Piece, Text, Word, is_met, need_of
from registry.packaged.review_repo.tools import ast_grep, scan
from tests.unit.registry.packaged.review_repo.conftest import places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.unit.registry.packaged.review_repo.conftest import Repo


def rule(matcher: Matcher, **constraints: Matcher) -> Rule:
    return Rule(
        id="r", meaning="m", severity="low", confidence="low", languages=("Python",), matcher=matcher,
        constraints=constraints, bad="", good="",
    )  # fmt: skip


def regexes(matcher: object) -> Iterator[str]:
    if isinstance(matcher, dict):
        for key, value in matcher.items():
            yield from [value] if key == "regex" else regexes(value)
    elif isinstance(matcher, list):
        for value in matcher:
            yield from regexes(value)


REGEXES = sorted({text for each in RULES for text in regexes([each.matcher, *each.constraints.values()])})


@pytest.mark.parametrize("each", RULES, ids=lambda each: each.id)
def test_the_failing_example_of_each_rule_has_its_words(each: Rule) -> None:
    assert is_met(need_of(each), Text(each.bad))


@given(data=st.data(), regex=st.sampled_from(REGEXES))
def test_whatever_a_regular_expression_finds_has_its_words(data: st.DataObject, regex: str) -> None:
    text = data.draw(st.from_regex(regex))
    assert is_met(need_of(rule({"regex": regex})), Text(text))


@pytest.mark.parametrize(
    ("matcher", "constraints", "need"),
    [
        ({"pattern": "os.system($X)"}, {}, All((Word("system"), Word("os")))),
        ({"pattern": "call($X, $$$X)"}, {"X": {"regex": "^name$"}}, All((Word("call"), Piece("name")))),
        ({"pattern": "call($$$X)"}, {"X": {"regex": "name"}}, Word("call")),
        ({"pattern": {"context": "func f() { a.Sum($X) }", "selector": "call_expression"}}, {}, Word("Sum")),
        ({"pattern": "$A.run($$$)", "regex": "debug"}, {}, All((Word("run"), Piece("debug")))),
        ({"any": [{"pattern": "run($X)"}, {"pattern": "run($X, $$$)"}]}, {}, Word("run")),
        ({"any": [{"pattern": "run($X)"}, {"kind": "call"}]}, {}, NOTHING),
        ({"any": [{"pattern": "run($X)"}, {"pattern": "walk($X)"}]}, {}, OneOf((Word("walk"), Word("run")))),
        ({"has": {"regex": "name"}, "not": {"regex": "other"}}, {}, Piece("name")),
        ({"inside": {"kind": "class", "regex": "Name"}}, {}, Piece("name")),
        ({"regex": "(?i)GET|post"}, {}, OneOf((Piece("post"), Piece("get")))),
        ({"regex": "names?"}, {}, Piece("name")),
        ({"regex": "(name)*(other)+"}, {}, Piece("other")),
        ({"regex": "[abc]x[^d]"}, {}, NOTHING),
    ],
)
def test_words_are_taken_from_what_must_be_there(
    matcher: Matcher, constraints: dict[str, Matcher], need: object
) -> None:
    assert need_of(rule(matcher, **constraints)) == need


@pytest.mark.parametrize(
    ("text", "has"),
    [("os.x", True), ("(os)", True), ("cos; os", True), ("Os", False), ("cos", False), ("os_x", False), ("os1", False)],
)
def test_a_word_of_a_pattern_is_whole_and_has_its_case(text: str, has: bool) -> None:  # noqa: FBT001 - a case
    assert is_met(Word("os"), Text(text)) is has


def test_signs_that_fold_to_letters_are_found_as_these() -> None:
    need = need_of(rule({"regex": "(?i)password_key"}))
    assert is_met(need, Text("pa\u017fsword_\u212aey"))
    assert not is_met(need, Text("password"))


CALL = 'import os\n\n\ndef ping(host):\n    os.system("ping " + host)\n'


@pytest.fixture
def given_files(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The files that ast-grep is given, by start."""
    seen: list[Sequence[str]] = []

    def recording(shop: Any, tool: str, argv: Any, names: Sequence[str], *rest: Any, **options: Any) -> Any:  # noqa: ANN401
        seen.append(list(names))
        return scan.scan(shop, tool, argv, names, *rest, **options)

    monkeypatch.setattr(ast_grep, "scan", recording)
    return seen


def test_only_files_with_the_words_of_a_rule_are_parsed_and_all_count(
    repo: Repo, given_files: list[Sequence[str]]
) -> None:
    repo.commit(
        **{"ping.py": CALL, "plain.py": "x = 1\n", "a.tsx": "export const a = eval(b)\n", "b.ts": "let c = 1\n"}
    )
    output = repo.ask(scans.code)["code"]
    assert given_files == [["./ping.py", "./a.tsx"]]
    assert {("py-shell", "ping.py", 5), ("js-eval", "a.tsx", 1)} <= places(output)
    [done] = [each for each in output["scans"] if each["tool"] == "ast-grep"]
    assert (done["files"], done["problem"], done["unread"]) == (4, "", 0)


def test_files_that_there_is_no_time_to_read_are_given_to_all_rules(
    repo: Repo, given_files: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(**{"ping.py": CALL, "plain.py": "x = 1\n"})
    monkeypatch.setattr(ast_grep, "READING_SECONDS", 0)
    output = repo.ask(scans.code)["code"]
    assert given_files == [["./ping.py", "./plain.py"]]
    assert ("py-shell", "ping.py", 5) in places(output)
