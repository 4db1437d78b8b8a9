"""The agents of a project that need the user's approval, each as an item with everything the approval covers.

Effects: reads files. The command line asks and remembers; the executors never ask.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import InputError
from engine.executors.claude.mcp_servers import project_servers
from engine.model.agent import AgentSource
from engine.model.trust import ItemKind, TrustItem, trust_item
from engine.text.redaction import redact
from registry.agents.programs import commands_of, hook_lines, words_of
from registry.trust.covered_files import Coverage
from registry.trust.digests import ABSENT, Digests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.agent import Agent


_FOLDER = "/.claude/agents/"
_NAMES = {"command": "program", "callable": "function"}
"""Labels of the fields that say what an agent runs."""
_PLAIN = re.compile(r"[^\s\"'\\]+")
"""A word that needs no quotes to show where it ends."""


def needs_trust(agent: Agent, project: Path) -> bool:
    """Whether *agent* runs something: a program or Python function in a file of the project or the user.

    (SPEC 11.) So does a model agent with variables for its process, since these can name code to load, with hooks
    or MCP servers of its own, with a command of Claude Code as its initial prompt, or with an MCP server that the
    project defines.
    """
    own = agent.source in {AgentSource.PROJECT, AgentSource.USER, AgentSource.PLUGIN}
    command = str(agent.handed_on.get("initialPrompt", "")).lstrip().startswith("/")
    brought = agent.env or agent.hooks or agent.inline_servers or command
    if own and (agent.kind.traits.field or brought):
        return True
    return agent.kind.traits.needs_model and bool(project_servers(agent, project))


def agent_item(agent: Agent, project: Path, digests: Digests) -> TrustItem:
    """Everything that a user approves: the agent, its file, what it runs and the servers that the project defines.

    `covered_files.py` finds the files it runs; a Python function of the user's own agents has none in a project.
    Raises `InputError` (TRUST_TOO_LARGE), which names the agent.
    """
    try:
        return _item(agent, project, digests)
    except InputError as error:
        raise InputError(f'agent "{agent.id}": {error.message}', code=error.code, hint=error.hint) from None


def _item(agent: Agent, project: Path, digests: Digests) -> TrustItem:
    root = Path(os.path.abspath(project))  # noqa: PTH100 - joins `..` without following links
    settings = structs.asdict(agent)
    del settings["path"]
    if not agent.ignores_project:  # as it was before the field, so that a yes of then still holds
        del settings["ignores_project"]
    for key in ("timeout", "idle_timeout"):
        settings[key] = settings[key] and settings[key].total_seconds()
    servers = project_servers(agent, root) if agent.kind.traits.needs_model else {}
    brought = servers | agent.inline_servers
    covered = Coverage(root)
    file = _file_of(agent, root)
    ours = file is not None and file.is_relative_to(root)
    if file is not None and ours:
        covered.files.add(file)
    covered.command(_code(agent), agent.env)
    if agent.callable and agent.source is AgentSource.PROJECT:
        covered.python_root()
    for words in commands_of(agent.hooks):
        covered.command(words, agent.env)
    for server in brought.values():
        covered.command(_words(server), _variables(server))
        covered.command(_helper(server), {})
    return trust_item(
        ItemKind.AGENT,
        agent.id,
        summary=_summary(agent),
        lines=_lines(agent, brought),
        content={"agent": settings, "agentFile": digests.file(file) if file and not ours else None, "servers": servers},
        place={"project": _text(str(root)), "agentFile": _text(agent.path or "")},
        files=covered_files(covered, digests),
    )


def program_files(command: Sequence[str], root: Path) -> dict[str, str]:
    """Digests of the files in *root* that *command* runs, by their paths below it."""
    covered = Coverage(root)
    covered.command(command, {})
    return covered_files(covered, Digests(root))


def covered_files(covered: Coverage, digests: Digests) -> dict[str, str]:
    """Digests by path below the root, for existing files and folders of modules."""
    found = {digests.label(path): digests.file(path) for path in covered.files}
    found |= {digests.label(path, kind): digests.modules(path, kind) for path, kind in covered.modules}
    return {name: digest for name, digest in found.items() if digest != ABSENT}


def _file_of(agent: Agent, root: Path) -> Path | None:
    """The agent's file; if the project was moved since the plan was made, its current place."""
    if agent.path is None:
        return None
    path = Path(agent.path)
    if agent.source is AgentSource.PROJECT and not path.is_relative_to(root):
        before, folder, below = agent.path.rpartition(_FOLDER)
        path = root / folder.strip("/") / below if before else path
    return path


def _summary(agent: Agent) -> str:
    """A summary of what *agent* starts."""
    if agent.kind.traits.needs_model:
        variables = f" with {' '.join(f'{name}={value}' for name, value in agent.env.items())}" if agent.env else ""
        servers = f", MCP servers {', '.join(agent.mcp_servers)}" if agent.mcp_servers else ""
        hooks = "".join(f", hook {' '.join(words)}" for words in commands_of(agent.hooks))
        return f"claude{variables}{servers}{hooks}"
    return f"python {agent.callable}" if agent.callable else _said(_code(agent))


def _code(agent: Agent) -> tuple[str, ...]:
    """The words of the field that says what runs, for agents of a kind that has one."""
    field = agent.kind.traits.field
    code = getattr(agent, field) if field is not None else None
    return (code,) if isinstance(code, str) else code or ()


def _lines(agent: Agent, servers: Mapping[str, object]) -> tuple[str, ...]:
    """The lines that a person decides on."""
    lines = []
    field = agent.kind.traits.field
    if field is not None and (code := _code(agent)):
        lines.append(f"{_NAMES.get(field, field)}: {_said(code)}")
    lines += [f"env: {name}={value}" for name, value in agent.env.items()]
    for name, server in servers.items():
        lines.append(f"MCP server {name}: {_said(_words(server))}")
        lines += _server_lines(name, server)
    if str(prompt := agent.handed_on.get("initialPrompt", "")).lstrip().startswith("/"):
        lines.append(f"initial prompt: {prompt}")
    lines += hook_lines(agent.hooks)
    if agent.path:
        lines.append(f"file: {agent.path}")
    return tuple(lines)


def _server_lines(name: str, server: object) -> Iterator[str]:
    """The rest of a definition beside its command line: variables may load code, and helpers are programs."""
    for key, value in server.items() if isinstance(server, Mapping) else ():
        if key not in {"command", "args", "url", "type"}:
            parts = value.items() if isinstance(value, Mapping) else [("", value)]
            said = (f"{inner}={part}" if inner else str(part) for inner, part in parts)
            yield from (redact(f"MCP server {name}: {key} {one}") for one in said)


def _helper(server: object) -> list[str]:
    """The command line that makes the headers for a server, as Claude Code starts it."""
    found = server.get("headersHelper") if isinstance(server, Mapping) else None
    return words_of(found) if isinstance(found, str) else []


def _said(words: Sequence[str]) -> str:
    """A command line that shows where each word ends."""
    return " ".join(word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in words)


def _words(server: object) -> tuple[str, ...]:
    """The command line of an MCP server, as far as its definition is valid."""
    found = server if isinstance(server, Mapping) else {}
    given = found.get("args")
    words = [found.get("command"), *(given if isinstance(given, list) else []), found.get("url")]
    return tuple(word for word in words if isinstance(word, str))


def _variables(server: object) -> dict[str, str]:
    """The variables of an MCP server, as far as its definition is valid."""
    found = server.get("env") if isinstance(server, Mapping) else None
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, str)}


def _text(path: str) -> str:
    """The path as encodable text, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
