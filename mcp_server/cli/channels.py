"""The free channels of Claude Code to a run: a status line, a monitor, and permission for tools that change nothing.

Effects: asks the person; writes `.claude/settings.local.json` of the project, and the monitor's plugin in the user's
own configuration of Claude Code. Each change is asked for. Present settings stay, and a file that cannot be merged is
left alone, with the text to paste.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.statefolder.regular_files import read_regular
from mcp_server.cli import console, lazy
from mcp_server.cli.claude_settings import (
    HAS_STATUS_LINE,
    Unusable,
    parsed,
    rendered,
    status_line,
    with_permissions,
    with_status_line,
)
from mcp_server.cli.monitor_plugin import FOLDER as MONITOR
from mcp_server.cli.monitor_plugin import is_ours, plugin_files
from mcp_server.cli.person import asked, can_ask, check_person
from mcp_server.cli.written import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mcp_server.cli.claude_settings import Change

LOCAL = Path(".claude/settings.local.json")
"""Settings of one user for one project, with paths of this machine."""
SHARED = Path(".claude/settings.json")
MAX_FILE_BYTES = 1_000_000
BEHIND_A_LINK = f"{LOCAL} is behind a link; settings there would belong to every project that shares it."


def set_up(root: Path, user: Path, *, line: bool, monitor: bool, permissions: bool, yes: bool) -> Iterator[str]:
    """Set up the requested channels for the project at *root*; yields what was done about each.

    *user* is the user's configuration of Claude Code. Each change is asked for, unless the answer is *yes* already.
    Raises `StateError` as `check_person` does, `InputError` for a settings file behind a link, `EnvironmentFault`.
    """
    words = " ".join(
        word
        for word, wanted in (("--status-line", line), ("--monitor", monitor), ("--permissions", permissions))
        if wanted
    )
    check_person("change settings of Claude Code", f"orchestrate --project {root} sync {words}", yes=yes)
    if line:
        yield _status_line(root, user, yes=yes)
    if permissions:
        yield _merged(root, with_permissions, yes=yes)
    if monitor:
        yield from _monitor(root, user, yes=yes)


def program() -> str:
    """The installed program `orchestrate` that runs now, as other programs can start it."""
    beside = Path(sys.executable).parent / "orchestrate"
    return str(beside) if beside.is_file() else shutil.which("orchestrate") or "orchestrate"


def _status_line(root: Path, user: Path, *, yes: bool) -> str:
    addition = status_line(program(), str(root))
    for path in (root / SHARED, user / "settings.json"):  # a local one would take its place
        if why := _why_kept(path):
            return _left_alone(path, why, addition)
    return _merged(root, lambda settings: with_status_line(settings, addition), yes=yes, addition=addition)


def _why_kept(path: Path) -> str:
    """The reason why the settings at *path* keep their status line, which one that cannot be read may have."""
    try:
        text = _text(path)
        return HAS_STATUS_LINE if text.strip() and "statusLine" in parsed(text) else ""
    except Unusable as error:
        return str(error)


def _merged(
    root: Path,
    change: Callable[[dict[str, Any]], Change | None],
    *,
    yes: bool,
    addition: dict[str, Any] | None = None,
) -> str:
    """Merge *change* into the project's local settings after a yes; returns what became of it.

    *addition* is what would be pasted, if the settings have no say in it.
    """
    path = root / LOCAL
    lazy.inside(root, LOCAL, advice=BEHIND_A_LINK)
    if addition is None:
        wanted = change({})
        addition = wanted.addition if wanted is not None else {}
    if path.is_symlink():  # replaced, it would part from the file that it shares
        return _left_alone(path, "it is a link", addition)
    try:
        text = _text(path)
        found = change(parsed(text) if text.strip() else {})
    except Unusable as error:
        return _left_alone(path, str(error), addition)
    name = lazy.shown(root, path)
    if found is None:
        return f"unchanged {name}"
    if not _agreed(f"Add to {name}: {found.question}", yes=yes):
        return f"left alone {name}: you did not agree"
    write_text(path, rendered(found.settings, text))
    return f"written {name}"


def _agreed(question: str, *, yes: bool) -> bool:
    console.notes.print(question, soft_wrap=True)
    if yes:
        return True
    if not can_ask():
        console.notes.print("nothing was changed; a terminal is asked, --yes answers yes")
        return False
    return asked("Do that?")


def _left_alone(path: Path, why: str, addition: dict[str, Any]) -> str:
    return f"left alone {path}: {why}. To add it yourself:\n{json.dumps(addition, indent=2, ensure_ascii=False)}"


def _text(path: Path) -> str:
    """The text of the settings at *path*, empty if there are none. Raises `Unusable`."""
    try:
        data = read_regular(path, MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise Unusable("it is too large")
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise Unusable(f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unusable("it is not UTF-8") from None


def _monitor(root: Path, user: Path, *, yes: bool) -> Iterator[str]:
    """Write the monitor's plugin into the folder *user*, whose plugins have monitors; a project's have none."""
    folder = user / MONITOR
    files = {folder / name: text for name, text in plugin_files(program()).items()}
    found = {path: _text_or_none(path) for path in files}
    if found == files:
        yield f"unchanged {folder}"
        return
    if folder.exists() and not is_ours(found[next(iter(files))] or ""):
        yield f"left alone {folder}: not written by sync"
        return
    question = (
        f"Write {folder}: a plugin with a monitor that wakes Claude when a run of the project you work in asks, fails "
        f"or ends, in all your projects ({program()} monitor)"
    )
    if not _agreed(question, yes=yes):
        yield f"left alone {folder}: you did not agree"
        return
    for path, text in files.items():
        write_text(path, text)
        yield f"written {lazy.shown(root, path)}"


def _text_or_none(path: Path) -> str | None:
    try:
        return _text(path) or None
    except Unusable:
        return ""
