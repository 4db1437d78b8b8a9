from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from engine.statefolder.user_files import configuration_folder
from mcp_server.project.settings import parse_settings
from mcp_server.project.user_settings import USER_FILE, load_user_settings

if TYPE_CHECKING:
    from pathlib import Path


def write(home: Path, text: str) -> None:
    path = configuration_folder(home) / USER_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_without_a_file_agents_are_given_nothing_more(tmp_path: Path) -> None:
    assert load_user_settings(tmp_path).agents.variables == {}


def test_a_list_hands_on_the_variables_of_these_names_that_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "value")
    write(tmp_path, '[agents]\nenv = ["MY_TOKEN", "NOT_SET_HERE"]\n')
    assert load_user_settings(tmp_path).agents.variables == {"MY_TOKEN": "${MY_TOKEN:-}"}


def test_a_table_sets_variables_and_holds_no_values_of_others(tmp_path: Path) -> None:
    write(tmp_path, '[agents.env]\nSTAGE = "test"\nTOKEN = "$MY_TOKEN"\n')
    assert load_user_settings(tmp_path).agents.variables == {"STAGE": "test", "TOKEN": "$MY_TOKEN"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[agent]\n", 'unknown key "agent"'),
        ("[agents]\nenvs = []\n", 'unknown key "agents.envs"'),
        ("[agents]\nenv = 3\n", "agents.env"),
        ("[agents]\nenv = ['A-B']\n", "'A-B'"),
        ("[agents.env]\nA = '${B'\n", "sets A with '${B'"),
        ("[agents", "is not TOML"),
    ],
)
def test_a_slip_is_told_with_the_file(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_user_settings(tmp_path)
    assert caught.value.code == "INVALID_SETTINGS"
    assert told in caught.value.message
    assert str(configuration_folder(tmp_path) / USER_FILE) in caught.value.message


def test_a_project_cannot_say_what_agents_are_given() -> None:
    with pytest.raises(InputError) as caught:
        parse_settings({"agents": {"env": ["AWS_SECRET_ACCESS_KEY"]}})
    assert "which a project cannot set" in caught.value.message
    assert "settings.toml" in (caught.value.hint or "")


def test_the_users_folder_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert configuration_folder() == tmp_path / "orchestration-mcp"
