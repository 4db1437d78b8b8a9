from __future__ import annotations

import logging
import subprocess
import sys

SAY = """
import logging
from mcp_server.project.logs import log_to_stderr
log_to_stderr(logging.WARNING)
log = logging.getLogger("a.b")
log.info("not shown")
try:
    raise ValueError("password=hunter22")
except ValueError:
    log.exception("it failed with %s", "ghp_" + "a1" * 18)
log.warning("read %s", "a.md\\n2026-01-01 WARNING forged\\x1b[2J")
"""


def test_a_log_line_and_its_traceback_show_no_secret() -> None:
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, text=True, check=True, timeout=30)
    assert f"{logging.getLevelName(logging.ERROR)} a.b: it failed with ghp_[redacted]" in done.stderr
    assert "ValueError: password=[redacted]" in done.stderr
    assert "not shown" not in done.stderr
    assert "read a.md\n  2026-01-01 WARNING forged[2J" in done.stderr, "no further line passes for one of the log"
