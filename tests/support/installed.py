"""The program as its users start it."""

from __future__ import annotations

import sys
from pathlib import Path

ORCHESTRATE = str(Path(sys.executable).parent / "orchestrate")
