"""Settings which all tests share."""

from __future__ import annotations

import functools
import itertools
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

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

META = Path(__file__).parent / "meta"
UNMEASURED = ("e2e", "processes", "worlds")
"""Marks of the tests whose work is done in other processes, or a thousand times: measuring them adds time only."""
MEASURED_EXAMPLES = 10
"""Examples of a law that are measured: the others look for what is wrong, and run the same lines."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure coverage where it counts, as what is measured takes twice as long."""
    for item in items:
        elsewhere = any(item.get_closest_marker(name) for name in UNMEASURED) or META in item.path.parents
        if elsewhere and not item.get_closest_marker("measured"):
            item.add_marker(pytest.mark.no_cover)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Measure the first examples of a law."""
    law = getattr(getattr(item, "obj", None), "hypothesis", None)
    coverage = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if law is None or coverage is None or item.get_closest_marker("no_cover") or iscoroutinefunction(law.inner_test):
        return (yield)
    whole = law.inner_test
    examples = itertools.count()

    @functools.wraps(whole)
    def measured_at_first(*args: object, **kwargs: object) -> None:
        if next(examples) == MEASURED_EXAMPLES:
            coverage.pause()
        whole(*args, **kwargs)

    law.inner_test = measured_at_first
    try:
        return (yield)
    finally:
        law.inner_test = whole
        if not coverage.started:
            coverage.resume()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The one event loop which the engine runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def _configurations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("configurations")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _configuration(_configurations: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration of a user of the test's own: nothing is written into, nor read from, that of whoever tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(next(_configurations)))
    monkeypatch.setenv("XDG_STATE_HOME", str(next(_configurations)))
