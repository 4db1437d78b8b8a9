"""Settings of a project's file that name a program, host or address wait for a yes; a mark on the field is enough."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from engine.errors import InputError
from mcp_server.project.guarded import GUARDED, check_no_secret, guarded_values, reset
from mcp_server.project.settings import Settings, parse_settings


class Notify(BaseModel):
    """A table."""

    url: Annotated[str | None, GUARDED] = None
    words: Annotated[list[str], GUARDED] = []
    quiet: bool = False


class Marked(BaseModel):
    """Settings with tables of every form."""

    program: Annotated[str | None, GUARDED] = None
    limit: int = 1
    notify: Notify = Notify()
    places: dict[str, Notify] = {}
    perhaps: Notify | None = None


def found(values: dict[str, Any], *variables: str) -> dict[str, dict[str, Any]]:
    return guarded_values(Marked, values, variables=variables, prefix="ORCHESTRATION_")


def test_what_a_marked_field_is_given_is_found_in_every_table_and_nothing_else() -> None:
    values = {
        "program": "./x",
        "limit": 3,
        "notify": {"url": "https://a", "quiet": True},
        "places": {"b": {"words": ["x"]}, "c": "odd"},
        "perhaps": {"url": "d"},
    }
    assert found(values) == {
        "program": {"program": "./x"},
        "notify": {"notify.url": "https://a"},
        "places": {"places.b.words": ["x"]},
        "perhaps": {"perhaps.url": "d"},
    }
    assert found({"limit": 3, "notify": 5}) == {}


def test_what_the_users_environment_says_instead_is_the_users() -> None:
    values = {"program": "./x", "notify": {"url": "https://a", "words": ["x"]}}
    assert found(values, "ORCHESTRATION_PROGRAM", "ORCHESTRATION_NOTIFY__URL") == {"notify": {"notify.words": ["x"]}}


def test_a_value_that_waits_is_the_default_again_in_every_table() -> None:
    values = {
        "program": "./x",
        "limit": 3,
        "notify": {"url": "https://a", "quiet": True},
        "places": {"b": {"words": ["x"], "quiet": True}},
        "perhaps": {"url": "d"},
    }
    settings = Marked(**values)
    for waiting in found(values).values():
        reset(settings, waiting)
    kept = {"limit": 3, "notify": {"quiet": True}, "places": {"b": {"quiet": True}}, "perhaps": {}}
    assert settings == Marked(**kept)


SECRETS = [
    "https://me:pass@example.org/hook",
    "https://token@example.org",
    "user:pass@example.org:7233",
    ["curl", "https://me:pass@example.org"],
    "https://example.org/?api_key=0123456789abcdef",
]


@pytest.mark.parametrize("value", SECRETS)
def test_a_password_in_the_projects_file_is_an_error_that_does_not_repeat_it(value: object) -> None:
    with pytest.raises(InputError) as caught:
        check_no_secret(value, "orchestration.toml: notify.url", code="INVALID_SETTINGS")
    assert caught.value.code == "INVALID_SETTINGS"
    assert "notify.url" in caught.value.message
    assert "pass" not in caught.value.message.replace("password", "")


@pytest.mark.parametrize(
    "value", ["https://example.org:8443/x", "example.org:7233", "./claude", "git@example.org", 5, ["a", 1]]
)
def test_an_address_without_a_password_is_none(value: object) -> None:
    check_no_secret(value, "here", code="INVALID_SETTINGS")


def test_the_settings_file_itself_is_held_to_it() -> None:
    with pytest.raises(InputError) as caught:
        parse_settings({"claude_program": "https://me:secret@example.org"})
    assert caught.value.code == "INVALID_SETTINGS"


NAMING = (
    "program",
    "command",
    "host",
    "url",
    "address",
    "connect",
    "endpoint",
    "proxy",
    "executable",
    "bucket",
    "path",
)


def test_every_setting_whose_name_speaks_of_a_program_or_an_address_is_marked() -> None:
    def unmarked(model: type[BaseModel], place: str) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
                if isinstance(part, type) and issubclass(part, BaseModel):
                    names += unmarked(part, f"{place}{name}.")
            if any(word in name for word in NAMING) and GUARDED not in field.metadata:
                names.append(f"{place}{name}")
        return names

    assert unmarked(Settings, "") == []
