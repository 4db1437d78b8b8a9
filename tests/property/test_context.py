"""Laws of merging and binding."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.model.policy import InputSpec, Merge
from engine.values.context import MergeError, Part, bind_inputs, json_problem, merge_values

values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
lists = st.lists(values, max_size=3)
parts = st.lists(st.builds(Part, st.sampled_from(Merge), values), min_size=1, max_size=5)


def joined(merge: Merge, *several: object) -> Any:  # noqa: ANN401 - JSON
    return merge_values([Part(merge, value) for value in several])


@given(parts)
def test_merging_gives_json_or_its_own_error(several: list[Part]) -> None:
    try:
        value = merge_values(several)
    except MergeError:
        return
    assert json_problem(value) is None


@given(parts, values)
def test_what_a_replace_replaces_has_no_say(before: list[Part], value: object) -> None:
    assert merge_values([*before, Part(Merge.REPLACE, value)]) == value


@given(lists, lists, lists)
def test_concat_is_associative(one: list[Any], two: list[Any], three: list[Any]) -> None:
    assert joined(Merge.CONCAT, joined(Merge.CONCAT, one, two), three) == joined(
        Merge.CONCAT, one, joined(Merge.CONCAT, two, three)
    )


@given(objects, objects, objects)
def test_merging_an_object_again_changes_nothing_and_an_empty_one_is_neutral(
    one: dict[str, Any], two: dict[str, Any], three: dict[str, Any]
) -> None:
    merged = joined(Merge.MERGE, one, two, three)
    assert joined(Merge.MERGE, merged, three) == merged
    assert joined(Merge.MERGE, {}, one) == joined(Merge.MERGE, one, {}) == one
    assert set(merged) == {*one, *two, *three}


@given(st.lists(values, min_size=1, max_size=5))
def test_appending_keeps_every_value_in_order(several: list[Any]) -> None:
    assert joined(Merge.APPEND, *several) == several


@given(objects, st.lists(st.sampled_from("abcdef"), unique=True), st.booleans())
def test_binding_gives_declared_values_and_names_every_missing_key(
    context: dict[str, Any],
    keys: list[str],
    passthrough: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    result = bind_inputs([InputSpec(key=key) for key in keys], context, passthrough=passthrough)
    assert set(result.missing) == set(keys) - set(context)
    assert set(result.inputs) == (set(context) if passthrough else set(context) & set(keys))
    assert all(result.inputs[key] is context[key] for key in result.inputs)


@given(values)
def test_what_has_no_json_problem_survives_being_written_and_read(value: object) -> None:
    if json_problem(value) is None:
        assert json.loads(json.dumps(value, ensure_ascii=False).encode()) == value
