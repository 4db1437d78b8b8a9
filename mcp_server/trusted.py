"""Remembers outside the project which of its programs the user has agreed to run, and refuses all others.

Effects: reads and writes one file in the user's configuration folder, mode 0600. It asks nobody: that is the command
line's, so that no tool call of a model can give the answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EnvironmentFault, StateError
from engine.model.agent import Agent, AgentKind
from engine.model.policy import NOT_TRUSTED
from mcp_server.settings import SETTINGS_FILE
from registry.trust import needs_trust, trust_digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_server.settings import Settings

VERSION = 1
LARGEST_FILE = 10_000_000
"""Bytes of a trust file that are read; a larger one was not written by us."""
PROGRAM = "claude_program"
"""Under this name the yes to the Claude Code of the project's settings is kept; no agent has it."""
MOST_NAMED = 10
"""Agents that one refusal names."""


def trust_file(home: Path | None = None) -> Path:
    """Where the user's word is kept: under XDG_CONFIG_HOME, or `.config` of *home*, which wins where it is given."""
    configured = os.environ.get("XDG_CONFIG_HOME", "") if home is None else ""
    base = Path(configured) if configured.startswith("/") else (home or Path.home()) / ".config"
    return base / "orchestration-mcp" / "trust.json"


def open_trust(project: Path, settings: Settings, *, home: Path | None = None) -> Trust:
    """The user's word about *project*, a resolved root with these *settings*."""
    return Trust(project, trust_file(home), settings.own_program)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the user of this machine has agreed to for one project."""

    project: Path
    """Project root, resolved."""
    file: Path
    program: str | None = None
    """The Claude Code that the project's own settings name: model agents need a yes to it."""

    def missing(self, agents: Iterable[Agent]) -> list[Agent]:
        """Those of *agents* that may not run: new, or changed since the user said yes."""
        asked = [agent for agent in self._with_program(agents) if needs_trust(agent, self.project)]
        if not asked:
            return []
        known = self._remembered()
        return [agent for agent in asked if known.get(agent.id) != trust_digest(agent, self.project)]

    def _with_program(self, agents: Iterable[Agent]) -> list[Agent]:
        """*agents*, and the program of the model agents among them as one more where the project names it."""
        found = list(agents)
        if self.program is not None and any(agent.kind is AgentKind.CLAUDE for agent in found):
            path = str(self.project / SETTINGS_FILE)
            found.append(Agent(id=PROGRAM, kind=AgentKind.PROCESS, command=(self.program,), path=path))
        return found

    def check(self, agents: Iterable[Agent]) -> None:
        """Raise `StateError` (NOT_TRUSTED) that names those of *agents* which may not run, and what to type."""
        missing = self.missing(agents)
        if missing:
            names = [f'"{agent.id}" ({program_of(agent)})' for agent in missing[:MOST_NAMED]]
            more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
            raise StateError(
                "these agents run programs of the project, and the user has not agreed to them as they are now: "
                f"{', '.join(names)}{more}",
                code=NOT_TRUSTED,
                hint=f"Look at them, then type in a terminal: orchestrate --project {self.project} trust",
            )

    def remember(self, agents: Iterable[Agent]) -> None:
        """Keep the user's yes to *agents* as they are now. Raises `EnvironmentFault` where it cannot be kept."""
        try:
            data = self._read(strict=True)
            said: dict[str, Any] = data.setdefault("projects", {}).setdefault(str(self.project), {})
            asked = [agent for agent in agents if needs_trust(agent, self.project)]
            said.update({agent.id: trust_digest(agent, self.project) for agent in asked})
            self._write({**data, "version": VERSION})
        except (OSError, ValueError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EnvironmentFault(
                f"the answer cannot be kept in {self.file}: {reason}",
                code="TRUST_NOT_KEPT",
                hint="Make the file writable, or remove it if it is damaged; every project then asks again.",
            ) from None

    def _remembered(self) -> dict[str, Any]:
        """Digest by agent id; nothing where the file is damaged, or others can write it."""
        try:
            found = self._read()["projects"][str(self.project)]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _read(self, *, strict: bool = False) -> dict[str, Any]:
        try:
            with self.file.open("rb") as file:
                status = os.fstat(file.fileno())
                shared = status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022
                if shared:
                    raise ValueError("others can write it")
                data = json.loads(file.read(LARGEST_FILE))
        except FileNotFoundError:
            return {}
        if not isinstance(data, dict) or (strict and data.get("version", VERSION) != VERSION):
            raise ValueError("it was not written by this version")
        return data

    def _write(self, data: dict[str, Any]) -> None:
        """Replace the file whole, so that whoever reads it meanwhile finds the old or the new one."""
        folder = self.file.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=folder, prefix="trust-")  # mode 0600
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.file)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def program_of(agent: Agent) -> str:
    """What *agent* starts, as one line for a person."""
    if agent.kind is AgentKind.CLAUDE:
        variables = f" with {' '.join(f'{name}={value}' for name, value in agent.env.items())}" if agent.env else ""
        servers = f", MCP servers {', '.join(agent.mcp_servers)}" if agent.mcp_servers else ""
        return f"claude{variables}{servers}"
    return f"python {agent.callable}" if agent.callable else " ".join(agent.command)
