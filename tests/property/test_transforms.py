"""Laws of transforms: agreement with the reference library, and no error but our own on any text."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import jsonpath
from hypothesis import given
from hypothesis import strategies as st

from engine.transforms import MISSING, TransformError, TransformSyntaxError, parse_transform

REFERENCE = jsonpath.JSONPathEnvironment(strict=True)

# Strings of one letter and no booleans: the library slices strings and takes [true] for [1], which the RFC does not.
scalars = st.one_of(st.none(), st.integers(-3, 3), st.floats(-2, 2, width=16))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=12,
)
singular = st.lists(st.sampled_from([".a", ".b", "[0]", "[-1]", "['c']"]), max_size=2).map("".join)
comparable = st.one_of(
    singular.map("@{}".format),
    singular.map("${}".format),
    st.sampled_from(["1", "-2", "0.5", "null", "'a'", "true"]),
    singular.map("length(@{})".format),
    singular.map("count(@{}.*)".format),
    singular.map("value(@..a{})".format),
)
comparisons = st.tuples(comparable, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), comparable).map(" ".join)
tests = st.recursive(
    st.one_of(comparisons, singular.map("@{}".format), singular.map("@..*{}".format), singular.map("!@{}".format)),
    lambda inner: st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda part: f"({' '.join(part)})"),
    max_leaves=3,
)
segments = st.one_of(
    st.sampled_from([".a", ".*", "[*]", "..a", "..*", "[0]", "[-2]", "[1:]", "[::-1]", "[:2]", "[0,'a']", "..[0]"]),
    tests.map("[?{}]".format),
)
paths = st.lists(segments, max_size=3).map(lambda parts: "$" + "".join(parts))


@given(paths, values)
def test_what_is_selected_agrees_with_the_reference_library(path: str, value: Any) -> None:  # noqa: ANN401 - JSON
    transform = parse_transform(path)
    expected = list(REFERENCE.compile(path).findall(value))
    found = transform.apply(value)
    if transform.singular:
        found = [] if found is MISSING else [found]
    assert repr(found) == repr(expected)


@given(
    st.one_of(st.text(max_size=60), st.text(alphabet="$@.*[]()?!&|=<>'\"01ab, :-\\", max_size=40).map("$".__add__)),
    values,
)
def test_any_text_is_a_transform_or_refused(text: str, value: Any) -> None:  # noqa: ANN401 - JSON
    try:
        transform = parse_transform(text)
    except TransformSyntaxError:
        return
    with suppress(TransformError):
        transform.apply(value)
