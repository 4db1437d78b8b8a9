"""Distinguishes a person at the command line from a model.

Effects: reads the environment, and asks on the terminal.
"""

from __future__ import annotations

import os
import sys

from engine.errors import StateError
from engine.executors.subprocesses.process_tags import ATTEMPT_VARIABLE
from mcp_server.cli import console
from mcp_server.project.root import SESSION_VARIABLE


def can_ask() -> bool:
    """Whether a person can be asked: stdin and stderr are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked(question: str) -> bool:
    """Whether the person at the terminal answers yes; no answer is a no."""
    console.notes.print(f"{question} [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def check_person(what: str, words: str, *, yes: bool) -> None:
    """Raise `StateError` (NOT_TRUSTED) if a model would do *what*, by *words*, to files that it may have written.

    That is: in an agent of ours, and in what a session of Claude Code starts, unless someone types the answer there
    instead of passing *yes*. This checks the environment, which a program with the user's rights can change.
    """
    typed = not yes and can_ask() and sys.stdout.isatty()
    if ATTEMPT_VARIABLE in os.environ or (os.environ.get(SESSION_VARIABLE) and not typed):
        caller = "an agent" if ATTEMPT_VARIABLE in os.environ else "a command that Claude Code starts"
        raise StateError(
            f"{caller} cannot {what}", code="NOT_TRUSTED", hint=f"Run `{words}` in a terminal of your own."
        )
