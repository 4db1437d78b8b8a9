"""The standard streams of the command line.

Effects: changes and opens them.
"""

from __future__ import annotations

import io
import os
import sys


def take_any_stream() -> None:
    """Make the standard streams accept any text: what the encoding cannot represent becomes a question mark.

    A closed stream is opened on the null device: otherwise a file that is opened later would take its descriptor.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
