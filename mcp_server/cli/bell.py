"""The terminal's own notifications: its bell, and a text where the terminal shows one (OSC 9).

Effects: writes to stderr if that is a terminal, and reads the user's settings then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.errors import OrchestrationError
from engine.text.shown import clean
from mcp_server.cli import console

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

LEAST_SECONDS = 10.0
"""A shorter run is watched: its end needs no bell."""
MAX_LENGTH = 200
_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "ghostty"})
_TERMINALS = ("xterm-kitty", "xterm-ghostty", "foot")
_INSIDE = ("tmux", "screen")
"""Terminals in a terminal: they pass the bell on, and texts only if set up for that."""


def ring(text: str, *, took: timedelta | None = None) -> None:
    """Notify of *text*; of the end of a run, which *took* so long, only if that was long."""
    if not console.notes.is_terminal or (took is not None and took.total_seconds() < LEAST_SECONDS) or not _wanted():
        return
    console.notes.file.write(sequence(text, os.environ))
    console.notes.file.flush()


def sequence(text: str, environ: Mapping[str, str]) -> str:
    """The characters that notify of *text* in the terminal that *environ* describes."""
    if not shows_texts(environ):
        return "\a"
    return f"\a\x1b]9;Orchestration: {clean(text)[:MAX_LENGTH]}\x1b\\"


def shows_texts(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show a text that OSC 9 brings; others may print it."""
    name = environ.get("TERM", "")
    if environ.get("TMUX") or name.startswith(_INSIDE):
        return False
    return name.startswith(_TERMINALS) or environ.get("TERM_PROGRAM") in _PROGRAMS


def _wanted() -> bool:
    from mcp_server.project.user_settings import load_user_settings  # noqa: PLC0415 - for terminals only

    try:
        return load_user_settings().notify.terminal
    except OrchestrationError:  # it was reported when the project was opened
        return False
