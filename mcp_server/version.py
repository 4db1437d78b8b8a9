"""The version of the installed package.

Effects: reads the metadata of the installed package.
"""

from __future__ import annotations


def version() -> str:
    """The version; `0` if the program runs from its source without being installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only some answers need it

    try:
        return version("orchestration-mcp")
    except PackageNotFoundError:
        return "0"
