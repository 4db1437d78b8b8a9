"""The page that shows runs: one static file, built from `web` beside it.

Effects: reads the file.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("page.html")


@cache
def page() -> str:
    """The text of the page."""
    return FILE.read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The Content-Security-Policy of the page on loopback: its own script and style, and this server."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_digest('script')}",
            f"style-src {_digest('style')}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _digest(tag: str) -> str:
    (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page(), re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
