"""Installs another version of one package with npm or uv, and undoes that, for agents of a command.

It takes the inputs `package`, `version` and `checkpoint` (of git_state.py), and outputs `upgrade`: {manager, package,
before, after}. The lock file in the project's root decides which manager it is. As a compensation it puts manifest and
lock file back as they were at the checkpoint, and installs what the lock file says.

Scripts of packages are not run (`--ignore-scripts`). For another package manager add a line to MANAGERS.

Effects: runs the package manager and git, without a shell; they write the manifest, the lock file and what is
installed, and use the network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!-]*")


class Failure(Exception):
    """An expected failure: its code, and a message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def in_npm_lock(text: str, package: str) -> str | None:
    entry = json.loads(text).get("packages", {}).get(f"node_modules/{package}", {})
    version: str | None = entry.get("version")
    return version


def in_uv_lock(text: str, package: str) -> str | None:
    name = re.sub(r"[-_.]+", "-", package).lower()
    return next((one["version"] for one in tomllib.loads(text)["package"] if one["name"] == name), None)


@dataclass(frozen=True)
class Manager:
    """A package manager: its files, and its command lines."""

    manifest: str
    lock: str
    change: Callable[[str, str], list[str]]
    install: list[str]
    """Installs exactly what the lock file says."""
    locked: Callable[[str, str], str | None]
    """The version of a package in the text of a lock file."""


MANAGERS = {
    "npm": Manager(
        "package.json",
        "package-lock.json",
        lambda package, version: [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            f"{package}@{version}",
        ],
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        in_npm_lock,
    ),
    "uv": Manager(
        "pyproject.toml",
        "uv.lock",
        lambda package, version: ["uv", "add", f"{package}=={version}"],
        ["uv", "sync", "--frozen"],
        in_uv_lock,
    ),
}


def manager_here() -> tuple[str, Manager]:
    """The manager whose lock file is in the project's root."""
    for name, manager in MANAGERS.items():
        if Path(manager.lock).is_file():
            return name, manager
    locks = ", ".join(manager.lock for manager in MANAGERS.values())
    raise Failure("NO_LOCK_FILE", f"there is none of {locks} in the project's root")


def checked(text: object, form: re.Pattern[str], what: str) -> str:
    """*text* as a word of a command line: it can be no option, path or address."""
    if not isinstance(text, str) or not form.fullmatch(text):
        raise Failure("INVALID_PACKAGE", f"{text!r} is not a {what}")
    return text


def run(argv: list[str], code: str) -> str:
    """The output of a program; Failure (*code*) with the end of what it said."""
    try:
        ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Failure(code, f"{argv[0]} cannot be started: {error.strerror}") from error
    if ran.returncode != 0:
        raise Failure(code, f"{' '.join(argv[:2])}: {(ran.stderr or ran.stdout).strip()[-1500:]}")
    return ran.stdout


def upgrade(inputs: dict[str, Any]) -> dict[str, Any]:
    """Install the version that the inputs ask for."""
    name, manager = manager_here()
    package = checked(inputs["package"], PACKAGE, "name of a package")
    version = checked(inputs["version"], VERSION, "version")
    before = manager.locked(Path(manager.lock).read_text(encoding="utf-8"), package)
    if before is None:
        raise Failure("NOT_INSTALLED", f"{manager.lock} has no {package}")
    run(manager.change(package, version), "UPGRADE_FAILED")
    after = manager.locked(Path(manager.lock).read_text(encoding="utf-8"), package)
    return {"manager": name, "package": package, "before": before, "after": after}


def downgrade(checkpoint: str) -> None:
    """Put the files of the manager back as they were at the checkpoint, and install what they say."""
    _, manager = manager_here()
    prefix = run(["git", "rev-parse", "--show-prefix"], "UNDO_FAILED").strip()
    for file in (manager.manifest, manager.lock):
        text = run(["git", "cat-file", "blob", f"{checkpoint}:{prefix}{file}"], "UNDO_FAILED")
        Path(file).write_text(text, encoding="utf-8")
    run(manager.install, "UNDO_FAILED")


def main() -> dict[str, Any]:
    request = json.load(sys.stdin)
    try:
        if request.get("role") == "compensate":
            downgrade(checked(request["inputs"]["checkpoint"], re.compile(r"[0-9a-f]{40,64}"), "checkpoint"))
            return {"outputs": {}}
        return {"outputs": {"upgrade": upgrade(request["inputs"])}}
    except Failure as failure:
        return {"failure": {"kind": "error", "code": failure.code, "message": str(failure)}}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
