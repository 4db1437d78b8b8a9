"""`.ci/serve` starts an installed server at once, and installs it first only where it has to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

SERVE = Path(__file__).parents[2] / ".ci" / "serve"
INSTALLER = """#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "$0")/.."
echo "installing" # what it says belongs on stderr
echo "$*" >>asked
environment="${UV_PROJECT_ENVIRONMENT:-.venv}"
mkdir -p "$environment/bin"
cat >"$environment/bin/orchestration-mcp" <<EOF
FIRST_LINES
EOF
chmod +x "$environment/bin/orchestration-mcp"
"""
FIRST_LINES = {
    "clone": "#!$PWD/.venv/bin/python\nimport sys",
    "a clone": "#!/bin/sh\n'''exec' '$PWD/.venv/bin/python' \"\\$0\" \"\\$@\"\n' '''",
}
"""How uv begins a program, by the name of the folder: a path with a space cannot stand in the first line."""
PYTHON = '#!/usr/bin/env bash\nshift # the program\necho "served $*"\n'


@pytest.fixture(params=FIRST_LINES)
def clone(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A clone whose `.ci/uv` installs a server that says that it serves, and notes each time that it was asked."""
    folder: Path = tmp_path / request.param
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(SERVE, folder / ".ci" / "serve")
    executable(folder / ".ci" / "uv", INSTALLER.replace("FIRST_LINES", FIRST_LINES[request.param]))
    executable(folder / ".venv" / "bin" / "python", PYTHON)
    (folder / "uv.lock").write_text("one", encoding="utf-8")
    return folder


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def serve(clone: Path, *words: str, code: int = 0) -> str:
    """What is written to stdout, which belongs to the protocol."""
    done = subprocess.run(
        [clone / ".ci" / "serve", *words], cwd="/", capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def installations(clone: Path) -> int:
    asked = clone / "asked"
    return len(asked.read_text(encoding="utf-8").splitlines()) if asked.exists() else 0


def test_the_first_start_installs_and_the_next_ones_do_not(clone: Path) -> None:
    assert serve(clone, "--transport", "stdio") == "served --transport stdio\n"
    assert serve(clone) == serve(clone) == "served \n"
    assert installations(clone) == 1


def test_a_changed_lock_installs_again(clone: Path) -> None:
    serve(clone)
    (clone / "uv.lock").write_text("two", encoding="utf-8")
    serve(clone)
    serve(clone)
    assert installations(clone) == 2


def test_a_clone_that_was_moved_installs_again(clone: Path, tmp_path: Path) -> None:
    serve(clone)
    moved = clone.rename(tmp_path / clone.name.replace("clone", "copy"))
    assert serve(moved) == "served \n"
    assert installations(moved) == 2


def test_a_project_environment_that_the_user_has_elsewhere_is_not_used(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(tmp_path / "elsewhere"))
    assert serve(clone) == "served \n"
    assert not (tmp_path / "elsewhere").exists()


def test_an_environment_without_the_server_installs_it(clone: Path) -> None:
    serve(clone)
    (clone / ".venv" / "bin" / "orchestration-mcp").unlink()
    assert serve(clone) == "served \n"


def test_a_failed_installation_starts_nothing_and_is_made_again(clone: Path) -> None:
    working = (clone / ".ci" / "uv").read_text(encoding="utf-8")
    executable(clone / ".ci" / "uv", "#!/usr/bin/env bash\necho no network\nexit 2\n")
    assert serve(clone, code=2) == ""
    executable(clone / ".ci" / "uv", working)
    assert serve(clone) == "served \n"
