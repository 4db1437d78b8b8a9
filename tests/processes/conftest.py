"""A fleet's server, started once, and yards with workers: see `tests.support.fleet`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.fleet import Server, Yard
    from tests.support.fleet_bucket import BucketServer


@pytest.fixture(scope="session")
def fleet_server() -> Iterator[Server]:
    from tests.support.fleet import Server  # noqa: PLC0415 - most tests here need none

    with closing(Server()) as server:
        yield server


@pytest.fixture(scope="session")
def bucket_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    from tests.support.fleet_bucket import BucketServer  # noqa: PLC0415 - as above

    with closing(BucketServer(tmp_path_factory.mktemp("buckets"))) as server:
        yield server


@pytest.fixture
def yard(fleet_server: Server, tmp_path: Path) -> Iterator[Yard]:
    from tests.support.fleet import Yard  # noqa: PLC0415 - as above

    with closing(Yard(tmp_path, fleet_server.address)) as yard:
        yield yard


@pytest.fixture
def watched(fleet_server: Server, tmp_path: Path) -> Iterator[Yard]:
    """A yard whose workers count as lost after two seconds of silence."""
    from tests.support.fleet import Yard  # noqa: PLC0415 - as above

    with closing(Yard(tmp_path, fleet_server.address, heartbeat=2)) as yard:
        yield yard
