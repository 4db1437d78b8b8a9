"""Settings which all tests share."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import HealthCheck, settings

from engine.executors import environment

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


@pytest.fixture(scope="session", autouse=True)
def _measured_agents() -> None:
    """Agents get what coverage needs, where it measures; else they have the environment that agents of users have."""
    if any(name.startswith("COVERAGE_") for name in os.environ):
        environment._GIVEN = re.compile(rf"{environment._GIVEN.pattern}|COVERAGE_\w+", re.VERBOSE)
