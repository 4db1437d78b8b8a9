"""The law of patterns: what is accepted takes a backtracking matcher a number of steps that is linear in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from engine.patterns import _parse, pattern_problem

if TYPE_CHECKING:
    from collections.abc import Callable

patterns = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "c", "."]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda ways: f"(?:{'|'.join(ways)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}"])).map(lambda part: f"(?:{part[0]}){part[1]}"),
    ),
    max_leaves=7,
)

ENOUGH = 20_000


class Matcher:
    """Walks the tree that `re` makes of a pattern as its engine does, and counts the steps."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps = 0

    def sequence(self, parts: list[tuple[Any, Any]], at: int, then: Callable[[int], bool]) -> bool:
        if not parts:
            return then(at)
        return self.part(*parts[0], at, lambda after: self.sequence(parts[1:], after, then))

    def part(self, kind: Any, value: Any, at: int, then: Callable[[int], bool]) -> bool:  # noqa: ANN401
        self.steps += 1
        if self.steps > ENOUGH:
            return True
        match str(kind):
            case "SUBPATTERN":
                return self.sequence(list(value[3]), at, then)
            case "BRANCH":
                return any(self.sequence(list(way), at, then) for way in value[1])
            case "MAX_REPEAT":
                least, most, body = value
                return self.repeat(least, most, body, at, then)
            case "AT":
                return at == 0 and then(at)
            case _:
                return at < len(self.text) and self.matches(str(kind), value, self.text[at]) and then(at + 1)

    def repeat(self, least: int, most: int, body: Any, at: int, then: Callable[[int], bool]) -> bool:  # noqa: ANN401
        def again(after: int) -> bool:
            if after == at and least == 0:
                return then(after)
            return self.repeat(max(least - 1, 0), most - 1, body, after, then)

        return (most > 0 and self.sequence(list(body), at, again)) or (least == 0 and then(at))

    @staticmethod
    def matches(kind: str, value: Any, character: str) -> bool:  # noqa: ANN401
        if kind == "IN":
            return any(Matcher.matches(str(member), item, character) for member, item in value)
        if kind == "RANGE":
            return bool(value[0] <= ord(character) <= value[1])
        return kind == "ANY" or value == ord(character)


def steps(pattern: str, text: str) -> int:
    matcher = Matcher(text)
    matcher.sequence(list(_parse(pattern)), 0, lambda _end: False)
    return matcher.steps


def test_the_matcher_of_this_test_sees_exponential_patterns() -> None:
    assert steps("^(?:a+)+", "a" * 40) > ENOUGH
    assert steps("^a*b", "a" * 40) < 200


@given(patterns, st.text(alphabet="abc", min_size=1, max_size=3))
@example("(?:ab|ac)*", "ab")
@example("(?:a?b)*", "ab")
@example(".*a", "a")
def test_an_accepted_pattern_fails_in_linear_time(pattern: str, piece: str) -> None:
    assume(pattern_problem("^" + pattern) is None)
    short, long = (steps(f"^(?:{pattern})", (piece * length)[:length]) for length in (10, 40))
    assert long <= 5 * short + 100


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_refused_with_a_reason(pattern: str) -> None:
    problem = pattern_problem(pattern)
    assert problem is None or problem
