"""Finds the agents of a project: its own, the user's, the packaged ones and Claude Code's built-in ones.

Effects: reads files. It starts, writes and logs nothing: faults of files, and files that hide others, are values in
the catalog. `registry/agents/format.py` parses the files.
"""

from __future__ import annotations

import os
import stat
from itertools import islice
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs

from engine.model.agent import Agent, AgentSource
from registry.agents.format import read_agent
from registry.agents.plugins import Plugin, configuration, plugins_of
from registry.agents.problems import AgentProblem, AgentProblemCode, Severity
from registry.files.places import AGENTS, roots
from registry.files.shared_folders import Reach
from registry.naming import closest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["PACKAGED_AGENTS", "AgentCatalog", "Place", "Shadowed", "agent_places", "load_agents"]

PACKAGED_AGENTS = Path(__file__).parents[1] / "packaged" / "agents"

MAX_FILE_BYTES = 1_000_000
MAX_FILES = 2_000
"""Agent files of one folder; the rest are left out, with a problem."""
MAX_FOLDER_DEPTH = 8

_BUILT_IN = {
    "claude": "Does any task that no other agent fits.",
    "Explore": "Finds files and code by searching widely; changes nothing.",
    "general-purpose": "Researches questions and does tasks of several steps, with all tools.",
    "Plan": "Plans how to implement a change and names the files that matter; changes nothing.",
    "statusline-setup": "Sets up Claude Code's status line.",
}
"""The agents of Claude Code 2.1.330 without a file."""


class Place(msgspec.Struct, frozen=True):
    """A folder of agent files, or a single one that a plugin names."""

    source: AgentSource
    folder: Path
    within: tuple[Path, ...]
    """Folders where its links may lead; resolved."""
    plugin: Plugin | None = None


class Shadowed(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not used because another file with the same agent id takes precedence."""

    id: str
    source: AgentSource
    path: str | None
    """None for an agent built into Claude Code."""
    used_source: AgentSource
    used_path: str | None

    def __str__(self) -> str:
        """One sentence for a list of notes."""
        hidden = self.path or "built into Claude Code"
        return f'agent "{self.id}" of {self.used_path} hides the {self.source.value} agent ({hidden})'


class AgentCatalog(msgspec.Struct, frozen=True, kw_only=True):
    """Every agent that a command of the project can name, and the problems of their files."""

    agents: Mapping[str, Agent]
    """By id, in alphabetical order."""
    problems: tuple[AgentProblem, ...] = ()
    """By path."""
    shadowed: tuple[Shadowed, ...] = ()
    unusable: Mapping[str, AgentProblem] = msgspec.field(default_factory=dict)
    """By id: the first error in the file of an agent that is unusable because of it."""

    def get(self, name: str) -> Agent | None:
        """The agent with exactly this id."""
        return self.agents.get(name)

    def suggest(self, name: str) -> str | None:
        """The id that *name* most likely stands for; None if none is near."""
        return closest(name, self.agents)


def load_agents(
    project: Path,
    *,
    home: Path | None = None,
    packaged: Path | None = PACKAGED_AGENTS,
    library: Path | None = None,
    reach: Reach | None = None,
) -> AgentCatalog:
    """Reads all agent files; never raises for the content of a file or folder.

    The order of precedence is project, user (*home*), packaged, built into Claude Code; a packaged agent that
    ignores the project comes before one of the project. Agents of plugins of the user's Claude Code have names of
    their own. Within one folder the last path counts, as in Claude Code. A file with an error keeps its id: no other
    agent replaces it, since that one may do more than the file would have allowed. Without *home* or *packaged*
    these are left out. *reach* names the folders where files of the project may be read, by default only its own.
    """
    reach = reach or Reach((project.resolve(),))
    read: list[tuple[AgentSource, Agent | AgentProblem]] = []
    for place in agent_places(project.absolute(), home=home, packaged=packaged, library=library, reach=reach):
        items = _read_folder(place, advice=reach.advice) if place.plugin is None else _read_plugin(place)
        read.extend((place.source, item) for item in items)
    found = _with_judges(read)
    found.extend(
        Agent(id=name, source=AgentSource.BUILTIN, description=description) for name, description in _BUILT_IN.items()
    )
    return _catalog(found)


def agent_places(
    project: Path, *, home: Path | None, packaged: Path | None, library: Path | None, reach: Reach
) -> list[Place]:
    """The folders of agent files in the order of `load_agents`; those of plugins come first, having names of their own.

    *project* is absolute.
    """
    own = project / AGENTS
    found: list[Place] = []
    if home is not None:
        plugins = plugins_of(project, configuration(home))
        found += [Place(AgentSource.PLUGIN, path, (one.root.resolve(),), one) for one in plugins for path in one.agents]
    for owner, root in roots(project, home, library):
        folder = root.absolute() / AGENTS
        here = owner == "project"
        if here or not (_same_place(folder, own) and reach.covers(own)):
            found.append(Place(AgentSource(owner), folder, reach.folders if here else (root.resolve(),)))
    if packaged is not None:
        found.append(Place(AgentSource.PACKAGED, packaged.absolute(), (packaged.resolve(),)))
    return found


def _read_plugin(place: Place) -> Iterator[Agent | AgentProblem]:
    """The agents of a plugin by their names in Claude Code, with folders: `plugin:folder:name`.

    As in Claude Code, none of them can choose its permission mode, and the folders of a file that the plugin names are
    not part of its name.
    """
    plugin = place.plugin
    assert plugin is not None  # noqa: S101 - as the caller found
    for item in _read_folder(place):
        if isinstance(item, AgentProblem):
            yield structs.replace(item, agent=item.agent and _name_in(plugin, place.folder, item.path, item.agent))
        else:
            name = _name_in(plugin, place.folder, item.path or "", item.id)
            yield structs.replace(item, id=name, prompt=plugin.filled(item.prompt), permission_mode=None)


def _name_in(plugin: Plugin, folder: Path, path: str, name: str) -> str:
    folders = Path(path).relative_to(folder).parent.parts if Path(path).is_relative_to(folder) else ()
    return ":".join((plugin.name, *folders, name))


def _with_judges(read: list[tuple[AgentSource, Agent | AgentProblem]]) -> list[Agent | AgentProblem]:
    """All that was *read*; files of the project behind the packaged agents that judge it, if they have their names."""
    judges = {
        item.id
        for source, item in read
        if source is AgentSource.PACKAGED and isinstance(item, Agent) and item.ignores_project
    }

    def comes_late(source: AgentSource, item: Agent | AgentProblem) -> bool:
        return source is AgentSource.PROJECT and (item.id if isinstance(item, Agent) else item.agent) in judges

    return [item for _, item in sorted(read, key=lambda each: comes_late(*each))]


def _catalog(found: list[Agent | AgentProblem]) -> AgentCatalog:
    """The first file of each id is used, unless it has an error; the others are reported as shadowed."""
    used: dict[str, Agent] = {}
    unusable: dict[str, AgentProblem] = {}
    shadowed: list[Shadowed] = []
    for item in found:
        if isinstance(item, AgentProblem):
            if item.severity is Severity.ERROR and item.agent and item.agent not in used:
                unusable.setdefault(item.agent, item)
        elif item.id not in unusable:
            first = used.setdefault(item.id, item)
            if first is not item and not _is_same_file(first.path, item.path):
                shadowed.append(
                    Shadowed(
                        id=item.id,
                        source=item.source,
                        path=item.path,
                        used_source=first.source,
                        used_path=first.path,
                    )
                )
    return AgentCatalog(
        agents=MappingProxyType({name: used[name] for name in sorted(used, key=str.casefold)}),
        problems=tuple(sorted((item for item in found if isinstance(item, AgentProblem)), key=attrgetter("path"))),
        shadowed=tuple(sorted(shadowed, key=attrgetter("id"))),
        unusable=MappingProxyType(unusable),
    )


def _is_same_file(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and _same_place(Path(one), Path(other))


def _read_folder(place: Place, *, advice: str = "") -> Iterator[Agent | AgentProblem]:
    """The agents and problems of the files below *folder*, the last path first; none is read outside *boundaries*.

    *advice* is the hint if the folder itself lies outside.
    """
    folder, boundaries, source = place.folder, place.within, place.source
    files = _files(folder, boundaries=boundaries, above=(), advice=advice)
    if place.plugin is not None and folder.suffix == ".md":
        files = iter((folder,))
    items = list(islice(files, MAX_FILES + 1))
    if len(items) > MAX_FILES:
        message = f"there are more than {MAX_FILES:,} agent files; the rest are left out"
        yield _problem(AgentProblemCode.TOO_MANY_FILES, folder, message, "Remove unused agents.")
    for item in sorted(items[:MAX_FILES], key=_order, reverse=True):
        if isinstance(item, AgentProblem):
            yield item
            continue
        text = _text(item, boundaries=boundaries)
        if isinstance(text, AgentProblem):
            yield structs.replace(text, agent=_shown(Path(item.stem)))
            continue
        agent, problems = read_agent(text, path=str(item), stem=item.stem, source=source)
        yield from problems
        if agent is not None:
            yield agent


def _order(item: Path | AgentProblem) -> bytes:
    """Sorts paths by their bytes, as Claude Code does (seen with 2.1.332): the last file of a name is the agent."""
    return item.path.encode() if isinstance(item, AgentProblem) else os.fsencode(item)


def _files(
    folder: Path, *, boundaries: tuple[Path, ...], above: tuple[Path, ...], advice: str = ""
) -> Iterator[Path | AgentProblem]:
    """The `.md` files of *folder* and below in the order of their paths; names that start with a dot are left out.

    *above* are the real folders on the way here: a symbolic link back to one of them would never end.
    """
    try:
        real = folder.resolve(strict=True)
        entries = sorted(os.scandir(folder), key=attrgetter("name"))
    except FileNotFoundError:
        if above or folder.is_symlink():
            yield _unreadable(folder, "it is gone, or a broken symbolic link")
        return
    except (OSError, RuntimeError) as error:
        yield _unreadable(folder, _reason(error))
        return
    if not any(real.is_relative_to(one) for one in boundaries):
        yield _outside(folder, boundaries[0], advice)
        return
    if real in above:
        return
    if len(above) > MAX_FOLDER_DEPTH:
        message = f"the folder is more than {MAX_FOLDER_DEPTH} folders deep; it is left out"
        yield _problem(AgentProblemCode.TOO_MANY_FILES, folder, message, "Move its files up.")
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            yield from _files(path, boundaries=boundaries, above=(*above, real))
        elif entry.name.endswith(".md"):
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular symbolic link; reading it as a file reports that
        return False


def _text(path: Path, *, boundaries: tuple[Path, ...]) -> str | AgentProblem:
    """The text of the file, or the problem that makes it unusable."""
    try:
        str(path).encode()
        real = path.resolve(strict=True)
        if not any(real.is_relative_to(one) for one in boundaries):
            return _outside(path, boundaries[0])
        content = _bytes(real)
    except UnicodeEncodeError:
        return _unreadable(path, "its name is not UTF-8")
    except (OSError, RuntimeError) as error:
        return _unreadable(path, _reason(error))
    if content is None:
        return _unreadable(path, "it is not a regular file")
    if len(content) > MAX_FILE_BYTES:
        message = f"the file is larger than {MAX_FILE_BYTES:,} bytes"
        return _problem(
            AgentProblemCode.FILE_TOO_LARGE, path, message, "Keep the prompt short; let it name files to read."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8: byte {error.start} is 0x{content[error.start]:02X}"
        return _problem(AgentProblemCode.NOT_TEXT, path, message, "Save it as UTF-8.")
    if "\0" in text:
        message = f"the file has a NUL character in line {text.count(chr(10), 0, text.index(chr(0))) + 1}"
        return _problem(AgentProblemCode.NOT_TEXT, path, message, "Save it as text in UTF-8.")
    return text


def _bytes(path: Path) -> bytes | None:
    """The content, up to one byte over the limit; None if *path* is a device, a pipe or a folder.

    Opened without waiting, since a pipe would wait for its writer, and without following a link put there since.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read(MAX_FILE_BYTES + 1)


def _same_place(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _outside(path: Path, boundary: Path, advice: str = "") -> AgentProblem:
    message = f"a symbolic link points outside {_shown(boundary)}, so it is not followed"
    return _problem(AgentProblemCode.FILE_OUTSIDE, path, message, advice or "Replace it with a copy of the file.")


def _unreadable(path: Path, reason: str) -> AgentProblem:
    return _problem(AgentProblemCode.FILE_UNREADABLE, path, f"cannot be read: {reason}", "Repair or remove it.")


def _reason(error: Exception) -> str:
    """The system's message without the path. Python 3.11 raises RuntimeError for circular links."""
    return (isinstance(error, OSError) and error.strerror) or "circular symbolic links"


def _problem(code: AgentProblemCode, path: Path, message: str, hint: str) -> AgentProblem:
    return AgentProblem(code=code, message=message, hint=hint, path=_shown(path))


def _shown(path: Path) -> str:
    """The path as encodable text, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
