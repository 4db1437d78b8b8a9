"""Settings which all tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# Every commit is tested with the same examples, so that a red build is about the commit; the nightly run looks further.
settings.register_profile("ci", max_examples=100, derandomize=True, deadline=None, print_blob=True)
settings.register_profile(
    "nightly",
    max_examples=10_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # ten thousand examples are meant to take long
)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop which the engine runs on."""
    return "asyncio"
