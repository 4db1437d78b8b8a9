"""What git may start in a repository that somebody else may have written: nothing that the repository brings.

Pure. A repository's own configuration (its file, what that includes, its worktrees') can name programs for many
occasions. Hooks, monitors, pagers, signing and transports are off for whoever configured them. Filters and merge
drivers say what is in the files, so those of the user and the system hold; a repository's own are *withheld* until the
user says yes to them. Git then takes a file that wants one as an error, and does not go on without it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    # What is in a submodule is its own repository's to say: git does not look whether its files have changed.
    "diff.ignoreSubmodules": "dirty",
    "gpg.program": "false",
    "log.showSignature": "false",
    "protocol.allow": "never",
    # A folder that merely looks like a repository, as files of a project can, is none.
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
}
"""Settings for every git of ours, beside those that the occasion wants."""
VARIABLES: Mapping[str, str] = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
"""Environment for every git of ours: no transport, no question, no lock that it can do without, plain English."""
LISTING = ("config", "--null", "--show-scope", "--list")
"""Lists what `drivers_in` and `hooks_in` read."""

_NAMED = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH"})
"""Variables of git that say where the user keeps things, and no more."""
_PROGRAMS = {"filter": ("clean", "smudge", "process"), "merge": ("driver",)}
_USERS = frozenset({"system", "global"})
_OURS = "command"


@dataclass(frozen=True, slots=True)
class Driver:
    """A filter or merge driver for which a repository's own configuration names a program."""

    attribute: str
    """`filter` or `merge`; the attribute that asks for it."""
    name: str
    settings: tuple[tuple[str, str], ...]
    """What the repository says of it, in order: `clean`, `smudge`, `process`, `required`, `driver`, …"""
    users: tuple[tuple[str, str], ...] = ()
    """What the user and the system say of it."""

    @property
    def title(self) -> str:
        """As configuration has it: `filter.lfs`."""
        return f"{self.attribute}.{self.name}"

    @property
    def programs(self) -> tuple[str, ...]:
        """The command lines that the repository names."""
        return tuple(value for key, value in self.settings if key in _PROGRAMS[self.attribute] and value)

    @property
    def is_missed(self) -> bool:
        """Whether a file that asks for it cannot be had without the repository's own programs.

        A `process` can be emptied and not taken away: git looks at no `clean` and `smudge` of the user's beside it.
        """
        users = dict(self.users)
        in_the_way = "process" in dict(self.settings) and not users.get("process")
        return in_the_way or not any(users.get(key) for key in _PROGRAMS[self.attribute])


def drivers_in(listing: bytes) -> list[Driver]:
    """The filters and merge drivers that a repository itself configures, by what `LISTING` answers."""
    own: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    users: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for scope, (section, name, key), value in _entries(listing):
        if section in _PROGRAMS and name and scope != _OURS:
            (users if scope in _USERS else own)[section, name].append((key, value))
    found = [Driver(*at, tuple(said), tuple(users[at])) for at, said in own.items()]
    return [driver for driver in found if driver.programs]


def default_merge_in(listing: bytes) -> str | None:
    """The merge driver that the repository wants for files which ask for none."""
    said = [value for scope, key, value in _entries(listing) if key == ("merge", "", "default") and _is_own(scope)]
    return said[-1] if said else None


def hooks_off(listing: bytes) -> dict[str, str]:
    """Settings that switch off the hooks which anybody's configuration names."""
    return {
        f"hook.{name}.enabled": "false"
        for _scope, (section, name, _key), _value in _entries(listing)
        if section == "hook" and name
    }


def withheld(drivers: Iterable[Driver]) -> dict[str, str]:
    """Settings by which git has the user's own programs in the place of those of *drivers*, or none and fails."""
    settings: dict[str, str] = {}
    for driver in drivers:
        users, own = dict(driver.users), dict(driver.settings)
        for key in (key for key in _PROGRAMS[driver.attribute] if key in own):
            # An empty filter is none; an empty merge driver would be one that succeeds.
            settings[f"{driver.title}.{key}"] = users.get(key, "" if driver.attribute == "filter" else "false")
        if driver.attribute == "filter":
            settings[f"{driver.title}.required"] = "true" if driver.is_missed else users.get("required", "false")
    return settings


def without_guidance(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """*environment* for git, without what a calling hook leads it elsewhere by; *settings* win over all files.

    Any name of a setting is taken as it is.
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
