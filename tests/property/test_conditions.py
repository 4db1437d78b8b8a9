"""Laws of conditions: the parser is total, and evaluation agrees with a second, naive one."""

from __future__ import annotations

import json
import operator
from contextlib import suppress
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from engine.conditions import ConditionError, ConditionSyntaxError, parse

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.0]), st.sampled_from("ab")
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abk"), inner, max_size=3)),
    max_leaves=6,
)
contexts = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)

# Expressions as nested tuples: what the naive evaluator below walks, and what `written` spells out.
leaves = st.one_of(
    st.tuples(st.just("literal"), scalars),
    st.tuples(st.just("name"), st.sampled_from(["a", "b", "c"])),
)


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"])
    return st.one_of(
        st.tuples(operators, inner, inner),
        st.tuples(st.just("!"), inner),
        st.tuples(st.just("size"), inner),
        st.tuples(st.just("member"), inner, st.sampled_from(["a", "k", "length"])),
        st.tuples(st.just("index"), inner, inner),
        st.tuples(st.just("list"), st.lists(inner, max_size=2)),
    )


expressions = st.recursive(leaves, _grown, max_leaves=8)


class NoAnswer(Exception):
    """The naive evaluator's word for a ConditionError."""


def written(tree: Any) -> str:  # noqa: ANN401 - nested tuples
    kind, *parts = tree
    match kind:
        case "literal":
            return json.dumps(parts[0])
        case "name":
            return str(parts[0])
        case "!":
            return f"!({written(parts[0])})"
        case "size":
            return f"size({written(parts[0])})"
        case "member":
            return f"({written(parts[0])}).{parts[1]}"
        case "index":
            return f"({written(parts[0])})[{written(parts[1])}]"
        case "list":
            return "[" + ",".join(map(written, parts[0])) + "]"
        case _:
            return f"({written(parts[0])}) {kind} ({written(parts[1])})"


def tagged(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A value that Python compares as JSON is compared."""
    if isinstance(value, bool) or value is None:
        return ("constant", str(value))
    if isinstance(value, list):
        return [tagged(item) for item in value]
    return {key: tagged(item) for key, item in value.items()} if isinstance(value, dict) else value


def truth(value: Any) -> bool:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, bool):
        return bool(value)
    raise NoAnswer


def naive(tree: Any, context: dict[str, Any]) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912 - one case after the other
    kind, *parts = tree
    if kind == "literal":
        return parts[0]
    if kind == "name":
        return context.get(parts[0])
    if kind == "list":
        return [naive(part, context) for part in parts[0]]
    if kind == "&&":
        return truth(naive(parts[0], context)) and truth(naive(parts[1], context))
    if kind == "||":
        return truth(naive(parts[0], context)) or truth(naive(parts[1], context))
    left = naive(parts[0], context)
    if kind == "!":
        return not truth(left)
    sized = isinstance(left, str | list | dict)
    if kind == "size":
        if left is not None and not sized:
            raise NoAnswer
        return None if left is None else len(left)
    if kind == "member":
        if isinstance(left, dict) and parts[1] in left:
            return left[parts[1]]
        return len(left) if sized and parts[1] == "length" else None
    right = naive(parts[1], context)
    number = isinstance(right, int | float) and not isinstance(right, bool)
    if kind == "index":
        if isinstance(left, dict) and isinstance(right, str):
            return left.get(right)
        if isinstance(left, list) and number and right == int(right) and -len(left) <= right < len(left):
            return left[int(right)]
        return None
    if kind in {"==", "!="}:
        return (tagged(left) == tagged(right)) == (kind == "==")
    if kind == "in":
        if isinstance(right, list):
            return tagged(left) in tagged(right)
        return isinstance(left, str) and isinstance(right, str | dict) and left in right
    comparable = (number and isinstance(left, int | float) and not isinstance(left, bool)) or (
        isinstance(left, str) and isinstance(right, str)
    )
    order = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[kind]
    return comparable and order(left, right)


@given(expressions, contexts)
@example(("==", ("literal", True), ("literal", 1)), {})
def test_evaluation_agrees_with_a_naive_one(tree: Any, context: dict[str, Any]) -> None:  # noqa: ANN401
    condition = parse(written(tree))
    try:
        expected = truth(naive(tree, context))
    except NoAnswer:
        expected = None
    try:
        found = condition.evaluate(context)
    except ConditionError:
        found = None
    assert found is expected


@given(st.one_of(st.text(max_size=200), st.text(alphabet="ab01.,()[]!=<>&|'\"\\u -+esizn", max_size=60)), contexts)
@example("(" * 5000, {})
@example("![" * 40, {})
@example("'\\", {})
def test_any_text_parses_or_is_refused_and_then_answers_or_fails(text: str, context: dict[str, Any]) -> None:
    try:
        condition = parse(text)
    except ConditionSyntaxError:
        return
    assert condition.text == text
    with suppress(ConditionError):
        assert condition.evaluate(context) in (True, False)
