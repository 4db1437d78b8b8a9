from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.ids import NodeId, RunId, attempt_id, parse_attempt_id, session_id

RUN = RunId("r-000000000000")


@given(node=st.text(min_size=1, max_size=30), number=st.integers(1, 10**6))
def test_the_session_of_an_attempt_is_a_uuid_of_its_own_that_never_changes(node: str, number: int) -> None:
    attempt = attempt_id(RUN, NodeId(node), number)
    session = session_id(attempt)
    assert (str(UUID(session)), UUID(session).version) == (session, 5)
    assert session == session_id(attempt)
    assert session != session_id(attempt_id(RUN, NodeId(node), number + 1))


@given(node=st.text(min_size=1, max_size=30).filter(lambda text: text.strip()), number=st.integers(0, 10**6))
def test_an_attempt_id_comes_back_in_its_parts(node: str, number: int) -> None:
    assert parse_attempt_id(attempt_id(RUN, NodeId(node), number)) == (RUN, node, number)


def test_what_is_no_attempt_id_has_no_parts() -> None:
    for text in ("", "r-1", "r-1:", ":a#1", "r-1:#1", "r-1:a", "r-1:a#", "r-1:a#x", "r-1:a#-1"):
        assert parse_attempt_id(text) is None
