"""Chromium, headless: `.ci/tools` installs it where Debian's packages are to be had.

Effects: none; it looks for the program.
"""

from __future__ import annotations

import shutil

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The first of `PROGRAMS` on the search path; None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)
