"""uv as a user has it who set this repository up already: nothing is downloaded, the environment is that of the tests.

Effects: looks for the program; it makes environment variables.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def uv_environment() -> dict[str, str]:
    """What `uv run` needs to find everything where it is."""
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    return {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_CACHE_DIR": cache, "UV_OFFLINE": "1", "UV_NO_SYNC": "1"}


def uv_folder() -> Path:
    """The folder of the programs `uv` and `uvx`: that on the path, or where `.ci/uv` has put them."""
    found = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".cache" / "uv" / "bin")]))
    assert found is not None, "run .ci/uv once"
    return Path(found).parent
