"""Keeps git from starting programs that come with a repository, which somebody else may have written.

Pure. A repository's own configuration (its file, what that includes, its worktrees') can name programs for many
occasions. Hooks, monitors, pagers, signing and transports are off, whoever configured them. Filters and merge drivers
determine the contents of files, so those of the user and the system apply; a repository's own are *withheld* until the
user trusts them. Git then reports a file that needs one as an error, and does not proceed without it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NOWHERE = "/dev/null"
SETTINGS: Mapping[str, str] = {
    "core.askPass": "",
    "core.editor": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": NOWHERE,
    "core.pager": "cat",
    "core.sshCommand": "false",
    "core.untrackedCache": "false",
    "credential.helper": "",
    "diff.external": "",
    # A submodule is a repository of its own: git does not check whether its files have changed.
    "diff.ignoreSubmodules": "dirty",
    "gpg.program": "false",
    "log.showSignature": "false",
    "protocol.allow": "never",
    # A folder that merely looks like a repository, as files of a project can, does not count as one.
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
}
"""Settings for every git command we run, beside those of the occasion."""
VARIABLES: Mapping[str, str] = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
"""Environment for every git command we run: no transport, no prompt, no optional lock, plain English."""
LISTING = ("config", "--null", "--show-scope", "--list")
"""Lists the configuration for `drivers_in` and `hooks_off`."""

_NAMED = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"})
"""Variables of git that only say where the user's files are."""
_PROGRAMS = {"filter": ("clean", "smudge", "process"), "merge": ("driver",)}
_USERS = frozenset({"system", "global"})
_OURS = "command"


class Driver(msgspec.Struct, frozen=True):
    """A filter or merge driver for which a repository's own configuration names a program."""

    attribute: str
    """`filter` or `merge`: the attribute that selects it."""
    name: str
    settings: tuple[tuple[str, str], ...]
    """The repository's settings for it, in order: `clean`, `smudge`, `process`, `required`, `driver`, …"""
    users: tuple[tuple[str, str], ...] = ()
    """The settings of the user and the system for it."""

    @property
    def title(self) -> str:
        """Its name in configuration: `filter.lfs`."""
        return f"{self.attribute}.{self.name}"

    @property
    def programs(self) -> tuple[str, ...]:
        """The command lines that the repository names."""
        return tuple(value for key, value in self.settings if key in _PROGRAMS[self.attribute] and value)

    @property
    def is_missed(self) -> bool:
        """Whether a file that selects it is unavailable without the repository's own programs.

        A `process` can be emptied but not removed: git ignores the user's `clean` and `smudge` beside it.
        """
        users = dict(self.users)
        in_the_way = "process" in dict(self.settings) and not users.get("process")
        return in_the_way or not any(users.get(key) for key in _PROGRAMS[self.attribute])


def drivers_in(listing: bytes) -> list[Driver]:
    """The filters and merge drivers that a repository itself configures, from the output of `LISTING`."""
    own: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    users: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for scope, (section, name, key), value in _entries(listing):
        if section in _PROGRAMS and name and scope != _OURS:
            (users if scope in _USERS else own)[section, name].append((key, value))
    found = [Driver(*at, tuple(said), tuple(users[at])) for at, said in own.items()]
    return [driver for driver in found if driver.programs]


def default_merge_in(listing: bytes) -> str | None:
    """The repository's merge driver for files that select none."""
    said = [value for scope, key, value in _entries(listing) if key == ("merge", "", "default") and _is_own(scope)]
    return said[-1] if said else None


def hooks_off(listing: bytes) -> dict[str, str]:
    """Settings that switch off all configured hooks."""
    return {
        f"hook.{name}.enabled": "false"
        for _scope, (section, name, _key), _value in _entries(listing)
        if section == "hook" and name
    }


def withheld(drivers: Iterable[Driver]) -> dict[str, str]:
    """Settings that make git use the user's own programs instead of those of *drivers*, or fail without."""
    settings: dict[str, str] = {}
    for driver in drivers:
        users, own = dict(driver.users), dict(driver.settings)
        for key in (key for key in _PROGRAMS[driver.attribute] if key in own):
            # An empty filter does nothing; an empty merge driver would count as success.
            settings[f"{driver.title}.{key}"] = users.get(key, "" if driver.attribute == "filter" else "false")
        if driver.attribute == "filter":
            settings[f"{driver.title}.required"] = "true" if driver.is_missed else users.get("required", "false")
    return settings


def without_guidance(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """*environment* for git, without variables by which a calling hook redirects it; *settings* override all files.

    Names of settings are passed unchanged.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_") or name in _NAMED}
    variables = {**kept, **VARIABLES, "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        variables[f"GIT_CONFIG_KEY_{number}"], variables[f"GIT_CONFIG_VALUE_{number}"] = key, value
    return variables


def _is_own(scope: str) -> bool:
    return scope not in _USERS and scope != _OURS


def _entries(listing: bytes) -> Iterator[tuple[str, tuple[str, str, str], str]]:
    """Scope, the key in its three parts, and value, of each line of configuration."""
    fields = listing.decode("utf-8", "surrogateescape").split("\0")
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        whole, _, value = entry.partition("\n")
        section, _, rest = whole.partition(".")
        name, _, key = rest.rpartition(".")
        yield scope, (section, name, key), value
