"""A program in a terminal of its own, typed into and looked at as a person does; tmux holds the terminal.

Effects: starts a tmux server of its own, and ends it with all that runs in it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LOOK_SECONDS = 0.1
PRESS_AGAIN_SECONDS = 3.0


class Terminal:
    """One tmux session; made by `terminal`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._name, *arguments], capture_output=True, text=True, timeout=20, check=False
        )
        if done.returncode:
            msg = f"tmux {arguments[0]}: {done.stderr}"
            raise RuntimeError(msg)
        return done.stdout

    def start(self, command: Sequence[str], *, folder: Path, environ: Mapping[str, str]) -> None:
        settings = [f"{name}={value}" for name, value in {"TERM": "screen-256color", **environ}.items()]
        size = ("-x", "160", "-y", "50")
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), "env", "-i", *settings, *command)
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def type(self, text: str) -> None:
        """Type *text* as it is."""
        self._tmux("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names: Enter, Escape, C-c."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p")

    def process(self) -> int:
        """The id of the program's process."""
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def wait_for(self, wanted: str | Callable[[str], bool], *, timeout: float = 40.0) -> str:
        """The screen once *wanted* stands on it; TimeoutError shows what stood there instead."""
        condition = (lambda screen: wanted in screen) if isinstance(wanted, str) else wanted
        return wait_until(self.screen, condition, timeout=timeout)

    def press_until(self, key: str, wanted: str | Callable[[str], bool], *, timeout: float = 40.0) -> str:
        """Press *key* until *wanted* stands on the screen: again only where nothing has come of it for long."""
        end = time.monotonic() + timeout
        while True:
            self.press(key)
            try:
                return self.wait_for(wanted, timeout=PRESS_AGAIN_SECONDS)
            except TimeoutError:
                if time.monotonic() > end:
                    raise

    def end(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._tmux("kill-server")


def wait_until(look: Callable[[], str], condition: Callable[[str], bool], *, timeout: float = 40.0) -> str:
    """What *look* gives once *condition* holds for it."""
    end = time.monotonic() + timeout
    pause = threading.Event()
    while not condition(seen := look()):
        if time.monotonic() > end:
            msg = f"not within {timeout} s; last seen:\n{seen}"
            raise TimeoutError(msg)
        pause.wait(LOOK_SECONDS)
    return seen


def has_tmux() -> bool:
    """Whether terminals can be had here."""
    return shutil.which("tmux") is not None


@contextlib.contextmanager
def terminal(command: Sequence[str], *, folder: Path, environ: Mapping[str, str]) -> Iterator[Terminal]:
    """*command* in a terminal, as long as the block."""
    found = Terminal(f"test-{uuid4().hex[:12]}")
    found.start(command, folder=folder, environ=environ)
    try:
        yield found
    finally:
        found.end()


def accept_first_screens(home: Path, project: Path) -> None:
    """Answer what Claude Code asks a new user in a new folder, so that a session begins with its prompt."""
    config = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": ["dummy"], "rejected": []},
        "bypassPermissionsModeAccepted": True,
        "projects": {
            str(project): {
                "hasTrustDialogAccepted": True,
                "hasCompletedProjectOnboarding": True,
                "enabledMcpjsonServers": ["orchestration"],
            }
        },
    }
    folder = home / ".claude"
    folder.mkdir(exist_ok=True)
    (folder / ".claude.json").write_text(json.dumps(config), encoding="utf-8")
