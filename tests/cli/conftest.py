"""A project for every test of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interaction.projects import make_project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return make_project(root)
