"""Models and adapters that are built when they are used."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, TypeAdapter

from mcp_server.deferral import deferred


def test_what_is_defined_meanwhile_is_built_when_it_is_used() -> None:
    with deferred():

        class Late(BaseModel):
            number: int

        late = TypeAdapter(int | str)
    assert not Late.__pydantic_complete__
    assert not late.pydantic_complete
    assert Late.model_validate({"number": "1"}).number == 1
    assert late.validate_python(1) == 1


def test_what_is_defined_afterwards_is_built_at_once_even_after_an_error() -> None:
    with pytest.raises(RuntimeError), deferred():
        raise RuntimeError

    class Early(BaseModel):
        number: int

    assert Early.__pydantic_complete__
    assert TypeAdapter(int | str).pydantic_complete


def test_a_pydantic_that_decides_otherwise_about_adapters_builds_them_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.deferral._DECIDES", "_decided_elsewhere")
    with deferred():

        class Late(BaseModel):
            number: int

        early = TypeAdapter(int | str)
    assert not Late.__pydantic_complete__
    assert early.pydantic_complete
    assert not hasattr(TypeAdapter, "_decided_elsewhere")
