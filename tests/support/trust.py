"""The user's yes to the programs of a test project, given where a person would type `orchestrate trust`.

Effects: writes the trust file of *home*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.project.project import open_catalog
from mcp_server.project.settings import load_settings
from mcp_server.project.trusted import open_trust

if TYPE_CHECKING:
    from pathlib import Path


def trust_all(project: Path, home: Path) -> None:
    """Let every program of *project* run for the user whose home is *home*; again after an agent has changed."""
    settings = load_settings(project)
    trust = open_trust(open_catalog(project, settings, home=home), settings, home=home)
    trust.remember(trust.items())
