"""The command line leaves at once, but not before all that has to happen at an exit."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading
from mcp_server.entry import leaving_at_once

class Module:
    def __del__(self):
        print("taken apart", file=sys.stderr, flush=True)

def main():
    global kept, itself
    kept = Module()
    atexit.register(print, "exit function", flush=True)
    threading.Timer(0.05, print, ["thread"]).start()
    sys.stdout.write("said ")
    {ending}

leaving_at_once(main)
"""


def ended(ending: str, **options: int) -> subprocess.CompletedProcess[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, "-c", PROGRAM.format(ending=ending)], text=True, check=False, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(("ending", "code"), [("pass", 0), ("sys.exit()", 0), ("sys.exit(3)", 3)])
def test_threads_and_exit_functions_have_their_turn_and_modules_are_not_taken_apart(ending: str, code: int) -> None:
    process = ended(ending)
    assert process.returncode == code
    assert process.stdout == "said thread\nexit function\n"
    assert process.stderr == ""


def test_an_exception_is_shown_as_ever() -> None:
    process = ended("raise KeyError('the name')")
    assert process.returncode == 1
    assert process.stdout == "said thread\nexit function\n"
    assert "KeyError: 'the name'" in process.stderr


def test_a_message_in_place_of_a_code_is_shown_as_ever() -> None:
    process = ended("sys.exit('not today')")
    assert process.returncode == 1
    assert "not today\n" in process.stderr
