"""The fleet of a project, from its settings.

Effects: reads the files that the user's yes covers; network, once an attempt or a run needs the fleet.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentFault
from engine.model.agent import AgentKind
from mcp_server.version import version
from registry.packaged.extras import how_to_install
from registry.trust.agents import agent_item, needs_trust
from registry.trust.digests import Digests

try:
    from engine.executors.fleet.connection import Address
    from engine.executors.fleet.executor import Fleet, FleetExecutor
    from engine.executors.fleet.files import ProjectFiles
except ImportError as error:
    raise EnvironmentFault(
        f"the fleet needs packages that are not installed: {error.name}",
        code="FLEET_NOT_INSTALLED",
        hint=how_to_install("fleet"),
    ) from error

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.agent import Agent
    from mcp_server.project.settings import FleetSettings


__all__ = ["ProjectFiles", "address_of", "agreed", "open_fleet"]


def open_fleet(settings: FleetSettings, project: Path, files: ProjectFiles) -> FleetExecutor:
    """The executor of the fleet that the *settings* of *project* describe; it connects when it is needed."""
    fleet = Fleet(
        address=address_of(settings),
        kinds=frozenset(AgentKind(kind) for kind in settings.agents),
        project=settings.project or project.name,
        package=version(),
        heartbeat=timedelta(seconds=settings.heartbeat),
        grace=timedelta(seconds=settings.grace),
        wait_for_worker=timedelta(seconds=settings.wait_for_worker),
    )
    return FleetExecutor(fleet, lambda agent: agreed(agent, project), files)


def address_of(settings: FleetSettings) -> Address:
    """Where the fleet of *settings* is."""
    return Address(
        connect=settings.connect or "",
        namespace=settings.namespace,
        blobs=settings.blobs,
        tls_ca=settings.tls_ca,
        tls_cert=settings.tls_cert,
        tls_key=settings.tls_key,
        insecure=settings.insecure,
    )


def agreed(agent: Agent, project: Path) -> dict[str, Any] | None:
    """Digests of everything that a yes to *agent* covers in *project*, without paths of this machine; None: nothing.

    Both sides compute them: the coordinator, whose user agreed, and the worker, for its own copy of the files.
    """
    if not needs_trust(agent, project):
        return None
    item = agent_item(agent, project, Digests(project))
    return {"content": item.content, "files": dict(item.files)}
