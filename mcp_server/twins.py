"""Of two servers of one session of Claude Code, of our plugin and of a configuration, one offers the tools.

Effects: holds locks on files in a private folder for as long as the process lives.

Theory of operation. Claude Code starts a server for our plugin and one for an entry in `.mcp.json` or the user's own
configuration, under different names, and cannot know that both are the same. The model would see each tool, prompt and
resource twice. So one serves, and the other offers nothing and explains that in its instructions.

The plugin's server is preferred, since it has the plugin's commands too. It announces itself as soon as its process
starts; the other one decides only after it has imported the SDK, which takes much longer. If the plugin's server is
later than that, as at its first start, which installs it, it finds that the other one serves already, and leaves it at
that. A server whose door answers at once decides before its first answer. The door of the other one then knows nothing
once the plugin's has announced itself in a session, so only the first session with both may be served by the wrong one.
Servers of one kind never yield to each other: the second is the first one's successor, which Claude Code has
started again while the first still ends its runs. A lock ends with its process. Outside Claude Code, and if the folder
for the locks is not this user's alone, each server serves.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION = "CLAUDE_CODE_SESSION_ID"
PLUGIN = "CLAUDE_PLUGIN_ROOT"
"""Claude Code sets it for servers of plugins only."""
OF_PLUGIN, OF_CONFIGURATION = "plugin", "configuration"
"""The two kinds of servers."""
KEPT_SECONDS = 86_400.0
"""A file without a holder is removed after this time."""
_held: list[int] = []


def announce(environ: Mapping[str, str]) -> None:
    """Announce a server of our plugin to the other one of its session."""
    path = _path(environ, OF_PLUGIN) if environ.get(PLUGIN) else None
    if path is not None:
        _hold(path)


def kind(environ: Mapping[str, str]) -> str:
    """The kind of this server in its session; empty outside any."""
    if not environ.get(SESSION):
        return ""
    return OF_PLUGIN if environ.get(PLUGIN) else OF_CONFIGURATION


def is_alone(environ: Mapping[str, str]) -> bool:
    """Whether no server that would be preferred to this one has announced itself in its session so far."""
    path = _path(environ, OF_PLUGIN) if kind(environ) == OF_CONFIGURATION else None
    return path is None or not os.path.lexists(path)


def serves(environ: Mapping[str, str]) -> bool:
    """Whether this server offers the tools to its session, which stays so while it lives."""
    own, other = (OF_PLUGIN, OF_CONFIGURATION) if environ.get(PLUGIN) else (OF_CONFIGURATION, OF_PLUGIN)
    mine, others = _path(environ, own), _path(environ, other)
    if mine is None or others is None:
        return True
    _tidy(os.path.dirname(mine))
    if _is_held(others):
        while _held:
            os.close(_held.pop())
        return False
    _hold(mine)
    return True


def at_work(environ: Mapping[str, str]) -> list[str]:
    """The kinds of servers that offer the tools to the session now; empty outside any."""
    kinds = (OF_PLUGIN, OF_CONFIGURATION)
    return [one for one in kinds if (path := _path(environ, one)) is not None and _is_held(path)]


def _path(environ: Mapping[str, str], kind: str) -> str | None:
    """The lock of servers of *kind* in the session; None without a session or a folder of this user."""
    session = environ.get(SESSION)
    if not session:
        return None
    bases = (environ.get("XDG_RUNTIME_DIR", ""), environ.get("TMPDIR", ""), "/tmp")  # noqa: S108 - it is checked
    folder = f"{next(base for base in bases if base.startswith('/'))}/orchestration-mcp-{os.getuid()}"
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        found = os.lstat(folder)
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return None
    return f"{folder}/{hashlib.sha256(session.encode()).hexdigest()[:32]}.{kind}"


def _hold(path: str) -> None:
    """Hold *path* for as long as this process lives."""
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    _held.append(opened)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(opened, fcntl.LOCK_SH)  # waits for a look of another process at most


def _is_held(path: str) -> bool:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    return False


def _tidy(folder: str) -> None:
    """Remove the locks of sessions that are long over."""
    before = time.time() - KEPT_SECONDS  # noqa: TID251 - the age of files, before any engine is there
    for name in os.listdir(folder):
        path = f"{folder}/{name}"
        try:
            if os.lstat(path).st_mtime < before and not _is_held(path):
                os.unlink(path)
        except OSError:
            continue
