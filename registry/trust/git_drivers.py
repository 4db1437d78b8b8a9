"""Filters and merge drivers that a repository itself configures, each as an item for approval.

Effects: starts git, which reads its configuration; reads the files of the repository that their command lines name.
`engine.git_rules` withholds those without approval whenever git is started.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from engine.git_rules import LISTING, SETTINGS, Driver, drivers_in, without_guidance
from engine.model.trust import ItemKind, TrustItem, trust_item
from engine.statefolder.executables import find_outside, search_path
from registry.trust.agents import program_files

_SECONDS = 20


def git_items(root: Path) -> list[TrustItem]:
    """The items of the repository that contains *root*; none without a repository, or without git."""
    drivers = drivers_in(_git(root, *LISTING))
    top = os.fsdecode(_git(root, "rev-parse", "--show-toplevel").removesuffix(b"\n")) if drivers else ""
    return [driver_item(driver, Path(top)) for driver in drivers] if top else []


def driver_item(driver: Driver, top: Path) -> TrustItem:
    """The item of *driver*, which the repository at *top* configures."""
    kind = "filter" if driver.attribute == "filter" else "merge driver"
    files: dict[str, str] = {}
    for program in driver.programs:
        files |= program_files(_words(program), top)
    return trust_item(
        ItemKind.GIT,
        driver.title,
        summary=driver.programs[0],
        lines=(
            *(f"{driver.title}.{key} = {value}" for key, value in driver.settings),
            f"{kind} in the configuration of the repository {top}",
        ),
        content={"settings": [list(setting) for setting in driver.settings]},
        place={"repository": str(top)},
        files=files,
    )


def _words(program: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(program))
    except ValueError:
        return tuple(program.split())


def _git(root: Path, *words: str) -> bytes:
    program = find_outside("git", root)
    if program is None:
        return b""
    try:
        ran = subprocess.run(  # noqa: S603 -- an argument list, no shell
            [program, "--no-pager", *words],
            cwd=root,
            env=without_guidance(os.environ, SETTINGS) | {"PATH": search_path(root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return ran.stdout if ran.returncode == 0 else b""
