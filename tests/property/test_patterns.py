"""The law of patterns: what is accepted takes a backtracking matcher a number of steps that is linear in the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import assume, given
from hypothesis import strategies as st

from engine.patterns import pattern_problem

if TYPE_CHECKING:
    from collections.abc import Callable

# Patterns as trees: written out for the module, and walked by the matcher below, which is as naive as `re` is.
trees = st.recursive(
    st.sampled_from([("set", "a"), ("set", "b"), ("set", "ab"), ("set", "c")]),
    lambda inner: st.one_of(
        st.tuples(st.just("then"), st.lists(inner, min_size=1, max_size=4)),
        st.tuples(st.just("or"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("many"), inner, st.sampled_from(["*", "+", "?"])),
    ),
    max_leaves=7,
)


def written(tree: Any) -> str:  # noqa: ANN401 - nested tuples
    if tree[0] == "set":
        return f"[{tree[1]}]"
    if tree[0] == "then":
        return "(?:" + "".join(map(written, tree[1])) + ")"
    if tree[0] == "or":
        return "(?:" + "|".join(map(written, tree[1])) + ")"
    return f"(?:{written(tree[1])}){tree[2]}"


class Matcher:
    """Counts the steps of a backtracking match."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps = 0

    def match(self, tree: Any, at: int, then: Callable[[int], bool]) -> bool:  # noqa: ANN401
        self.steps += 1
        if self.steps > 20_000:
            return True
        if tree[0] == "set":
            return at < len(self.text) and self.text[at] in tree[1] and then(at + 1)
        if tree[0] == "or":
            return any(self.match(way, at, then) for way in tree[1])
        if tree[0] == "then":
            return self.sequence(tree[1], at, then)
        return self.many(tree[1], tree[2], at, then)

    def sequence(self, parts: list[Any], at: int, then: Callable[[int], bool]) -> bool:
        if not parts:
            return then(at)
        return self.match(parts[0], at, lambda after: self.sequence(parts[1:], after, then))

    def many(self, body: Any, sign: str, at: int, then: Callable[[int], bool]) -> bool:  # noqa: ANN401
        def again(after: int) -> bool:
            if after == at or sign == "?":
                return then(after)
            return self.many(body, "*", after, then)

        return self.match(body, at, again) or (sign != "+" and then(at))


def steps(tree: Any, text: str) -> int:  # noqa: ANN401
    matcher = Matcher(text)
    matcher.match(tree, 0, lambda _end: False)
    return matcher.steps


@given(trees, st.text(alphabet="abc", min_size=1, max_size=3))
def test_an_accepted_pattern_fails_in_linear_time(tree: Any, piece: str) -> None:  # noqa: ANN401
    assume(pattern_problem("^" + written(tree)) is None)
    short, long = steps(tree, (piece * 10)[:10]), steps(tree, (piece * 40)[:40])
    assert long <= 5 * short + 100


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_refused_with_a_reason(pattern: str) -> None:
    problem = pattern_problem(pattern)
    assert problem is None or problem
