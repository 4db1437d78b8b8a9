"""Answers as compact JSON."""

from __future__ import annotations

import json

import pytest

from mcp_server.answers.wire import compact


@pytest.mark.parametrize("text", ["plain", "naïve ✅", '"\\\n\x00\x7f', "half of a pair: \ud83d"])
def test_every_text_and_number_comes_through(text: str) -> None:
    data = {text: [text, 2**80, 1e300, 0.1, -0.0, None, True]}
    assert json.loads(compact(data)) == data
    assert text in compact({"text": text}) or not text.isprintable()


def test_there_is_no_white_space_between_the_parts() -> None:
    assert compact({"a": [1, 2], "b": {"c": "d e"}}) == '{"a":[1,2],"b":{"c":"d e"}}'
