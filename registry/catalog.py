"""The commands and agents of one project: resolves a name, path or definition to a checked command and its bundle.

Effects: reads command and agent files, and caches their content while the files are unchanged. It runs and
writes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from msgspec import structs

from engine.errors import InputError, InvalidCommand, NotFound
from engine.graph.expand import called_commands, named_agents
from engine.model.agent import Agent, AgentDefaults, AgentKind, AgentSource
from engine.model.command import CommandDefinition
from engine.model.plan import Bundle
from engine.validation import Problem, Severity, validate_definition
from registry.agents.format import read_agent
from registry.agents.load import PACKAGED_AGENTS, AgentCatalog, agent_places, load_agents
from registry.commands import CommandIndex, CommandSummary, Parsed, parse_definition
from registry.files import json_file, yaml_file
from registry.files.garbage_collector import collector_paused
from registry.files.paths import shown
from registry.files.positions import positions
from registry.packaged import scanners
from registry.packaged.extras import how_to_install
from registry.peers.kinds import PEERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from registry.files.shared_folders import Follows, Reach

PACKAGED_COMMANDS = Path(__file__).parent / "packaged" / "commands"
_LOADED_KEPT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCommand:
    """One command, read and checked."""

    name: str
    """With the slash; empty if the definition has none."""
    raw: Mapping[str, Any]
    """The definition as v2 JSON data, whatever the file's format."""
    format: str
    """`json`, `yaml`, `markdown`, `dialect`, or the name of a program whose workflow it is."""
    problems: tuple[Problem, ...]
    """All of them, errors first: from the conversion to v2, and from the validator."""
    definition: CommandDefinition | None
    """None if some problem is an error."""
    digest: str
    """SHA-256 of the canonical JSON of `raw`, hex."""
    path: Path | None = None
    """The file, or None for a definition passed as an object."""
    source: str = "definition"
    """The path for display, or `definition`."""
    agents: Mapping[str, str] = field(default_factory=dict)
    """Texts of the agent files that another program's workflow needs, by the agent's name."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that prevent the command from running."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not."""
        return tuple(problem for problem in self.problems if problem.severity is not Severity.ERROR)


class Catalog:
    """The commands and agents of one project; keep one per project, since its cache makes later calls fast."""

    def __init__(
        self,
        project: Path,
        *,
        home: Path | None = None,
        packaged_commands: Path | None = PACKAGED_COMMANDS,
        packaged_agents: Path | None = PACKAGED_AGENTS,
        library: Path | None = None,
        breakers: Collection[str] = (),
        defaults: AgentDefaults | None = None,
        custom_agents: Collection[str] = (),
        follows: Follows = lambda _link: False,
    ) -> None:
        """*home* is the user's home directory, None to leave the user's own files out.

        *library* is a folder with `.claude/commands` and `.claude/agents` that come after the user's own. *follows*
        says whether a link in the project's folders may be followed to a place outside.

        *breakers* are the names of configured circuit breakers, *defaults* the values that agent files leave out,
        *custom_agents* the agent ids that an executor of the Python API has added; both may be reassigned later.
        """
        self.project: Path = project.resolve()
        self.breakers: frozenset[str] = frozenset(breakers)
        self._defaults = defaults or AgentDefaults()
        self.custom_agents: frozenset[str] = frozenset(custom_agents)
        self._home = home
        self._packaged_agents = packaged_agents
        self._library = library
        self._index = CommandIndex(
            self.project, home=home, packaged=packaged_commands, library=library, follows=follows
        )
        self._agents: tuple[object, AgentCatalog] | None = None
        self._loaded: LRUCache[str, tuple[object, CheckedCommand]] = LRUCache(_LOADED_KEPT)

    def agents(self) -> AgentCatalog:
        """All agents that a command can name, read again only if a file was added, changed or removed."""
        reach = self._index.reach()
        signature = (self._agent_files(reach), reach, self.custom_agents)
        if self._agents is None or self._agents[0] != signature:
            found = load_agents(
                self.project, home=self._home, packaged=self._packaged_agents, library=self._library, reach=reach
            )
            filled = {name: self._defaults.fill(agent) for name, agent in found.agents.items()}
            self._agents = (signature, _with_custom(structs.replace(found, agents=filled), self.custom_agents))
        return self._agents[1]

    def commands(self) -> tuple[CommandSummary, ...]:
        """All commands by name, including broken and shadowed ones with the reason."""
        return self._index.list()

    def signature(self) -> object:
        """A value that changes when a command file is added, changed or removed."""
        return self._index.signature()

    @contextlib.contextmanager
    def listed_once(self) -> Iterator[None]:
        """For a block that loads many commands: list their files once, not for each. Changes are seen after it.

        For programs with one thread: others would load from the listing of the block, too.
        """
        with self._index.listed_once():
            yield

    def load(self, source: str | Mapping[str, Any] | CommandDefinition) -> CheckedCommand:
        """The command that *source* names: "/name", a path inside the project, or a definition itself.

        A command with errors is loaded nevertheless, with its problems. Raises InputError if there is nothing to
        check: no such command (COMMAND_NOT_FOUND, FILE_NOT_FOUND), a path outside the project, a file that is not JSON.
        """
        if isinstance(source, CommandDefinition):
            source = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if isinstance(source, Mapping):
            return self._check(parse_definition(json_file.adopt(source)), path=None)
        if not isinstance(source, str):
            raise InputError(f"a command cannot be made of {source!r:.100}", hint='Name it as "/name" or by its path.')
        if source.lstrip().startswith("{"):
            value = json_file.parse(source, name="definition")
            return self._check(parse_definition(json_file.as_object(value, name="definition")), path=None)
        path = self._index.resolve(source)
        return self._check(self._index.read(path), path=path)

    def bundle(self, loaded: CheckedCommand) -> Bundle:
        """*loaded* with every agent and sub-command that it needs, at any depth; InvalidCommand with all problems."""
        definition = _sound(loaded)
        known = self.agents()
        agents: dict[str, Agent] = {}
        commands: dict[str, CommandDefinition] = {}
        waiting = [definition]
        while waiting:
            command = waiting.pop()
            for agent_id in dict.fromkeys(named_agents(command)):
                agents[agent_id] = _named(known, agent_id, command=command.name)
            for name in called_commands(command):
                if name not in commands and name != definition.name:
                    commands[name] = _sound(self.load(name))
                    waiting.append(commands[name])
        return Bundle(
            command=definition,
            agents=agents,
            commands=commands,
            source=loaded.source,
            digest=loaded.digest,
            format=loaded.format,
        )

    def _check(self, parsed: Parsed, *, path: Path | None) -> CheckedCommand:
        """*parsed* validated against the current agents and commands; cached until one of these changes."""
        found = self.agents()
        new, wrong = _new_agents(parsed.agents)
        agents = {**found.agents, **new}
        definitions = _Definitions(self._index)
        key = f"{parsed.digest} {parsed.format} {path}"
        around = (self._agents and self._agents[0], self._index.signature(), self.breakers, parsed.problems)
        known = self._loaded.get(key)
        if known is not None and known[0] == around:
            return known[1]
        with collector_paused():
            validation = validate_definition(
                parsed.raw,
                agents=agents,
                commands=definitions,
                breakers=self.breakers,
                unusable={name: f"{problem.message} ({problem.path})" for name, problem in found.unusable.items()},
            )
        told = (*parsed.problems, *wrong)
        source = "definition" if path is None else shown(self.project, path)
        if parsed.format == "markdown":
            from registry.markdown.guess import suggest_agents  # noqa: PLC0415 - needed for such files only

            told = suggest_agents(told, parsed.raw, agents.values())
            told = tuple(replace(one, place=one.place and f"{source}:{one.place}") for one in told)
        absent = _absent_scanners(validation.definition, agents)
        told += (*self._twins(path), *self._waiting(), *absent)
        checked: Iterable[Problem] = validation.problems
        if parsed.format in PEERS:
            checked = () if parsed.refused else _in_workflow(checked, parsed.pointers)
        problems = sorted((*told, *checked), key=lambda problem: problem.severity is not Severity.ERROR)
        if parsed.text is not None and problems:
            problems = _placed(problems, parsed.text, parsed.format, source)
        failed = any(problem.severity is Severity.ERROR for problem in problems)
        name = parsed.raw.get("name")
        loaded = CheckedCommand(
            name=name if isinstance(name, str) else "",
            raw=parsed.raw,
            format=parsed.format,
            problems=tuple(problems),
            definition=None if failed else validation.definition,
            digest=parsed.digest,
            path=path,
            source=source,
            agents=parsed.agents,
        )
        if not absent:  # their installation changes no file that we watch
            self._loaded[key] = (around, loaded)
        return loaded

    def _twins(self, path: Path | None) -> tuple[Problem, ...]:
        """A warning if several files define one command, which explains why an edit has no effect."""
        files = [shown(self.project, twin) for twin in (self._index.twins(path) if path is not None else ())]
        if not files:
            return ()
        message = f"This command is also defined in {', '.join(files)}; run by name, .json takes precedence over .yaml"
        return (Problem("DEFINED_TWICE", Severity.WARNING, message, "/name", "Keep one of the files."),)

    def _waiting(self) -> tuple[Problem, ...]:
        """A warning if some commands and agents of the project are not read, which explains why they are missing."""
        advice = self._index.reach().advice
        return (Problem("LINK_WAITS", Severity.WARNING, advice, "", None),) if advice else ()

    def _agent_files(self, reach: Reach) -> tuple[object, ...]:
        """Names, sizes and times of all agent files, which are read again if one of these differs."""
        places = agent_places(
            self.project, home=self._home, packaged=self._packaged_agents, library=self._library, reach=reach
        )
        seen: set[str] = set()
        return tuple(entry for place in places for entry in _entries(place.folder, within=place.within, seen=seen))


def _named(agents: AgentCatalog, agent_id: str, *, command: str) -> Agent:
    found = agents.get(agent_id)
    if found is None:  # the file was removed after the command was checked
        near = agents.suggest(agent_id)
        message = f'Agent "{agent_id}" of {command} not found in agent registry'
        raise NotFound(message, code="AGENT_NOT_FOUND", hint=f'Did you mean "{near}"?' if near else None)
    return found


def _placed(problems: list[Problem], text: str, form: str, source: str) -> list[Problem]:
    """*problems* with file, line and column; in an older dialect, only parts found literally in the file."""
    yaml = source.endswith(tuple(yaml_file.SUFFIXES))
    found = positions(
        text, {problem.pointer for problem in problems}, yaml=yaml, exact=form == "dialect" or form in PEERS
    )
    return [
        replace(problem, place=f"{source}:{place[0]}:{place[1]}") if (place := found.get(problem.pointer)) else problem
        for problem in problems
    ]


class _Definitions(Mapping[str, Mapping[str, Any]]):
    """The project's definitions by name, each read on demand, since few commands run others."""

    def __init__(self, index: CommandIndex) -> None:
        self._index = index

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        try:
            return self._index.read(self._index.find(name)).raw
        except InputError as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(summary.name for summary in self._index.list()))

    def __len__(self) -> int:
        return len({summary.name for summary in self._index.list()})


def _absent_scanners(definition: CommandDefinition | None, agents: Mapping[str, Agent]) -> tuple[Problem, ...]:
    """An error if agents of this package lack the scanners they start: a review must not silently skip them."""
    named = set(named_agents(definition)) & agents.keys() if definition is not None else set()
    absent = scanners.missing_for(name for name in named if agents[name].source is AgentSource.PACKAGED)
    if not absent:
        return ()
    message = f"Its agents need scanners that are not installed: {', '.join(absent)}"
    return (Problem("TOOL_MISSING", Severity.ERROR, message, "", how_to_install(scanners.EXTRA)),)


def _with_custom(found: AgentCatalog, names: Collection[str]) -> AgentCatalog:
    """*found* with the agents that the Python API registered; they take precedence."""
    if not names:
        return found
    custom = {name: Agent(id=name, kind=AgentKind.CUSTOM, source=AgentSource.PROJECT) for name in sorted(names)}
    return structs.replace(found, agents={**found.agents, **custom})


def _entries(folder: Path, *, within: tuple[Path, ...], seen: set[str]) -> Iterator[tuple[str, int, int, int]]:
    """Path, size, time and inode of each file below *folder*; each real folder *within* these is visited once."""
    real = os.path.realpath(folder)
    if real in seen or not any(map(Path(real).is_relative_to, within)):
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=attrgetter("name"))
    except NotADirectoryError:
        status = folder.stat()
        yield str(folder), status.st_size, status.st_mtime_ns, status.st_ino
        return
    except OSError:
        return
    for entry in entries:
        try:
            inner, status = entry.is_dir(), entry.stat()
        except OSError:
            continue
        if inner:
            yield from _entries(Path(entry.path), within=within, seen=seen)
        else:
            yield entry.path, status.st_size, status.st_mtime_ns, status.st_ino


def _new_agents(texts: Mapping[str, str]) -> tuple[dict[str, Agent], tuple[Problem, ...]]:
    """The agents that the files with *texts* will be, and an error for each that would be none."""
    agents: dict[str, Agent] = {}
    wrong: list[Problem] = []
    for name, text in texts.items():
        agent, problems = read_agent(text, path=name, stem=name, source=AgentSource.PROJECT)
        if agent is not None:
            agents[name] = agent
        else:
            said = "; ".join(one.message for one in problems)
            message = f'No agent file can be written for "{name}": {said}'
            wrong.append(Problem("PEER_NOT_CARRIED", Severity.ERROR, message, "", "Change what the step has there."))
    return agents, tuple(wrong)


def _in_workflow(problems: Iterable[Problem], pointers: Mapping[str, str]) -> list[Problem]:
    """The errors of *problems* with pointers into the workflow, as far as its parts are known.

    Warnings are about the v2 file: they are shown once it is written.
    """
    found = []
    for problem in (one for one in problems if one.severity is Severity.ERROR):
        part = next((part for part in pointers if f"{problem.pointer}/".startswith(f"{part}/")), None)
        found.append(replace(problem, pointer="" if part is None else pointers[part]))
    return found


def _sound(loaded: CheckedCommand) -> CommandDefinition:
    if loaded.definition is not None and loaded.format in PEERS:
        message = f'"{loaded.source}" is a workflow of {PEERS[loaded.format]}, which is converted before it is run'
        hint = f"Run `orchestrate migrate {loaded.source} --output .claude/commands/v2{loaded.name}.json`."
        raise InputError(message, code="PEER_WORKFLOW", hint=hint)
    if loaded.definition is None:
        name = loaded.name or loaded.source
        count = len(loaded.errors)
        message = f"Command '{name}' has {count} error{'s' if count != 1 else ''}"
        details = "\n".join(f"  {problem.code} {problem.pointer}: {problem.message}" for problem in loaded.errors[:20])
        hint = "Correct these and validate again."
        raise InvalidCommand(f"{message}\n{details}", loaded.problems, hint=hint)
    return loaded.definition
