"""The real Claude Code, a scripted model and an empty project for every test of this folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.claude_code import environment
from tests.support.fake_messages_api import FakeMessagesApi
from tests.support.gallery import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def api() -> Iterator[FakeMessagesApi]:
    with FakeMessagesApi() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path, api: FakeMessagesApi, request: pytest.FixtureRequest) -> dict[str, str]:
    """That of Claude Code; of another version where a test is parametrised with one."""
    home = tmp_path / "home"
    home.mkdir()
    return environment(home=home, api_url=api.url, version=getattr(request, "param", "current"))


@pytest.fixture
def home(environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user with Claude Code, pytest and git; the agents get this environment."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "home" / "bin"), str(PROGRAMS), environ["PATH"]]))
    return tmp_path / "home"
