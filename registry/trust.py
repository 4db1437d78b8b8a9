"""The agents of a project that need the user's yes, each as an item of all that the yes covers.

Effects: reads files. Remembering and asking are the command line's; the executors never ask.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.executors.servers import project_servers
from engine.model.agent import AgentKind, AgentSource
from engine.model.trust import ItemKind, TrustItem, trust_item
from registry.agent_programs import commands_of, hook_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.model.agent import Agent


DATA = frozenset({".csv", ".db", ".duckdb", ".jsonl", ".log", ".parquet", ".sqlite", ".sqlite3", ".tsv"})
"""Endings of files that a program works on; none of them is run by anything."""
ABSENT = "absent"
"""Stands for the digest of a file that is not there: its appearing asks again."""


def needs_trust(agent: Agent, project: Path) -> bool:
    """Whether *agent* brings something that is run: a program or Python function in a file of the project or the user.

    (SPEC 11.) So does a model agent with variables for its process, since some of these name code to load, with hooks
    or MCP servers of its own, or with an MCP server that the project defines.
    """
    own = agent.source in {AgentSource.PROJECT, AgentSource.USER}
    brought = agent.env or agent.hooks or agent.inline_servers
    if own and (agent.kind in {AgentKind.PROCESS, AgentKind.PYTHON} or brought):
        return True
    return agent.kind is AgentKind.CLAUDE and bool(project_servers(agent, project))


def agent_item(agent: Agent, project: Path) -> TrustItem:
    """All that a user says yes to: the agent, its file, its program's files and the servers that the project defines.

    The program's files are those of the project that the agent names, or an MCP server that the project defines for
    it: arguments that are files (also behind `=`, as in `--config=x.toml`), the module behind `-m`, and the module of
    `callable` with the packages around it. A file that is not there counts as well, so that its appearing asks again.
    Databases, logs and the like (`DATA`) are what a program works on and do not count: else each run would ask for the
    next. What those files import or call in turn is not followed, and programs outside the project are the machine's.
    """
    root = Path(os.path.abspath(project))  # noqa: PTH100 - joins `..` without following links
    settings = asdict(agent)
    del settings["path"]
    for key in ("timeout", "idle_timeout"):
        settings[key] = settings[key] and settings[key].total_seconds()
    servers = project_servers(agent, root) if agent.kind is AgentKind.CLAUDE else {}
    brought = servers | agent.inline_servers
    commands = [agent.command, *commands_of(agent.hooks), *(_words(server) for server in brought.values())]
    return trust_item(
        ItemKind.AGENT,
        agent.id,
        summary=_summary(agent),
        lines=_lines(agent, brought),
        content={
            "agent": settings,
            "agentFile": _hash(Path(agent.path)) if agent.path else None,
            "servers": servers,
        },
        place={"project": _text(str(root)), "agentFile": _text(agent.path or "")},
        files={_name(path, root): _hash(path) for path in _program_files(agent, commands, root)},
    )


def _summary(agent: Agent) -> str:
    """What *agent* starts."""
    if agent.kind is AgentKind.CLAUDE:
        variables = f" with {' '.join(f'{name}={value}' for name, value in agent.env.items())}" if agent.env else ""
        servers = f", MCP servers {', '.join(agent.mcp_servers)}" if agent.mcp_servers else ""
        hooks = "".join(f", hook {' '.join(words)}" for words in commands_of(agent.hooks))
        return f"claude{variables}{servers}{hooks}"
    return f"python {agent.callable}" if agent.callable else " ".join(agent.command)


def _lines(agent: Agent, servers: Mapping[str, object]) -> tuple[str, ...]:
    """What a person decides on."""
    lines = []
    if agent.command:
        lines.append(f"program: {' '.join(agent.command)}")
    if agent.callable:
        lines.append(f"function: {agent.callable}")
    lines += [f"env: {name}={value}" for name, value in agent.env.items()]
    lines += [f"MCP server {name}: {' '.join(_words(server))}" for name, server in servers.items()]
    lines += hook_lines(agent.hooks)
    if agent.path:
        lines.append(f"file: {agent.path}")
    return tuple(lines)


def _words(server: object) -> tuple[str, ...]:
    """The command line of an MCP server, as far as its definition makes sense."""
    found = server if isinstance(server, Mapping) else {}
    given = found.get("args")
    words = [found.get("command"), *(given if isinstance(given, list) else []), found.get("url")]
    return tuple(word for word in words if isinstance(word, str))


def program_files(command: tuple[str, ...], root: Path) -> dict[str, str]:
    """Digests of the files of the project *root* that a command line names, by their paths below it."""
    return {_name(path, root): _hash(path) for path in _command_files(command, root)}


def _program_files(agent: Agent, commands: Iterable[tuple[str, ...]], root: Path) -> Iterator[Path]:
    if agent.callable:
        yield from _module_files(agent.callable.partition(":")[0], root)
    for command in commands:
        yield from _command_files(command, root)


def _command_files(command: tuple[str, ...], root: Path) -> Iterator[Path]:
    for before, entry in zip(("", *command), command, strict=False):
        if before == "-m":
            yield from _module_files(entry, root)
        for name in {entry, entry.partition("=")[2]} - {""}:
            path = Path(os.path.abspath(root / name))  # noqa: PTH100
            if path.is_relative_to(root) and path.suffix.lower() not in DATA:
                # Python runs a folder by the file of this name in it.
                yield path / "__main__.py" if os.path.isdir(path) else path  # noqa: PTH112 - raises for no name


def _module_files(module: str, root: Path) -> Iterator[Path]:
    """Where *module* can be, and the `__init__.py` of each package on the way to it."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return
    for base in (root, root / "src"):
        place = base
        for part in parts:
            place /= part
            yield place / "__init__.py"
        yield place / "__main__.py"
        yield place.with_name(f"{place.name}.py")


def _name(path: Path, root: Path) -> str:
    return _text(os.path.relpath(path, root))


def _text(path: str) -> str:
    """The path as text that can be encoded, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _hash(path: Path) -> str:
    """SHA-256 of a regular file, links followed; `ABSENT` where there is none to read."""
    try:
        if not path.is_file():
            return ABSENT
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ABSENT
