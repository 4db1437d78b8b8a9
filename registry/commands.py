"""Finds command files and reads each of them once: the project's first, then the user's, then the packaged ones.

Effects: lists directories and reads files; caches results by content, so that an unchanged file costs only a hash.
Commands are not validated here, and a broken file does not hide others.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from cachetools import LRUCache
from msgspec import structs

from engine.errors import InputError, NotFound
from engine.text.cut import some
from registry.command_listing import Listing, name_of_file, strayed
from registry.files import json_file, yaml_file
from registry.files.listed import flat, signature_of, tree
from registry.files.paths import inside
from registry.files.places import COMMANDS, roots
from registry.files.shared_folders import Surroundings
from registry.markdown import NO_STEPS
from registry.naming import closest
from registry.peers.kinds import PEERS, peer_of
from registry.plain_names import PlainNames

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.validation import Problem
    from registry.files.shared_folders import Follows

NAME = re.compile(r"/[a-z0-9-]+")
MAX_PHASES = 2000
MAX_NODES_SHOWN = 20_000
MAX_FIELDS = 1000
_CACHE_BYTES = 64 * 1024 * 1024
_NAMED = 12
_MARKDOWN = frozenset({".md", ".markdown"})
_DEFINITIONS = frozenset({".json", *yaml_file.SUFFIXES})
_SUFFIXES = _DEFINITIONS | _MARKDOWN


class CommandSource(StrEnum):
    """Where a command was found, in order of precedence."""

    PROJECT = "project"
    USER = "user"
    PACKAGED = "packaged"


_RANK = {source: rank for rank, source in enumerate(CommandSource)}


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one command file, as a v2 definition that is not yet validated."""

    raw: dict[str, Any]
    """The definition in v2 spelling, whatever the file's spelling."""
    format: str
    """`json`, `yaml`, `markdown`, `dialect`, or the name of a program whose workflow it is."""
    problems: tuple[Problem, ...] = ()
    """Notes on what the conversion to v2 inferred or respelled."""
    digest: str = ""
    """SHA-256 of the canonical JSON of `raw`, hex."""
    text: str | None = None
    """The text of a JSON or YAML file; None for markdown and for a definition passed as an object."""
    agents: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Texts of the agent files that another program's workflow needs, by the agent's name."""
    pointers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The places of the definition's parts in another program's workflow, by pointer."""
    refused: bool = False
    """Whether another program's workflow has parts that cannot be converted, so that the definition is not whole."""
    listed: bool = True
    """False for markdown without any sign of a command: it runs if named by path, but no list shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSummary:
    """One command file as lists show it."""

    name: str
    """With the slash; guessed from the file's name if the file cannot be read."""
    description: str
    path: Path
    source: CommandSource
    format: str
    """`json`, `yaml`, `markdown` or `dialect`."""
    deprecated: bool = False
    arguments: tuple[str, ...] = ()
    """Names of the declared arguments."""
    shadowed_by: Path | None = None
    """The file that takes precedence over this one under the same name."""
    problem: InputError | None = None
    """Why the file cannot be read, if it cannot."""
    prompt: bool = False
    """A markdown file that is a prompt of Claude Code, not a v1 command: lists leave it out."""

    @property
    def _order(self) -> tuple[int, bool, bool, bool, bool, bool, str]:
        """Precedence among files of one name: source, readable, v2, JSON before YAML, file name as the command's."""
        path = str(self.path)
        name = path.rpartition(os.sep)[2]
        return (
            _RANK[self.source],
            self.prompt,
            self.problem is not None,
            self.format == "markdown",
            not name.endswith((".json", ".md")),
            name.rpartition(".")[0] != self.name[1:],
            path,
        )


class CommandIndex:
    """The command files of one project, followed by the user's and the packaged ones."""

    def __init__(
        self,
        project: Path,
        *,
        home: Path | None,
        packaged: Path | None,
        library: Path | None = None,
        follows: Follows = lambda _link: False,
    ) -> None:
        """*home* holds the user's `.claude/commands`, *packaged* our own `*.json`; None leaves them out.

        *library* has `.claude/commands` that count as packaged ones. *follows* says which links in the project's
        folders may be followed to places outside.
        """
        self.project = project.resolve()
        self._home = home
        self._packaged = packaged
        self._library = library
        self.reach = Surroundings(self.project, follows).reach
        """The folders where files of the project may currently be read."""
        self._parsed: LRUCache[tuple[str, str], Parsed | InputError] = LRUCache(_CACHE_BYTES, getsizeof=_cost)
        self._summaries: dict[Path, tuple[tuple[int, ...] | None, CommandSummary]] = {}
        self._plain = PlainNames(_plain_name, self._inside)
        self._listed: Listing[CommandSource] | None = None

    def list(self) -> tuple[CommandSummary, ...]:
        """All commands, including broken and shadowed ones, by name; without prompts of Claude Code."""
        return tuple(summary for summary in self._all() if not summary.prompt)

    def find(self, name: str) -> Path:
        """The file of command *name* (`/deploy`); NotFound with the closest name if there is none.

        A file that cannot be read is found by its file name and raises its own error: silently running another command
        of that name would be a surprise.
        """
        found = [self._summary(path, source) for path, source in self._listing().called(name)]
        found = [summary for summary in found if summary.name == name]
        chosen = min(found, key=lambda summary: (summary.prompt, summary._order), default=None)  # noqa: SLF001
        if chosen is None:
            raise self._unknown(name)
        if chosen.problem is not None:
            raise chosen.problem
        return chosen.path

    def resolve(self, source: str) -> Path:
        """The file that *source* names: "/name", or a path inside the project, absolute or relative."""
        source = source.strip()
        if NAME.fullmatch(source):
            return self.find(source)
        if source.startswith("/") and (word := source.split(maxsplit=1)) and NAME.fullmatch(word[0]):
            message = f'"{source[:200]}" is not a command name'
            hint = f"Name only {word[0]}, and pass the rest as arguments."
            raise NotFound(message, code="COMMAND_NOT_FOUND", hint=hint)
        if source.startswith("/") and "/" not in source[1:] and Path(source).suffix.lower() not in _SUFFIXES:
            raise self._unknown(source)
        path = self._inside(source)
        if path.is_file():
            return path
        if NAME.fullmatch(f"/{source}") and any(summary.name == f"/{source}" for summary in self._all()):
            return self.find(f"/{source}")
        message = f'File "{source[:200]}" does not exist in the project'
        near = closest(Path(source).stem, (summary.name[1:] for summary in self._all() if not summary.prompt))
        hint = f'Did you mean "/{near}"?' if near else 'Name a path in the project, or a command as "/name".'
        raise NotFound(message, code="FILE_NOT_FOUND", hint=hint)

    def read(self, path: Path) -> Parsed:
        """The content of *path* in v2 spelling; InputError if it cannot be read or is not a command."""
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            message = f'"{path.name}" is not a command file'
            raise InputError(
                message, code="UNSUPPORTED_FILE", hint="Commands are .json or .yaml files, or v1 commands in .md files."
            )
        data = json_file.read_bytes(path)
        # The name of a v1 command may come from its file's, so the same bytes elsewhere are another command.
        key = (path.stem if suffix in _MARKDOWN else suffix, hashlib.sha256(data).hexdigest())
        found = self._parsed.get(key)
        if found is None:
            try:
                found = _parse(data, path, self.project)
            except InputError as error:
                found = error
            if isinstance(found, InputError) or found.format not in PEERS:  # such a workflow names other files
                self._parsed[key] = found
        if isinstance(found, InputError):
            raise _again(found)
        return found

    def signature(self) -> tuple[object, ...]:
        """A value that changes when a command file is added, changed or removed."""
        return self._listing().signature

    @contextlib.contextmanager
    def listed_once(self) -> Iterator[None]:
        """List the files once for the whole block; those that come or change meanwhile are seen after it."""
        before, self._listed = self._listed, self._listing()
        try:
            yield
        finally:
            self._listed = before

    def twins(self, path: Path) -> tuple[Path, ...]:
        """Other v2 files of the same source as *path* that define its command too."""
        listing = self._listing()
        source = listing.sources.get(path)
        if source is None:
            return ()
        name = self._summary(path, source).name
        others = (
            self._summary(other, origin).path
            for other, origin in listing.called(name)
            if origin is source and other != path and self._summary(other, origin).name == name
        )
        return tuple(sorted(one for one in others if one.suffix.lower() in _DEFINITIONS and one.exists()))

    def _listing(self) -> Listing[CommandSource]:
        if self._listed is not None:
            return self._listed
        self._plain.look_again()
        return Listing(
            self._files(), lambda path, source: self._plain.find(path, ours=source is not CommandSource.PROJECT)
        )

    def _all(self) -> tuple[CommandSummary, ...]:
        """Every file that may be a command, by name and precedence, each with the file that shadows it."""
        found = (self._summary(path, source) for path, source in self._listing().files)
        summaries = sorted(found, key=lambda one: one._order)  # noqa: SLF001
        winners: dict[str, Path] = {}
        for summary in summaries:
            if not summary.prompt:
                winners.setdefault(summary.name, summary.path)
        told = (
            summary
            if winners.get(summary.name, summary.path) == summary.path
            else replace(summary, shadowed_by=winners[summary.name])
            for summary in summaries
        )
        return tuple(sorted(told, key=lambda one: (one.name, one._order)))  # noqa: SLF001

    def _files(self) -> Iterator[tuple[Path, CommandSource]]:
        seen: set[str] = set()
        for owner, root in roots(self.project, self._home, self._library):
            source, commands = CommandSource(owner), root / COMMANDS
            if (real := os.path.realpath(commands)) in seen:
                continue
            reach = self.reach() if source is CommandSource.PROJECT else None
            waits = reach is not None and bool(reach.waiting)
            if reach is not None and waits and not reach.covers(commands):
                continue
            seen.add(real)
            if reach is None or not waits or reach.covers(commands / "v2"):
                yield from ((path, source) for path in tree(commands / "v2", _DEFINITIONS))
            yield from ((path, source) for path in flat(commands, ".md"))
        if self._packaged is not None:
            yield from ((path, CommandSource.PACKAGED) for path in flat(self._packaged, ".json"))

    def _inside(self, given: str | Path) -> Path:
        reach = self.reach()
        waits = any(
            Path(os.path.abspath(self.project / given)).is_relative_to(self.project / one.name)  # noqa: PTH100
            for one in reach.waiting
        )
        return inside(self.project, given, also=reach.folders[1:], advice=reach.advice if waits else "")

    def _summary(self, path: Path, source: CommandSource) -> CommandSummary:
        """The summary of *path*, read again only if its inode, size or times have changed."""
        signature = signature_of(path)
        known = self._summaries.get(path)
        if known is not None and signature is not None and known[0] == signature:
            return known[1]
        summary = self._summarise(path, source)
        self._summaries[path] = (signature, summary)
        return summary

    def _summarise(self, path: Path, source: CommandSource) -> CommandSummary:
        markdown = path.suffix.lower() in _MARKDOWN
        try:
            if source is CommandSource.PROJECT:
                self._inside(path)
            parsed = self.read(path)
        except InputError as error:
            return CommandSummary(
                name=name_of_file(path),
                description="",
                path=path,
                source=source,
                format="markdown" if markdown else "yaml" if path.suffix.lower() in yaml_file.SUFFIXES else "json",
                problem=error,
                prompt=markdown and error.code == NO_STEPS,
            )
        raw = parsed.raw
        metadata = raw.get("metadata")
        arguments = raw.get("arguments")
        return CommandSummary(
            name=_text(raw.get("name")) or name_of_file(path),
            description=_text(raw.get("description")),
            path=path,
            source=source,
            format=parsed.format,
            deprecated=isinstance(metadata, dict) and metadata.get("deprecated") is True,
            arguments=tuple(
                _text(one.get("name"))
                for one in (arguments if isinstance(arguments, list) else ())
                if isinstance(one, dict)
            ),
            prompt=not parsed.listed,
        )

    def _unknown(self, name: str) -> NotFound:
        found = [summary for summary in self._all() if not summary.prompt and summary.problem is None]
        if any(summary.name == name for summary in found):
            message = f'"{name[:200]}" cannot be run by name: use lower-case letters, digits and - only'
            hint = f'Write "name": "{name_of_file(Path(name))}" in the file.'
            return NotFound(message, code="COMMAND_NOT_FOUND", hint=hint)
        names = sorted({summary.name for summary in found if NAME.fullmatch(summary.name)})
        near = closest(name, names)
        stray = strayed(self.project / COMMANDS, name, {one.path: one.name for one in found})
        hint = stray or (f'Did you mean "{near}"? ' if near else "")
        hint += f"Commands here: {some(names, _NAMED) if names else 'none yet'}."
        hint += f" {advice}" if (advice := self.reach().advice) else ""
        client = f"{hint} The resource orchestration://commands lists all."
        return NotFound(f'Command "{name[:200]}" not found', code="COMMAND_NOT_FOUND", hint=hint, client_hint=client)


def _parse(data: bytes, path: Path, project: Path) -> Parsed:
    text = json_file.decode(data, name=path.name)
    if path.suffix.lower() in _MARKDOWN:
        from registry.markdown.convert import convert  # noqa: PLC0415 - needed for such files only

        converted = convert(text, stem=path.stem)
        return Parsed(
            raw=converted.definition,
            format="markdown",
            problems=converted.problems,
            digest=json_file.digest(converted.definition),
            listed=converted.sign,
        )
    yaml = path.suffix.lower() in yaml_file.SUFFIXES
    if yaml:
        raw = yaml_file.as_mapping(yaml_file.parse(text, name=path.name), name=path.name)
    else:
        raw = json_file.as_object(json_file.parse(text, name=path.name), name=path.name)
    peer = peer_of(raw) if yaml else None
    if peer is not None:
        return _of_peer(raw, peer, text, project)
    found = parse_definition(raw)
    return structs.replace(found, format="yaml" if yaml and found.format == "json" else found.format, text=text)


def _of_peer(raw: dict[str, Any], peer: str, text: str, project: Path) -> Parsed:
    """The workflow *raw* of another program as a v2 definition."""
    from registry.peers.reading import read  # noqa: PLC0415 - needed for such files only

    found = read(raw, peer, project)
    _refuse_size(found.definition)
    return Parsed(
        raw=found.definition,
        format=peer,
        problems=found.problems,
        digest=json_file.digest([found.definition, dict(found.agents)]),
        text=text,
        agents=found.agents,
        pointers=found.pointers,
        refused=found.refused,
    )


def parse_definition(raw: dict[str, Any]) -> Parsed:
    """*raw* as v2: unchanged if it has no older spelling in it, otherwise migrated."""
    from registry.dialects.migrate import migrate  # noqa: PLC0415 - most questions are about runs

    _refuse_size(raw)
    migration = migrate(raw)
    return Parsed(
        raw=migration.definition,
        format="dialect" if migration.changed else "json",
        problems=migration.problems,
        digest=json_file.digest(migration.definition),
    )


def _plain_name(raw: dict[str, Any]) -> str | None:
    """The name of *raw* if it is written as in v2, and *raw* is not too large: its conversion leaves that as it is."""
    _refuse_size(raw)
    name = _text(raw.get("name"))
    return name if NAME.fullmatch(name) else None


def _refuse_size(raw: dict[str, Any]) -> None:
    """Refuse commands with so many parts that listing their problems could take minutes."""
    phases = nodes = widest = 0
    waiting: list[Any] = [raw]
    while waiting:  # the command, and nodes with phases in place
        part = waiting.pop()
        inner = part.get("phases")
        for phase in (part, *(inner if isinstance(inner, list) else ())):
            widest = max(widest, len(phase)) if isinstance(phase, dict) else widest
            agents = phase.get("agents") if isinstance(phase, dict) else None
            nodes += len(agents) if isinstance(agents, list | dict) else 0
            if phase is not part and isinstance(agents, list):
                waiting += [node for node in agents if isinstance(node, dict) and "phases" in node]
        phases += len(inner) if isinstance(inner, list) else 0
    if phases > MAX_PHASES or nodes > MAX_NODES_SHOWN or widest > MAX_FIELDS:
        message = (
            f"The command has more than {MAX_PHASES} phases, {MAX_NODES_SHOWN} nodes or {MAX_FIELDS} fields in a part"
        )
        raise InputError(message, code="TOO_LARGE", hint="Split it into sub-commands.")


def _again(error: InputError) -> InputError:
    """A fresh copy of a cached error: an exception raised twice would keep the frames of both."""
    kind = NotFound if isinstance(error, NotFound) else InputError
    return kind(error.message, code=error.code, hint=error.hint, pointer=error.pointer, client_hint=error.client_hint)


def _cost(found: Parsed | InputError) -> int:
    """Approximate bytes of a parsed file, by the length of its text."""
    if isinstance(found, InputError):
        return 1000
    return 1000 + 5 * (len(json_file.canonical(found.raw)) if found.text is None else len(found.text))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
