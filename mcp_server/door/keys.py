"""Identifies the state that answers depend on: the program for all of them, the project's files for some lists.

Effects: lists folders, looks at files without opening them, and reads the environment.

Theory of operation. A key that says too much costs an answer from the store; one that says too little lets the door
repeat what is no longer true. So both keys take in more than the answers can depend on.

- The program: the interpreter, every file of the three packages, the name and time of every installed distribution on
  its path, and whether it is the server of a plugin or of a configuration, one of which may have to offer nothing.
- The project: where the root may be is not decided here. Every folder from the working directory and from each named
  project upwards counts, up to the first that is a project beyond doubt. Of each, and of the user and the library, the
  files below the places of commands count, with all links in between; so do the settings, the user's answers about
  trust, which decide on links that lead elsewhere, and every variable that is read on the way to a list.
- A file is its inode, size, mode, owner, and both its times in nanoseconds: no editor keeps all of them.
- Where that is not enough, or would be too much to look at, there is no key, and the door does not answer these lists.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys

from mcp_server import twins
from registry.files.places import BASE, COMMANDS, roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGES = ("engine", "registry", "mcp_server")
LIBRARY = "ORCHESTRATION_LIBRARY"
VARIABLES = frozenset({"HOME", "XDG_CONFIG_HOME", "CLAUDECODE", "CLAUDE_PROJECT_DIR"})
"""Variables that lead to the files, beside our own settings."""
PREFIX = "ORCHESTRATION_"
FILES_OF_A_PROJECT = (f"{BASE}/orchestration.toml",)
FILES_OF_THE_USER = ("orchestration-mcp/trust.json",)
"""In the folder for configuration."""
STATE = "orchestration"
"""The entry of `.claude` with runs in it, which makes a project of a folder only if this user made it."""
CERTAIN = frozenset({"commands", "agents"})
"""Entries of `.claude` that make a project of a folder without any further look."""
MAX_FILES = 2000


class Unclear(Exception):
    """A look does not show all that the lists depend on."""


def program_key() -> str:
    """A key of the code that answers."""
    base = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parts = [
        sys.version,
        sys.executable,
        sys.prefix,
        str(sys.flags),
        *sys.path,
        str(os.geteuid()),
        twins.kind(os.environ),
    ]
    for package in PACKAGES:
        parts += _below(f"{base}/{package}", skip="__pycache__")
    for folder in dict.fromkeys(sys.path):
        if folder.endswith("-packages"):
            parts += [_state(f"{folder}/{name}") for name in _listed(folder) if name.endswith((".dist-info", ".pth"))]
    return _digest(parts)


def project_key(named: str | None) -> str | None:
    """A key of all files that decide on the lists of the project *named*, or around the working directory."""
    try:
        return _digest([*_variables(), *_around(named)])
    except (Unclear, OSError, ValueError):
        return None


def _variables() -> list[str]:
    found = [
        f"{key}={value}" for key, value in os.environ.items() if key in VARIABLES or key.upper().startswith(PREFIX)
    ]
    return sorted(found)


def _around(named: str | None) -> Iterator[str]:
    home = os.path.expanduser("~")
    library = os.environ.get(LIBRARY)
    if library and not os.path.isabs(library):
        raise Unclear("it is relative to a root that is not known here")
    configuration = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(configuration):
        configuration = f"{home}/.config"
    yield from (_state(f"{configuration}/{name}") for name in FILES_OF_THE_USER)
    starts = (named, os.environ.get("CLAUDE_PROJECT_DIR"), os.getcwd())
    seen: dict[str, None] = {}
    for start in starts:
        if start:
            yield start
            seen.update(dict.fromkeys(_upwards(os.path.realpath(os.path.expanduser(start)))))
    for folder in seen:
        yield from _project(folder)
        for _, root in roots(folder, home, library or None):
            yield from _commands(root)


def _upwards(folder: str) -> Iterator[str]:
    """*folder* and those above it, up to the first that is a project beyond doubt."""
    while True:
        yield folder
        above = os.path.dirname(folder)
        names = {*_listed(f"{folder}/{BASE}")}
        if above == folder or os.path.lexists(f"{folder}/.git") or names & CERTAIN:
            return
        if STATE in names:
            raise Unclear("it is a project only if this user made its state")
        folder = above


def _project(folder: str) -> Iterator[str]:
    yield f"{folder} {os.stat(folder).st_uid} {os.path.lexists(f'{folder}/.git')}"
    yield f"{os.access(f'{folder}/{BASE}', os.R_OK)} {_listed(f'{folder}/{BASE}')}"  # an empty one makes a project too
    yield from (_state(f"{folder}/{name}") for name in FILES_OF_A_PROJECT)


def _commands(root: str) -> Iterator[str]:
    """The places of commands of *root*, each of which may be a link, and all that is below them."""
    for place in (BASE, COMMANDS, f"{COMMANDS}/v2"):
        yield os.path.realpath(f"{root}/{place}")
    yield from _below(f"{root}/{COMMANDS}")
    if os.path.islink(f"{root}/{COMMANDS}/v2"):
        yield from _below(f"{root}/{COMMANDS}/v2")


def _below(top: str, skip: str = "") -> Iterator[str]:
    """The state of all that is below *top*, apart from folders named *skip*; links to folders are not followed."""
    waiting, count = [top], 0
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        except OSError as error:
            yield f"{folder} {error.errno}"
            continue
        count += len(found)
        if count > MAX_FILES:
            raise Unclear("there are too many files")
        for name, is_folder in found:
            if is_folder and name != skip:
                waiting.append(f"{folder}/{name}")
            elif not is_folder:
                yield _state(f"{folder}/{name}")


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _state(path: str) -> str:
    """*path* with all that changes when it is changed or replaced, or what it links to."""
    try:
        status = os.lstat(path)
        link = os.path.realpath(path) if stat.S_ISLNK(status.st_mode) else ""
        if link:
            status = os.stat(path)
    except OSError as error:
        return f"{path} {error.errno}"
    times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
    return f"{path} {link} {status.st_ino} {status.st_size} {status.st_mode} {status.st_uid} {times}"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
