"""Decides which programs, settings and links of a project the user has agreed to as they are now, and refuses the rest.

Theory of operation. A project comes from somewhere, and what it runs, runs with its user's rights. So its user agrees
once, and again after a change; but a question after every edit of a file that is never run would soon be answered
without reading.

- Items. All that needs a yes is an item: an agent, a setting that names a program, host or address, a link out of the
  project, git's drivers, the settings for Claude Code. It has a stable id, lines to show, digests of its *content* and
  of its *place*, and a digest of each file that it covers. Which files those are, is the registry's to say.
- An answer covers an item while content and place are the same and every file that counts now has the digest that it
  had then. Files may drop out (another search path covers fewer), but none may be added or changed.
- Elsewhere. A project with answers of its own is judged by them alone. Without any, it may be a known project that was
  moved or copied, so the answers of another project hold if they cover every item of this one. One equal file in a
  clone is not enough, and a link never counts: it could name any folder of the user's.
- Revoking. Taking an answer back from a moved project first writes down the answers that it inherited, as its own, so
  that the rest stays accepted and the revoked item does not come back through the other project.
- One look. All digests of one question come from one `Digests`, so that each file is read once however many agents use
  it, and all items are judged by the same bytes.

Nothing here asks the user: the command line does, so that no tool call of a model can answer.

Effects: reads the files that a yes covers, and the file of answers.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.model.policy import NOT_TRUSTED
from engine.model.trust import ItemKind, TrustItem, trust_item
from engine.runtime.clock import SystemClock
from engine.text.cut import some
from engine.text.redaction import one_line
from engine.text.shown import clean
from mcp_server.project.claude_settings import claude_items
from mcp_server.project.grants import Grants, trust_file
from mcp_server.project.guarded import reset
from mcp_server.project.settings import SETTINGS_FILE
from registry.files.shared_folders import shared_items
from registry.trust.agents import agent_item, covered_files, needs_trust
from registry.trust.covered_files import Coverage
from registry.trust.digest_index import index_folder
from registry.trust.digests import Digests
from registry.trust.git_drivers import git_items

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.model.agent import Agent
    from mcp_server.project.grants import Grant
    from mcp_server.project.settings import Settings
    from registry.catalog import Catalog
    from registry.files.shared_folders import Follows

PROGRAM = "claude_program"
"""The setting that names the Claude Code of model agents."""
MAX_NAMED = 10
"""Items that one refusal names."""
MAX_LINES, MAX_LINE_LENGTH = 50, 500
"""How much is kept of the lines that were shown."""

FINDERS: tuple[Callable[[Path], Iterable[TrustItem]], ...] = (shared_items, git_items, claude_items)
"""Finders of the other items: each takes a project's root, a resolved path, and finds the items of one kind."""


def open_trust(catalog: Catalog, settings: Settings, *, home: Path | None = None) -> Trust:
    """The user's agreements for the project of *catalog*; what *settings* hold without a yes is the default again.

    Apart from the program of model agents: no other program stands in for it, so each run asks for that yes itself.
    """
    trust = Trust(catalog, settings, Grants(trust_file(home)))
    for name, values in settings.guarded.items():
        if name != PROGRAM and not trust.accepts(trust.setting(name)):
            reset(settings, values)
    return trust


def follows_of(root: Path, home: Path | None = None) -> Follows:
    """A function that says whether the user of the project *root* has agreed to a link out of it, as of each call."""
    grants, project = Grants(trust_file(home)), root.resolve()
    return lambda link: accepts_here(link, grants.of(project))


class Trust:
    """The agreements of this machine's user for one project."""

    def __init__(self, catalog: Catalog, settings: Settings, grants: Grants) -> None:
        """*catalog* finds all agents that the project's commands can name."""
        self.project = catalog.project
        """Its root, resolved."""
        self.grants = grants
        self._settings = settings
        self._catalog = catalog
        self._cache = index_folder(grants.file.parent, catalog.project)

    def items(self) -> list[TrustItem]:
        """All items of the project, accepted or not."""
        with self._looking() as digests:
            return self._items(digests)

    def needed(self, agents: Iterable[Agent]) -> list[TrustItem]:
        """The items that must be accepted for *agents* to run."""
        with self._looking() as digests:
            return self._needed(list(agents), digests)

    def missing(self, agents: Iterable[Agent]) -> list[TrustItem]:
        """The items that keep *agents* from running: new, or changed since the user said yes."""
        with self._looking() as digests:
            return self._unaccepted(self._needed(list(agents), digests), digests)

    def setting(self, name: str) -> TrustItem | None:
        """The item of the setting or table *name*; None if the project's file does not set it."""
        with self._looking() as digests:
            return self._setting(name, digests)

    def accepts(self, item: TrustItem | None) -> bool:
        """Whether the user has said yes to *item* as it is now; None, for nothing to ask about, is accepted."""
        return item is None or not self.unaccepted([item])

    def unaccepted(self, items: Sequence[TrustItem]) -> list[TrustItem]:
        """Those of *items* that the user has not agreed to as they are now."""
        with self._looking() as digests:
            return self._unaccepted(items, digests)

    def _unaccepted(self, items: Sequence[TrustItem], digests: Digests) -> list[TrustItem]:
        """Those of *items* that the user has not agreed to; see the module for answers of other projects."""
        if not items:
            return []
        answers = self.grants.all()
        own = answers.get(str(self.project))
        if own is not None:
            return [item for item in items if not accepts_here(item, own)]
        here = {item.id: item for item in (*self._items(digests), *items)}
        if any(all(_is_same(item, other.get(item.id)) for item in here.values()) for other in answers.values()):
            return [item for item in items if item.kind is ItemKind.LINK]
        return list(items)

    def check(self, agents: Iterable[Agent]) -> list[TrustItem]:
        """The items that *agents* need, all of them accepted.

        Raises `StateError` (NOT_TRUSTED) that names what keeps *agents* from running, and what to type.
        """
        with self._looking() as digests:
            needed = self._needed(list(agents), digests)
            missing = self._unaccepted(needed, digests)
        if missing:
            raise self.refusal(missing)
        return needed

    def refusal(self, items: Sequence[TrustItem]) -> StateError:
        """The error for *items*, which the user has not agreed to."""
        names = [f'"{_name(item)}" ({one_line(item.summary, limit=200)})' for item in items]
        return StateError(
            "the user has not agreed to programs of the project that these agents run, as they are now: "
            + some(names, MAX_NAMED),
            code=NOT_TRUSTED,
            hint=f"Review them, then run `orchestrate --project {self.project} trust` in a terminal.",
        )

    def remember(self, items: Collection[TrustItem]) -> None:
        """Store the user's yes to *items*. Raises `EnvironmentFault` if it cannot be stored."""
        at = SystemClock().now().isoformat(timespec="seconds")

        def add(answers: dict[str, dict[str, Grant]]) -> None:
            own = answers.setdefault(str(self.project), {})
            own.update({item.id: _grant(item, at, own.get(item.id)) for item in items})

        self.grants.change(add)
        with self._looking() as digests:
            digests.keep({name for item in items for name in item.files})

    def revoke(self, ids: Collection[str] = ()) -> list[str]:
        """Revoke the yes to the items *ids*, or to all of the project; returns the ids of those that had one.

        From now on the project is judged by its own answers: those of other projects no longer count.
        """
        accepted = [] if self.grants.of(self.project) else self._accepted_elsewhere()
        at = SystemClock().now().isoformat(timespec="seconds")
        gone: list[str] = []

        def take(answers: dict[str, dict[str, Grant]]) -> None:
            own = answers.setdefault(str(self.project), {item.id: _grant(item, at, None) for item in accepted})
            gone.extend(sorted(name for name in own if not ids or name in ids))
            for name in gone:
                del own[name]

        self.grants.change(take)
        return gone

    def _accepted_elsewhere(self) -> list[TrustItem]:
        items = self.items()
        waiting = {item.id for item in self.unaccepted(items)}
        return [item for item in items if item.id not in waiting]

    def changes(self, item: TrustItem) -> list[str] | None:
        """The files that have changed since the user said yes to *item*; None if it is new, or was set up again."""
        grant = self.grants.of(self.project).get(item.id)
        if grant is None or grant["content"] != item.content:
            return None
        return self.changed_files(grant["files"], item.files)

    def changed_files(self, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
        """The files that differ between two states of an item; a folder's modules are named one by one if known."""
        changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        with self._looking() as digests:
            paths = (path for name in changed for path in digests.changes(name) or [name])
            return [*dict.fromkeys(paths)]

    def _items(self, digests: Digests) -> list[TrustItem]:
        settings = [item for name in self._settings.guarded if (item := self._setting(name, digests)) is not None]
        others = [item for find in FINDERS for item in find(self.project)]
        return [*settings, *others, *self._of_agents(self._catalog.agents().agents.values(), digests)]

    def _needed(self, agents: Sequence[Agent], digests: Digests) -> list[TrustItem]:
        needed = self._of_agents(agents, digests)
        if any(agent.kind.traits.needs_model for agent in agents):
            program = self._setting(PROGRAM, digests)
            needed += [] if program is None else [program]
        return needed

    def _setting(self, name: str, digests: Digests) -> TrustItem | None:
        values = self._settings.guarded.get(name)
        if values is None:
            return None
        words = [str(word) for value in values.values() for word in (value if isinstance(value, list) else [value])]
        covered = Coverage(self.project)
        covered.command(words, {})
        return trust_item(
            ItemKind.SETTING,
            name,
            summary=(self._settings.claude_program or "") if name == PROGRAM else ", ".join(words),
            lines=(*(f"{key} = {value}" for key, value in values.items()), f"file: {self.project / SETTINGS_FILE}"),
            content=values,
            place={"project": str(self.project)},
            files=covered_files(covered, digests),
        )

    def _of_agents(self, agents: Iterable[Agent], digests: Digests) -> list[TrustItem]:
        return [agent_item(agent, self.project, digests) for agent in agents if needs_trust(agent, self.project)]

    @contextlib.contextmanager
    def _looking(self) -> Iterator[Digests]:
        """One look at the project's files, whose digests are kept for the next."""
        digests = Digests(self.project, self._cache)
        yield digests
        digests.save()


def is_needed(item: TrustItem, agent: Agent) -> bool:
    """Whether *item* is one of those that *agent* needs."""
    if item.kind is ItemKind.SETTING:
        return agent.kind.traits.needs_model
    return item.id == f"{ItemKind.AGENT}:{agent.id}"


def accepts_here(item: TrustItem, answers: Mapping[str, Grant]) -> bool:
    """Whether the *answers* of a project cover its *item* as it is now, in its place."""
    return _is_same(item, answers.get(item.id), place=True)


def _is_same(item: TrustItem, grant: Grant | None, *, place: bool = False) -> bool:
    """Whether *grant* covers *item* as it is now; with *place*, in its place too."""
    if grant is None or grant["content"] != item.content or (place and grant["place"] != item.place):
        return False
    return all(grant["files"].get(name) == digest for name, digest in item.files.items())


def _grant(item: TrustItem, at: str, old: Grant | None) -> Grant:
    """The answer to *item*; files that an *old* answer to the same covered under another search path stay covered."""
    same = old is not None and old["content"] == item.content and old["place"] == item.place
    files = {**old["files"], **item.files} if old is not None and same else dict(item.files)
    lines = [line[:MAX_LINE_LENGTH] for line in item.lines[:MAX_LINES]]
    return {"content": item.content, "place": item.place, "at": at, "lines": lines, "files": files}


def _name(item: TrustItem) -> str:
    """The name of the agent or setting that *item* is about, as its file has it."""
    return clean(item.id.partition(":")[2] or item.id)
