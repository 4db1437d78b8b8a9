"""Folders of the engine's own: what a link leads to is none of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine.errors import EnvironmentFault
from engine.executors.folders import folders_in, is_own
from engine.statefolder.links import make_below

PLACE = Path("one/two")


def test_a_folder_is_made_step_by_step_for_this_user_alone(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir(mode=0o755)
    assert make_below(tmp_path, PLACE) == tmp_path / PLACE
    assert [stat.S_IMODE((tmp_path / place).stat().st_mode) for place in ("one", "one/two")] == [0o755, 0o700]
    assert make_below(tmp_path, PLACE) == tmp_path / PLACE


@pytest.mark.parametrize("link", ["one", "one/two"])
@pytest.mark.parametrize("target", ["real", "missing", "."])
def test_a_link_on_the_way_is_not_followed(link: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "real" / "two" / "marker").mkdir(parents=True)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / target)
    with pytest.raises(EnvironmentFault, match="is a symbolic link") as caught:
        make_below(tmp_path, PLACE)
    assert caught.value.code == "STATE_NOT_OURS"
    assert not is_own(tmp_path, PLACE)
    assert folders_in(tmp_path, PLACE) == []
    assert not (tmp_path / "missing").exists()


def test_folders_are_found_and_neither_files_nor_links(tmp_path: Path) -> None:
    assert folders_in(tmp_path, PLACE) == []
    (tmp_path / PLACE / "folder").mkdir(parents=True)
    (tmp_path / PLACE / "file").touch()
    (tmp_path / PLACE / "link").symlink_to("folder")
    assert folders_in(tmp_path, PLACE) == [tmp_path / PLACE / "folder"]
