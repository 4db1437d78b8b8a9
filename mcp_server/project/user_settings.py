"""The user's own settings, for all projects: `settings.toml` beside the trust file.

Effects: reads the file. It has what a project must not decide: above all which variables agents get.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.errors import InputError
from engine.model.attribute_docs import Documented
from engine.statefolder.user_files import configuration_folder
from mcp_server.project.settings import CODE, NotifySettings, check_keys, read_toml
from registry.agents import fields
from registry.agents.fields import FieldError

if TYPE_CHECKING:
    from pathlib import Path

USER_FILE = "settings.toml"


def _variables(value: dict[str, str] | list[str]) -> dict[str, str] | list[str]:
    try:
        fields.environment(dict.fromkeys(value, "") if isinstance(value, list) else {**value})
    except FieldError as error:
        raise ValueError(f"{error.message} ({error.hint})") from None
    return value


class AgentSettings(Documented, BaseModel):
    """Settings for every agent of every project."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    env: Annotated[list[str] | dict[str, str], AfterValidator(_variables)] = Field(default_factory=list)
    """Variables for agents' processes: names of your variables, or a table in which `"$NAME"` refers to one."""

    @property
    def variables(self) -> dict[str, str]:
        """The same as a table; names in a list that are not set are left out."""
        if isinstance(self.env, dict):
            return self.env
        return {name: f"${{{name}:-}}" for name in self.env if name in os.environ}


class UserNotifySettings(NotifySettings):
    """Notifications of every project's runs."""

    terminal: bool = True
    """Whether `orchestrate` rings the bell of its terminal, and shows a notification where the terminal can."""


class UserSettings(Documented, BaseModel):
    """The settings of a user for all projects."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    agents: AgentSettings = Field(default_factory=AgentSettings)
    """Settings for every agent of every project."""
    notify: UserNotifySettings = Field(default_factory=UserNotifySettings)
    """Notifications of every project's runs."""


def load_user_settings(home: Path | None = None) -> UserSettings:
    """The settings of the user, or the defaults if there is no file. Raises `InputError` (INVALID_SETTINGS)."""
    path = configuration_folder(home) / USER_FILE
    values = read_toml(path, str(path))
    check_keys(values, UserSettings, "", str(path))
    for name, model in (("agents", AgentSettings), ("notify", UserNotifySettings)):
        if isinstance(table := values.get(name), dict):
            check_keys(table, model, f"{name}.", str(path))
    try:
        return UserSettings(**values)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'][:2])}: {item['msg']}" for item in error.errors()]
        raise InputError(f"{path}: {'; '.join(dict.fromkeys(lines))}", code=CODE) from None
