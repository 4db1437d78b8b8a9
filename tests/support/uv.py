"""uv as a user has it who set this repository up already: nothing is downloaded, the environment is that of the tests.

Effects: none; it makes environment variables.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def uv_environment() -> dict[str, str]:
    """What `uv run` needs to find everything where it is."""
    cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
    return {"UV_PROJECT_ENVIRONMENT": sys.prefix, "UV_CACHE_DIR": cache, "UV_OFFLINE": "1", "UV_NO_SYNC": "1"}
