"""Says what of a project the user has agreed to as it is now, and refuses the rest.

Effects: reads the files that a yes covers, and the file of answers. It asks nobody: that is the command line's, so
that no tool call of a model can give the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.model.agent import AgentKind
from engine.model.policy import NOT_TRUSTED
from engine.model.trust import ItemKind, TrustItem, trust_item
from engine.redaction import one_line
from engine.runtime.clock import SystemClock
from mcp_server.grants import Grants, trust_file
from mcp_server.settings import SETTINGS_FILE
from registry.git_drivers import git_items
from registry.trust import agent_item, needs_trust, program_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from engine.model.agent import Agent
    from mcp_server.grants import Grant
    from mcp_server.settings import Settings
    from registry.catalog import Catalog

PROGRAM = "claude_program"
"""The setting that names the Claude Code of model agents."""
MOST_NAMED = 10
"""Items that one refusal names."""
MOST_LINES, LONGEST_LINE = 50, 500
"""What is kept of the lines that were shown."""

FINDERS: tuple[Callable[[Path], Iterable[TrustItem]], ...] = (git_items,)
"""What else of a project needs a yes: each takes its root, a resolved path, and finds the items of one kind."""


def open_trust(catalog: Catalog, settings: Settings, *, home: Path | None = None) -> Trust:
    """The user's word about the project of *catalog* with these *settings*."""
    return Trust(catalog, settings, Grants(trust_file(home)))


class Trust:
    """What the user of this machine has agreed to for one project."""

    def __init__(self, catalog: Catalog, settings: Settings, grants: Grants) -> None:
        """*catalog* finds all agents that the project's commands can name."""
        self.project = catalog.project
        """Its root, resolved."""
        self.grants = grants
        self._settings = settings
        self._catalog = catalog

    def items(self) -> list[TrustItem]:
        """All of the project that needs a yes, accepted or not."""
        return [*self._own_items(), *self._of_agents(self._catalog.agents().agents.values())]

    def missing(self, agents: Iterable[Agent]) -> list[TrustItem]:
        """What keeps *agents* from running: new, or changed since the user said yes."""
        found = list(agents)
        needed = self._of_agents(found)
        program = self.setting(PROGRAM)
        if program is not None and any(agent.kind is AgentKind.CLAUDE for agent in found):
            needed.append(program)
        return self.unaccepted(needed)

    def setting(self, name: str) -> TrustItem | None:
        """The item of the setting or table *name*; None where the project's file leaves it to the user."""
        values = self._settings.guarded.get(name)
        if values is None:
            return None
        words = tuple(str(value) for value in values.values())
        return trust_item(
            ItemKind.SETTING,
            name,
            summary=(self._settings.claude_program or "") if name == PROGRAM else ", ".join(words),
            lines=(*(f"{key} = {value}" for key, value in values.items()), f"file: {self.project / SETTINGS_FILE}"),
            content=values,
            place={"project": str(self.project)},
            files=program_files(words, self.project),
        )

    def accepts(self, item: TrustItem | None) -> bool:
        """Whether the user has said yes to *item* as it is now; None, nothing to ask about, is accepted."""
        return item is None or not self.unaccepted([item])

    def unaccepted(self, items: Sequence[TrustItem]) -> list[TrustItem]:
        """Those of *items* that the user has not agreed to as they are now.

        A project with answers of its own is judged by these, item by item. Anywhere else, in a moved project or a
        copy, answers hold only where one project was accepted with all that is covered here, equal in content.
        """
        if not items:
            return []
        answers = self.grants.all()
        own = answers.get(str(self.project))
        if own is not None:
            return [item for item in items if not _is_same(item, own.get(item.id), place=True)]
        here = {item.id: item for item in (*self.items(), *items)}
        if any(all(_is_same(item, other.get(item.id)) for item in here.values()) for other in answers.values()):
            return []
        return list(items)

    def check(self, agents: Iterable[Agent]) -> None:
        """Raise `StateError` (NOT_TRUSTED) that names what keeps *agents* from running, and what to type."""
        missing = self.missing(agents)
        if missing:
            names = [f'"{_name(item)}" ({one_line(item.summary, limit=200)})' for item in missing[:MOST_NAMED]]
            more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
            raise StateError(
                "these agents run programs of the project, and the user has not agreed to them as they are now: "
                + ", ".join(names)
                + more,
                code=NOT_TRUSTED,
                hint=f"Look at them, then type in a terminal: orchestrate --project {self.project} trust",
            )

    def remember(self, items: Iterable[TrustItem]) -> None:
        """Keep the user's yes to *items*. Raises `EnvironmentFault` where it cannot be kept."""
        at = SystemClock().now().isoformat(timespec="seconds")
        said = {item.id: _grant(item, at) for item in items}

        def add(answers: dict[str, dict[str, Grant]]) -> None:
            answers.setdefault(str(self.project), {}).update(said)

        self.grants.change(add)

    def _own_items(self) -> list[TrustItem]:
        """What the project brings beside its agents."""
        settings = [item for name in self._settings.guarded if (item := self.setting(name)) is not None]
        return settings + [item for find in FINDERS for item in find(self.project)]

    def _of_agents(self, agents: Iterable[Agent]) -> list[TrustItem]:
        return [agent_item(agent, self.project) for agent in agents if needs_trust(agent, self.project)]


def _is_same(item: TrustItem, grant: Grant | None, *, place: bool = False) -> bool:
    return grant is not None and grant["content"] == item.content and (not place or grant["place"] == item.place)


def _grant(item: TrustItem, at: str) -> Grant:
    lines = [line[:LONGEST_LINE] for line in item.lines[:MOST_LINES]]
    return {"content": item.content, "place": item.place, "at": at, "lines": lines, "files": dict(item.files)}


def _name(item: TrustItem) -> str:
    """The agent or setting that *item* is about, by the name that its file uses."""
    return item.id.partition(":")[2] or item.id
