"""This package as a user has it: built as a wheel, installed into an environment of its own, outside of the clone.

Effects: starts the build backend and uv, both of which are here already: nothing is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path) -> Path:
    """Build the wheel into *folder*."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The Python of a new environment in *folder* that has *wheel*; its dependencies are those of the tests."""
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder.parent)
    python = folder / "bin" / "python"
    uv = [str(ROOT / ".ci" / "uv"), "pip", "install", "--offline", "--no-index", "--no-deps", "--quiet", "--no-config"]
    _run(*uv, "--python", str(python), str(wheel), cwd=folder.parent)
    # Of this folder no .pth file is read, so that it does not lead back to the clone.
    (site_packages(folder) / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python


def site_packages(environment: Path) -> Path:
    (folder,) = environment.glob("lib/python*/site-packages")
    return folder


def _run(*argv: str, cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
