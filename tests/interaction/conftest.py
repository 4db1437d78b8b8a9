"""A project and a client for each protocol era."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interaction.projects import ERAS, connected, make_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from mcp import Client


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return make_project(root)


@pytest.fixture(params=ERAS)
async def client(project: Path, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with connected(project, request.param) as client:
        yield client
